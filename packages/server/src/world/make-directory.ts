/**
 * Making a directory whose name survives a power failure, with its parents; shared by the real and the simulated disk.
 *
 * A directory that is there already may have been made by a process that was killed before it could sync the parent. So the names
 * of all ancestors are synced, once a process, whether they were made now or found.
 */
import { dirname } from 'node:path';

export interface DirectoryMaker {
  /** With its parents; the topmost one that had to be made, or undefined when all were there. */
  make(path: string): Promise<string | undefined>;
  sync(path: string): Promise<void>;
  /** Directories whose names are durable for what this process knows. */
  readonly durable: Set<string>;
}

/** @param path absolute */
export async function makeDirectory({ make, sync, durable }: DirectoryMaker, path: string): Promise<void> {
  const first = await make(path);
  let isNew = first !== undefined;
  for (let at = path; dirname(at) !== at; at = dirname(at)) {
    if (!isNew && durable.has(at)) return;
    await sync(dirname(at)).catch((error: unknown) => {
      // A directory above ours that we may enter and not read, or that no file system syncs, was there before us.
      if (isNew || !isForeign(error)) throw error;
    });
    durable.add(at);
    if (at === first) isNew = false;
  }
}

function isForeign(error: unknown): boolean {
  return error instanceof Error && 'code' in error && /^(EACCES|EPERM|EINVAL|EROFS)$/.test(String(error.code));
}
