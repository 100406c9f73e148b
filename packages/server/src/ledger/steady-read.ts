/**
 * A stored statement, read twice: what is made from it is signed or hashed into the log and stays, so a disk that misreads once must not get into it. What a second
 * look can't tell, since the bytes are bad where they lie, the verifier tells.
 */
import { LedgerError } from './errors.ts';
import type { StorageDriver } from './storage.ts';

/** @throws LedgerError `corrupt` when two readings differ */
export async function readSteady(
  driver: Pick<StorageDriver, 'document'>,
  tenant: string,
  name: string,
): Promise<Uint8Array | undefined> {
  const bytes = await driver.document(tenant, name);
  const again = await driver.document(tenant, name);
  if (Buffer.compare(bytes ?? Buffer.alloc(0), again ?? Buffer.alloc(0)) !== 0)
    throw new LedgerError('corrupt', `ledger/${tenant}/${name} reads otherwise than a moment before; check the disk`);
  return bytes;
}
