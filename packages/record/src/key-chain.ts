/**
 * A log's statements on its checkpoint keys, verified as a chain without the log's files: each rotation by the keys it names and by the key of its epoch, which the
 * seals lead to from the key the log began with. So somebody outside who knows an older key gets to the newest, or is told that they can't. Needs no platform: the
 * monitor, the console and the page of a bundle follow keys with it.
 */
import { equalBytes } from './bytes.ts';
import { RecordError } from './errors.ts';
import { sameKey, type Verifier } from './note-key.ts';
import { fateOf, hashRotation, openRotation, type PinnedKeyFate, parseRotation, type Rotation } from './rotation.ts';
import { hashSeal, openSeal, parseSeal, type Seal, sealKeyName } from './seal.ts';

/** Most statements that are taken of a log: seals of 160 years, and as many rotations. */
export const statementsMax = 2_000;

export interface KeyStatements {
  readonly origin: string;
  /** The bytes of each, from statement 1 on. */
  readonly rotations: readonly Uint8Array[];
  /** The bytes of each, from the first seal on; as far as the epoch before that of the last rotation at least. */
  readonly seals: readonly Uint8Array[];
}

export interface KeyChain {
  readonly rotations: readonly Rotation[];
  readonly seals: readonly Seal[];
  /** Signs checkpoints now. */
  readonly current: Verifier;
  /** What `current` took the place of, where both sign until the overlap ends. */
  readonly overlap: Verifier | undefined;
  /** The ML-DSA-44 key that signs beside. */
  readonly second: Verifier | undefined;
}

/**
 * Opens the statements of a log.
 *
 * @param known what the caller has from elsewhere: the key of a log without rotations, and a seal kept from earlier, which must be among the seals byte for byte
 * @throws {RecordError} `key-chain-broken`, with what is wrong first
 */
export function openKeyChain(
  { origin, rotations, seals }: KeyStatements,
  known: { readonly key: Verifier; readonly seal?: Uint8Array | undefined },
): KeyChain {
  if (rotations.length > statementsMax || seals.length > statementsMax)
    throw broken(`expected at most ${statementsMax} seals and as many statements on keys`);
  const parsed = rotations.map((bytes, at) => named(`statement ${at + 1}`, () => parseRotation(bytes)));
  const began = parsed[0]?.old ?? known.key;
  const sealed = openSeals(origin, seals, began);
  if (known.seal !== undefined && !seals.some((bytes) => equalBytes(bytes, known.seal as Uint8Array)))
    throw broken(
      'the seal kept from earlier is not among the seals: the log was written anew, or older files were put back',
    );
  const epochs = new Map(sealed.map((seal) => [seal.epoch, seal]));
  let current = began;
  let overlap: Verifier | undefined;
  let second: Verifier | undefined;
  for (const [at, rotation] of parsed.entries()) {
    const bytes = rotations[at] as Uint8Array;
    const before =
      at === 0 ? undefined : { rotation: parsed[at - 1] as Rotation, bytes: rotations[at - 1] as Uint8Array };
    const fault =
      (rotation.number === at + 1
        ? undefined
        : `it is statement ${rotation.number}: one is missing, or they are out of order`) ??
      rotationFaults(
        { origin, rotation, bytes, before },
        { sealed: epochs.get(rotation.epoch - 1), end: epochs.get(rotation.epoch)?.size },
      )[0] ??
      (sameKey(rotation.old, current) ? undefined : 'it replaces another key than the one that signed until then') ??
      loopFault(rotation, parsed.slice(0, at));
    if (fault !== undefined) throw broken(`statement ${at + 1} on its keys: ${fault}`);
    if (rotation.kind === 'added') second = rotation.next;
    else {
      overlap = rotation.kind === 'planned' ? current : undefined;
      current = rotation.next;
    }
  }
  return { rotations: parsed, seals: sealed, current, overlap, second };
}

/** How a key that somebody knows relates to this chain. */
export function fateInChain(key: Verifier, { rotations, current }: KeyChain): PinnedKeyFate {
  return fateOf(key, rotations, current);
}

