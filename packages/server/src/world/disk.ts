/**
 * The disk seam: the few operations on files that durability is made of, no more. The real one is `real-disk.ts`.
 *
 * Durability: bytes written are durable only after `datasync()` of their file returned; a name (created, renamed,
 * linked or removed) only after `syncDirectory()` of its directory returned; a directory that was made at once. Errors are those of Node (`code` is `ENOSPC`, `EIO`, `ENOENT`, …).
 */
export interface Disk {
  /** `read`: must exist. `append`: created when missing, writable at any position. `create`: must not exist. New files get `mode`, 0600 unless said. */
  open(path: string, how: 'read' | 'append' | 'create', mode?: number): Promise<DiskFile>;
  /** The whole file, or undefined when there is none. For small files. */
  readFile(path: string): Promise<Uint8Array | undefined>;
  /**
   * Puts `bytes` at `path` as a whole: temporary file, fdatasync, rename, directory fsync. With `durable: false` both syncs are left out:
   * the file is old or new for readers, and either (or torn) after a power failure. The temporary file is `path` with `.tmp` unless `temporary` says otherwise.
   */
  replace(path: string, bytes: Uint8Array, options?: ReplaceOptions): Promise<void>;
  rename(from: string, to: string): Promise<void>;
  /** A second name for the same file; `EEXIST` when `to` exists. */
  link(from: string, to: string): Promise<void>;
  /** Removes a file; fine when it is missing. */
  remove(path: string): Promise<void>;
  /** Removes a directory and what is in it; fine when it is missing. */
  removeTree(path: string): Promise<void>;
  /** With its parents, durable when it resolves; fine when it exists. Directories get mode 0700. */
  makeDirectory(path: string): Promise<void>;
  syncDirectory(path: string): Promise<void>;
  /** Names in a directory, sorted; empty when it is missing. Directories end with `/`. */
  list(path: string): Promise<string[]>;
  /** Size in bytes, or undefined when there is no such file. */
  size(path: string): Promise<number | undefined>;
  /** Keeps every other process out of whatever `path` guards, until closed; undefined when somebody else holds it. The file stays empty. */
  lock(path: string): Promise<DiskLock | undefined>;
}

export interface ReplaceOptions {
  /** Of the new file; 0600 unless said. */
  readonly mode?: number;
  readonly durable?: boolean;
  /** On the same file system. */
  readonly temporary?: string;
}

export interface DiskFile {
  /** One write call at `position`; resolves to the number of bytes that went in, which can be fewer than given. */
  write(bytes: Uint8Array, position: number): Promise<number>;
  /** Fills `into` from `position` as far as the file goes; resolves to the number of bytes read. */
  read(into: Uint8Array, position: number): Promise<number>;
  datasync(): Promise<void>;
  truncate(sizeBytes: number): Promise<void>;
  size(): Promise<number>;
  close(): Promise<void>;
}

export interface DiskLock {
  release(): void;
}
