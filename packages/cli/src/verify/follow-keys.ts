/**
 * The keys of a followed log: what it lists now has to be what was remembered, or what its statements on its keys lead to from there. Whatever was followed is told;
 * a key that was revoked, and everything that no statement explains, is a finding and changes nothing that is remembered.
 */
import {
  encodeBase64,
  fateInChain,
  hashRotation,
  type KeyChain,
  openKeyChain,
  parseVerifierKey,
  RecordError,
  type Rotation,
  sameKey,
  statementsMax,
  type Verifier,
} from '@watchglass/record';
import type { Client } from '../client.ts';
import { CliError } from '../errors.ts';
import type { LogName } from './remote-statements.ts';

/** What is remembered of a log's keys. */
export interface KeyMemory {
  /** The one key believed. */
  readonly vkey: string;
  /** `/log/<tenant>/vkey` as it was verified last; absent where an older version remembered the key. */
  readonly keys?: string | undefined;
  /** The newest statement on its keys that was verified, with the hash of its bytes. */
  readonly statement?: { readonly number: number; readonly hash: string } | undefined;
  /** The newest seal that was verified, byte for byte: no key stolen later can put another one in its place. */
  readonly seal?: string | undefined;
  /** The key given with `--vkey`, where `vkey` is what it was followed to. */
  readonly given?: string | undefined;
}

/** Something to tell that is as it should be. */
export interface KeyNews {
  readonly code: 'key-rotated' | 'key-added';
  readonly message: string;
}

export type FollowedKeys =
  | {
      readonly kind: 'followed';
      readonly memory: KeyMemory;
      readonly news: readonly KeyNews[];
      /** Newly seen statements: the log must have had these roots. */
      readonly stated: readonly Rotation[];
    }
  | { readonly kind: 'key-changed' | 'key-revoked'; readonly message: string };

export interface FollowingKeys {
  readonly client: Client;
  readonly log: LogName;
  readonly before: KeyMemory | undefined;
  /** Events of the log that were seen already. */
  readonly sizeBefore: number;
  /** `--vkey`, where it is of this log. */
  readonly given: string | undefined;
  readonly signal: AbortSignal;
}

const keysMax = 3;

export async function followKeys(following: FollowingKeys): Promise<FollowedKeys> {
  const { client, log, before, given, signal } = following;
  const keys = await client.getText(`/log/${log.tenant}/vkey`, signal);
  if (before?.keys === keys && (given === undefined || given === before.vkey || given === before.given))
    return { kind: 'followed', memory: before, news: [], stated: [] };
  try {
    const listed = readListed(keys);
    const trusted = parseVerifierKey(given ?? before?.vkey ?? (keys.split('\n')[0] as string));
    if (trusted.type !== 1) throw new CliError('usage', 'a log is followed by its Ed25519 key: give that with --vkey');
    const rotations = await fetchStatements(following, 'rotations');
    const seals = await fetchStatements(following, 'seals');
    const seal = before?.seal === undefined ? undefined : Buffer.from(before.seal);
    const chain = openKeyChain({ origin: log.origin, rotations, seals }, { key: trusted, seal });
    const fate = fateInChain(trusted, chain);
    if (fate.kind === 'revoked') return { kind: 'key-revoked', message: sayRevoked(fate.rotation, fate.current) };
    if (fate.kind === 'unknown') return changed('no statement leads from the key believed so far to the one it shows');
    const fault = faultOf(following, { chain, rotations, listed });
    if (fault !== undefined) return changed(fault);
    const fresh = chain.rotations.slice(before?.statement?.number ?? 0);
    const last = rotations.at(-1);
    return {
      kind: 'followed',
      memory: {
        vkey: keys.split('\n')[0] as string,
        keys,
        statement: last === undefined ? undefined : { number: rotations.length, hash: hashOf(last) },
        seal: Buffer.from(seals.at(-1) ?? []).toString('utf8'),
        given,
      },
      news: before === undefined && given === undefined ? [] : newsOf(fresh, trusted),
      stated: before === undefined ? [] : fresh,
    };
  } catch (error) {
    if (!(error instanceof RecordError)) throw error;
    return changed(error.message);
  }
}

