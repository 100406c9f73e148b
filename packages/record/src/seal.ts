/**
 * Seals of epochs (docs/format.md, "Seals"): a signed note that says which size and root a log had when an epoch ended, and which
 * key will sign the next one. A chain: each seal names the hash of the one before, and is signed by the key that one announced.
 *
 * What a seal covers can't be changed by who steals keys later, since its key is erased when it is made.
 */
import { sha256 } from '#crypto';
import { encodeBase64, encodeUtf8, tryDecodeUtf8 } from './bytes.ts';
import { RecordError } from './errors.ts';
import { openNote, signNote, splitNote } from './note.ts';
import { formatVerifierKey, parseVerifierKey, type Signer, type Verifier } from './note-key.ts';
import { countOf, hashOf, valuesOf } from './statement-lines.ts';

export interface Seal {
  readonly origin: string;
  readonly epoch: number;
  /** Leaves the log had when the epoch ended. */
  readonly size: number;
  /** Of the tree of so many leaves, 32 bytes. */
  readonly root: Uint8Array;
  /** SHA-256 of the bytes of the seal of the epoch before; undefined in the first of a log. */
  readonly previous: Uint8Array | undefined;
  /** The key that signs the next seal. */
  readonly next: Verifier;
}

const header = 'watchglass/seal/v1';

/** Name of the key that seals an epoch of a log. */
export function sealKeyName(origin: string, epoch: number): string {
  return `${origin}/epoch/${epoch}`;
}

/** Signs a seal; the bytes of its file. */
export function signSeal(seal: Seal, signer: Signer): Uint8Array {
  return encodeUtf8(signNote(formatSeal(seal), [signer]));
}

/** SHA-256 of a seal's bytes, as the next one names it. */
export function hashSeal(bytes: Uint8Array): Uint8Array {
  return sha256(bytes);
}

/**
 * Reads a seal without verifying its signature.
 *
 * @throws {RecordError} `seal-malformed`
 */
export function parseSeal(bytes: Uint8Array): Seal {
  const text = tryDecodeUtf8(bytes);
  if (text === undefined) throw malformed('expected UTF-8');
  try {
    const note = splitNote(text);
    if (note.signatures.length !== 1) throw malformed(`expected one signature, got ${note.signatures.length}`);
    const seal = readSeal(note.text);
    // One spelling: a changed byte is another seal, or none.
    if (formatSeal(seal) !== note.text) throw malformed('expected the lines of a seal in their one spelling');
    return seal;
  } catch (cause) {
    if (cause instanceof RecordError && cause.code === 'seal-malformed') throw cause;
    throw malformed(cause instanceof Error ? cause.message : 'malformed', cause);
  }
}

/**
 * Reads a seal whose one signature is by `verifier`.
 *
 * @throws {RecordError} `seal-malformed`, `signature-invalid`, `note-unverified`
 */
export function openSeal(bytes: Uint8Array, verifier: Verifier): Seal {
  const seal = parseSeal(bytes);
  openNote(bytes, [verifier]);
  return seal;
}

function formatSeal({ origin, epoch, size, root, previous, next }: Seal): string {
  return [
    header,
    origin,
    `epoch ${epoch}`,
    `size ${size}`,
    `root ${encodeBase64(root)}`,
    `previous ${previous === undefined ? 'none' : encodeBase64(previous)}`,
    `next ${formatVerifierKey(next)}`,
    '',
  ].join('\n');
}

function readSeal(text: string): Seal {
  const [first, origin = '', ...lines] = text.split('\n');
  if (lines.length !== 6 || first !== header) throw malformed(`expected seven lines, the first ${header}`);
  const names = ['epoch', 'size', 'root', 'previous', 'next'];
  const [epoch = '', size = '', root = '', previous = '', next = ''] = valuesOf(lines, names, malformed);
  return {
    origin,
    epoch: countOf(epoch, malformed),
    size: countOf(size, malformed),
    root: hashOf(root, malformed),
    previous: previous === 'none' ? undefined : hashOf(previous, malformed),
    next: parseVerifierKey(next),
  };
}

function malformed(message: string, cause?: unknown): RecordError {
  return new RecordError('seal-malformed', `the seal is not laid out as docs/format.md says: ${message}`, { cause });
}
