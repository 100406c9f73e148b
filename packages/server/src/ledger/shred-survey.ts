/** What a class and epoch holds: read from the headers of its blocks, its seeds, and (where there are holds) its records. Nothing is changed. */
import { createHash } from 'node:crypto';
import { decode } from '@watchglass/record';
import {
  encodeRanges,
  frameHeaderBytes,
  type IndexRange,
  parseBlockHeader,
  parseSeedFile,
  parseUnitName,
  readRange,
  type Unit,
  unitName,
} from '@watchglass/record/reader';
import { LedgerError } from './errors.ts';
import { isHeld } from './hold-criteria.ts';
import type { Hold, KeyEnding, PlannedUnit, UnitSurvey } from './shred.ts';
import type { StorageDriver, StoredUnit } from './storage.ts';
import type { TenantLog } from './tenant-log.ts';

const readBytesMax = 4 * 1024 * 1024;
const readRecordsMax = 10_000;

export interface SurveyParts {
  readonly driver: StorageDriver;
  readonly keys: KeyEnding;
  readonly log: TenantLog;
  readonly holds: readonly Hold[];
  readonly signal: AbortSignal | undefined;
}

export async function surveyUnit(
  parts: SurveyParts,
  unit: StoredUnit,
): Promise<{ readonly survey: UnitSurvey; readonly ranges: readonly IndexRange[] }> {
  const { log, driver, keys } = parts;
  const ranges = await rangesOf(parts, unit);
  const first = ranges[0] as IndexRange;
  const end = ranges[ranges.length - 1] as IndexRange;
  const last = end.first + end.count - 1;
  const { seeds, keks } = await seedsOf(driver, log.tenant, unit);
  const counts = new Map<string, number>();
  await forEachHeld(parts, { ranges, unit }, ({ id }) => counts.set(id, (counts.get(id) ?? 0) + 1));
  const survey: UnitSurvey = {
    retentionClass: unit.retentionClass,
    epoch: unit.epoch,
    events: ranges.reduce((sum, { count }) => sum + count, 0),
    bytes: unit.bytes,
    first: first.first,
    last,
    oldest: await receivedOf(log, first.first),
    newest: await receivedOf(log, last),
    ranges: createHash('sha256').update(encodeRanges(ranges)).digest('hex'),
    seeds,
    keks: await keys.standing(log.tenant, keks),
    held: [...counts].sort(([a], [b]) => (a < b ? -1 : 1)),
  };
  return { survey, ranges };
}

/** SHA-256 over all that was said of the units, hex: what two people approve is this and nothing else. */
export function hashPlan(tenant: string, units: readonly PlannedUnit[]): string {
  const members = units.map((unit) => [
    unit.retentionClass,
    unit.epoch,
    unit.days,
    unit.events,
    unit.bytes,
    unit.first,
    unit.last,
    unit.oldest,
    unit.newest,
    unit.ranges,
    unit.seeds,
    unit.keks,
    unit.held,
  ]);
  return createHash('sha256')
    .update(JSON.stringify([tenant, members]))
    .digest('hex');
}

/** Visits every record of the unit that a hold is about, with the hold. */
export async function forEachHeld(
  { log, holds, signal }: Pick<SurveyParts, 'log' | 'holds' | 'signal'>,
  { ranges, unit }: { readonly ranges: readonly IndexRange[]; readonly unit: Unit },
  visit: (hold: Hold, index: number) => void,
): Promise<void> {
  const asking = holds.filter(
    ({ terms: { criteria } }) =>
      criteria.retentionClass === undefined || criteria.retentionClass === unit.retentionClass,
  );
  if (asking.length === 0) return;
  for (const { first, count } of ranges) {
    for (let index = first; index < first + count; ) {
      signal?.throwIfAborted();
      const records = await log.records.read(index, first + count, readRecordsMax, readBytesMax);
      for (const record of records)
        for (const hold of asking) if (isHeld(hold.terms.criteria, record)) visit(hold, record.index);
      index = (records.at(-1)?.index ?? index) + 1;
    }
  }
}

/** The indexes of a unit, from the headers of its blocks. */
async function rangesOf({ driver, signal }: SurveyParts, unit: StoredUnit): Promise<IndexRange[]> {
  const ranges: { first: number; count: number }[] = [];
  for (const { path, bytes } of unit.files) {
    const file = await driver.files.open(path, 'read');
    try {
      for (let at = 0; at < bytes; ) {
        signal?.throwIfAborted();
        const head = await readRange(file, at, frameHeaderBytes);
        const length = new DataView(head.buffer, head.byteOffset).getUint32(0);
        const block = await readRange(file, at + frameHeaderBytes, Math.min(length, bytes - at - frameHeaderBytes));
        for (const range of parseBlockHeader(block).ranges) {
          const before = ranges.at(-1);
          if (before !== undefined && before.first + before.count === range.first) before.count += range.count;
          else ranges.push({ ...range });
        }
        at += frameHeaderBytes + length;
      }
    } finally {
      await file.close();
    }
  }
  if (ranges.length === 0)
    throw new LedgerError('corrupt', `the block files of ${unitName(unit)} hold no block; run watchglass verify`);
  return ranges;
}

/** Seeds of the unit, whether a block uses them or not. */
async function seedsOf(
  driver: StorageDriver,
  tenant: string,
  unit: Unit,
): Promise<{ readonly seeds: [string, string][]; readonly keks: string[] }> {
  const seeds: [string, string][] = [];
  const keks = new Set<string>();
  for (const name of await seedNames(driver, tenant, unit)) {
    const bytes = (await driver.seed(tenant, name)) ?? new Uint8Array(0);
    seeds.push([name, createHash('sha256').update(bytes).digest('hex')]);
    keks.add(parseSeedFile(bytes).kek);
  }
  return { seeds, keks: [...keks].sort() };
}

export async function seedNames(driver: StorageDriver, tenant: string, unit: Unit): Promise<string[]> {
  const isOfUnit = (name: string): boolean => {
    const of = parseUnitName(name.replace(/-[0-9a-f]{32}\.json$/, ''));
    return of !== undefined && unitName(of) === unitName(unit);
  };
  return (await driver.seeds(tenant)).filter(isOfUnit).sort();
}

async function receivedOf(log: TenantLog, index: number): Promise<string> {
  const { m } = await log.records.open(index);
  return decode(m).received;
}
