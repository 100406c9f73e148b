/**
 * What a log and a witness say to each other (c2sp.org/tlog-witness): the request of `add-checkpoint`, its cosignatures, and the
 * size in a 409. Bytes only: who asks, and what a witness remembers, is elsewhere.
 */
import { concatBytes, encodeBase64, tryDecodeBase64, tryDecodeUtf8 } from './bytes.ts';
import { parseCheckpoint, tryParseDecimal } from './checkpoint.ts';
import { RecordError } from './errors.ts';
import { openNote, splitNote, type UnverifiedSignature, type VerifiedSignature } from './note.ts';
import { parseVerifierKey, type Verifier } from './note-key.ts';

export interface AddCheckpoint {
  /** Size of the checkpoint that the witness cosigned last, 0 for none. */
  readonly oldSize: bigint;
  /** From the old size to that of the checkpoint, RFC 6962 §2.1.2. */
  readonly proof: readonly Uint8Array[];
  /** The signed note, verbatim. */
  readonly checkpoint: string;
}

/** c2sp.org/tlog-witness: a client sends no more. */
export const consistencyHashesMax = 63;
/** Longest request and longest answer taken, in bytes; the largest that make sense have a few kilobytes, 250 with many ML-DSA signatures. */
export const witnessBytesMax: number = 262_144;

/** The media type of a 409. */
export const witnessSizeType = 'text/x.tlog.size';

/**
 * The body of `POST <prefix>/add-checkpoint`.
 *
 * @throws {RecordError} `witness-request-malformed`
 */
export function formatAddCheckpoint({ oldSize, proof, checkpoint }: AddCheckpoint): string {
  if (typeof oldSize !== 'bigint' || oldSize < 0n || oldSize > 0xffff_ffff_ffff_ffffn)
    throw requestMalformed('expected an old size from 0 to 2^64 - 1');
  if (proof.length > consistencyHashesMax || proof.some((hash) => hash.length !== 32))
    throw requestMalformed(`expected at most ${consistencyHashesMax} hashes of 32 bytes`);
  assertCheckpoint(checkpoint);
  return `old ${oldSize}\n${proof.map((hash) => `${encodeBase64(hash)}\n`).join('')}\n${checkpoint}`;
}

/**
 * Parses that body; verifies no signature and no proof.
 *
 * @throws {RecordError} `witness-request-malformed`
 */
export function parseAddCheckpoint(body: string | Uint8Array): AddCheckpoint {
  const text = typeof body === 'string' ? body : tryDecodeUtf8(body);
  if (text === undefined || text.length > witnessBytesMax)
    throw requestMalformed(`expected UTF-8 of at most ${witnessBytesMax} bytes`);
  const split = text.indexOf('\n\n');
  if (split < 0) throw requestMalformed('expected an empty line before the checkpoint');
  const [first = '', ...lines] = text.slice(0, split).split('\n', consistencyHashesMax + 2);
  const oldSize = first.startsWith('old ') ? tryParseDecimal(first.slice(4)) : undefined;
  if (oldSize === undefined) throw requestMalformed('expected old and a decimal without leading zeroes');
  if (lines.length > consistencyHashesMax) throw requestMalformed(`expected at most ${consistencyHashesMax} hashes`);
  const checkpoint = text.slice(split + 2);
  assertCheckpoint(checkpoint);
  return { oldSize, proof: lines.map(parseHash), checkpoint };
}

/** The body of a 409: the size that was cosigned last. */
export function formatWitnessSize(size: bigint): string {
  return `${size}\n`;
}

/**
 * Parses that body.
 *
 * @throws {RecordError} `witness-response-malformed`
 */
export function parseWitnessSize(body: string | Uint8Array): bigint {
  const text = typeof body === 'string' ? body : tryDecodeUtf8(body);
  const size = text?.endsWith('\n') === true ? tryParseDecimal(text.slice(0, -1)) : undefined;
  if (size === undefined) throw responseMalformed('expected a size in decimal and a newline');
  return size;
}

export interface Cosignatures {
  /** Lines by the keys given, each ending in a newline: ready to be put behind the checkpoint. */
  readonly lines: readonly string[];
  /** In the same order. */
  readonly signatures: readonly VerifiedSignature[];
}

/**
 * Verifies a witness's answer over the checkpoint it was asked for. Lines by other keys are left out.
 *
 * @param note the checkpoint as it was sent
 * @throws {RecordError} `witness-response-malformed`; `signature-invalid` where a line of a known key doesn't verify; `note-unverified`
 *   where there is none
 */
export function openCosignatures(
  body: string | Uint8Array,
  note: string,
  witnesses: readonly (string | Verifier)[],
): Cosignatures {
  const lines = typeof body === 'string' ? body : tryDecodeUtf8(body);
  if (lines === undefined || lines.length > witnessBytesMax || !lines.endsWith('\n') || lines.includes('\n\n'))
    throw responseMalformed('expected signature lines, each ending in a newline');
  const keys = witnesses.map((key) => (typeof key === 'string' ? parseVerifierKey(key) : key));
  const { text } = splitNote(note);
  const answered = `${text}\n${lines}`;
  let signatures: readonly VerifiedSignature[];
  try {
    signatures = openNote(answered, keys).signatures;
  } catch (error) {
    if (error instanceof RecordError && error.code === 'note-malformed')
      throw responseMalformed('expected signature lines of a note', error);
    throw error;
  }
  if (signatures.some(({ timeSeconds }) => timeSeconds === 0n))
    throw responseMalformed('expected a cosignature with a time, got one without');
  const parts = splitNote(answered).signatures;
  return {
    signatures,
    lines: signatures.map(({ name, keyId }) =>
      formatSignatureLine(parts.find((one) => one.name === name && one.keyId === keyId) as UnverifiedSignature),
    ),
  };
}

/** A line of a note's signatures, its newline included. */
export function formatSignatureLine({ name, keyId, bytes }: UnverifiedSignature): string {
  const id = new Uint8Array(4);
  new DataView(id.buffer).setUint32(0, keyId);
  return `\u2014 ${name} ${encodeBase64(concatBytes(id, bytes))}\n`;
}

function parseHash(line: string): Uint8Array {
  const hash = tryDecodeBase64(line);
  if (hash === undefined || hash.length !== 32)
    throw requestMalformed('expected each hash as canonical base64 of 32 bytes');
  return hash;
}

function assertCheckpoint(note: string): void {
  try {
    splitNote(note);
    parseCheckpoint(note);
  } catch (cause) {
    throw requestMalformed('expected a signed checkpoint after the empty line', cause);
  }
}

function requestMalformed(message: string, cause?: unknown): RecordError {
  return new RecordError(
    'witness-request-malformed',
    `${message} (c2sp.org/tlog-witness)`,
    cause === undefined ? {} : { cause },
  );
}

function responseMalformed(message: string, cause?: unknown): RecordError {
  return new RecordError(
    'witness-response-malformed',
    `${message} (c2sp.org/tlog-witness)`,
    cause === undefined ? {} : { cause },
  );
}
