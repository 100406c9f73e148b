/**
 * The keys that sign a log's checkpoints: `keys/<tenant>.checkpoint-key` (0600) has a line for each, in the order of the log's `vkey`: the newest, the one
 * it replaces while they overlap, an ML-DSA-44 key where there is one. What the statements on keys say is made so in an order that the next start can
 * finish wherever it was cut off: the new key is durable, stated, in use, listed.
 */
import {
  equalBytes,
  formatSignerKey,
  formatVerifierKey,
  generateSigner,
  parseRotation,
  parseSignerKey,
  type Rotation,
  type RotationKind,
  type Signer,
  sameKey,
  type Verifier,
} from '@watchglass/record';
import { parseNumberName, rotationFileName } from '@watchglass/record/reader';
import type { Disk } from '../world/disk.ts';
import type { Random } from '../world/world.ts';
import { LedgerError } from './errors.ts';
import type { StorageDriver } from './storage.ts';

export interface KeyPlace {
  readonly disk: Disk;
  readonly random: Random;
  readonly keysDir: string;
  readonly driver: StorageDriver;
}

/** The newest statement on a log's keys, and its bytes. */
export interface StoredRotation {
  readonly rotation: Rotation;
  readonly bytes: Uint8Array;
}

/** @param mayMake false where the log has a verifier key already */
export async function openCheckpointKeys(
  { disk, random, keysDir }: Pick<KeyPlace, 'disk' | 'random' | 'keysDir'>,
  log: { readonly tenant: string; readonly origin: string },
  mayMake: boolean,
): Promise<readonly Signer[]> {
  const { tenant, origin } = log;
  const known = await disk.readFile(pathOf(keysDir, tenant));
  if (known !== undefined) {
    const signers = Buffer.from(known).toString('utf8').trim().split('\n').map(parseSignerKey);
    const other = signers.find(({ name }) => name !== origin);
    if (other !== undefined) {
      throw new LedgerError(
        'corrupt',
        `expected keys/${tenant}.checkpoint-key to be the key of ${origin}, got that of ${other.name}; restore the right one, or correct the origin in the configuration`,
      );
    }
    if (mayMake) await makeDurable(disk, keysDir);
    return signers;
  }
  if (!mayMake)
    throw new LedgerError(
      'corrupt',
      `keys/${tenant}.checkpoint-key is missing, and the log of ${tenant} was signed with it; restore it from its backup`,
    );
  const signer = generateSigner(origin, random.bytes(32));
  await disk.makeDirectory(keysDir);
  await storeCheckpointKeys({ disk, keysDir }, tenant, [signer]);
  return [signer];
}

/** A key that nothing was signed with yet may be one whose maker was killed before its name was durable. */
async function makeDurable(disk: KeyPlace['disk'], keysDir: string): Promise<void> {
  await disk.makeDirectory(keysDir);
  await disk.syncDirectory(keysDir);
}

export async function storeCheckpointKeys(
  { disk, keysDir }: Pick<KeyPlace, 'disk' | 'keysDir'>,
  tenant: string,
  signers: readonly Signer[],
): Promise<void> {
  const text = signers.map((signer) => `${formatSignerKey(signer)}\n`).join('');
  await disk.replace(pathOf(keysDir, tenant), Buffer.from(text), { mode: 0o600 });
}

/** The signers once `next` has come. */
export function withNext(signers: readonly Signer[], kind: RotationKind, next: Signer): readonly Signer[] {
  const [current] = signers;
  const second = signers.find(({ type }) => type === 6);
  if (current === undefined) throw new TypeError('a log has a key');
  switch (kind) {
    case 'planned':
      return [next, current, ...(second === undefined ? [] : [second])];
    case 'compromised':
      return [next, ...(second === undefined ? [] : [second])];
    case 'added':
      return [...signers.filter(({ type }) => type === 1), next];
    default:
      return kind satisfies never;
  }
}

/** The signers once the key that was replaced signs no more. */
export function withoutOverlap(signers: readonly Signer[]): readonly Signer[] {
  return signers.filter(({ type }, at) => at === 0 || type === 6);
}

export function vkeysOf(signers: readonly Signer[]): readonly string[] {
  return signers.map(formatVerifierKey);
}

/** Puts the list of verifier keys that the log shows. */
export async function putVkeys({ driver }: KeyPlace, tenant: string, signers: readonly Signer[]): Promise<void> {
  const lines = vkeysOf(signers).map((vkey) => `${vkey}\n`);
  await driver.putDocument(tenant, 'vkey', Buffer.from(lines.join('')));
}

