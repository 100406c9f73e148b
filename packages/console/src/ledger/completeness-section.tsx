/** Is anything missing? The red intervals that the server finds in its own ledger: a strip of time, and under it each in words. Looking is recorded, so it isn't repeated by itself. */
import { type UseQueryResult, useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { type ReactElement, useState } from 'react';
import { fetchCompleteness } from '../api/client.ts';
import type { Completeness, RedInterval } from '../api/completeness.ts';
import { formatCount, plural } from '../text/number.ts';
import { formatMinute, formatRowTime, formatSpan, zoneName } from '../time/format.ts';
import { Button } from '../ui/button.tsx';
import { ErrorScreen } from '../ui/message-screen.tsx';
import { Skeleton } from '../ui/skeleton.tsx';
import { completenessTitle, kindTitle, type Mark, stripMarks } from './red-strip-data.ts';

const spans = [
  { days: 1, label: '24 hours' },
  { days: 7, label: '7 days' },
  { days: 31, label: '31 days' },
] as const;
const dayMs = 86_400_000;
/** Of an interval's evidence; the first and last of more show it as well. */
const evidenceShown = 4;

export function CompletenessSection({ tenant }: { readonly tenant: string }): ReactElement {
  const [days, setDays] = useState<number>(1);
  const report = useQuery({
    queryKey: ['completeness', tenant, days],
    queryFn: ({ signal }) => fetchCompleteness(tenant, new Date(Date.now() - days * dayMs).toISOString(), signal),
  });
  return (
    <section aria-label="Is anything missing?">
      <div className="flex flex-wrap items-center gap-2">
        <h2 className="mr-auto font-semibold text-base">Is anything missing?</h2>
        <fieldset aria-label="How far back" className="flex gap-1">
          {spans.map((span) => (
            <Button key={span.days} tone="quiet" aria-pressed={span.days === days} onClick={() => setDays(span.days)}>
              {span.label}
            </Button>
          ))}
        </fieldset>
      </div>
      <Body report={report} tenant={tenant} />
    </section>
  );
}

function Body({
  report,
  tenant,
}: {
  readonly report: UseQueryResult<Completeness>;
  readonly tenant: string;
}): ReactElement {
  if (report.data) return <Report report={report.data} tenant={tenant} />;
  if (report.error) return <ErrorScreen error={report.error} onRetry={() => void report.refetch()} />;
  return <Skeleton className="mt-2 h-24" />;
}

function Report({ report, tenant }: { readonly report: Completeness; readonly tenant: string }): ReactElement {
  const { verdict, examined, red, redOmitted, unexamined, limits } = report;
  const tone = verdict === 'red' ? 'text-red' : verdict === 'clear' ? 'text-ink' : 'text-amber';
  const entries = examined.end - examined.first;
  return (
    <>
      <p className="mt-1 text-ink-2">
        <strong className={`font-semibold ${tone}`}>
          {verdict === 'red' ? '■ ' : verdict === 'clear' ? '' : '▲ '}
          {completenessTitle(report)}.
        </strong>{' '}
        {entries > 0
          ? `Examined: ${plural(entries, 'entry', 'entries')}, ${formatCount(examined.first)} to ${formatCount(examined.end - 1)}.`
          : 'There are no entries in this time.'}
        {red.length > 0 && ' In these times the record may be incomplete; that is no proof that it is.'}
      </p>
      <Strip report={report} />
      {red.length > 0 && <Intervals red={red} tenant={tenant} />}
      {redOmitted !== undefined && (
        <p className="mt-2 text-ink-2">{plural(redOmitted, 'older one')} not shown: choose a shorter time.</p>
      )}
      {unexamined.map(({ from, to, words }) => (
        <p key={`${from} ${words}`} className="mt-2 rounded-md bg-amber-wash px-3 py-2 text-amber">
          Not examined
          {from !== undefined && to !== undefined && `, ${formatMinute(from, 'local')} to ${formatMinute(to, 'local')}`}
          : {words}
        </p>
      ))}
      {limits.length > 0 && <p className="mt-2 text-ink-3 text-xs">{limits.join(' ')}</p>}
    </>
  );
}

function Strip({ report }: { readonly report: Completeness }): ReactElement {
  const { examined } = report;
  const marks = stripMarks(report);
  const fill: Readonly<Record<Mark['state'], string>> = { red: 'var(--red-mark)', unexamined: 'var(--amber-mark)' };
  return (
    <figure className="mt-3">
      <svg
        className="block h-6 w-full"
        viewBox="0 0 1000 24"
        preserveAspectRatio="none"
        role="img"
        aria-label={`${completenessTitle(report)} between ${formatMinute(examined.from, 'local')} and ${formatMinute(examined.to, 'local')}`}
      >
        <rect x={0} y={11} width={1000} height={2} fill="var(--line-strong)" />
        {marks.map(({ state, left, width }) => (
          <rect
            key={`${state} ${left} ${width}`}
            x={left * 1000}
            y={state === 'red' ? 2 : 8}
            width={width * 1000}
            height={state === 'red' ? 20 : 8}
            fill={fill[state]}
          />
        ))}
      </svg>
      <figcaption className="label mt-1 flex justify-between">
        <span>{formatMinute(examined.from, 'local')}</span>
        <span>
          {formatMinute(examined.to, 'local')} {zoneName('local', new Date(examined.to))}
        </span>
      </figcaption>
    </figure>
  );
}

function Intervals({ red, tenant }: { readonly red: readonly RedInterval[]; readonly tenant: string }): ReactElement {
  const newestFirst = [...red].reverse();
  return (
    <div className="mt-3 overflow-x-auto rounded-lg border border-line bg-surface">
      <table className="w-full">
        <thead>
          <tr className="text-left text-ink-3 text-xs">
            <th scope="col" className="h-8 w-56 border-line border-b px-4 font-medium">
              When
            </th>
            <th scope="col" className="border-line border-b px-4 font-medium">
              What
            </th>
            <th scope="col" className="w-40 border-line border-b px-4 font-medium">
              Follows from
            </th>
          </tr>
        </thead>
        <tbody>
          {newestFirst.map((one) => (
            <tr
              key={`${one.kind} ${one.from} ${one.words}`}
              className="border-line align-top [&:not(:last-child)>td]:border-b"
            >
              <td className="whitespace-nowrap border-line px-4 py-2">
                <When interval={one} />
              </td>
              <td className="min-w-72 border-line px-4 py-2">
                <span className="font-medium text-red">{kindTitle(one.kind)}</span>
                {one.emitter !== undefined && <span className="mono ml-2 text-ink-2">{one.emitter}</span>}
                <p className="text-ink-2">{one.words}</p>
              </td>
              <td className="border-line px-4 py-2">
                <Evidence indexes={one.evidence} tenant={tenant} />
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function When({ interval: { from, to, ongoing } }: { readonly interval: RedInterval }): ReactElement {
  return (
    <>
      <span className="mono block">{formatRowTime(new Date(from).toISOString(), 'local')}</span>
      <span className="block text-ink-3 text-xs">
        {ongoing === true ? `for ${formatSpan(to - from)}, and still` : `for ${formatSpan(to - from)}`}
      </span>
    </>
  );
}

function Evidence({ indexes, tenant }: { readonly indexes: readonly number[]; readonly tenant: string }): ReactElement {
  const shown = indexes.slice(0, evidenceShown);
  return (
    <span className="flex flex-wrap gap-x-2">
      {shown.map((index) => (
        <Link
          key={index}
          to="/explorer"
          search={{ tenant, range: 'all', event: index } as never}
          className="mono text-accent underline-offset-2 hover:underline"
        >
          {formatCount(index)}
        </Link>
      ))}
      {indexes.length > shown.length && <span className="text-ink-3">+{indexes.length - shown.length}</span>}
    </span>
  );
}
