/**
 * Journal groups (docs/format.md, "Group and journal"): what one write and one fdatasync make durable.
 *
 * A group that is cut short or whose CRC is wrong is `group-torn`; one whose CRC is right and whose payload isn't laid out
 * as it should be is `group-malformed`, which no crash can produce.
 */
import { createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { RecordError } from '../errors.ts';
import { ByteReader, ByteWriter, textBytes } from './cursor.ts';

export const segmentHeaderBytes = 12;
export const groupHeaderBytes = 24;
/** No group is longer than this; a reader refuses a longer one before it allocates. */
export const groupPayloadBytesMax: number = 256 * 1024 * 1024;

/** `count` sequence numbers of an emitter, from `firstSeq` on, at the indexes from `firstIndex` on. */
export interface EmitterRun {
  readonly emitter: string;
  readonly firstSeq: number;
  readonly firstIndex: number;
  readonly count: number;
}

export interface GroupTenant {
  readonly tenant: string;
  readonly sizeBefore: number;
  readonly count: number;
  readonly rootAfter: Uint8Array;
  /** count × 32 bytes. */
  readonly commitments: Uint8Array;
  /** count × 16 bytes. */
  readonly ids: Uint8Array;
  readonly runs: readonly EmitterRun[];
  readonly blocks: readonly Uint8Array[];
}

export interface Group {
  readonly number: number;
  /** Received time of the newest event, ms since 1970. */
  readonly receivedMs: number;
  readonly tenants: readonly GroupTenant[];
}

/** `WGJ1` and the number of the segment's first group. */
export function encodeSegmentHeader(firstGroup: number): Buffer {
  return new ByteWriter(segmentHeaderBytes).ascii('WGJ1').u64(firstGroup).bytes;
}

/** @throws {RecordError} `group-malformed` */
export function parseSegmentHeader(bytes: Uint8Array): number {
  const reader = new ByteReader(bytes, 'group-malformed');
  reader.magic('WGJ1', 'a journal segment');
  return reader.u64('number of the first group');
}

/** Random bytes in the header of a masked segment. */
export const segmentSaltBytes = 6;
/** Of each group: its magic and its number. */
const maskedBytes = 12;

/**
 * `WGJ2`, 6 random bytes and the low half of the CRC-32 of these ten. The groups of such a segment begin masked, so that nobody who sends events can write the
 * beginning of a group into them: where one was torn, what looks like the next one behind it is one.
 */
export function encodeMaskedHeader(salt: Uint8Array): Buffer {
  if (salt.length !== segmentSaltBytes) throw new TypeError(`expected ${segmentSaltBytes} bytes, got ${salt.length}`);
  const out = new ByteWriter(segmentHeaderBytes).ascii('WGJ2').put(salt);
  out.u16(crc32(out.bytes.subarray(0, out.at)) & 0xffff);
  return out.bytes;
}

/**
 * What the first bytes of each group are masked with; undefined for a segment that begins with anything but `WGJ2`.
 *
 * @throws {RecordError} `group-malformed`
 */
export function groupMaskOf(segment: Uint8Array): Uint8Array | undefined {
  const header = Buffer.from(segment.subarray(0, segmentHeaderBytes));
  if (header.length < segmentHeaderBytes || header.toString('latin1', 0, 4) !== 'WGJ2') return undefined;
  if (header.readUInt16BE(10) !== (crc32(header.subarray(0, 10)) & 0xffff))
    throw new RecordError('group-malformed', 'the header of the journal segment is damaged');
  return createHash('sha256').update(header).digest().subarray(0, maskedBytes);
}

/** Masks the group at `at` in place, or takes the mask off again. */
export function maskGroup(bytes: Uint8Array, at: number, mask: Uint8Array): void {
  for (let i = 0; i < maskedBytes; i++) bytes[at + i] = (bytes[at + i] as number) ^ (mask[i] as number);
}

export interface EncodedGroup {
  readonly bytes: Buffer;
  /** Position of each block in `bytes`, by tenant in the order of `tenants`. */
  readonly blockPositions: readonly (readonly number[])[];
}

/** @param over memory to write into where it is long enough */
export function encodeGroup(group: Group, over?: Uint8Array): EncodedGroup {
  const blockPositions: number[][] = [];
  let payloadBytes = 2;
  for (const part of group.tenants) {
    payloadBytes += textBytes(part.tenant) + 8 + 4 + 32 + part.count * 48 + 4 + 4;
    for (const run of part.runs) payloadBytes += textBytes(run.emitter) + 20;
    for (const block of part.blocks) payloadBytes += 4 + block.length;
  }
  const out = new ByteWriter(groupHeaderBytes + payloadBytes + 4, over);
  out.ascii('WGG1').u64(group.number).u64(group.receivedMs).u32(payloadBytes).u16(group.tenants.length);
  for (const part of group.tenants) {
    out.text(part.tenant).u64(part.sizeBefore).u32(part.count).put(part.rootAfter).put(part.commitments).put(part.ids);
    out.u32(part.runs.length);
    for (const run of part.runs) out.text(run.emitter).u64(run.firstSeq).u64(run.firstIndex).u32(run.count);
    out.u32(part.blocks.length);
    const positions: number[] = [];
    for (const block of part.blocks) {
      out.u32(block.length);
      positions.push(out.at);
      out.put(block);
    }
    blockPositions.push(positions);
  }
  out.u32(crc32(out.bytes.subarray(0, out.at)));
  return { bytes: out.bytes, blockPositions };
}

export interface ParsedGroup extends Group {
  /** Position after the group. */
  readonly end: number;
  /** Position of each block, by tenant in the order of `tenants`. */
  readonly blockPositions: readonly (readonly number[])[];
}

/**
 * Reads the group at `at`; byte fields are views.
 *
 * @param mask of the segment, where it has one
 * @throws {RecordError} `group-torn` or `group-malformed`
 */
export function parseGroup(bytes: Uint8Array, at: number, mask?: Uint8Array): ParsedGroup {
  const head = Uint8Array.from(bytes.subarray(at, at + maskedBytes));
  if (mask !== undefined && head.length === maskedBytes) maskGroup(head, 0, mask);
  const begin = new ByteReader(head, 'group-torn');
  begin.magic('WGG1', 'a group');
  const number = begin.u64('number of the group');
  const reader = new ByteReader(bytes, 'group-torn', at + maskedBytes);
  const receivedMs = reader.u64('received time');
  const payloadBytes = reader.u32('payload length');
  if (payloadBytes > groupPayloadBytesMax)
    throw reader.error(`expected a payload of at most 256 MiB, got ${payloadBytes} bytes`);
  const from = reader.at;
  reader.take(payloadBytes, 'payload');
  if (reader.u32('CRC') !== crc32(bytes.subarray(at + maskedBytes, from + payloadBytes), crc32(head))) {
    throw new RecordError('group-torn', `the CRC of group ${number} is wrong, at byte ${at}`);
  }
  const blockPositions: number[][] = [];
  const payload = new ByteReader(bytes, 'group-malformed', from, from + payloadBytes);
  const tenants: GroupTenant[] = [];
  for (let left = payload.u16('number of tenants'); left > 0; left--) {
    const positions: number[] = [];
    tenants.push(parsePart(payload, positions));
    blockPositions.push(positions);
  }
  if (payload.left !== 0 || tenants.length === 0)
    throw payload.error(`expected at least one tenant and nothing after the last, got ${payload.left} bytes more`);
  return { number, receivedMs, tenants, end: from + payloadBytes + 4, blockPositions };
}

function parsePart(reader: ByteReader, positions: number[]): GroupTenant {
  const tenant = reader.text('tenant');
  const sizeBefore = reader.u64('size before');
  const count = reader.u32('count');
  if (count === 0) throw reader.error('expected at least one event');
  const rootAfter = reader.take(32, 'root after');
  const commitments = reader.take(count * 32, 'commitments');
  const ids = reader.take(count * 16, 'event ids');
  const runs: EmitterRun[] = [];
  for (let left = reader.u32('number of emitter runs'); left > 0; left--) {
    runs.push({
      emitter: reader.text('emitter'),
      firstSeq: reader.u64('first seq'),
      firstIndex: reader.u64('first index'),
      count: reader.u32('count of a run'),
    });
  }
  const blocks: Uint8Array[] = [];
  for (let left = reader.u32('number of blocks'); left > 0; left--) {
    const length = reader.u32('block length');
    positions.push(reader.at);
    blocks.push(reader.take(length, 'block'));
  }
  return { tenant, sizeBefore, count, rootAfter, commitments, ids, runs, blocks };
}
