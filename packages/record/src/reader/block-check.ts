/**
 * Checks blocks one by one: layout, place, the indexes they hold, and (with the key-encryption key) that every record in
 * them opens the commitment stored at its index.
 */
import { equalBytes, tryDecodeUtf8 } from '../bytes.ts';
import { type BlockHeader, forEachRecord, openBlock, parseBlockHeader } from '../codec/block.ts';
import { isKeeperFault } from '../codec/kek.ts';
import { openingKeyOf } from '../codec/key-tree.ts';
import type { Unit } from '../codec/names.ts';
import { Openings } from '../codec/openings.ts';
import type { LeafType } from '../commitment.ts';
import type { Committer } from '../committer.ts';
import { decode } from '../encode.ts';
import { RecordError } from '../errors.ts';
import type { StoredRecord } from '../event.ts';
import { commitFields } from '../field-commitment.ts';
import { type RetentionClass, retentionClassOf } from '../retention.ts';
import type { CommitmentStore } from './commitment-store.ts';
import type { FindingCode, Findings } from './findings.ts';
import type { OwnClaims } from './hold-check.ts';
import { checkOwnEvent, claimOf } from './own-event-check.ts';
import type { SealedEpochs } from './seal-check.ts';
import type { SeedKeeper } from './seed-keeper.ts';

/** Where a block lies, and what it must be because it lies there. */
export interface BlockContext {
  readonly place: string;
  readonly block: number;
  /** Its indexes must be in [from, end). */
  readonly from: number;
  readonly end: number;
  readonly retentionClass?: RetentionClass;
  readonly epoch?: number;
}

export interface BlockChecker {
  readonly tenant: string;
  readonly originHash: Uint8Array;
  readonly leafType: LeafType;
  readonly findings: Findings;
  readonly commitments: CommitmentStore;
  readonly epochs: SealedEpochs;
  readonly rotationHashes: readonly Uint8Array[];
  readonly successionHash: Uint8Array | undefined;
  successionSeen: boolean;
  /** Where the blocks of each class that were checked end: they follow each other. */
  readonly ends: Map<RetentionClass, number>;
  /** Indexes seen, one bit each. */
  readonly seen: Uint8Array;
  /** Undefined when contents aren't opened. */
  readonly seeds: SeedKeeper | undefined;
  /** Every record is parsed too, and held against its block. */
  readonly parseRecords: boolean;
  readonly committer: Committer;
  /** A shred of it has begun: its key may be gone already, and its blocks need not open any more. */
  readonly isGoing: (unit: Unit) => boolean;
  /** What the log says of itself. */
  readonly claims: OwnClaims;
  opened: number;
}

/** Returns how many events it holds, and visits each record that opened its commitment where records are parsed. */
export async function checkBlock(
  checker: BlockChecker,
  bytes: Uint8Array,
  context: BlockContext,
  visit?: (index: number, record: StoredRecord) => void,
): Promise<number> {
  const { findings } = checker;
  const tell = (code: FindingCode, message: string, index?: number): void =>
    findings.add(code, context.place, message, { block: context.block, ...(index === undefined ? {} : { index }) });
  let header: BlockHeader;
  try {
    header = parseBlockHeader(bytes);
  } catch (error) {
    tell('block-malformed', messageOf(error));
    return 0;
  }
  if (header.headerBytes + header.sealedBytes !== bytes.length)
    tell(
      'block-malformed',
      `the block states ${header.headerBytes + header.sealedBytes} bytes and has ${bytes.length}`,
    );
  const misplaced = misplacement(checker, header, context);
  if (misplaced !== undefined) {
    tell('block-misplaced', misplaced);
    return 0;
  }
  const end = lastEnd(header);
  const first = header.ranges[0]?.first ?? 0;
  const mixed = checker.epochs.faultOf(header.epoch, first, end);
  if (mixed !== undefined) tell(mixed.code, mixed.message, first);
  if (first < (checker.ends.get(header.retentionClass) ?? 0)) {
    tell(
      'block-misplaced',
      `the block begins at index ${first}, before the end of the one before it: blocks changed places`,
      first,
    );
  }
  checker.ends.set(header.retentionClass, Math.max(end, checker.ends.get(header.retentionClass) ?? 0));
  const count = markSeen(checker.seen, header, (index) =>
    tell('index-twice', 'another block holds this index too', index),
  );
  if (checker.seeds === undefined || checker.isGoing(header)) return count;
  try {
    await openRecords(checker, bytes, header, context.place, tell, visit);
  } catch (error) {
    if (!(error instanceof RecordError) || isKeeperFault(error)) throw error;
    tell(findingOf(error), error.message, header.ranges[0]?.first);
  }
  return count;
}

function misplacement(checker: BlockChecker, header: BlockHeader, context: BlockContext): string | undefined {
  if (!equalBytes(header.originHash, checker.originHash)) return 'the block is of another log';
  if (context.retentionClass !== undefined && header.retentionClass !== context.retentionClass)
    return `the block is of class ${header.retentionClass}`;
  if (context.epoch !== undefined && header.epoch !== context.epoch) return `the block is of epoch ${header.epoch}`;
  const first = header.ranges[0]?.first ?? 0;
  const end = lastEnd(header);
  return first < context.from || end > context.end
    ? `the block holds indexes from ${first} to ${end - 1}; here lie ${context.from} to ${context.end - 1}`
    : undefined;
}