/** What is wrong with one statement, given the one before it and the seals around its epoch; empty where it holds. */
export function rotationFaults(
  stated: {
    readonly origin: string;
    readonly rotation: Rotation;
    readonly bytes: Uint8Array;
    readonly before: { readonly rotation: Rotation; readonly bytes: Uint8Array } | undefined;
  },
  epoch: { readonly sealed: Seal | undefined; readonly end: number | undefined },
): string[] {
  const { origin, rotation, bytes, before } = stated;
  const { old, next, size, previous } = rotation;
  const faults: string[] = [];
  if ([rotation.origin, old.name, next.name].some((name) => name !== origin)) faults.push('it is of another log');
  const { sealed } = epoch;
  if (sealed === undefined)
    faults.push(`there is no seal that announces the key of epoch ${rotation.epoch}, which signs it`);
  else {
    try {
      openRotation(bytes, sealed.next);
    } catch (error) {
      if (!(error instanceof RecordError)) throw error;
      faults.push(`it is not signed by the old key, the new one and that of epoch ${rotation.epoch}: ${error.message}`);
    }
    if (size < sealed.size || size > (epoch.end ?? Number.POSITIVE_INFINITY) || rotation.trusted > size)
      faults.push(`it states ${size} leaves, which the log did not have in epoch ${rotation.epoch}`);
  }
  const expected = before === undefined ? undefined : hashRotation(before.bytes);
  if (
    (previous === undefined) !== (expected === undefined) ||
    (previous !== undefined && expected !== undefined && !equalBytes(previous, expected))
  )
    faults.push('it names another statement as the one before it: one of them was replaced');
  if (size < (before?.rotation.size ?? 0)) faults.push('it states fewer leaves than the one before');
  return faults;
}

/** A key that was replaced never comes back: it may have been replaced because it was stolen. */
export function loopFault({ old, next }: Rotation, earlier: readonly Rotation[]): string | undefined {
  const had = [old, ...earlier.flatMap((one) => [one.old, one.next])];
  return had.some((key) => sameKey(key, next)) ? 'it brings back a key that the log had before' : undefined;
}

function openSeals(origin: string, seals: readonly Uint8Array[], began: Verifier): Seal[] {
  const opened: Seal[] = [];
  let before: { readonly seal: Seal; readonly bytes: Uint8Array } | undefined;
  for (const [at, bytes] of seals.entries()) {
    const seal = named(`seal ${at + 1}`, () => {
      const one = parseSeal(bytes);
      openSeal(bytes, before === undefined ? began : before.seal.next);
      return one;
    });
    const fault = sealFault(origin, seal, before);
    if (fault !== undefined) throw broken(`the seal of epoch ${seal.epoch}: ${fault}`);
    opened.push(seal);
    before = { seal, bytes };
  }
  return opened;
}

function sealFault(
  origin: string,
  { origin: named, epoch, size, previous, next }: Seal,
  before: { readonly seal: Seal; readonly bytes: Uint8Array } | undefined,
): string | undefined {
  if (named !== origin) return 'it is of another log';
  if (next.type !== 1 || next.name !== sealKeyName(origin, epoch + 1)) return 'it announces a key of another epoch';
  if (before === undefined)
    return previous !== undefined || size !== 0
      ? 'it is not the first seal of a log: earlier ones are missing'
      : undefined;
  if (epoch !== before.seal.epoch + 1) return `the seals between it and epoch ${before.seal.epoch} are missing`;
  if (previous === undefined || !equalBytes(previous, hashSeal(before.bytes)))
    return 'it names another seal as the one before it: one of them was replaced';
  return size < before.seal.size ? 'it covers fewer leaves than the one before' : undefined;
}

function named<T>(what: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof RecordError)) throw error;
    throw broken(`${what} does not hold: ${error.message}`, error);
  }
}

function broken(message: string, cause?: unknown): RecordError {
  return new RecordError('key-chain-broken', message, { cause });
}
