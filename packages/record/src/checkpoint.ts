/**
 * Checkpoints (c2sp.org/tlog-checkpoint): the text of a note that says which root a log has at which size.
 *
 * Parsing verifies no signature: that is `openNote`'s. A checkpoint has one spelling, so a changed byte is another one.
 */
import { encodeBase64, tryDecodeBase64 } from './bytes.ts';
import { RecordError } from './errors.ts';
import { splitNote } from './note.ts';

export interface Checkpoint {
  /** The log's identity, one line. */
  readonly origin: string;
  readonly size: bigint;
  /** 32 bytes. */
  readonly root: Uint8Array;
  /** Opaque lines after the root; usually none. */
  readonly extensions: readonly string[];
}

const sizeMax = 0xffff_ffff_ffff_ffffn;
const linesMax = 64;

/**
 * Parses a checkpoint's bare text, or the signed note around it without verifying its signatures.
 *
 * @throws {RecordError} `checkpoint-malformed`, or `note-malformed` where there are broken signature lines
 * @example
 * const { size, root } = parseCheckpoint(openNote(note, [vkey]).text);
 */
export function parseCheckpoint(text: string): Checkpoint {
  if (typeof text !== 'string') throw malformed('expected a text');
  const body = text.includes('\n\n') ? splitNote(text).text : text;
  if (!body.endsWith('\n')) throw malformed('expected the last line to end in a newline');
  const lines = body.slice(0, -1).split('\n', linesMax + 1);
  if (lines.length < 3 || lines.length > linesMax) throw malformed('expected a line each for origin, size and root');
  const [origin, size, root, ...extensions] = lines as [string, string, string, ...string[]];
  const checkpoint: Checkpoint = { origin, size: parseDecimal(size), root: parseRoot(root), extensions };
  assertLines(checkpoint);
  return checkpoint;
}

/**
 * The text of a checkpoint, ready for `signNote`.
 *
 * @throws {RecordError} `checkpoint-malformed`
 */
export function formatCheckpoint(
  checkpoint: Pick<Checkpoint, 'origin' | 'size' | 'root'> & Partial<Checkpoint>,
): string {
  const { origin, size, root, extensions = [] } = checkpoint;
  assertLines({ origin, extensions });
  if (typeof size !== 'bigint' || size < 0n || size > sizeMax) throw malformed('expected a size from 0 to 2^64 - 1');
  if (root.length !== 32) throw malformed(`expected a root of 32 bytes, got ${root.length}`);
  return [origin, size.toString(), encodeBase64(root), ...extensions, ''].join('\n');
}

/** A decimal from 0 to 2^64 - 1 without additional leading zeroes; `undefined` for anything else. */
export function tryParseDecimal(text: string): bigint | undefined {
  if (!/^(0|[1-9][0-9]{0,19})$/.test(text)) return undefined;
  const value = BigInt(text);
  return value <= sizeMax ? value : undefined;
}

function parseDecimal(text: string): bigint {
  const size = tryParseDecimal(text);
  if (size === undefined) throw malformed('expected the size as a decimal from 0 to 2^64 - 1 without leading zeroes');
  return size;
}

function parseRoot(text: string): Uint8Array {
  const root = tryDecodeBase64(text);
  if (root === undefined || root.length !== 32) throw malformed('expected the root as canonical base64 of 32 bytes');
  return root;
}

function assertLines({ origin, extensions }: Pick<Checkpoint, 'origin' | 'extensions'>): void {
  for (const line of [origin, ...extensions]) {
    if (line === '') throw malformed('expected no empty line');
    if (!line.isWellFormed()) throw malformed('expected well-formed Unicode');
    for (let i = 0; i < line.length; i++) {
      if (line.charCodeAt(i) < 0x20) throw malformed('expected no control characters');
    }
  }
}

function malformed(message: string): RecordError {
  return new RecordError('checkpoint-malformed', `${message} (c2sp.org/tlog-checkpoint)`);
}
