/**
 * What a successor log says of the log it goes on from (docs/format.md, "Successor logs"): the head the older one had where it was left, and the
 * recovery point. A signed note, by the key the new log began with and, where it is still there, by the key of the old one.
 */
import { sha256 } from '#crypto';
import { encodeBase64, encodeUtf8, tryDecodeBase64, tryDecodeUtf8 } from './bytes.ts';
import { RecordError } from './errors.ts';
import { openNote, signNote, splitNote } from './note.ts';
import { formatVerifierKey, parseVerifierKey, type Signer, type Verifier } from './note-key.ts';
import { countOf, hashOf, valuesOf } from './statement-lines.ts';

export interface Succession {
  /** Of the successor. */
  readonly origin: string;
  /** Origin of the log it goes on from. */
  readonly predecessor: string;
  /** Leaves of the old log that its files held. */
  readonly size: number;
  readonly root: Uint8Array;
  /** The key that signed the old log's checkpoints last. */
  readonly key: Verifier;
  /** Received time of the last of these leaves, RFC 3339; undefined where it isn't known. What was received later was lost with the old log. */
  readonly recovery: string | undefined;
  /** Text of the old log's newest checkpoint, as it was found; undefined where there was none. */
  readonly checkpoint: string | undefined;
}

const header = 'watchglass/succession/v1';
const timePattern = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;

/** Signs it; the bytes of its file. @param signers the new log's first key, then the old log's key, if it is there */
export function signSuccession(succession: Succession, signers: readonly Signer[]): Uint8Array {
  return encodeUtf8(signNote(formatSuccession(succession), signers));
}

export function hashSuccession(bytes: Uint8Array): Uint8Array {
  return sha256(bytes);
}

/**
 * Reads it without verifying its signatures.
 *
 * @throws {RecordError} `succession-malformed`
 */
export function parseSuccession(bytes: Uint8Array): Succession {
  const text = tryDecodeUtf8(bytes);
  if (text === undefined) throw malformed('expected UTF-8');
  try {
    const note = splitNote(text);
    const succession = readSuccession(note.text);
    if (formatSuccession(succession) !== note.text) throw malformed('expected its lines in their one spelling');
    if (note.signatures.length > 2) throw malformed('expected one or two signatures');
    return succession;
  } catch (cause) {
    if (cause instanceof RecordError && cause.code === 'succession-malformed') throw cause;
    throw malformed(cause instanceof Error ? cause.message : 'malformed', cause);
  }
}

/**
 * Reads it, signed by the new log's first key and by nobody but the old log's key besides.
 *
 * @returns whether the old log's key signed too
 * @throws {RecordError} `succession-malformed`, `signature-invalid`, `note-unverified`
 */
export function openSuccession(
  bytes: Uint8Array,
  key: Verifier,
): { readonly succession: Succession; readonly byPredecessor: boolean } {
  const succession = parseSuccession(bytes);
  const { signatures, unverified } = openNote(bytes, [key, succession.key]);
  if (signatures[0]?.keyId !== key.keyId || signatures[0].name !== key.name || unverified.length > 0)
    throw new RecordError('note-unverified', 'expected a signature by the key the successor began with, first');
  return { succession, byPredecessor: signatures.length === 2 };
}

function formatSuccession({ origin, predecessor, size, root, key, recovery, checkpoint }: Succession): string {
  return [
    header,
    origin,
    `predecessor ${predecessor}`,
    `size ${size}`,
    `root ${encodeBase64(root)}`,
    `key ${formatVerifierKey(key)}`,
    `recovery ${recovery ?? 'unknown'}`,
    `checkpoint ${checkpoint === undefined ? 'none' : encodeBase64(encodeUtf8(checkpoint))}`,
    '',
  ].join('\n');
}

function readSuccession(text: string): Succession {
  const [first, origin = '', ...lines] = text.split('\n');
  if (lines.length !== 7 || first !== header) throw malformed(`expected eight lines, the first ${header}`);
  const names = ['predecessor', 'size', 'root', 'key', 'recovery', 'checkpoint'];
  const [predecessor = '', size = '', root = '', key = '', recovery = '', checkpoint = ''] = valuesOf(
    lines,
    names,
    malformed,
  );
  if (recovery !== 'unknown' && !timePattern.test(recovery)) throw malformed('expected a time');
  const decoded = checkpoint === 'none' ? undefined : tryDecodeUtf8(tryDecodeBase64(checkpoint) ?? new Uint8Array(0));
  if (checkpoint !== 'none' && (decoded === undefined || decoded === '')) throw malformed('expected a checkpoint');
  return {
    origin,
    predecessor,
    size: countOf(size, malformed),
    root: hashOf(root, malformed),
    key: parseVerifierKey(key),
    recovery: recovery === 'unknown' ? undefined : recovery,
    checkpoint: decoded,
  };
}

function malformed(message: string, cause?: unknown): RecordError {
  return new RecordError('succession-malformed', `the succession is not laid out as docs/format.md says: ${message}`, {
    cause,
  });
}
