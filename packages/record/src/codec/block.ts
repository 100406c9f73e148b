/**
 * Blocks: events of one tenant, class, epoch, writer and step, compressed and sealed (docs/format.md, "Block").
 *
 * The salt is fresh for each block, so its key seals one block only and the nonce can be constant. Everything before the
 * ciphertext is authenticated. A wrong tag is `block-tampered`; a layout that isn't one is `block-malformed`.
 */
import { createCipheriv, createDecipheriv } from 'node:crypto';
import { constants, type ZstdOptions, zstdCompress, zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import { RecordError } from '../errors.ts';
import { type RetentionClass, retentionClasses } from '../retention.ts';
import { ByteReader, ByteWriter, textBytes } from './cursor.ts';
import { blockKeyOf } from './key-tree.ts';
import { packedOverheadBytes, unpackRecords } from './packed-records.ts';

export const blockPlaintextBytesMax: number = 16 * 1024 * 1024;
export const blockRangesMax = 65_535;
const tagBytes = 16;
const nonce: Uint8Array = new Uint8Array(12);

/** `count` indexes from `first` on. */
export interface IndexRange {
  readonly first: number;
  readonly count: number;
}

export interface BlockScope {
  readonly retentionClass: RetentionClass;
  readonly originHash: Uint8Array;
  readonly epoch: number;
  /** 16 bytes. */
  readonly writer: Uint8Array;
  readonly step: number;
  readonly stepFirstIndex: number;
}

export interface BlockHeader extends BlockScope {
  readonly codec: 0 | 1 | 2;
  readonly salt: Uint8Array;
  readonly plaintextBytes: number;
  /** Ascending, disjoint, not adjacent. */
  readonly ranges: readonly IndexRange[];
  /** Of the header itself: what is authenticated. */
  readonly headerBytes: number;
  /** Ciphertext and tag. */
  readonly sealedBytes: number;
}

/** Longest possible header: enough to read ahead. */
export const blockHeaderBytesMax: number = 4 + 1 + 256 + 32 + 4 + 16 + 4 + 8 + 16 + 4 + 2 + 12 * blockRangesMax + 4;

/** No block is shorter: a header with one range and a class of one letter, and a tag. */
export const blockBytesMin: number = 4 + 1 + 2 + 32 + 4 + 16 + 4 + 8 + 16 + 4 + 2 + 12 + 4 + tagBytes;
/** No block is longer. */
export const blockBytesMax: number = blockHeaderBytesMax + blockPlaintextBytesMax + tagBytes;

export interface BlockInput {
  readonly scope: BlockScope;
  readonly stepKey: Uint8Array;
  /** 16 fresh random bytes. */
  readonly salt: Uint8Array;
  readonly ranges: readonly IndexRange[];
  /** For each event in the order of the ranges u32 |m| ‖ m. */
  readonly plaintext: Uint8Array;
  /** The packed form of the plaintext (packed-records.ts), where it is to be stored so. */
  readonly packed?: Uint8Array | undefined;
  /** Compression level of zstd, 1 unless said. Readers don't care. */
  readonly level?: number;
}

/** Seals a block. */
export function sealBlock(input: BlockInput): Buffer {
  assertInput(input);
  return sealCompressed(input, zstdCompressSync(input.packed ?? input.plaintext, compressOptions(input)));
}

/**
 * As `sealBlock`, with the compression, the larger part of the work, on another thread. The keys stay on this one; the
 * plaintext must not change until it is done.
 */
export async function sealBlockBeside(input: BlockInput): Promise<Buffer> {
  assertInput(input);
  const compressed = await new Promise<Buffer>((resolve, reject) => {
    zstdCompress(input.packed ?? input.plaintext, compressOptions(input), (error, compressed) =>
      error === null ? resolve(compressed) : reject(error),
    );
  });
  return sealCompressed(input, compressed);
}

/** Room for what records usually pack to: each time it is full costs a way to the other thread and back. */
function compressOptions({ plaintext, packed = plaintext, level = 1 }: BlockInput): ZstdOptions {
  return {
    chunkSize: Math.max(4096, packed.length >>> 2),
    pledgedSrcSize: packed.length,
    params: { [constants.ZSTD_c_compressionLevel]: level },
  };
}

function assertInput({ ranges, plaintext, salt }: BlockInput): void {
  if (
    ranges.length < 1 ||
    ranges.length > blockRangesMax ||
    plaintext.length > blockPlaintextBytesMax ||
    salt.length !== 16
  ) {
    throw new RecordError(
      'argument-invalid',
      `expected 1 to ${blockRangesMax} ranges, at most 16 MiB and a salt of 16 bytes`,
    );
  }
}

function sealCompressed(
  { scope, ranges, plaintext, packed, salt, stepKey }: BlockInput,
  compressed: Uint8Array,
): Buffer {
  const isShorter = compressed.length < plaintext.length;
  const body = isShorter ? compressed : plaintext;
  const headerBytes =
    4 + 1 + textBytes(scope.retentionClass) + 32 + 4 + 16 + 4 + 8 + 16 + 4 + 2 + 12 * ranges.length + 4;
  const out = new ByteWriter(headerBytes + body.length + tagBytes);
  out
    .ascii('WGB1')
    .u8(!isShorter ? 0 : packed === undefined ? 1 : 2)
    .text(scope.retentionClass)
    .put(scope.originHash)
    .u32(scope.epoch)
    .put(scope.writer);
  out.u32(scope.step).u64(scope.stepFirstIndex).put(salt).u32(plaintext.length).u16(ranges.length);
  for (const range of ranges) out.u64(range.first).u32(range.count);
  out.u32(body.length + tagBytes);
  const header = out.bytes.subarray(0, headerBytes);
  const key = blockKeyOf(stepKey, salt, header);
  const cipher = createCipheriv('aes-256-gcm', key, nonce);
  cipher.setAAD(header);
  out.put(cipher.update(body));
  cipher.final();
  out.put(cipher.getAuthTag());
  key.fill(0);
  return out.bytes;
}

/**
 * Reads a block's header; the ciphertext needn't be there.
 *
 * @throws {RecordError} `block-malformed`
 */
export function parseBlockHeader(bytes: Uint8Array, at = 0): BlockHeader {
  const reader = new ByteReader(bytes, 'block-malformed', at);
  reader.magic('WGB1', 'a block');
  const codec = reader.u8('codec');
  if (codec !== 0 && codec !== 1 && codec !== 2) throw reader.error(`expected codec 0, 1 or 2, got ${codec}`);
  const name = reader.text('class');
  const retentionClass = retentionClasses.find((known) => known === name);
  if (retentionClass === undefined) throw reader.error('the retention class is not one of this format');
  const originHash = reader.take(32, 'origin hash');
  const epoch = reader.u32('epoch');
  const writer = reader.take(16, 'writer');
  const step = reader.u32('step');
  const stepFirstIndex = reader.u64('first index of the step');
  const salt = reader.take(16, 'salt');
  const plaintextBytes = reader.u32('plaintext length');
  if (plaintextBytes > blockPlaintextBytesMax)
    throw reader.error(`expected a plaintext of at most 16 MiB, got ${plaintextBytes} bytes`);
  const ranges = readRanges(reader, stepFirstIndex);
  const sealedBytes = reader.u32('ciphertext length');
  if (sealedBytes < tagBytes) throw reader.error('the ciphertext is shorter than its tag');
  return {
    codec,
    retentionClass,
    originHash,
    epoch,
    writer,
    step,
    stepFirstIndex,
    salt,
    plaintextBytes,
    ranges,
    headerBytes: reader.at - at,
    sealedBytes,
  };
}

function readRanges(reader: ByteReader, stepFirstIndex: number): IndexRange[] {
  const count = reader.u16('number of ranges');
  if (count === 0) throw reader.error('expected at least one range');
  const ranges: IndexRange[] = [];
  let end = -1;
  for (let i = 0; i < count; i++) {
    const first = reader.u64('first index of a range');
    const length = reader.u32('count of a range');
    if (length === 0 || first <= end || first < stepFirstIndex)
      throw reader.error('ranges must be ascending, disjoint, not adjacent and within the step');
    end = first + length;
    if (end - stepFirstIndex > 65_536) throw reader.error('a step has at most 65,536 events');
    ranges.push({ first, count: length });
  }
  return ranges;
}

/** Number of events a block holds. */
export function eventsOf(ranges: readonly IndexRange[]): number {
  let count = 0;
  for (const range of ranges) count += range.count;
  return count;
}

/**
 * Opens a whole block.
 *
 * @returns the plaintext
 * @throws {RecordError} `block-malformed`, `block-tampered`
 */
export function openBlock(bytes: Uint8Array, header: BlockHeader, stepKey: Uint8Array): Uint8Array {
  if (bytes.length !== header.headerBytes + header.sealedBytes) {
    throw new RecordError(
      'block-malformed',
      `expected a block of ${header.headerBytes + header.sealedBytes} bytes, got ${bytes.length}`,
    );
  }
  const aad = bytes.subarray(0, header.headerBytes);
  const key = blockKeyOf(stepKey, header.salt, aad);
  const decipher = createDecipheriv('aes-256-gcm', key, nonce, { authTagLength: tagBytes });
  key.fill(0);
  decipher.setAAD(aad);
  decipher.setAuthTag(bytes.subarray(bytes.length - tagBytes));
  let body: Buffer;
  try {
    body = decipher.update(bytes.subarray(header.headerBytes, bytes.length - tagBytes));
    decipher.final();
  } catch (cause) {
    throw new RecordError(
      'block-tampered',
      'the authentication tag of the block is wrong: its bytes or its key were changed',
      { cause },
    );
  }
  return unpack(body, header);
}

/** What a body decompresses to is bounded by what the header states, which is authenticated, before a byte of it is made. */
function unpack(body: Uint8Array, { codec, plaintextBytes }: BlockHeader): Uint8Array {
  if (codec === 2) return unpackRecords(decompress(body, plaintextBytes + packedOverheadBytes), plaintextBytes);
  const plaintext = codec === 1 ? decompress(body, plaintextBytes) : body;
  if (plaintext.length !== plaintextBytes) {
    throw new RecordError(
      'block-malformed',
      `expected a plaintext of ${plaintextBytes} bytes, got ${plaintext.length}`,
    );
  }
  return plaintext;
}

function decompress(body: Uint8Array, bytesMax: number): Buffer {
  try {
    // In one piece.
    return zstdDecompressSync(body, { maxOutputLength: Math.max(bytesMax, 1), chunkSize: Math.max(bytesMax, 64) });
  } catch (cause) {
    throw new RecordError('block-malformed', 'the block does not decompress within its stated length', { cause });
  }
}

/**
 * Walks the records of a plaintext, with their indexes. The m is a view.
 *
 * @throws {RecordError} `block-malformed` where lengths and ranges don't fit the plaintext
 */
export function forEachRecord(
  plaintext: Uint8Array,
  ranges: readonly IndexRange[],
  visit: (index: number, m: Uint8Array, at: number) => void,
): void {
  const view = new DataView(plaintext.buffer, plaintext.byteOffset, plaintext.byteLength);
  let at = 0;
  for (const range of ranges) {
    for (let i = 0; i < range.count; i++) {
      if (at + 4 > plaintext.length) throw cut();
      const length = view.getUint32(at);
      if (length > 65_536 || at + 4 + length > plaintext.length) throw cut();
      visit(range.first + i, plaintext.subarray(at + 4, at + 4 + length), at);
      at += 4 + length;
    }
  }
  if (at !== plaintext.length) throw cut();
}

function cut(): RecordError {
  return new RecordError('block-malformed', 'the lengths in the plaintext do not fit its size and ranges');
}
