/**
 * Summing up: how many matching entries over time by outcome, and which values are the most frequent. One pass, newest first.
 */
import { type OutcomeStatus, outcomeStatuses } from '@watchglass/record';
import { type Conditions, conditionsOf, mayHold } from './conditions.ts';
import type { FacetName, FacetValue } from './indexes.ts';
import type { ReadRequest, SummaryAnswer } from './messages.ts';
import { unpackCode } from './row.ts';
import type { Tokens } from './tokens.ts';
import { type OpenFile, Patience, type Span, windows } from './windows.ts';

type SummariseRequest = Extract<ReadRequest, { kind: 'summarise' }>;

/** Values shown of each facet. */
const facetValuesMax = 10;
/** Rows between two looks at the time. */
const rowsPerLook = 4_096;
/** Bucket widths people can read off an axis. */
const stepsMs = [
  1_000, 2_000, 5_000, 10_000, 15_000, 30_000, 60_000, 120_000, 300_000, 600_000, 900_000, 1_800_000, 3_600_000,
  7_200_000, 10_800_000, 21_600_000, 43_200_000, 86_400_000, 172_800_000, 604_800_000, 1_209_600_000, 2_592_000_000,
  7_776_000_000, 31_536_000_000,
];

export function summariseEntries(
  request: SummariseRequest,
  files: readonly OpenFile[],
  tokensOf: (file: OpenFile) => Tokens,
): SummaryAnswer {
  const patience = new Patience(request.cancel);
  const { fromMs, toMs, stepMs } = timeAxis(request, files);
  const held = files.filter((file) => mayHold(file.retentionClass, request.filters.kind));
  const tally = new Tally(fromMs, stepMs, Math.max(1, Math.ceil((toMs - fromMs) / stepMs)));
  let truncated = false;
  if (held.length > 0) {
    const asked = new Map(held.map((file) => [file, conditionsOf(request.filters, tokensOf(file))]));
    outer: for (const window of windows(held, request.filters, request.below)) {
      for (const span of window.spans) {
        truncated = !tally.take(span, asked.get(span.file) as Conditions, patience);
        if (truncated) break outer;
      }
    }
  }
  return { count: tally.count, fromMs, toMs, stepMs, series: tally.series(), facets: tally.facets(), truncated };
}

/** From and to as asked, or as far as the entries go; the step is the smallest readable one that fits. */
function timeAxis(
  { filters, bucketsMax }: SummariseRequest,
  files: readonly OpenFile[],
): { readonly fromMs: number; readonly toMs: number; readonly stepMs: number } {
  let smallest = Number.POSITIVE_INFINITY;
  let largest = Number.NEGATIVE_INFINITY;
  for (const { database } of files) {
    const zone = database.prepare('SELECT min(min_ms) AS first, max(max_ms) AS last FROM zone').get() as {
      first: number | null;
      last: number | null;
    };
    smallest = Math.min(smallest, zone.first ?? smallest);
    largest = Math.max(largest, zone.last ?? largest);
  }
  if (largest < smallest) [smallest, largest] = [filters.fromMs ?? 0, filters.toMs ?? filters.fromMs ?? 0];
  const from = filters.fromMs ?? smallest;
  const to = Math.max(filters.toMs ?? largest + 1, from + 1);
  for (const stepMs of stepsMs) {
    const fromMs = Math.floor(from / stepMs) * stepMs;
    const toMs = Math.ceil(to / stepMs) * stepMs;
    if ((toMs - fromMs) / stepMs <= bucketsMax) return { fromMs, toMs, stepMs };
  }
  const stepMs = Math.ceil((to - from) / bucketsMax);
  return { fromMs: from, toMs: from + stepMs * bucketsMax, stepMs };
}