/** The index after the block's last. */
function lastEnd({ ranges }: BlockHeader): number {
  const last = ranges[ranges.length - 1];
  return last === undefined ? 0 : last.first + last.count;
}

function markSeen(seen: Uint8Array, header: BlockHeader, twice: (index: number) => void): number {
  let count = 0;
  for (const range of header.ranges) {
    for (let index = range.first; index < range.first + range.count; index++) {
      const at = index >>> 3;
      const bit = 1 << (index & 7);
      if (((seen[at] as number) & bit) !== 0) twice(index);
      seen[at] = (seen[at] as number) | bit;
    }
    count += range.count;
  }
  return count;
}

async function openRecords(
  checker: BlockChecker,
  bytes: Uint8Array,
  header: BlockHeader,
  place: string,
  tell: (code: FindingCode, message: string, index?: number) => void,
  visit?: (index: number, record: StoredRecord) => void,
): Promise<void> {
  const stepKey = await (checker.seeds as SeedKeeper).stepKey(header);
  const plaintext = openBlock(bytes, header, stepKey);
  const openings = new Openings(openingKeyOf(stepKey));
  const stored = await storedOf(checker.commitments, header);
  const derived = new Uint8Array(32);
  const { originHash, committer, leafType } = checker;
  let position = 0;
  forEachRecord(plaintext, header.ranges, (index, m) => {
    const step = index - header.stepFirstIndex;
    if (leafType === 1) {
      const openingAt = openings.seek(step);
      committer.commitInto({ originHash, index, openings: openings.stream, openingAt, m }, derived, 0);
    } else derived.set(commitFields({ originHash, index, r: openings.at(step), m }));
    if (!isAt(derived, stored, 32 * position++)) {
      tell('commitment-mismatch', 'the record does not open the commitment stored for its index', index);
      return;
    }
    checker.opened++;
    const month = monthOf(m);
    if (month === undefined || month > header.epoch)
      tell('record-mismatch', 'the received time of the record is past the end of its epoch', index);
    const own = header.retentionClass === 'oversight' ? claimOf(m) : undefined;
    if (own !== undefined) {
      checker.claims.note(index, own);
      checkOwnEvent(checker, place, index, own);
    }
    if (checker.parseRecords || visit !== undefined) parseRecord(checker, header, index, m, tell, visit);
  });
}

/** The commitments of a block's indexes, one after another; zeros where there are none. */
async function storedOf(commitments: CommitmentStore, header: BlockHeader): Promise<Uint8Array> {
  let count = 0;
  for (const range of header.ranges) count += range.count;
  const out = new Uint8Array(count * 32);
  let at = 0;
  for (const range of header.ranges) {
    const end = range.first + range.count;
    for (let index = range.first; index < end; ) {
      const part = await commitments.from(index, end);
      if (part.length === 0) break;
      out.set(part, at + (index - range.first) * 32);
      index += part.length / 32;
    }
    at += range.count * 32;
  }
  return out;
}

/** Whether `bytes` stand in `within` at `from`. */
function isAt(bytes: Uint8Array, within: Uint8Array, from: number): boolean {
  for (let k = 0; k < bytes.length; k++) if (within[from + k] !== bytes[k]) return false;
  return true;
}

const prefix: Uint8Array = new TextEncoder().encode('{"received":"');

/** Months since January 1970 of the received time, which stands at the beginning of m. */
function monthOf(m: Uint8Array): number | undefined {
  if (m.length < prefix.length + 7 || !isAt(prefix, m, 0)) return undefined;
  let year = 0;
  for (let i = 0; i < 4; i++) year = year * 10 + (m[prefix.length + i] as number) - 48;
  const month = ((m[prefix.length + 5] as number) - 48) * 10 + (m[prefix.length + 6] as number) - 49;
  return year >= 1970 && month >= 0 && month < 12 ? (year - 1970) * 12 + month : undefined;
}

function parseRecord(
  checker: BlockChecker,
  header: BlockHeader,
  index: number,
  m: Uint8Array,
  tell: (code: FindingCode, message: string, index?: number) => void,
  visit?: (index: number, record: StoredRecord) => void,
): void {
  let record: StoredRecord;
  try {
    record = checker.parseRecords ? decode(m) : (JSON.parse(tryDecodeUtf8(m) ?? '') as StoredRecord);
  } catch {
    tell('record-mismatch', 'the record is not a stored record of version 1', index);
    return;
  }
  if (checker.parseRecords && record.event.tenant !== checker.tenant)
    tell('record-mismatch', 'the record is of another tenant than its log', index);
  if (checker.parseRecords && retentionClassOf(record.event.kind) !== header.retentionClass)
    tell('record-mismatch', 'the kind of the record is of another class than its block', index);
  visit?.(index, record);
}

function findingOf({ code }: RecordError): FindingCode {
  if (code === 'kek-unknown' || code === 'kek-lost') return 'seed-refused';
  return code === 'block-tampered' || code === 'seed-malformed' || code === 'seed-refused' ? code : 'block-malformed';
}

function messageOf(error: unknown): string {
  if (error instanceof RecordError) return error.message;
  throw error;
}
