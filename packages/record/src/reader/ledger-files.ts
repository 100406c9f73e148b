/**
 * What a reader needs of a file system: a narrow seam, so that the same reading code runs on the real disk, on the
 * server's disk and on a simulated one. Every call may run beside a writer.
 */
import { lstat, open, readdir, readFile, stat } from 'node:fs/promises';

export interface LedgerFiles {
  /** For reading; rejects with `ENOENT` when missing. */
  open(path: string, how: 'read'): Promise<ReadableFile>;
  /** The whole of a small file, or undefined when there is none. */
  readFile(path: string): Promise<Uint8Array | undefined>;
  /** Names, sorted; directories end with `/`; empty when missing. */
  list(path: string): Promise<string[]>;
  /** Bytes, or undefined when there is no such file. */
  size(path: string): Promise<number | undefined>;
  /** False for a link, a directory or a device; true for a plain file and for none. */
  isPlain?(path: string): Promise<boolean>;
}

export interface ReadableFile {
  /** Fills `into` from `position` as far as the file goes; the number of bytes read. */
  read(into: Uint8Array, position: number): Promise<number>;
  close(): Promise<void>;
}

/** The files of this machine. */
export const nodeFiles: LedgerFiles = {
  async open(path) {
    const handle = await open(path, 'r');
    return {
      async read(into, position) {
        let got = 0;
        while (got < into.length) {
          const { bytesRead } = await handle.read(into, got, into.length - got, position + got);
          if (bytesRead === 0) break;
          got += bytesRead;
        }
        return got;
      },
      close: () => handle.close(),
    };
  },
  readFile: (path) => readFile(path).catch(undefinedWhenMissing),
  async list(path) {
    const entries = await readdir(path, { withFileTypes: true }).catch(undefinedWhenMissing);
    return (entries ?? []).map((entry) => (entry.isDirectory() ? `${entry.name}/` : entry.name)).sort();
  },
  size: async (path) => (await stat(path).catch(undefinedWhenMissing))?.size,
  isPlain: async (path) => (await lstat(path).catch(undefinedWhenMissing))?.isFile() ?? true,
};

function undefinedWhenMissing(error: unknown): undefined {
  if (isMissing(error)) return undefined;
  throw error;
}

/** True for the error of a file or directory that isn't there. */
export function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENOTDIR');
}

/** Exactly `count` bytes from `position`, or as many as there are. */
export async function readRange(file: ReadableFile, position: number, count: number): Promise<Uint8Array> {
  const bytes = Buffer.allocUnsafe(count);
  const got = await file.read(bytes, position);
  return got === count ? bytes : bytes.subarray(0, got);
}
