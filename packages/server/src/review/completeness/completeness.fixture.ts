/** A log to report on that is made of records in memory: what was recorded, when, and by whom; an index over it that filters as the real one does. */
import {
  type Change,
  type Counters,
  countersOperation,
  countersToChanges,
  decode,
  defaultMinimisation,
  type Event,
  encode,
  minimise,
  parseTenantId,
  type TenantId,
  uuidv7,
} from '@watchglass/record';
import type { Filters } from '../../indexes/filters.ts';
import type { EmitterStatus, StoredEntry } from '../../ledger/ledger.ts';
import { realWorld } from '../../world/real-world.ts';
import { type CompletenessDeps, createCompleteness } from './completeness.ts';
import type { CompletenessReport } from './report.ts';

export const clinic: TenantId = parseTenantId('clinic');
export const minute = 60_000;

export const quietCounters: Counters = {
  since: 0,
  received: 0,
  recorded: 0,
  flooded: 0,
  faulted: 0,
  unrecorded: 0,
  inFlight: 0,
  answered: 0,
  refused: 0,
  connectionFaults: 0,
  eventsRecorded: 0,
  eventsPending: 0,
  eventsUnrecorded: 0,
};

export interface Given {
  /** Received; and happened, unless said otherwise. */
  readonly atMs: number;
  readonly happenedMs?: number;
  readonly operation?: string;
  readonly emitter?: string;
  readonly seq?: number;
  /** `self` unless the emitter is another. */
  readonly submitter?: string;
  readonly changes?: Readonly<Record<string, string | number>>;
  readonly target?: string;
  readonly kind?: Event['kind'];
}

export class TestLog {
  readonly entries: StoredEntry[] = [];
  emitterStates: EmitterStatus[] = [];
  nowMs: number;
  /** Entries at the end that the index doesn't have yet. */
  unindexed = 0;
  reads = 0;
  #beatSize = 0;
  readonly #seqs = new Map<string, number>();

  constructor(nowMs: number) {
    this.nowMs = nowMs;
  }

  /** The index it got. */
  add(given: Given): number {
    const { atMs, happenedMs = atMs, emitter = 'ledger', operation, changes = {}, target, kind = 'system' } = given;
    const own = emitter === 'ledger' || emitter === 'server';
    const seq = given.seq ?? (this.#seqs.get(emitter) ?? 0) + 1;
    this.#seqs.set(emitter, seq);
    const index = this.entries.length;
    const event = minimise(
      {
        v: 1,
        id: uuidv7(
          happenedMs,
          Uint8Array.from({ length: 10 }, (_, at) => (index >> (8 * (at % 4))) & 0xff),
        ),
        time: new Date(happenedMs).toISOString(),
        tenant: clinic,
        emitter: { id: emitter, seq },
        kind,
        action: 'execute',
        ...(operation === undefined ? {} : { operation }),
        outcome: { status: 'success' },
        actor: { id: own ? 'watchglass' : `gateway:${emitter}`, type: 'service' },
        ...(target === undefined ? {} : { targets: [{ type: 'Emitter', id: target }] }),
        changes: Object.entries(changes).map(
          ([path, after]): Change => ({ path, op: 'replace', after: String(after) }),
        ),
      },
      { ...defaultMinimisation, changes: { kind: 'keep' } },
    );
    const submitter = given.submitter ?? (own ? 'self' : 'key:k1');
    const envelope = {
      received: new Date(atMs).toISOString(),
      submitter,
      intake: submitter === 'self' ? 'self' : 'http',
      digest: '0'.repeat(64),
    };
    this.entries.push({ index, m: encode({ ...envelope, event }), retentionClass: 'oversight', epoch: 0 });
    return index;
  }

  heartbeat(atMs: number, received: number = this.entries.length - this.#beatSize): number {
    const size = this.entries.length;
    this.#beatSize = size;
    return this.add({
      atMs,
      operation: 'heartbeat',
      changes: { '/received': received, '/refused': 0, '/gapped': 0, '/size': size },
    });
  }

  counters(atMs: number, emitter: string, counters: Partial<Counters>, more: Partial<Given> = {}): number {
    const changes = Object.fromEntries(
      countersToChanges({ ...quietCounters, ...counters }).map(({ path, after = '' }) => [path, after]),
    );
    return this.add({ atMs, emitter, operation: countersOperation, changes, ...more });
  }

  /** Heartbeats of an idle log, up to but without `untilMs`. */
  idle(fromMs: number, untilMs: number): void {
    for (let atMs = fromMs; atMs < untilMs; atMs += 5 * minute) this.heartbeat(atMs);
  }

  async report(query: Record<string, string> = {}): Promise<CompletenessReport> {
    const world = realWorld();
    const nowMs = (): number => this.nowMs;
    const deps: CompletenessDeps = {
      ledger: {
        head: () => ({ size: this.entries.length, root: new Uint8Array(32), checkpoint: '' }),
        read: async (_tenant, from, max) => {
          this.reads += 1;
          return this.entries.slice(from, from + max);
        },
        emitters: () => this.emitterStates,
      },
      indexes: {
        reached: async () => undefined,
        find: async (_tenant, { filters, before, limit }) => {
          const there = this.entries.slice(0, Math.min(before, this.entries.length - this.unindexed));
          const matching = there
            .filter(({ m }) => matches(m, filters))
            .map(({ index }) => index)
            .reverse();
          const indexes = matching.slice(0, limit);
          return { indexes, next: matching.length > limit ? indexes.at(-1) : undefined, unindexed: this.unindexed };
        },
      },
      world: { ...world, clock: { ...world.clock, now: nowMs } },
    };
    return await createCompleteness(deps).report(clinic, query);
  }
}

function matches(m: Uint8Array, { kind, actor, operation, fromMs, toMs }: Filters): boolean {
  const { event } = decode(m);
  const timeMs = Date.parse(event.time);
  return (
    (kind === undefined || event.kind === kind) &&
    (actor === undefined || event.actor.id === actor) &&
    (operation === undefined || event.operation === operation) &&
    (fromMs === undefined || timeMs >= fromMs) &&
    (toMs === undefined || timeMs < toMs)
  );
}
