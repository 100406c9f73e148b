/** The key-encryption key on disk, made when missing: 0600, random, never a default. */
import { type Kek, localKek } from '@watchglass/record/reader';
import type { World } from '../world/world.ts';
import { LedgerError } from './errors.ts';

/** @param mayMake false where a ledger is there already: a new key couldn't open it */
export async function openKek(world: World, keysDir: string, mayMake: boolean): Promise<Kek> {
  const path = `${keysDir}/kek`;
  const known = await world.disk.readFile(path);
  if (known !== undefined) {
    if (known.length !== 32)
      throw new LedgerError(
        'corrupt',
        `expected keys/kek with 32 bytes, got ${known.length}; restore it from its backup`,
      );
    return localKek(known);
  }
  if (!mayMake)
    throw new LedgerError(
      'corrupt',
      'keys/kek is missing, and the ledger holds what was sealed under it; restore it from its backup',
    );
  const key = world.random.bytes(32);
  await world.disk.makeDirectory(keysDir);
  await world.disk.replace(path, key, { mode: 0o600 });
  return localKek(key);
}
