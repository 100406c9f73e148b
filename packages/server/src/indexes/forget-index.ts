/** Removes what there is of one class and epoch of an index: the file, what SQLite keeps beside it, and the key its tokens were made with (also where a crash left it half replaced). */
import { join } from 'node:path';
import type { TenantId } from '@watchglass/record';
import { type Unit, unitName } from '@watchglass/record/reader';
import type { World } from '../world/world.ts';

/** While nothing has it open; durable when it resolves. @param dir `DIR/index` */
export async function removeIndex({ disk }: World, dir: string, tenant: TenantId, unit: Unit): Promise<void> {
  const folder = join(dir, tenant);
  for (const ending of ['.sqlite', '.sqlite-wal', '.sqlite-shm', '.token-key', '.token-key.tmp'])
    await disk.remove(join(folder, unitName(unit) + ending));
  if ((await disk.list(dir)).includes(`${tenant}/`)) await disk.syncDirectory(folder);
}