class Tally {
  count = 0;
  readonly #fromMs: number;
  readonly #stepMs: number;
  readonly #buckets: Float64Array[];
  readonly #codes: Map<number, number> = new Map();
  readonly #named: Record<'operation' | 'actor' | 'route', Map<string, number>> = {
    operation: new Map(),
    actor: new Map(),
    route: new Map(),
  };

  constructor(fromMs: number, stepMs: number, buckets: number) {
    this.#fromMs = fromMs;
    this.#stepMs = stepMs;
    this.#buckets = outcomeStatuses.map(() => new Float64Array(buckets));
  }

  /** False when the time was up before the end of the span. */
  take({ file, lo, hi }: Span, { where, values, lead }: Conditions, patience: Patience): boolean {
    if (patience.over) return false;
    const source = lead === undefined ? 'event e' : 'token t CROSS JOIN event e ON e.idx = t.idx';
    const range = lead === undefined ? 'e.idx >= ? AND e.idx < ?' : 't.token = ? AND t.idx >= ? AND t.idx < ?';
    const statement = file.database.prepare(
      `SELECT e.time, e.code, e.operation, e.actor, e.route FROM ${source} WHERE ${[range, ...where].join(' AND ')}`,
    );
    statement.setReturnArrays(true);
    const given = lead === undefined ? [lo, hi] : [lead, lo, hi];
    const operations = new Map<number, number>();
    const actors = new Map<number, number>();
    const routes = new Map<number, number>();
    let whole = true;
    let untilLook = rowsPerLook;
    for (const row of statement.iterate(...given, ...values) as unknown as Iterable<
      [number, number, number, number, number]
    >) {
      const [time, code, operation, actor, route] = row;
      this.#count(time, code);
      increase(operations, operation);
      increase(actors, actor);
      increase(routes, route);
      untilLook -= 1;
      if (untilLook === 0) {
        untilLook = rowsPerLook;
        if (patience.over) {
          whole = false;
          break;
        }
      }
    }
    const name = file.database.prepare('SELECT value FROM name WHERE id = ?');
    for (const [facet, counts] of [
      ['operation', operations],
      ['actor', actors],
      ['route', routes],
    ] as const) {
      for (const [id, count] of counts) {
        if (id !== 0) increase(this.#named[facet], (name.get(id) as { value: string }).value, count);
      }
    }
    return whole;
  }

  series(): SummaryAnswer['series'] {
    const at = (status: OutcomeStatus, bucket: number): number =>
      this.#buckets[outcomeStatuses.indexOf(status)]?.[bucket] ?? 0;
    return Array.from(this.#buckets[0] ?? [], (_, bucket) => ({
      timeMs: this.#fromMs + bucket * this.#stepMs,
      success: at('success', bucket),
      denied: at('denied', bucket),
      failed: at('failed', bucket),
      error: at('error', bucket),
    }));
  }

  facets(): Readonly<Record<FacetName, readonly FacetValue[]>> {
    const coded = {
      kind: new Map<string, number>(),
      action: new Map<string, number>(),
      outcome: new Map<string, number>(),
    };
    for (const [code, count] of this.#codes) {
      const { kind, action, outcome } = unpackCode(code);
      increase(coded.kind, kind, count);
      increase(coded.action, action, count);
      increase(coded.outcome, outcome, count);
    }
    return {
      kind: top(coded.kind),
      action: top(coded.action),
      operation: top(this.#named.operation),
      outcome: top(coded.outcome),
      actor: top(this.#named.actor),
      route: top(this.#named.route),
    };
  }

  #count(time: number, code: number): void {
    this.count += 1;
    increase(this.#codes, code);
    const series = this.#buckets[code % outcomeStatuses.length];
    const bucket = Math.floor((time - this.#fromMs) / this.#stepMs);
    if (series !== undefined && bucket >= 0 && bucket < series.length) series[bucket] = (series[bucket] ?? 0) + 1;
  }
}

function increase<Key>(counts: Map<Key, number>, key: Key, by = 1): void {
  counts.set(key, (counts.get(key) ?? 0) + by);
}

function top(counts: ReadonlyMap<string, number>): FacetValue[] {
  return [...counts]
    .map(([value, count]) => ({ value, count }))
    .sort((a, b) => b.count - a.count || (a.value < b.value ? -1 : 1))
    .slice(0, facetValuesMax);
}
