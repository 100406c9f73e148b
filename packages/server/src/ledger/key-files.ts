/** Keys on disk, made when missing: the key-encryption key and each tenant's checkpoint key, 0600, random, never a default. */
import { formatSignerKey, generateSigner, parseSignerKey, type Signer } from '@watchglass/record';
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
    if (mayMake) await makeDurable(world, keysDir);
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

/** @param mayMake false where the log has a verifier key already */
export async function openCheckpointKey(
  world: World,
  keysDir: string,
  tenant: string,
  origin: string,
  mayMake: boolean,
): Promise<Signer> {
  const path = `${keysDir}/${tenant}.checkpoint-key`;
  const known = await world.disk.readFile(path);
  if (known !== undefined) {
    const signer = parseSignerKey(Buffer.from(known).toString('utf8').trim());
    if (signer.name !== origin) {
      throw new LedgerError(
        'corrupt',
        `expected keys/${tenant}.checkpoint-key to be the key of ${origin}, got that of ${signer.name}; restore the right one, or correct the origin in the configuration`,
      );
    }
    if (mayMake) await makeDurable(world, keysDir);
    return signer;
  }
  if (!mayMake)
    throw new LedgerError(
      'corrupt',
      `keys/${tenant}.checkpoint-key is missing, and the log of ${tenant} was signed with it; restore it from its backup`,
    );
  const signer = generateSigner(origin, world.random.bytes(32));
  await world.disk.makeDirectory(keysDir);
  await world.disk.replace(path, Buffer.from(`${formatSignerKey(signer)}\n`), { mode: 0o600 });
  return signer;
}

/** A key that nothing was sealed or signed with yet may be one whose maker was killed before its name was durable. */
async function makeDurable(world: World, keysDir: string): Promise<void> {
  await world.disk.makeDirectory(keysDir);
  await world.disk.syncDirectory(keysDir);
}
