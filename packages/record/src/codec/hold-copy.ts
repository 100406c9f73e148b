/**
 * Copies of held events, with their openings (docs/format.md, "Holds"): sealed under a seed of the hold's own, so that the seeds of what they were
 * copied from can be destroyed. The terms of a hold (whom it is about, and why) are sealed under the same seed.
 */
import { createCipheriv, createDecipheriv, createHmac } from 'node:crypto';
import { constants, zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import { encodeHex, encodeUtf8, tryDecodeHex } from '../bytes.ts';
import { RecordError } from '../errors.ts';
import { type RetentionClass, retentionClasses } from '../retention.ts';
import type { IndexRange } from './block.ts';
import { ByteReader, ByteWriter, textBytes } from './cursor.ts';
import type { OpenedEvent } from './shred-record.ts';

const nonce: Uint8Array = new Uint8Array(12);
const tagBytes = 16;
const copyLabel: Uint8Array = encodeUtf8('watchglass/v1/hold-copy');
const termsLabel: Uint8Array = encodeUtf8('watchglass/v1/hold-terms');
const openingBytes = 32;
/** A copy is full at this size: what is read at once. */
export const heldPlaintextBytesMax: number = 1024 * 1024;
/** A record of the largest kind still fits a copy of its own. */
const plaintextBytesMax = heldPlaintextBytesMax + openingBytes + 4 + 65_536;

export interface HeldScope {
  readonly originHash: Uint8Array;
  /** 32 hex digits. */
  readonly hold: string;
  readonly retentionClass: RetentionClass;
  readonly epoch: number;
}

export interface HeldHeader extends HeldScope {
  readonly codec: 0 | 1;
  readonly salt: Uint8Array;
  readonly plaintextBytes: number;
  readonly ranges: readonly IndexRange[];
  readonly headerBytes: number;
  readonly sealedBytes: number;
}

/** What a wrapped hold seed is bound to. */
export function holdSeedData(origin: string, hold: string): Uint8Array {
  return encodeUtf8(`watchglass/v1/hold-seed\n${origin}\n${hold}\n`);
}

/** Seals events, ascending by index, as one copy. */
export function sealHeld(input: {
  readonly scope: HeldScope;
  readonly seed: Uint8Array;
  /** 16 fresh random bytes. */
  readonly salt: Uint8Array;
  readonly events: readonly OpenedEvent[];
}): Buffer {
  const { scope, seed, salt, events } = input;
  const plaintext = new ByteWriter(events.reduce((sum, { m }) => sum + openingBytes + 4 + m.length, 0));
  const ranges: { first: number; count: number }[] = [];
  for (const { index, r, m } of events) {
    plaintext.put(r).u32(m.length).put(m);
    const range = ranges.at(-1);
    if (range !== undefined && range.first + range.count === index) range.count++;
    else ranges.push({ first: index, count: 1 });
  }
  const packed = zstdCompressSync(plaintext.bytes, { params: { [constants.ZSTD_c_compressionLevel]: 1 } });
  const smaller = packed.length < plaintext.bytes.length;
  const body = smaller ? packed : plaintext.bytes;
  const headerBytes = 4 + 1 + textBytes(scope.retentionClass) + 32 + 4 + 16 + 16 + 4 + 4 + 12 * ranges.length + 4;
  const out = new ByteWriter(headerBytes + body.length + tagBytes);
  out
    .ascii('WGH1')
    .u8(smaller ? 1 : 0)
    .text(scope.retentionClass)
    .put(scope.originHash)
    .u32(scope.epoch)
    .put(holdBytes(scope.hold))
    .put(salt)
    .u32(plaintext.bytes.length)
    .u32(ranges.length);
  for (const { first, count } of ranges) out.u64(first).u32(count);
  out.u32(body.length + tagBytes);
  return sealInto(out, keyOf(seed, salt, copyLabel, out.bytes.subarray(0, headerBytes)), headerBytes, body);
}

/** @throws {RecordError} `hold-malformed` */
export function parseHeldHeader(bytes: Uint8Array, at = 0): HeldHeader {
  const reader = new ByteReader(bytes, 'hold-malformed', at);
  reader.magic('WGH1', 'a held copy');
  const codec = reader.u8('codec');
  if (codec !== 0 && codec !== 1) throw reader.error(`expected codec 0 or 1, got ${codec}`);
  const name = reader.text('class');
  const retentionClass = retentionClasses.find((known) => known === name);
  if (retentionClass === undefined) throw reader.error('the retention class is not one of this format');
  const originHash = reader.take(32, 'origin hash');
  const epoch = reader.u32('epoch');
  const hold = encodeHex(reader.take(16, 'hold'));
  const salt = reader.take(16, 'salt');
  const plaintextBytes = reader.u32('plaintext length');
  if (plaintextBytes > plaintextBytesMax)
    throw reader.error(`expected a plaintext of at most ${plaintextBytesMax} bytes, got ${plaintextBytes}`);
  const count = reader.u32('number of ranges');
  if (count === 0 || count > reader.left / 12) throw reader.error('expected ranges');
  const ranges: IndexRange[] = [];
  let end = -1;
  for (let i = 0; i < count; i++) {
    const first = reader.u64('first index of a range');
    const length = reader.u32('count of a range');
    if (length === 0 || first <= end) throw reader.error('ranges must be ascending, disjoint and not adjacent');
    end = first + length;
    ranges.push({ first, count: length });
  }
  const sealedBytes = reader.u32('ciphertext length');
  if (sealedBytes < tagBytes) throw reader.error('the ciphertext is shorter than its tag');
  const headerBytes = reader.at - at;
  return { codec, retentionClass, originHash, epoch, hold, salt, plaintextBytes, ranges, headerBytes, sealedBytes };
}

/** The events of a whole copy. @throws {RecordError} `hold-malformed`, `hold-tampered` */
export function openHeld(bytes: Uint8Array, header: HeldHeader, seed: Uint8Array): OpenedEvent[] {
  const aad = bytes.subarray(0, header.headerBytes);
  const body = openSealed(bytes, header, keyOf(seed, header.salt, copyLabel, aad));
  const plaintext = header.codec === 1 ? unpacked(body, header.plaintextBytes) : body;
  if (plaintext.length !== header.plaintextBytes) throw malformed('the copy has another length than it states');
  const reader = new ByteReader(plaintext, 'hold-malformed');
  const events: OpenedEvent[] = [];
  for (const { first, count } of header.ranges)
    for (let index = first; index < first + count; index++)
      events.push({ index, r: reader.take(openingBytes, 'opening'), m: reader.take(reader.u32('length'), 'record') });
  if (reader.left > 0) throw malformed('there are bytes behind the last event');
  return events;
}

/** The terms of a hold, sealed. */
export function sealHoldTerms(input: {
  readonly originHash: Uint8Array;
  readonly hold: string;
  readonly seed: Uint8Array;
  readonly salt: Uint8Array;
  readonly text: string;
}): Buffer {
  const body = encodeUtf8(input.text);
  const out = new ByteWriter(termsHeaderBytes + body.length + tagBytes);
  out
    .ascii('WGT1')
    .put(input.originHash)
    .put(holdBytes(input.hold))
    .put(input.salt)
    .u32(body.length + tagBytes);
  const header = out.bytes.subarray(0, termsHeaderBytes);
  return sealInto(out, keyOf(input.seed, input.salt, termsLabel, header), termsHeaderBytes, body);
}

const termsHeaderBytes = 4 + 32 + 16 + 16 + 4;

export interface HoldTermsHeader {
  readonly originHash: Uint8Array;
  readonly hold: string;
  readonly salt: Uint8Array;
  readonly headerBytes: number;
  readonly sealedBytes: number;
}

/** @throws {RecordError} `hold-malformed` */
export function parseHoldTerms(bytes: Uint8Array): HoldTermsHeader {
  const reader = new ByteReader(bytes, 'hold-malformed');
  reader.magic('WGT1', 'the terms of a hold');
  const originHash = reader.take(32, 'origin hash');
  const hold = encodeHex(reader.take(16, 'hold'));
  const salt = reader.take(16, 'salt');
  const sealedBytes = reader.u32('ciphertext length');
  if (sealedBytes < tagBytes || sealedBytes !== reader.left) throw reader.error('expected the ciphertext and no more');
  return { originHash, hold, salt, headerBytes: termsHeaderBytes, sealedBytes };
}

/** @throws {RecordError} `hold-malformed`, `hold-tampered` */
export function openHoldTerms(bytes: Uint8Array, seed: Uint8Array): string {
  const header = parseHoldTerms(bytes);
  const key = keyOf(seed, header.salt, termsLabel, bytes.subarray(0, header.headerBytes));
  return Buffer.from(openSealed(bytes, header, key)).toString('utf8');
}

/** HKDF-SHA-256 (RFC 5869) for 32 bytes, as a block's key is derived. */
function keyOf(seed: Uint8Array, salt: Uint8Array, label: Uint8Array, header: Uint8Array): Uint8Array {
  const extracted = createHmac('sha256', salt).update(seed).digest();
  return createHmac('sha256', extracted).update(label).update(header).update(Uint8Array.of(1)).digest();
}

function sealInto(out: ByteWriter, key: Uint8Array, headerBytes: number, body: Uint8Array): Buffer {
  const cipher = createCipheriv('aes-256-gcm', key, nonce);
  cipher.setAAD(out.bytes.subarray(0, headerBytes));
  out.put(cipher.update(body));
  cipher.final();
  out.put(cipher.getAuthTag());
  key.fill(0);
  return out.bytes;
}

function openSealed(
  bytes: Uint8Array,
  { headerBytes, sealedBytes }: { readonly headerBytes: number; readonly sealedBytes: number },
  key: Uint8Array,
): Uint8Array {
  if (bytes.length !== headerBytes + sealedBytes)
    throw malformed(`expected ${headerBytes + sealedBytes} bytes, got ${bytes.length}`);
  const decipher = createDecipheriv('aes-256-gcm', key, nonce, { authTagLength: tagBytes });
  key.fill(0);
  decipher.setAAD(bytes.subarray(0, headerBytes));
  decipher.setAuthTag(bytes.subarray(bytes.length - tagBytes));
  try {
    const body = decipher.update(bytes.subarray(headerBytes, bytes.length - tagBytes));
    decipher.final();
    return body;
  } catch (cause) {
    throw new RecordError(
      'hold-tampered',
      'the authentication tag of a hold’s file is wrong: its bytes or its key were changed',
      { cause },
    );
  }
}

function unpacked(body: Uint8Array, plaintextBytes: number): Uint8Array {
  try {
    return zstdDecompressSync(body, { maxOutputLength: Math.max(plaintextBytes, 1) });
  } catch (cause) {
    throw malformed('the copy does not decompress within its stated length', cause);
  }
}

function holdBytes(hold: string): Uint8Array {
  const bytes = tryDecodeHex(hold);
  if (bytes?.length !== 16)
    throw new RecordError('argument-invalid', 'expected the id of a hold: 32 lower-case hex digits');
  return bytes;
}

function malformed(message: string, cause?: unknown): RecordError {
  return new RecordError('hold-malformed', `a file of a hold is not laid out as format v1 says: ${message}`, { cause });
}