/** The key that is about to come, before it is stated. One that an interrupted change left is taken up again. */
export async function makeNextKey({ disk, keysDir }: KeyPlace, tenant: string, make: () => Signer): Promise<Signer> {
  const signer = make();
  await disk.replace(nextPathOf(keysDir, tenant), Buffer.from(`${formatSignerKey(signer)}\n`), { mode: 0o600 });
  return signer;
}

export async function forgetNextKey({ disk, keysDir }: KeyPlace, tenant: string): Promise<void> {
  await disk.remove(nextPathOf(keysDir, tenant));
  await disk.syncDirectory(keysDir);
}

/** The newest statement; undefined where the log has none. @throws LedgerError `corrupt` where one before it is missing */
export async function lastRotation({ driver }: KeyPlace, tenant: string): Promise<StoredRotation | undefined> {
  const numbers = (await driver.documents(tenant, 'rotations')).flatMap((name) => parseNumberName(name) ?? []);
  if (numbers.length === 0) return undefined;
  const last = Math.max(...numbers);
  const bytes = await driver.document(tenant, rotationFileName(last));
  if (bytes === undefined || numbers.length !== last)
    throw new LedgerError(
      'corrupt',
      `ledger/${tenant}/rotations lacks a statement on a checkpoint key; restore it from its backup`,
    );
  return { rotation: parseRotation(bytes), bytes };
}

/**
 * Finishes a change of keys that an earlier process began, so that the key file, the statements and `vkey` agree.
 *
 * @returns the keys that sign
 * @throws LedgerError `corrupt` where they can't
 */
export async function finishKeys(
  place: KeyPlace,
  log: { readonly tenant: string; readonly origin: string },
): Promise<{ readonly signers: readonly Signer[]; readonly last: StoredRotation | undefined }> {
  const { disk, keysDir, driver } = place;
  const { tenant } = log;
  let signers = await openCheckpointKeys(place, log, false);
  const last = await lastRotation(place, tenant);
  const left = await disk.readFile(nextPathOf(keysDir, tenant));
  if (left !== undefined) {
    const next = parseSignerKey(Buffer.from(left).toString('utf8').trim());
    if (last !== undefined && sameKey(next, last.rotation.next)) {
      // It was stated; a kill may have left the statement before it was durable.
      await driver.putDocument(tenant, rotationFileName(last.rotation.number), last.bytes);
      if (!signers.some((signer) => sameKey(signer, next))) {
        signers = withNext(signers, last.rotation.kind, next);
        await storeCheckpointKeys(place, tenant, signers);
      }
    }
    await forgetNextKey(place, tenant);
  }
  const stored = (await driver.vkey(tenant)) ?? '';
  const expected = vkeysOf(signers).join('\n');
  if (stored === expected) return { signers, last };
  const ended = withoutOverlap(signers);
  if (stored === vkeysOf(ended).join('\n')) {
    await storeCheckpointKeys(place, tenant, ended);
    return { signers: ended, last };
  }
  if (last === undefined || !isBefore(stored, last.rotation, signers))
    throw new LedgerError(
      'corrupt',
      `ledger/${tenant}/vkey is not the verifier key of keys/${tenant}.checkpoint-key; restore both from their backup`,
    );
  await putVkeys(place, tenant, signers);
  return { signers, last };
}

/** Whether `vkey` is what it was before the last statement, whose key signs already. */
function isBefore(stored: string, { old, next }: Rotation, signers: readonly Signer[]): boolean {
  const listed = stored.split('\n');
  return (
    listed[0] === formatVerifierKey(old) &&
    !listed.includes(formatVerifierKey(next)) &&
    signers.some((signer) => sameKey(signer, next))
  );
}

/** Keys under which a stored checkpoint may stand: those that sign, and the one that was replaced last. */
export function verifiersOf(signers: readonly Signer[], last: StoredRotation | undefined): readonly Verifier[] {
  const old = last?.rotation.old;
  const isKnown =
    old === undefined || signers.some((signer) => sameKey(signer, old) && equalBytes(signer.publicKey, old.publicKey));
  return isKnown ? signers : [...signers, old];
}

function pathOf(keysDir: string, tenant: string): string {
  return `${keysDir}/${tenant}.checkpoint-key`;
}

function nextPathOf(keysDir: string, tenant: string): string {
  return `${keysDir}/${tenant}.checkpoint-key.next`;
}
