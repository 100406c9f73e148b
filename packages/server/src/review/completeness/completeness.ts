/**
 * The report of red intervals: when the record of a tenant may be incomplete, from the ledger's own events. What wasn't looked at is named, and "none" is only said of what was.
 *
 * Bounded: so many signs are read, the newest first, within a time; so many emitters are looked for further back. It reads, and records nothing: its caller mounts through `audited`.
 */
import type { TenantId } from '@watchglass/record';
import { isOwnEmitter } from '../../access/own-recorder.ts';
import type { Indexes } from '../../indexes/indexes.ts';
import type { EmitterStatus, Ledger } from '../../ledger/ledger.ts';
import type { World } from '../../world/world.ts';
import { parseSpanQuery, type SpanQuery } from '../query.ts';
import { readEntries } from '../read-entries.ts';
import { findCountFaults, findSilences, lanesOf } from './emitters.ts';
import { findGaps } from './gaps.ts';
import { clockOf, type Entry, findHeartbeatFaults, findPauses, statementsMax } from './pauses.ts';
import { arrange, counted, type RedInterval } from './red-interval.ts';
import { type CompletenessReport, reportOf, type Unexamined } from './report.ts';
import { receivedOf, type Sign, signOf } from './signs.ts';

/** Signs read for a report; a busy day of ten gateways has 14,400. */
const signsMax = 50_000;
const pageSigns = 1_000;
/** Up to here pages of signs are asked for. */
const readMsMax = 8_000;
/** Entries opened one by one. */
const entriesMax = 600;
/** Before and after what is asked for, so that what reaches into it is seen whole. */
const marginMs = 3_600_000;
/** Emitters that are looked for before the asked time, and how far back. */
const soughtMax = 50;
const soughtMs = 31 * 86_400_000;
const stepsMax = 200;
const indexWaitMs = 2_000;

export interface CompletenessDeps {
  readonly ledger: Pick<Ledger, 'head' | 'read' | 'emitters'>;
  readonly indexes: Pick<Indexes, 'find' | 'reached'>;
  readonly world: World;
}

export interface Completeness {
  /** @param query of GET /v1/completeness. @throws ServerError `query-invalid`, `unavailable` */
  report(tenant: TenantId, query: unknown, signal?: AbortSignal): Promise<CompletenessReport>;
}

export function createCompleteness(deps: CompletenessDeps): Completeness {
  return {
    async report(tenant, query, signal) {
      const nowMs = deps.world.clock.now();
      const span = parseSpanQuery(query, nowMs);
      return await new Examination(deps, tenant, span, nowMs, signal).report();
    },
  };
}

/** One report being made. */
class Examination {
  readonly #deps: CompletenessDeps;
  readonly #tenant: TenantId;
  readonly #asked: SpanQuery;
  readonly #nowMs: number;
  readonly #signal: AbortSignal | undefined;
  readonly #size: number;
  readonly #startedMs: number;
  readonly #unexamined: Unexamined[] = [];
  #entriesLeft = entriesMax;

  constructor(
    deps: CompletenessDeps,
    tenant: TenantId,
    asked: SpanQuery,
    nowMs: number,
    signal: AbortSignal | undefined,
  ) {
    this.#deps = deps;
    this.#tenant = tenant;
    this.#asked = asked;
    this.#nowMs = nowMs;
    this.#signal = signal;
    this.#size = deps.ledger.head(tenant).size;
    this.#startedMs = deps.world.clock.monotonicMs();
  }

