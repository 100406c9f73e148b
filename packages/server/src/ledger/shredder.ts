/**
 * Shreds, step by step, each durable before the next (docs/format.md, "Shreds"): copies for holds → what goes is written down → the log says that it begins →
 * indexes, seeds, keys, blocks go → the log says what became of them. A restart goes on from the record: before the log said so nothing is touched, after it there is no way back.
 *
 * Seeds are removed before keys are changed, so that wrapping what stays under a new key can't take them along.
 */
import type { TenantId } from '@watchglass/record';
import {
  encodeRanges,
  encodeShredRecord,
  hashShredTerms,
  type IndexRange,
  type ShredRecord,
  type ShredTerms,
  shredFileName,
  shredRangesName,
  type Unit,
  unitName,
} from '@watchglass/record/reader';
import { LedgerError } from './errors.ts';
import type { Holds } from './holds.ts';
import type { EndedKey, Hold, KeyEnding, PlannedUnit, ShredOrder, ShredOutcome, UnitSurvey } from './shred.ts';
import { begunFacts, completedFacts, type RecordShred } from './shred-events.ts';
import { hashPlan, seedNames, surveyUnit } from './shred-survey.ts';
import type { StorageDriver, StoredUnit } from './storage.ts';
import type { TenantLog } from './tenant-log.ts';

export interface ShredderParts {
  readonly driver: StorageDriver;
  readonly keys: KeyEnding;
  readonly holds: Holds;
  readonly record: RecordShred;
  /** Removes index files and token keys of a class and epoch. */
  readonly forgetIndex: (tenant: TenantId, unit: Unit) => Promise<void>;
  /** Lets go of opened records in memory. */
  readonly forgetRecords: (log: TenantLog) => void;
}

export class Shredder {
  readonly #parts: ShredderParts;

  constructor(parts: ShredderParts) {
    this.#parts = parts;
  }

  /** Archived units that are over; the open epoch isn't. */
  async candidates(log: TenantLog, which: (unit: Unit) => boolean): Promise<readonly StoredUnit[]> {
    const { driver } = this.#parts;
    // An ended epoch gets no more events: once it has left the journal, a unit is complete.
    await driver.archived();
    return driver
      .units(log.tenant)
      .filter(
        (unit) =>
          unit.epoch < log.epoch &&
          log.remains.units.of(unit) === undefined &&
          which(unit) &&
          !driver.blocks(log.tenant).isInJournal(unit.retentionClass, unit.epoch),
      );
  }

  async survey(
    log: TenantLog,
    which: (unit: Unit) => boolean,
    holds: readonly Hold[],
    signal?: AbortSignal,
  ): Promise<UnitSurvey[]> {
    const { driver, keys } = this.#parts;
    const surveys: UnitSurvey[] = [];
    for (const unit of await this.candidates(log, which))
      surveys.push((await surveyUnit({ driver, keys, log, holds, signal }, unit)).survey);
    return surveys;
  }

  /** @throws LedgerError `plan-changed` */
  async shred(log: TenantLog, order: ShredOrder): Promise<ShredOutcome[]> {
    await this.#takeBack(log);
    const holds = await this.#parts.holds.list(log);
    const days = new Map(order.units.map((unit) => [unitName(unit), unit.days]));
    const { driver, keys } = this.#parts;
    const found: { readonly unit: PlannedUnit; readonly ranges: Awaited<ReturnType<typeof surveyUnit>>['ranges'] }[] =
      [];
    for (const unit of await this.candidates(log, (one) => days.has(unitName(one)))) {
      const { survey, ranges } = await surveyUnit({ driver, keys, log, holds, signal: undefined }, unit);
      found.push({ unit: { ...survey, days: days.get(unitName(unit)) as number }, ranges });
    }
    if (
      hashPlan(
        log.tenant,
        found.map(({ unit }) => unit),
      ) !== order.plan
    )
      throw new LedgerError(
        'plan-changed',
        'what would go is not what was approved any more; look at the plan again and propose it anew',
      );
    for (const { unit, ranges } of found) {
      const held = await this.#parts.holds.keep(log, unit, ranges, holds);
      if (JSON.stringify(held) !== JSON.stringify(unit.held))
        throw new LedgerError('corrupt', 'the copies for legal holds are not those of the plan; nothing was touched');
      await driver.putDocument(log.tenant, shredRangesName(unit), encodeRanges(ranges));
      await this.#put(log, { terms: termsOf(log, unit, order), begun: undefined, done: undefined });
    }
    await log.remains.held.load();
    return this.#carryOut(log);
  }

