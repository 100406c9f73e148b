/**
 * The disk as the spool sees it: few verbs, so that a test can hand in one that fails, fills up or hangs.
 *
 * What the spool relies on: `write` puts all bytes or throws; after `datasync` returned, bytes written before it survive a
 * power cut; `create` and `rename` survive one after `syncDir` of their directory returned.
 */
import { fstatSync, statfsSync } from 'node:fs';
import { type FileHandle, mkdir, open, readdir, readFile, rename, rm, stat } from 'node:fs/promises';

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

class RealFile implements SpoolFile {
  readonly #handle: FileHandle;

  constructor(handle: FileHandle) {
    this.#handle = handle;
  }

  async write(bytes: Uint8Array, position: number): Promise<void> {
    let done = 0;
    while (done < bytes.length) {
      const { bytesWritten } = await this.#handle.write(bytes, done, bytes.length - done, position + done);
      done += bytesWritten;
    }
  }

  async datasync(): Promise<void> {
    await this.#handle.datasync();
  }

  async truncate(size: number): Promise<void> {
    await this.#handle.truncate(size);
  }

  linked(): boolean {
    return fstatSync(this.#handle.fd).nlink > 0;
  }

  async close(): Promise<void> {
    await this.#handle.close();
  }
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
  create: async (path) => new RealFile(await open(path, 'wx', 0o600)),
  edit: async (path) => new RealFile(await open(path, 'r+')),
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
