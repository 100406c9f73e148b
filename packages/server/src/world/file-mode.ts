/**
 * What the operating system says about a file: who may read it. Apart from the disk seam, since durability has nothing
 * to do with it and a simulated disk has no owners.
 */
import { stat } from 'node:fs/promises';

/** The permission bits of the file or directory, or undefined when there is none. Where the system has no such bits (Windows) they are 0. */
export async function fileMode(path: string): Promise<number | undefined> {
  try {
    return process.platform === 'win32' ? 0 : (await stat(path)).mode & 0o7777;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  }
}
