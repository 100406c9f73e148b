/**
 * The disk as the spool sees it: few verbs, so that a test can hand in one that fails, fills up or hangs.
 *
 * What the spool relies on: `write` puts all bytes or throws; after `datasync` returned, bytes written before it survive a
 * power cut; `create` and `rename` survive one after `syncDir` of their directory returned.
 */
import { close, fdatasync, fstatSync, ftruncate, open as openFile, statfsSync, write } from 'node:fs';
import { mkdir, open, readdir, readFile, rename, rm, stat } from 'node:fs/promises';

/** One file that is being appended to. */
export interface SpoolFile {
  write(bytes: Uint8Array, position: number): Promise<void>;
  datasync(): Promise<void>;
  truncate(size: number): Promise<void>;
  /** False once somebody removed the file's last name: what is written to it from then on is lost at close. */
  linked(): boolean;
  close(): Promise<void>;
}

export interface SpoolDisk {
  makeDir(path: string): Promise<void>;
  /** Names in a directory, in no order. */
  list(path: string): Promise<string[]>;
  size(path: string): Promise<number>;
  read(path: string): Promise<Uint8Array>;
  /** Up to `length` bytes from `position`; fewer at the end of the file. */
  readAt(path: string, position: number, length: number): Promise<Uint8Array>;
  /** A new file, mode 0600; fails when the name exists. */
  create(path: string): Promise<SpoolFile>;
  /** An existing file, for cutting its torn end. */
  edit(path: string): Promise<SpoolFile>;
  rename(from: string, to: string): Promise<void>;
  remove(path: string): Promise<void>;
  syncDir(path: string): Promise<void>;
  /** What an unprivileged process may still write on this file system, in bytes. */
  freeBytes(path: string): number;
}

/** On a bare descriptor: a group is committed hundreds of times a second, and each call on a `FileHandle` costs several promises. */
class RealFile implements SpoolFile {
  /** -1 once it is closed: the number may be another file's by then. */
  #descriptor: number;

  constructor(descriptor: number) {
    this.#descriptor = descriptor;
  }

  async write(bytes: Uint8Array, position: number): Promise<void> {
    for (let done = 0; done < bytes.length; ) done += await this.#writeSome(bytes, done, position);
  }

  #writeSome(bytes: Uint8Array, from: number, position: number): Promise<number> {
    return new Promise((resolve, reject) => {
      write(this.#descriptor, bytes, from, bytes.length - from, position + from, (error, count) =>
        error === null ? resolve(count) : reject(error),
      );
    });
  }

  datasync(): Promise<void> {
    return settled((done) => fdatasync(this.#descriptor, done));
  }

  truncate(size: number): Promise<void> {
    return settled((done) => ftruncate(this.#descriptor, size, done));
  }

  linked(): boolean {
    return fstatSync(this.#descriptor).nlink > 0;
  }

  close(): Promise<void> {
    const descriptor = this.#descriptor;
    this.#descriptor = -1;
    return settled((done) => close(descriptor, done));
  }
}

function settled(begin: (done: (error: NodeJS.ErrnoException | null) => void) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    begin((error) => (error === null || error === undefined ? resolve() : reject(error)));
  });
}

function openRealFile(path: string, flags: string, mode?: number): Promise<RealFile> {
  return new Promise((resolve, reject) => {
    openFile(path, flags, mode, (error, descriptor) => {
      if (error === null) resolve(new RealFile(descriptor));
      else reject(error);
    });
  });
}

/** The machine's own file system. */
export const realDisk: SpoolDisk = {
  async makeDir(path) {
    await mkdir(path, { recursive: true, mode: 0o700 });
  },
  list: (path) => readdir(path),
  async size(path) {
    return (await stat(path)).size;
  },
  read: (path) => readFile(path),
  async readAt(path, position, length) {
    const handle = await open(path, 'r');
    try {
      const buffer = Buffer.allocUnsafe(length);
      let done = 0;
      while (done < length) {
        const { bytesRead } = await handle.read(buffer, done, length - done, position + done);
        if (bytesRead === 0) break;
        done += bytesRead;
      }
      return buffer.subarray(0, done);
    } finally {
      await handle.close();
    }
  },
  create: (path) => openRealFile(path, 'wx', 0o600),
  edit: (path) => openRealFile(path, 'r+'),
  rename,
  remove: (path) => rm(path, { force: true }),
  async syncDir(path) {
    const handle = await open(path, 'r');
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  },
  freeBytes(path) {
    const { bavail, bsize } = statfsSync(path);
    return bavail * bsize;
  },
};
