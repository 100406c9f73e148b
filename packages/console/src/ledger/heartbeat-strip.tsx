/** The checks since the page was opened, one stroke each: its height is what the log grew by, red where it was not intact. */
import type { ReactElement } from 'react';
import { formatCount, plural } from '../text/number.ts';
import type { Heartbeat } from './check-history.ts';

const strokePx = 5;
const heightPx = 32;
/** Places drawn before the checks fill them. */
const placesMin = 32;

export function HeartbeatStrip({ beats }: { readonly beats: readonly Heartbeat[] }): ReactElement | null {
  if (beats.length === 0) return null;
  const most = Math.max(1, ...beats.map((beat) => beat.grown));
  const grown = beats.reduce((sum, beat) => sum + beat.grown, 0);
  const places = Math.max(beats.length, placesMin);
  const broken = beats.filter((beat) => !beat.intact).length;
  return (
    <figure className="flex flex-col gap-1 sm:items-end">
      <svg
        width={places * strokePx}
        height={heightPx}
        role="img"
        aria-label={`${plural(beats.length, 'check')} since this page was opened`}
      >
        {Array.from({ length: places - beats.length }, (_, i) => i * strokePx).map((x) => (
          <rect key={x} x={x} y={heightPx - 2} width={3} height={2} fill="var(--line-strong)" />
        ))}
        {beats.map((beat, i) => {
          const height = beat.intact ? 4 + (beat.grown / most) * (heightPx - 4) : heightPx;
          const x = (places - beats.length + i) * strokePx;
          return (
            <rect
              key={beat.at}
              x={x}
              y={heightPx - height}
              width={3}
              height={height}
              rx={1}
              fill={beat.intact ? 'var(--green-mark)' : 'var(--red-mark)'}
            />
          );
        })}
      </svg>
      <figcaption className="label">
        {plural(beats.length, 'check')}, {broken > 0 ? `${formatCount(broken)} not intact` : 'all intact'},{' '}
        {formatCount(grown)} new
      </figcaption>
    </figure>
  );
}