  async report(): Promise<CompletenessReport> {
    await this.#awaitIndex();
    const { fromMs, toMs } = this.#asked;
    const emitters = this.#deps.ledger.emitters(this.#tenant);
    const signs = await this.#signs();
    const first = await this.#firstSince(fromMs);
    const end = toMs >= this.#nowMs ? this.#size : await this.#firstSince(toMs);
    const lanes = lanesOf([...signs, ...(await this.#earlierSigns(emitters, signs))]);
    const { red: pauses, unexamined } = await findPauses(await this.#withEdges(signs, first, end), (at) =>
      this.#entry(at),
    );
    for (const one of unexamined)
      this.#unexamined.push({ ...one, words: 'Too many entries lie in between to look for pauses one by one.' });
    const found = arrange(
      [
        ...pauses,
        ...(await this.#steps()),
        ...findHeartbeatFaults(signs),
        ...findGaps(signs),
        ...lanes.flatMap((lane) => [...findSilences(lane, Math.min(toMs, this.#nowMs)), ...findCountFaults(lane)]),
      ],
      this.#asked,
    );
    return reportOf({
      tenant: this.#tenant,
      asked: this.#asked,
      unexamined: this.#unexamined,
      found,
      signCount: signs.length,
      lanes,
      emitters,
      first,
      end,
    });
  }

  async #awaitIndex(): Promise<void> {
    const patience = AbortSignal.any([AbortSignal.timeout(indexWaitMs), ...(this.#signal ? [this.#signal] : [])]);
    try {
      await this.#deps.indexes.reached(this.#tenant, this.#size, patience);
    } catch (error) {
      this.#signal?.throwIfAborted();
      if (!patience.aborted) throw error;
    }
  }

  /** The signs in and around the asked time, in the order of the log. */
  async #signs(): Promise<Sign[]> {
    const { fromMs, toMs } = this.#asked;
    const filters = { kind: 'system', fromMs: fromMs - marginMs, toMs: toMs + marginMs } as const;
    const signs = new Map<number, Sign>();
    let oldestMs = toMs;
    for (let before: number | undefined = this.#size; before !== undefined; ) {
      const late = this.#deps.world.clock.monotonicMs() - this.#startedMs > readMsMax;
      if (signs.size >= signsMax || late) {
        const why = late ? 'reading took too long' : `there are more than ${signsMax} signs`;
        this.#unexamined.push({
          fromMs,
          toMs: Math.max(fromMs, oldestMs),
          words: `Only the newest part was examined: ${why}. Ask for a shorter time.`,
        });
        break;
      }
      const page = await this.#deps.indexes.find(this.#tenant, { filters, before, limit: pageSigns }, this.#signal);
      if (page.unindexed > 0 && before === this.#size)
        this.#unexamined.push({
          words: `${counted(page.unindexed, 'entry', 'entries')} can’t be found yet: the index is behind.`,
        });
      for (const sign of await this.#read(page.indexes)) {
        signs.set(sign.index, sign);
        oldestMs = Math.min(oldestMs, sign.receivedMs);
      }
      before = page.next;
    }
    return [...signs.values()].sort((a, b) => a.index - b.index);
  }

  /** A clock that was set back dates its own event anywhere: these are looked for in the whole log. */
  async #steps(): Promise<RedInterval[]> {
    const steps = await this.#deps.indexes.find(
      this.#tenant,
      { filters: { kind: 'system', operation: 'clock-stepped' }, before: this.#size, limit: stepsMax },
      this.#signal,
    );
    const signs = await this.#read(steps.indexes);
    return signs.flatMap((sign) => (sign.by === 'self' ? clockOf(sign, undefined) : []));
  }

  async #read(indexes: readonly number[]): Promise<Sign[]> {
    const entries = await readEntries(this.#deps.ledger, this.#tenant, indexes);
    return entries.flatMap(({ index, m }) => signOf(index, m) ?? []);
  }

  /** The newest signs of emitters that are silent in the whole of the asked time: then their silence began before it. */
  async #earlierSigns(emitters: readonly EmitterStatus[], signs: readonly Sign[]): Promise<Sign[]> {
    const seen = new Set(signs.flatMap((sign) => (sign.by === 'emitter' ? [sign.emitter] : [])));
    const unseen = emitters.filter(({ id }) => !isOwnEmitter(id) && !seen.has(id));
    if (unseen.length > soughtMax) {
      const rest = counted(unseen.length - soughtMax, 'emitter');
      this.#unexamined.push({ words: `${rest} that said nothing in this time were not looked for further back.` });
    }
    const found: Sign[] = [];
    const { fromMs } = this.#asked;
    for (const { id } of unseen.slice(0, soughtMax)) {
      const filters = { kind: 'system', actor: `gateway:${id}`, fromMs: fromMs - soughtMs, toMs: fromMs } as const;
      const page = await this.#deps.indexes.find(this.#tenant, { filters, before: this.#size, limit: 4 }, this.#signal);
      found.push(...(await this.#read(page.indexes)).filter((sign) => sign.by === 'emitter' && sign.emitter === id));
    }
    return found;
  }

  /** The first and last entry of the asked time among the signs: between them nothing is left out. */
  async #withEdges(signs: readonly Sign[], first: number, end: number): Promise<(Sign | Entry)[]> {
    // What came late from a spool lies far behind; a start may come a few statements after the end.
    const walked = signs.filter(
      ({ index, by }) => index >= first - 1 && index <= (by === 'self' ? end + statementsMax : end),
    );
    const known = new Set(walked.map(({ index }) => index));
    const edges: Entry[] = [];
    for (const index of new Set([Math.max(0, first - 1), first, end - 1, end])) {
      const entry = index < 0 || index >= this.#size || known.has(index) ? undefined : await this.#entry(index);
      if (entry?.index === index) edges.push(entry);
    }
    const inOrder: (Sign | Entry)[] = [...walked, ...edges].sort((a, b) => a.index - b.index);
    const newest = inOrder.at(-1);
    // Up to this moment the ledger had time to say something.
    if (newest === undefined || this.#asked.toMs < this.#nowMs) return inOrder;
    return [...inOrder, { index: newest.index + 1, receivedMs: this.#nowMs, sign: undefined }];
  }

  async #entry(index: number): Promise<Entry | undefined> {
    if (this.#entriesLeft <= 0 || index >= this.#size) return undefined;
    this.#entriesLeft -= 1;
    const [entry] = await this.#deps.ledger.read(this.#tenant, index, 1);
    return entry && { index: entry.index, receivedMs: receivedOf(entry.m), sign: signOf(entry.index, entry.m) };
  }

  /** The first index received at or after a moment, by halving: received times grow with the log, but for a stepped clock. */
  async #firstSince(ms: number): Promise<number> {
    let low = 0;
    let high = this.#size;
    while (low < high) {
      const middle = low + Math.floor((high - low) / 2);
      const entry = await this.#entry(middle);
      if (entry === undefined || entry.receivedMs >= ms) high = middle;
      else low = Math.max(middle, entry.index) + 1;
    }
    return Math.min(low, this.#size);
  }
}
