/**
 * The hiding commitment of docs/format.md, "The leaf": what the public tree holds in place of an event.
 *
 *     C         = SHA-256( "watchglass/c/v1" 00 ‖ SHA-256(origin) ‖ u64 index ‖ r ‖ u32 |m| ‖ m )
 *     leaf data = 01 ‖ C
 */
import { sha256, sha256Into } from '#crypto';
import { encodeUtf8 } from './bytes.ts';
import { RecordError } from './errors.ts';
import { hashLeaf } from './tree.ts';

/** Bytes of the opening *r*. */
export const openingBytes = 32;
/** The longest stored record *m*. */
export const recordBytesMax = 65_536;

const label: Uint8Array = encodeUtf8('watchglass/c/v1\0');
const headBytes = 16 + 32 + 8 + 32 + 4;

export interface Opening {
  /** SHA-256 of the log's origin: `originHashOf(origin)`. */
  readonly originHash: Uint8Array;
  readonly index: number | bigint;
  /** 32 bytes. */
  readonly r: Uint8Array;
  /** The stored record, at most 65,536 bytes. */
  readonly m: Uint8Array;
}

/** SHA-256 of the UTF-8 of a log's origin. */
export function originHashOf(origin: string): Uint8Array {
  return sha256(encodeUtf8(origin));
}

/** The commitment *C*, 32 bytes. */
export function commit(opening: Opening): Uint8Array {
  const out = new Uint8Array(32);
  commitInto(opening, out, 0);
  return out;
}

// Grown to the longest record seen, at most 65,628 bytes; one copy saves an allocation an event.
let scratch: Uint8Array = new Uint8Array(0);
let scratchView: DataView = new DataView(scratch.buffer);

/** As `commit`, written into `out` at `at`: for the writer and the verifier, which do it hundreds of thousands of times a second. */
export function commitInto(opening: Opening, out: Uint8Array, at: number): void {
  const { originHash, index, r, m } = opening;
  if (originHash.length !== 32 || r.length !== openingBytes) {
    throw new RecordError(
      'argument-invalid',
      `expected an origin hash and an opening of 32 bytes, got ${originHash.length} and ${r.length}`,
    );
  }
  if (m.length > recordBytesMax) {
    throw new RecordError('event-too-large', `expected a record of at most ${recordBytesMax} bytes, got ${m.length}`);
  }
  const length = headBytes + m.length;
  if (scratch.length < length) {
    scratch = new Uint8Array(Math.max(4096, 2 ** Math.ceil(Math.log2(length))));
    scratchView = new DataView(scratch.buffer);
    scratch.set(label);
  }
  scratch.set(originHash, 16);
  writeIndex(index);
  scratch.set(r, 56);
  scratchView.setUint32(88, m.length);
  scratch.set(m, headBytes);
  sha256Into(scratch.subarray(0, length), out, at);
}

/** What a leaf commits to: a whole record (1), or the root over its fields (2, field-commitment.ts). One for all leaves of a log. */
export type LeafType = 1 | 2;

/** The 33 bytes that are the tree's leaf data: the leaf type ‖ C. */
export function leafDataOf(commitment: Uint8Array, leafType: LeafType = 1): Uint8Array {
  if (commitment.length !== 32) {
    throw new RecordError('argument-invalid', `expected a commitment of 32 bytes, got ${commitment.length}`);
  }
  const data = new Uint8Array(33);
  data[0] = leafType;
  data.set(commitment, 1);
  return data;
}

/** The RFC 6962 leaf hash of a commitment. */
export function leafHashOf(commitment: Uint8Array, leafType: LeafType = 1): Uint8Array {
  return hashLeaf(leafDataOf(commitment, leafType));
}

function writeIndex(index: number | bigint): void {
  if (typeof index === 'bigint') {
    if (index < 0n || index > 0xffff_ffff_ffff_ffffn) throw indexInvalid();
    scratchView.setBigUint64(48, index);
    return;
  }
  if (!Number.isSafeInteger(index) || index < 0) throw indexInvalid();
  scratchView.setUint32(48, Math.floor(index / 2 ** 32));
  scratchView.setUint32(52, index % 2 ** 32);
}

function indexInvalid(): RecordError {
  return new RecordError('argument-invalid', 'expected an index from 0 to 2^64 - 1');
}
