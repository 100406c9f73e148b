/** Whether a disk that was full takes something again: known only by a real write. Rejects where it doesn't. */
import { randomBytes } from 'node:crypto';

import type { SpoolDisk } from './disk.ts';

const probeBytes = 64 * 1024;

export async function probeDisk(disk: SpoolDisk, path: string): Promise<void> {
  await disk.remove(path);
  const file = await disk.create(path);
  try {
    await file.write(randomBytes(probeBytes), 0);
    await file.datasync();
  } finally {
    await file.close();
    await disk.remove(path);
  }
}
