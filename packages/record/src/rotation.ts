/**
 * Statements on the keys that sign a log's checkpoints (docs/format.md, "Checkpoint keys"): a signed note for each key that came, over the size and
 * root the log had then. A chain: each names the hash of the one before and is signed by the key it replaces, by the new one, and by the key that will
 * seal the open epoch. So a verifier that knows an older key gets to the newest, and a thief of a checkpoint key alone can't go on with it.
 */
import { sha256 } from '#crypto';
import { encodeBase64, encodeUtf8, tryDecodeUtf8 } from './bytes.ts';
import { RecordError } from './errors.ts';
import { openNote, signNote, splitNote } from './note.ts';
import { formatVerifierKey, parseVerifierKey, type Signer, sameKey, type Verifier } from './note-key.ts';
import { countOf, hashOf, valuesOf } from './statement-lines.ts';

/** `planned`: both keys sign until the overlap ends. `compromised`: the old key is believed up to `trusted` only. `added`: a second key (ML-DSA-44) signs beside. */
export const rotationKinds = ['planned', 'compromised', 'added'] as const;
export type RotationKind = (typeof rotationKinds)[number];

export interface Rotation {
  readonly origin: string;
  /** From 1. */
  readonly number: number;
  readonly kind: RotationKind;
  /** Of the log at that moment. */
  readonly size: number;
  readonly root: Uint8Array;
  /** What the old key alone signed above this size isn't to be believed. */
  readonly trusted: number;
  /** The open epoch, whose key signs too. */
  readonly epoch: number;
  /** SHA-256 of the bytes of the statement before; undefined in the first. */
  readonly previous: Uint8Array | undefined;
  /** The Ed25519 key that signed until now; of an addition the one that goes on signing. */
  readonly old: Verifier;
  readonly next: Verifier;
}

const header = 'watchglass/rotation/v1';

/** Signs a statement; the bytes of its file. An ML-DSA-44 key signs checkpoints only: it shows itself there. */
export function signRotation(
  rotation: Rotation,
  by: { readonly old: Signer; readonly next: Signer; readonly epochKey: Signer },
): Uint8Array {
  const signers = rotation.kind === 'added' ? [by.old, by.epochKey] : [by.old, by.next, by.epochKey];
  return encodeUtf8(signNote(formatRotation(rotation), signers));
}

/** SHA-256 of a statement's bytes, as the next one names it. */
export function hashRotation(bytes: Uint8Array): Uint8Array {
  return sha256(bytes);
}

/**
 * Reads a statement without verifying its signatures.
 *
 * @throws {RecordError} `rotation-malformed`
 */
export function parseRotation(bytes: Uint8Array): Rotation {
  const text = tryDecodeUtf8(bytes);
  if (text === undefined) throw malformed('expected UTF-8');
  try {
    const note = splitNote(text);
    const rotation = readRotation(note.text);
    if (formatRotation(rotation) !== note.text) throw malformed('expected its lines in their one spelling');
    if (note.signatures.length !== (rotation.kind === 'added' ? 2 : 3))
      throw malformed(`got ${note.signatures.length} signatures`);
    return rotation;
  } catch (cause) {
    if (cause instanceof RecordError && cause.code === 'rotation-malformed') throw cause;
    throw malformed(cause instanceof Error ? cause.message : 'malformed', cause);
  }
}

/**
 * Reads a statement that its keys have signed, in their order.
 *
 * @throws {RecordError} `rotation-malformed`, `signature-invalid`, `note-unverified`
 */
export function openRotation(bytes: Uint8Array, epochKey: Verifier): Rotation {
  const rotation = parseRotation(bytes);
  const { old, next, kind } = rotation;
  const expected = kind === 'added' ? [old, epochKey] : [old, next, epochKey];
  const { signatures } = openNote(bytes, expected);
  for (const [at, { name, keyId }] of expected.entries())
    if (signatures[at]?.name !== name || signatures[at].keyId !== keyId)
      throw new RecordError(
        'note-unverified',
        `expected the signature of ${name} (${keyId.toString(16).padStart(8, '0')}) in place ${at + 1}`,
      );
  return rotation;
}

/** How a key that somebody pinned relates to a log whose statements are these, oldest first and verified. */
export type PinnedKeyFate =
  | { readonly kind: 'current' }
  /** Others took its place, and everything that it signed still holds. */
  | { readonly kind: 'replaced'; readonly by: Verifier; readonly number: number }
  /** It, or one that took its place, was revoked. */
  | { readonly kind: 'revoked'; readonly rotation: Rotation; readonly current: Verifier }
  | { readonly kind: 'unknown' };

/** Follows a pinned Ed25519 key through the statements to the key that signs now. */
export function fateOf(pinned: Verifier, rotations: readonly Rotation[], current: Verifier): PinnedKeyFate {
  const replacing = rotations.filter(({ kind }) => kind !== 'added');
  if (sameKey(pinned, current)) return { kind: 'current' };
  const from = replacing.findIndex(({ old }) => sameKey(old, pinned));
  if (from < 0) return { kind: 'unknown' };
  const after = replacing.slice(from);
  const revoked = after.find(({ kind }) => kind === 'compromised');
  if (revoked !== undefined) return { kind: 'revoked', rotation: revoked, current };
  return { kind: 'replaced', by: current, number: after.at(-1)?.number ?? 0 };
}

function formatRotation(rotation: Rotation): string {
  const { origin, number, kind, size, root, trusted, epoch, previous, old, next } = rotation;
  return [
    header,
    origin,
    `number ${number}`,
    `kind ${kind}`,
    `size ${size}`,
    `root ${encodeBase64(root)}`,
    `trusted ${trusted}`,
    `epoch ${epoch}`,
    `previous ${previous === undefined ? 'none' : encodeBase64(previous)}`,
    `old ${formatVerifierKey(old)}`,
    `new ${formatVerifierKey(next)}`,
    '',
  ].join('\n');
}

function readRotation(text: string): Rotation {
  const [first, origin = '', ...lines] = text.split('\n');
  if (lines.length !== 10 || first !== header) throw malformed(`expected eleven lines, the first ${header}`);
  const fields = ['number', 'kind', 'size', 'root', 'trusted', 'epoch', 'previous', 'old', 'new'];
  const [number = '', kindText, size = '', root = '', trusted = '', epoch = '', previous = '', old = '', next = ''] =
    valuesOf(lines, fields, malformed);
  const kind = rotationKinds.find((known) => known === kindText);
  if (kind === undefined) throw malformed(`expected a kind of ${rotationKinds.join(', ')}`);
  const oldKey = parseVerifierKey(old);
  const nextKey = parseVerifierKey(next);
  if (oldKey.type !== 1 || nextKey.type !== (kind === 'added' ? 6 : 1))
    throw malformed('expected Ed25519 keys, and an ML-DSA-44 key where one is added');
  return {
    origin,
    number: countOf(number, malformed),
    kind,
    size: countOf(size, malformed),
    root: hashOf(root, malformed),
    trusted: countOf(trusted, malformed),
    epoch: countOf(epoch, malformed),
    previous: previous === 'none' ? undefined : hashOf(previous, malformed),
    old: oldKey,
    next: nextKey,
  };
}

function malformed(message: string, cause?: unknown): RecordError {
  return new RecordError('rotation-malformed', `the statement is not laid out as docs/format.md says: ${message}`, {
    cause,
  });
}