  /** Goes on with every shred of the log that has begun and isn't over. @throws what a key's provider says; then it goes on later */
  async resume(log: TenantLog): Promise<ShredOutcome[]> {
    await this.#takeBack(log);
    return this.#carryOut(log);
  }

  /**
   * Terms that were written down and did not begin, and that aren't what holds say now: nothing was touched, so nothing goes. A hold may have come since, and
   * what was approved is then something else.
   */
  async #takeBack(log: TenantLog): Promise<void> {
    const waiting = log.remains.units.records().filter(({ begun }) => begun === undefined);
    if (waiting.length === 0) return;
    const { holds, driver } = this.#parts;
    const on = await holds.list(log);
    for (const { terms } of waiting) {
      const held = await holds.keep(log, terms, rangesOf(await log.remains.units.bounds(terms)), on);
      if (JSON.stringify(held) === JSON.stringify(terms.held)) continue;
      log.remains.units.drop(terms);
      await driver.removeDocument(log.tenant, shredFileName(terms));
      await driver.removeDocument(log.tenant, shredRangesName(terms));
    }
    await log.remains.held.load();
  }

  async #carryOut(log: TenantLog): Promise<ShredOutcome[]> {
    const { forgetIndex, forgetRecords, driver, keys, record } = this.#parts;
    const open = log.remains.units.records().filter(({ done }) => done === undefined);
    if (open.length === 0) return [];
    const begun: ShredRecord[] = [];
    for (const one of open) {
      const { terms } = one;
      const event = one.begun ?? (await record(log, begunFacts(terms), hashShredTerms(terms)));
      const next = { terms, begun: event, done: undefined };
      if (one.begun === undefined) await this.#put(log, next);
      begun.push(next);
    }
    forgetRecords(log);
    for (const { terms } of begun) {
      await forgetIndex(log.tenant, terms);
      for (const name of await seedNames(driver, log.tenant, terms)) await driver.removeSeed(log.tenant, name);
    }
    const ended = await keys.end(log.tenant, [...new Set(begun.flatMap(({ terms }) => terms.keks))].sort());
    const outcomes: ShredOutcome[] = [];
    for (const one of begun) outcomes.push(await this.#finish(log, one, ended));
    forgetRecords(log);
    return outcomes;
  }

  async #finish(log: TenantLog, { terms, begun }: ShredRecord, ended: readonly EndedKey[]): Promise<ShredOutcome> {
    const { driver, record } = this.#parts;
    await driver.dropUnit(log.tenant, terms);
    const keys = ended.filter(({ kek }) => terms.keks.includes(kek));
    const done = await record(log, completedFacts(terms, keys), hashShredTerms(terms));
    await this.#put(log, { terms, begun, done });
    const { retentionClass, epoch, events } = terms;
    return { retentionClass, epoch, events, evidence: done.index, keys };
  }

  async #put(log: TenantLog, record: ShredRecord): Promise<void> {
    await this.#parts.driver.putDocument(log.tenant, shredFileName(record.terms), encodeShredRecord(record));
    log.remains.units.put(record);
  }
}

function rangesOf(bounds: Float64Array): IndexRange[] {
  return Array.from({ length: bounds.length / 2 }, (_, at) => {
    const first = bounds[2 * at] as number;
    return { first, count: (bounds[2 * at + 1] as number) - first };
  });
}

function termsOf(log: TenantLog, unit: PlannedUnit, { plan, people }: ShredOrder): ShredTerms {
  const { retentionClass, epoch, events, first, last, ranges, seeds, keks, held, days } = unit;
  const { origin } = log;
  return { origin, retentionClass, epoch, events, first, last, ranges, seeds, keks, held, days, plan, people };
}
