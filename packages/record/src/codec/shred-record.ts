/**
 * The record of a shred (docs/format.md, "Shreds"): what of one class and epoch went, and the two events of the log that say so, opened. The first
 * line is written before anything is destroyed; the second is the event that claims it, the third the one that ends it. The events stand in it
 * with their openings, so that they can be checked without any key, and for as long as the log is kept.
 */
import { createHash } from 'node:crypto';
import { decodeBase64, encodeBase64, tryDecodeUtf8 } from '../bytes.ts';
import { RecordError } from '../errors.ts';
import { retentionClasses } from '../retention.ts';
import type { IndexRange } from './block.ts';
import { holdIdPattern, type Unit } from './names.ts';

/** What goes: decided, approved and written down before anything is touched. */
export interface ShredTerms extends Unit {
  readonly origin: string;
  readonly events: number;
  /** First and last index. */
  readonly first: number;
  readonly last: number;
  /** SHA-256 of the file of ranges, hex. */
  readonly ranges: string;
  /** File names of the seeds that go, and SHA-256 of their wrapped bytes, hex; sorted. */
  readonly seeds: readonly (readonly [name: string, sha256: string])[];
  /** The key-encryption keys that are destroyed, so that copies of the seeds elsewhere stay closed; sorted. */
  readonly keks: readonly string[];
  /** How many of the events each hold keeps; sorted. */
  readonly held: readonly (readonly [hold: string, events: number])[];
  /** The retention that was in force: days from the end of the epoch. */
  readonly days: number;
  /** SHA-256 of the plan that was approved, hex. */
  readonly plan: string;
  /** Who proposed, approved and ordered it. */
  readonly people: readonly string[];
}

/** An event of the log, opened. */
export interface OpenedEvent {
  readonly index: number;
  readonly r: Uint8Array;
  readonly m: Uint8Array;
}

export interface ShredRecord {
  readonly terms: ShredTerms;
  /** From here on the events count as gone, and a restart goes on. */
  readonly begun: OpenedEvent | undefined;
  readonly done: OpenedEvent | undefined;
}

const bytesMax = 16 * 1024 * 1024;
const hexPattern = /^[0-9a-f]{64}$/;

export function encodeShredRecord({ terms, begun, done }: ShredRecord): Uint8Array {
  const lines = [
    termsLine(terms),
    ...[begun, done].flatMap((event) => (event === undefined ? [] : [eventLine(event)])),
  ];
  return Buffer.from(lines.map((line) => `${line}\n`).join(''));
}

/** The first line of a shred's record, without its line end. */
export function shredTermsText(terms: ShredTerms): string {
  return termsLine(terms);
}

/** What the events of a shred name it by: SHA-256 of the first line, hex. */
export function hashShredTerms(terms: ShredTerms): string {
  return sha256Hex(Buffer.from(termsLine(terms)));
}

/** @throws {RecordError} `shred-malformed` */
export function parseShredRecord(bytes: Uint8Array): ShredRecord {
  if (bytes.length > bytesMax) throw malformed(`expected at most ${bytesMax} bytes, got ${bytes.length}`);
  const lines = (tryDecodeUtf8(bytes) ?? '').split('\n');
  if (lines.length < 2 || lines.length > 4 || lines.pop() !== '') throw malformed('expected one to three lines');
  const [first = '', second, third] = lines;
  const record: ShredRecord = {
    terms: readTerms(parseLine(first)),
    begun: second === undefined ? undefined : readEvent(parseLine(second)),
    done: third === undefined ? undefined : readEvent(parseLine(third)),
  };
  if (Buffer.compare(encodeShredRecord(record), bytes) !== 0)
    throw malformed('expected the members of the format in their order, and no others');
  return record;
}

/** The event that released a hold, opened: all that is left of it. */
export function encodeReleased(event: OpenedEvent): Uint8Array {
  return Buffer.from(`${eventLine(event)}\n`);
}

