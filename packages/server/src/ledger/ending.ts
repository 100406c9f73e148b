/** `ledger.ending`: shreds and holds of all logs, one after the other, so that no plan changes while it is carried out. */
import { RecordError, type TenantId } from '@watchglass/record';
import type { Keyrings, Unit } from '@watchglass/record/reader';
import type { World } from '../world/world.ts';
import { LedgerError } from './errors.ts';
import { Holds } from './holds.ts';
import type { LedgerReport } from './ledger.ts';
import type { Ending, Hold, HoldTerms, KeyEnding, ShredOrder, ShredOutcome, UnitSurvey } from './shred.ts';
import type { RecordShred } from './shred-events.ts';
import { Shredder } from './shredder.ts';
import type { StorageDriver } from './storage.ts';
import type { TenantLog } from './tenant-log.ts';

export interface EndingParts {
  readonly world: World;
  readonly driver: StorageDriver;
  readonly keyrings: Keyrings;
  readonly keys: KeyEnding | undefined;
  /** `DIR/ledger`. */
  readonly dir: string;
  readonly logs: ReadonlyMap<string, TenantLog>;
  /** @throws LedgerError `unknown-tenant`, `read-only`, `closed` */
  readonly writable: (tenant: TenantId) => TenantLog;
  readonly record: RecordShred;
  readonly forgetIndex: ((tenant: TenantId, unit: Unit) => Promise<void>) | undefined;
  readonly forgetRecords: (log: TenantLog) => void;
  readonly report: (line: LedgerReport) => void;
}

/** Where keys are given from outside and nobody says how they end. */
const fixedKeys: KeyEnding = {
  standing: async (_tenant, keks) => [...keks].sort(),
  end: async () => {
    throw new LedgerError(
      'keys-fixed',
      'the key-encryption keys of this ledger can’t be changed from here, and nothing is shredded while they open its seeds; see docs/retention.md',
    );
  },
};

export class OpenedEnding implements Ending {
  readonly #parts: EndingParts;
  readonly #holds: Holds;
  readonly #shredder: Shredder;
  #last: Promise<unknown> = Promise.resolve();

  constructor(parts: EndingParts) {
    const { world, driver, keyrings, dir, record, forgetRecords, forgetIndex = async () => undefined } = parts;
    const keys = parts.keys ?? fixedKeys;
    this.#parts = parts;
    this.#holds = new Holds({ world, driver, keyrings, keys, dir, record, forgetIndex });
    this.#shredder = new Shredder({ driver, keys, holds: this.#holds, record, forgetIndex, forgetRecords });
  }

  survey(tenant: TenantId, which: (unit: Unit) => boolean, signal?: AbortSignal): Promise<readonly UnitSurvey[]> {
    return this.#next(tenant, async (log) => this.#shredder.survey(log, which, await this.#holds.list(log), signal));
  }

  shred(tenant: TenantId, order: ShredOrder): Promise<readonly ShredOutcome[]> {
    return this.#next(tenant, (log) => this.#carryOn(log, () => this.#shredder.shred(log, order)));
  }

  async resume(): Promise<readonly (ShredOutcome & { readonly tenant: TenantId })[]> {
    const ended: (ShredOutcome & { readonly tenant: TenantId })[] = [];
    for (const { tenant } of this.#parts.logs.values()) {
      const outcomes = await this.#next(tenant, (log) =>
        this.#carryOn(log, async () => {
          await this.#holds.resume(log);
          return this.#shredder.resume(log);
        }),
      );
      ended.push(...outcomes.map((outcome) => ({ ...outcome, tenant })));
    }
    return ended;
  }

  unfinished(tenant: TenantId): readonly Unit[] {
    const records = this.#parts.logs.get(tenant)?.remains.units.records() ?? [];
    return records.filter(({ done }) => done === undefined).map(({ terms }) => unitOf(terms));
  }

  shredded(tenant: TenantId): ReturnType<Ending['shredded']> {
    const records = this.#parts.logs.get(tenant)?.remains.units.records() ?? [];
    return records.map(({ terms, done }) => ({ ...unitOf(terms), events: terms.events, evidence: done?.index }));
  }

  addHold(tenant: TenantId, terms: HoldTerms): Promise<Hold> {
    return this.#next(tenant, (log) => this.#holds.add(log, terms));
  }

  holds(tenant: TenantId): Promise<readonly Hold[]> {
    return this.#next(tenant, (log) => this.#holds.list(log));
  }

  releaseHold(tenant: TenantId, hold: string, people: readonly string[]): Promise<void> {
    return this.#next(tenant, (log) => this.#carryOn(log, () => this.#holds.release(log, hold, people)));
  }

  /** Resolves when nothing is under way. */
  async settled(): Promise<void> {
    await this.#last;
  }

  #next<T>(tenant: TenantId, work: (log: TenantLog) => Promise<T>): Promise<T> {
    const done = this.#last.then(() => work(this.#parts.writable(tenant)));
    this.#last = done.catch(() => undefined);
    return done;
  }

  /** What a keeper of keys refuses half-way is not lost: it is gone on with later. */
  async #carryOn<T>(log: TenantLog, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      const units = this.unfinished(log.tenant);
      if (units.length === 0 || !isKeepers(error)) throw error;
      throw new LedgerError(
        'shred-unfinished',
        `the shred of ${units.length} classes and epochs of ${log.tenant} has begun and is not over, since the keeper of the keys did not do its part (${error instanceof Error ? error.message : 'no reason'}); what it takes can't be read any more, and the server goes on by itself`,
        { units: units.length },
        error,
      );
    }
  }
}

/** What only the ending of keys says, which comes once a shred has begun. */
const keyFaults: ReadonlySet<string> = new Set(['keys-fixed', 'key-in-use', 'keyring-invalid']);

function isKeepers(error: unknown): boolean {
  return error instanceof RecordError || (error instanceof LedgerError && keyFaults.has(error.code));
}

function unitOf({ retentionClass, epoch }: Unit): Unit {
  return { retentionClass, epoch };
}
