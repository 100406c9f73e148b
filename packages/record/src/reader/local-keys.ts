/**
 * The local key-encryption keys of a keys directory, for readers: `kek`, those that a rotation left (`kek-<16 hex>`), and the same of a
 * tenant that has its own (`<tenant>.kek…`). A key is found by its id, which is made of its bytes; so no name needs to be believed.
 */
import { type Kek, type KekFinder, type Keyrings, localKek, sharedKeyring } from '../codec/kek.ts';
import type { LedgerFiles } from './ledger-files.ts';

const namePattern = /^(?:[a-z][a-z0-9-]*\.)?kek(?:-[0-9a-f]{16})?$/;
const kekBytes = 32;

/** Undefined where the directory holds no local key: content can't be opened with it. */
export async function localKeys(files: LedgerFiles, keysDir: string): Promise<Keyrings<KekFinder> | undefined> {
  const keks = new Map<string, Kek>();
  const names = (await files.list(keysDir)).filter((name) => namePattern.test(name));
  for (const name of new Set(['kek', ...names])) {
    const key = await files.readFile(`${keysDir}/${name}`);
    // The files of other providers have names of their own; a file that was cut is no key, and its id is then missed.
    if (key?.length !== kekBytes) continue;
    const kek = localKek(key);
    keks.set(kek.id, kek);
  }
  return keks.size === 0 ? undefined : sharedKeyring({ find: (id) => keks.get(id) });
}
