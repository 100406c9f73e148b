/** The counts over time: a sentence that is also the legend, and the chart. */

import type { OutcomeStatus } from '@watchglass/record';
import { type ReactElement, useMemo, useState } from 'react';
import type { Summary } from '../api/client.ts';
import type { ExplorerState } from '../state/explorer-state.ts';
import type { StateChange } from '../state/use-explorer-state.ts';
import { outcomePhrase } from '../text/labels.ts';
import { formatCount, plural } from '../text/number.ts';
import { describeRange } from '../time/format.ts';
import type { AbsoluteRange } from '../time/range.ts';
import { OutcomeShape } from '../ui/outcome.tsx';
import { Skeleton } from '../ui/skeleton.tsx';
import { CountsChart, describeBucket } from './counts-chart.tsx';
import { type Bucket, stackCounts } from './counts-data.ts';

export interface CountsPanelProps {
  readonly summary: Summary | undefined;
  /** Entries of the log that can't be found yet. */
  readonly unindexed: number;
  readonly stale: boolean;
  readonly failed: boolean;
  readonly state: ExplorerState;
  readonly narrow: boolean;
  readonly onChange: (change: StateChange) => void;
}

const spoken: readonly OutcomeStatus[] = ['success', 'denied', 'failed', 'error'];

export function CountsPanel({
  summary,
  unindexed,
  stale,
  failed,
  state,
  narrow,
  onChange,
}: CountsPanelProps): ReactElement {
  const [bucket, setBucket] = useState<Bucket>();
  const zone = state.zone ?? 'local';
  const counts = useMemo(() => (summary ? stackCounts(summary) : undefined), [summary]);
  const height = narrow ? 96 : 128;
  if (!summary || !counts) {
    return (
      <section aria-label="Counts over time" aria-busy={!failed} className="border-line border-b px-4 py-3 md:px-6">
        {failed ? (
          <p className="text-ink-3">The counts over time could not be read.</p>
        ) : (
          <>
            <Skeleton className="h-4 w-72 max-w-full" />
            <Skeleton className={narrow ? 'mt-3 h-20' : 'mt-3 h-28'} />
          </>
        )}
      </section>
    );
  }
  const range = describeRange(state, zone);
  const brush = (next: AbsoluteRange): void => onChange({ range: undefined, from: next.from, to: next.to });
  return (
    <section
      aria-label="Counts over time"
      aria-busy={stale}
      className="@container border-line border-b px-4 pt-3 pb-1 md:px-6"
    >
      <div className="flex min-h-6 flex-wrap items-center gap-x-4 gap-y-1">
        <p className="text-ink-2">
          <strong className="font-semibold text-base text-ink">
            {summary.truncated && 'At least '}
            {formatCount(summary.count)}
          </strong>{' '}
          {summary.count === 1 ? 'event' : 'events'} {range}
          {summary.count > 0 ? ':' : '.'}
        </p>
        <ul className="-ml-1.5 flex flex-wrap items-center gap-1">
          {spoken
            .filter((status) => counts.totals[status] > 0)
            .map((status) => (
              <li key={status}>
                <button
                  type="button"
                  aria-pressed={state.outcome === status}
                  onClick={() => onChange({ outcome: state.outcome === status ? undefined : status })}
                  className="flex h-6 items-center gap-1.5 rounded px-1.5 text-ink-2 hover:bg-hover hover:text-ink aria-pressed:bg-accent-wash aria-pressed:text-accent"
                >
                  <OutcomeShape status={status} />
                  {formatCount(counts.totals[status])} {outcomePhrase(status, counts.totals[status])}
                </button>
              </li>
            ))}
        </ul>
        {unindexed > 0 && (
          <p className="text-ink-3 text-xs">
            {unindexed === 1 ? 'The newest event is' : `${formatCount(unindexed)} newest events are`} still being
            indexed
          </p>
        )}
        <p aria-hidden="true" className="ml-auto hidden truncate text-ink-3 text-xs @4xl:block">
          {bucket
            ? `${describeBucket(bucket, counts.stepMs, zone)} · ${describeCounts(bucket)}`
            : summary.count > 0 && 'Drag to narrow the range'}
        </p>
      </div>
      {summary.count === 0 ? (
        <div className="mt-2 mb-2 grid h-16 place-items-center rounded-md border border-line-strong border-dashed text-ink-3">
          Nothing happened here that matches.
        </div>
      ) : (
        <CountsChart
          counts={counts}
          zone={zone}
          height={height}
          onBrush={brush}
          onHover={setBucket}
          label={`${plural(summary.count, 'event')} ${range}; the tallest bar has ${formatCount(counts.peak?.total ?? 0)}.`}
        />
      )}
    </section>
  );
}

function describeCounts(bucket: Bucket): string {
  const others = spoken.filter((status) => status !== 'success' && bucket.counts[status] > 0);
  return [
    plural(bucket.total, 'event'),
    ...others.map((status) => `${formatCount(bucket.counts[status])} ${outcomePhrase(status, bucket.counts[status])}`),
  ].join(' · ');
}
