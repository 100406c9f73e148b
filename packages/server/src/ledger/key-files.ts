/** Checkpoint keys on disk, made when missing: 0600, random, never a default. Key-encryption keys are in kek/. */
import { formatSignerKey, generateSigner, parseSignerKey, type Signer } from '@watchglass/record';
import type { World } from '../world/world.ts';
import { LedgerError } from './errors.ts';

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
