/** The series of a summary as the chart draws them: every bucket of the range present, outcomes stacked. */
import type { OutcomeStatus } from '@watchglass/record';
import type { Summary } from '../api/client.ts';

/** From the bottom of a bar to its top. */
export const stackOrder: readonly OutcomeStatus[] = ['success', 'failed', 'denied', 'error'];

export interface Counts {
  readonly fromMs: number;
  readonly toMs: number;
  readonly stepMs: number;
  readonly buckets: readonly Bucket[];
  /** Per bucket, the top edge of each outcome's part, in `stackOrder`. */
  readonly tops: Readonly<Record<OutcomeStatus, readonly number[]>>;
  readonly totals: Readonly<Record<OutcomeStatus, number>>;
  /** The first of the tallest buckets; undefined where nothing was counted. */
  readonly peak: { readonly timeMs: number; readonly total: number } | undefined;
}

export interface Bucket {
  readonly timeMs: number;
  readonly counts: Readonly<Record<OutcomeStatus, number>>;
  readonly total: number;
}

const bucketsMax = 2000;
const none: Readonly<Record<OutcomeStatus, number>> = { success: 0, denied: 0, failed: 0, error: 0 };

export function stackCounts(summary: Pick<Summary, 'from' | 'to' | 'stepMs' | 'series'>): Counts {
  const { from: fromMs, to: toMs, stepMs, series } = summary;
  const given = new Map(series.map((point) => [point.time, point]));
  const first = series[0]?.time ?? fromMs;
  // The grid goes through the server's own buckets, which need not begin where the range does.
  const startMs = first - Math.ceil(Math.max(0, first - fromMs) / stepMs) * stepMs;
  const buckets: Bucket[] = [];
  for (let timeMs = startMs; timeMs < toMs && buckets.length < bucketsMax; timeMs += stepMs) {
    const { success, denied, failed, error } = given.get(timeMs) ?? none;
    buckets.push({ timeMs, counts: { success, denied, failed, error }, total: success + denied + failed + error });
  }
  const tops: Record<OutcomeStatus, number[]> = { success: [], denied: [], failed: [], error: [] };
  const totals: Record<OutcomeStatus, number> = { ...none };
  let peak: Counts['peak'];
  for (const bucket of buckets) {
    let top = 0;
    for (const status of stackOrder) {
      top += bucket.counts[status];
      tops[status].push(top);
      totals[status] += bucket.counts[status];
    }
    if (bucket.total > (peak?.total ?? 0)) peak = { timeMs: bucket.timeMs, total: bucket.total };
  }
  return {
    fromMs: Math.min(fromMs, startMs),
    toMs: Math.max(toMs, (buckets.at(-1)?.timeMs ?? fromMs) + stepMs),
    stepMs,
    buckets,
    tops,
    totals,
    peak,
  };
}
