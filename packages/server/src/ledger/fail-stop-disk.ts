/**
 * A disk that is not written to after it failed. After a failed fsync nobody knows what is stored, and the next fsync may report success for
 * pages that were dropped; so whoever asks again, and for whatever file, is refused until a restart has read back what is there.
 *
 * No room is no failure: what was asked for wasn't done, and may be asked for again. Reading goes on.
 */
import type { Disk, DiskFile } from '../world/disk.ts';
import { LedgerError } from './errors.ts';

/** Refusals that leave things as they were. */
const harmless: ReadonlySet<unknown> = new Set([
  'ENOSPC',
  'EDQUOT',
  'EFBIG',
  'EMFILE',
  'ENFILE',
  'ENOMEM',
  'EAGAIN',
  'ENOENT',
  'EEXIST',
]);

/** True for an error after which the same may be tried again. */
export function isHarmless(error: unknown): boolean {
  if (error instanceof LedgerError) return error.code === 'storage-full';
  return error instanceof Error && 'code' in error && harmless.has(error.code);
}

/** @param failed told once, with the reason */
export function failStopDisk(disk: Disk, failed: (reason: string) => void): Disk {
  let broken: LedgerError | undefined;
  const attempt = async <T>(isSync: boolean, work: () => Promise<T>): Promise<T> => {
    if (broken !== undefined) throw broken;
    try {
      return await work();
    } catch (error) {
      if (isHarmless(error) && !isSync) throw error;
      if (broken === undefined) {
        const reason = `a write to the disk failed (${error instanceof Error ? error.message : String(error)}): what it holds is not known; restart after checking the disk, and run watchglass verify`;
        broken = new LedgerError('read-only', reason, {}, error);
        failed(reason);
      }
      throw broken;
    }
  };
  return {
    async open(path, how, mode) {
      if (how === 'read') return disk.open(path, how, mode);
      return failStopFile(await attempt(false, () => disk.open(path, how, mode)), attempt);
    },
    replace: (path, bytes, options) => attempt(false, () => disk.replace(path, bytes, options)),
    rename: (from, to) => attempt(false, () => disk.rename(from, to)),
    link: (from, to) => attempt(false, () => disk.link(from, to)),
    remove: (path) => attempt(false, () => disk.remove(path)),
    removeTree: (path) => attempt(false, () => disk.removeTree(path)),
    makeDirectory: (path) => attempt(false, () => disk.makeDirectory(path)),
    syncDirectory: (path) => attempt(true, () => disk.syncDirectory(path)),
    readFile: (path) => disk.readFile(path),
    list: (path) => disk.list(path),
    size: (path) => disk.size(path),
    lock: (path) => disk.lock(path),
  };
}

function failStopFile(file: DiskFile, attempt: <T>(isSync: boolean, work: () => Promise<T>) => Promise<T>): DiskFile {
  return {
    write: (bytes, position) => attempt(false, () => file.write(bytes, position)),
    read: (into, position) => file.read(into, position),
    datasync: () => attempt(true, () => file.datasync()),
    truncate: (sizeBytes) => attempt(false, () => file.truncate(sizeBytes)),
    size: () => file.size(),
    close: () => file.close(),
  };
}
