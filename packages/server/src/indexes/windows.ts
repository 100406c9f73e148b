/**
 * A log in windows of positions, newest first: the files of one tenant share the positions of its log, so going through windows gives one order over
 * all files, and a place to stop at between two windows, for time bounds and cancelled questions.
 */
import type { DatabaseSync } from 'node:sqlite';
import type { Filters } from './filters.ts';
import { zoneBits } from './index-file.ts';
import type { ReadableFile } from './messages.ts';

/** Positions in a window: a scan of one takes some milliseconds. */
export const windowPositions: number = 2 ** 16;
/** A question that takes longer is answered as far as it got, and says so. */
export const questionMsMax = 5_000;

export interface OpenFile extends ReadableFile {
  readonly database: DatabaseSync;
}

/** Positions lo … hi − 1 of one file. */
export interface Span {
  readonly file: OpenFile;
  readonly lo: number;
  readonly hi: number;
}

/** When to stop: out of time, or nobody waits any more. */
export class Patience {
  readonly #cancel: Int32Array;
  readonly #untilMs: number;

  constructor(cancel: Int32Array, limitMs: number = questionMsMax) {
    this.#cancel = cancel;
    // The worker has no clock of the world: this bounds its own work and decides nothing that is stored.
    this.#untilMs = performance.now() + limitMs;
  }

  get over(): boolean {
    return this.cancelled || performance.now() > this.#untilMs;
  }

  get cancelled(): boolean {
    return Atomics.load(this.#cancel, 0) !== 0;
  }
}

/** Windows below `below`, newest first, each with the spans of the files in it that may hold entries in the asked time. */
export function* windows(
  files: readonly OpenFile[],
  filters: Filters,
  below: number,
): Generator<{ readonly lo: number; readonly spans: readonly Span[] }, void, undefined> {
  let hi = Math.min(below, Math.max(0, ...files.map((file) => file.next)));
  const floor = Math.min(...files.map((file) => file.start));
  while (hi > floor) {
    const lo = Math.max(floor, (Math.ceil(hi / windowPositions) - 1) * windowPositions);
    const spans: Span[] = [];
    for (const file of files) {
      const span = narrowed({ file, lo: Math.max(lo, file.start), hi: Math.min(hi, file.next) }, filters);
      if (span !== undefined) spans.push(span);
    }
    yield { lo, spans };
    hi = lo;
  }
}

/** The part of the span whose zones overlap the asked time. */
function narrowed(span: Span, { fromMs, toMs }: Filters): Span | undefined {
  if (span.lo >= span.hi) return undefined;
  if (fromMs === undefined && toMs === undefined) return span;
  const zone = 2 ** zoneBits;
  const found = span.file.database
    .prepare(
      'SELECT min(id) AS first, max(id) AS last FROM zone WHERE id BETWEEN ? AND ? AND max_ms >= ? AND min_ms < ?',
    )
    .get(
      Math.floor(span.lo / zone),
      Math.floor((span.hi - 1) / zone),
      fromMs ?? Number.MIN_SAFE_INTEGER,
      toMs ?? Number.MAX_SAFE_INTEGER,
    ) as { first: number | null; last: number | null };
  if (found.first === null || found.last === null) return undefined;
  return {
    file: span.file,
    lo: Math.max(span.lo, found.first * zone),
    hi: Math.min(span.hi, (found.last + 1) * zone),
  };
}
