/**
 * The disk of the machine, by node:fs; the promises are those of disk.ts.
 *
 * What waits for the disk (a sync, a directory) goes to the thread pool. A few kilobytes for a file that is open don't wait: they are copied into the system's
 * memory, in less time than a way to the pool and back takes, which under load includes a whole turn of the event loop.
 */
import { closeSync, open as openDescriptor, writeSync } from 'node:fs';
import { type FileHandle, link, mkdir, open, readdir, readFile, rename, rm, stat, unlink } from 'node:fs/promises';
import { dirname, resolve, sep } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import type { Disk, DiskFile, DiskLock, ReplaceOptions } from './disk.ts';
import { makeDirectory } from './make-directory.ts';

/** Up to here a write is done at once. */
const writeNowBytesMax = 64 * 1024;
const durableDirectories: Set<string> = new Set();

export const realDisk: Disk = {
  async open(path, how, mode = 0o600) {
    if (how === 'read') return new RealFile(await open(path, 'r'));
    if (how === 'create') return new RealFile(await open(path, 'wx+', mode));
    try {
      return new RealFile(await open(path, 'r+'));
    } catch (error) {
      if (!isMissing(error)) throw error;
      return new RealFile(await open(path, 'wx+', mode));
    }
  },

  async readFile(path) {
    try {
      return await readFile(path);
    } catch (error) {
      if (isMissing(error)) return undefined;
      throw error;
    }
  },

  async replace(
    path: string,
    bytes: Uint8Array,
    { mode = 0o600, durable = true, temporary = `${path}.tmp` }: ReplaceOptions = {},
  ) {
    if (durable || bytes.length > writeNowBytesMax) {
      const handle = await open(temporary, 'w', mode);
      try {
        await handle.writeFile(bytes);
        if (durable) await handle.datasync();
      } catch (error) {
        // Told at once: whoever waits for the closing goes on writing to a disk that failed.
        handle.close().catch(() => undefined);
        throw error;
      }
      await handle.close();
    } else await writeAnew(temporary, bytes, mode);
    await rename(temporary, path);
    if (durable) await syncDirectory(dirname(path));
  },

  rename,
  link,

  async remove(path) {
    try {
      await unlink(path);
    } catch (error) {
      if (!isMissing(error)) throw error;
    }
  },

  async removeTree(path) {
    const gone = resolve(path);
    for (const known of durableDirectories)
      if (known === gone || known.startsWith(`${gone}${sep}`)) durableDirectories.delete(known);
    await rm(path, { recursive: true, force: true });
  },

  makeDirectory: (path) =>
    makeDirectory(
      {
        make: (directory) => mkdir(directory, { recursive: true, mode: 0o700 }),
        sync: syncDirectory,
        durable: durableDirectories,
      },
      resolve(path),
    ),

  syncDirectory,

  async list(path) {
    try {
      const entries = await readdir(path, { withFileTypes: true });
      return entries.map((entry) => (entry.isDirectory() ? `${entry.name}/` : entry.name)).sort();
    } catch (error) {
      if (isMissing(error)) return [];
      throw error;
    }
  },

  async size(path) {
    try {
      return (await stat(path)).size;
    } catch (error) {
      if (isMissing(error)) return undefined;
      throw error;
    }
  },

  async lock(path) {
    return lockFile(path);
  },
};

async function syncDirectory(path: string): Promise<void> {
  const handle = await open(path, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function writeAnew(path: string, bytes: Uint8Array, mode: number): Promise<void> {
  const descriptor = await new Promise<number>((resolve, reject) => {
    openDescriptor(path, 'w', mode, (error, opened) => (error === null ? resolve(opened) : reject(error)));
  });
  try {
    for (let written = 0; written < bytes.length; ) {
      const count = writeSync(descriptor, bytes, written);
      if (count === 0) throw Object.assign(new Error('the disk took no bytes'), { code: 'ENOSPC' });
      written += count;
    }
  } finally {
    closeSync(descriptor);
  }
}

class RealFile implements DiskFile {
  readonly #handle: FileHandle;

  constructor(handle: FileHandle) {
    this.#handle = handle;
  }

  async write(bytes: Uint8Array, position: number): Promise<number> {
    if (bytes.length <= writeNowBytesMax) return writeSync(this.#handle.fd, bytes, 0, bytes.length, position);
    return (await this.#handle.write(bytes, 0, bytes.length, position)).bytesWritten;
  }

  async read(into: Uint8Array, position: number): Promise<number> {
    let got = 0;
    while (got < into.length) {
      const { bytesRead } = await this.#handle.read(into, got, into.length - got, position + got);
      if (bytesRead === 0) break;
      got += bytesRead;
    }
    return got;
  }

  datasync(): Promise<void> {
    return this.#handle.datasync();
  }

  truncate(sizeBytes: number): Promise<void> {
    return this.#handle.truncate(sizeBytes);
  }

  async size(): Promise<number> {
    return (await this.#handle.stat()).size;
  }

  close(): Promise<void> {
    return this.#handle.close();
  }
}

/**
 * Node has no flock, but SQLite locks its database file on every system: an exclusive transaction on a file of zero
 * bytes that is never written. The system lets go of the lock when the process ends, however it ends.
 * POSIX drops the lock when *any* descriptor of the file in this process is closed: nobody else may open the file.
 */
function lockFile(path: string): DiskLock | undefined {
  const database = new DatabaseSync(path);
  try {
    database.exec(
      'PRAGMA busy_timeout = 0; PRAGMA journal_mode = MEMORY; PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE',
    );
  } catch (error) {
    database.close();
    if (error instanceof Error && /locked|busy/i.test(error.message)) return undefined;
    throw error;
  }
  return { release: () => database.close() };
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENOTDIR');
}