function changed(why: string): FollowedKeys {
  return { kind: 'key-changed', message: `the log shows keys that are not explained: ${why}` };
}

/** @throws RecordError `key-invalid` */
function readListed(text: string): Verifier[] {
  const lines = text.split('\n', keysMax + 2);
  if (lines.pop() !== '' || lines.length === 0 || lines.length > keysMax)
    throw new RecordError('key-invalid', `expected 1 to ${keysMax} verifier keys, a line each`);
  return lines.map(parseVerifierKey);
}

/** What contradicts the memory, or the list of keys. */
function faultOf(
  { before, sizeBefore }: FollowingKeys,
  { chain, rotations, listed }: { chain: KeyChain; rotations: readonly Uint8Array[]; listed: readonly Verifier[] },
): string | undefined {
  const [first, ...others] = listed;
  if (first === undefined || !sameKey(first, chain.current))
    return 'the first key it shows is not the one its statements lead to';
  const allowed = [chain.overlap, chain.second].filter((key) => key !== undefined);
  const inOrder = allowed.filter((key) => others.some((one) => sameKey(one, key)));
  if (inOrder.length !== others.length || inOrder.some((key, at) => !sameKey(key, others[at] as Verifier)))
    return 'it lists a key that no statement brought, or lists keys out of order';
  const { statement } = before ?? {};
  const kept = statement === undefined ? undefined : rotations[statement.number - 1];
  if (statement !== undefined && (kept === undefined || hashOf(kept) !== statement.hash))
    return `statement ${statement.number} on its keys was seen before, and is gone or another one`;
  // Made while no server ran, so it can't be of a time before what was seen.
  const dated = chain.rotations.slice(statement?.number ?? 0).find(({ size }) => size < sizeBefore);
  return before?.keys === undefined || dated === undefined
    ? undefined
    : `statement ${dated.number} says it was made at ${dated.size} events, and ${sizeBefore} had been seen without it`;
}

async function fetchStatements(
  { client, log, signal }: FollowingKeys,
  folder: 'rotations' | 'seals',
): Promise<Uint8Array[]> {
  const list = await client.getJson(`/log/${log.tenant}/${folder}`, signal);
  const numbers = Array.isArray(list) ? list : [];
  if (numbers.length > statementsMax || !numbers.every((one) => Number.isSafeInteger(one) && one >= 0))
    throw new RecordError('key-chain-broken', `expected at most ${statementsMax} numbers of ${folder}`);
  const found: Uint8Array[] = [];
  for (const number of numbers) found.push(await client.get(`/log/${log.tenant}/${folder}/${number}`, signal));
  return found;
}

function newsOf(fresh: readonly Rotation[], trusted: Verifier): KeyNews[] {
  const from = fresh.findIndex(({ old }) => sameKey(old, trusted));
  return (from < 0 ? [] : fresh.slice(from)).map((rotation) => {
    const { kind, number, next } = rotation;
    const how = `statement ${number}, made ${whenOf(rotation)}`;
    return kind === 'added'
      ? { code: 'key-added', message: `an ML-DSA-44 key signs beside (${how})` }
      : { code: 'key-rotated', message: `the key was rotated (${how}) and is followed: now ${keyIdOf(next)}` };
  });
}

function sayRevoked(rotation: Rotation, current: Verifier): string {
  return `the key believed so far was revoked as stolen (statement ${rotation.number}, made ${whenOf(rotation)}): what it alone signed past ${rotation.trusted} events is not to be believed, and neither is what the log says of its new key, ${keyIdOf(current)}. Ask whoever runs it by another way, and give the key you are told with --vkey`;
}

/** A statement names its month and the size of the log then; its event comes next in the log. */
export function whenOf({ epoch, size }: Rotation): string {
  const month = `${1970 + Math.floor(epoch / 12)}-${String((epoch % 12) + 1).padStart(2, '0')}`;
  return `in ${month} at ${size} events, announced from index ${size} on`;
}

export function keyIdOf({ name, keyId }: Verifier): string {
  return `${name}+${keyId.toString(16).padStart(8, '0')}`;
}

function hashOf(bytes: Uint8Array): string {
  return encodeBase64(hashRotation(bytes));
}