/** @throws {RecordError} `shred-malformed` */
export function parseReleased(bytes: Uint8Array): OpenedEvent {
  const event = readEvent(parseLine(tryDecodeUtf8(bytes) ?? ''));
  if (Buffer.compare(encodeReleased(event), bytes) !== 0) throw malformed('expected one line of an opened event');
  return event;
}

/** 12 bytes each: u64 first index ‖ u32 count. */
export function encodeRanges(ranges: readonly IndexRange[]): Buffer {
  const out = Buffer.allocUnsafe(12 * ranges.length);
  ranges.forEach(({ first, count }, at) => {
    out.writeBigUInt64BE(BigInt(first), 12 * at);
    out.writeUInt32BE(count, 12 * at + 8);
  });
  return out;
}

function termsLine(terms: ShredTerms): string {
  const { origin, retentionClass, epoch, events, first, last, ranges, seeds, keks, held, days, plan, people } = terms;
  return JSON.stringify({
    v: 1,
    origin,
    class: retentionClass,
    epoch,
    events,
    first,
    last,
    ranges,
    seeds,
    keks,
    held,
    days,
    plan,
    people,
  });
}

function eventLine({ index, r, m }: OpenedEvent): string {
  return JSON.stringify({ index, r: encodeBase64(r), m: encodeBase64(m) });
}

function parseLine(line: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch (cause) {
    throw malformed('expected lines of JSON', cause);
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw malformed('expected objects');
  return value as Record<string, unknown>;
}

function readTerms(value: Record<string, unknown>): ShredTerms {
  const { v, origin, class: name, epoch, events, first, last, ranges, seeds, keks, held, days, plan, people } = value;
  const retentionClass = retentionClasses.find((known) => known === name);
  if (v !== 1 || typeof origin !== 'string' || retentionClass === undefined)
    throw malformed('expected version 1, an origin and a class');
  for (const count of [epoch, events, first, last, days])
    if (!isCount(count)) throw malformed('expected whole numbers');
  for (const hash of [ranges, plan])
    if (typeof hash !== 'string' || !hexPattern.test(hash)) throw malformed('expected hashes in hex');
  if (!isPairs(seeds, (hash) => typeof hash === 'string' && hexPattern.test(hash)))
    throw malformed('expected seeds with their hashes');
  if (!isPairs(held, (count) => isCount(count) && count > 0) || !held.every(([hold]) => holdIdPattern.test(hold)))
    throw malformed('expected holds with their counts');
  if (!isTexts(keks) || !isTexts(people)) throw malformed('expected names of keys and of people');
  return {
    origin,
    retentionClass,
    epoch: epoch as number,
    events: events as number,
    first: first as number,
    last: last as number,
    ranges: ranges as string,
    seeds: seeds as ShredTerms['seeds'],
    keks,
    held: held as ShredTerms['held'],
    days: days as number,
    plan: plan as string,
    people,
  };
}

function readEvent({ index, r, m }: Record<string, unknown>): OpenedEvent {
  if (!isCount(index) || typeof r !== 'string' || typeof m !== 'string') throw malformed('expected an opened event');
  try {
    const event = { index, r: decodeBase64(r), m: decodeBase64(m) };
    if (event.r.length !== 32 || event.m.length > 65_536) throw malformed('expected an opening of 32 bytes');
    return event;
  } catch (cause) {
    throw malformed('expected base64', cause);
  }
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function isTexts(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((one) => typeof one === 'string');
}

function isPairs(value: unknown, second: (value: unknown) => boolean): value is [string, unknown][] {
  return (
    Array.isArray(value) &&
    value.every((pair) => Array.isArray(pair) && pair.length === 2 && typeof pair[0] === 'string' && second(pair[1]))
  );
}

function sha256Hex(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

function malformed(message: string, cause?: unknown): RecordError {
  return new RecordError('shred-malformed', `the record of a shred is not laid out as format v1 says: ${message}`, {
    cause,
  });
}
