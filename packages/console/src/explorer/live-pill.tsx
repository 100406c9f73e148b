/** How many events came since the list was read; rows don't jump, a click brings them in. */
import { ArrowUp } from 'lucide-react';
import type { ReactElement } from 'react';
import { formatCount, plural } from '../text/number.ts';
import type { LiveCount } from './use-live.ts';

export function LivePill({
  live,
  onShow,
}: {
  readonly live: LiveCount;
  readonly onShow: () => void;
}): ReactElement | null {
  const text = describe(live);
  return (
    <div role="status" className="relative z-20 h-0">
      {text && live.state !== 'off' && (
        <div className="-translate-x-1/2 absolute top-10 left-1/2">
          {live.matching + live.undecided > 0 ? (
            <button
              type="button"
              onClick={onShow}
              className="appear flex h-8 items-center gap-1.5 whitespace-nowrap rounded-full bg-accent px-3.5 font-medium text-on-accent shadow-panel hover:bg-accent-strong"
            >
              <ArrowUp className="size-4" aria-hidden="true" />
              {text}
            </button>
          ) : (
            <span className="appear flex h-7 items-center whitespace-nowrap rounded-full bg-raised px-3 text-ink-2 text-xs shadow-panel">
              {text}
            </span>
          )}
        </div>
      )}
    </div>
  );
}

function describe({ state, matching, undecided }: LiveCount): string | undefined {
  if (state === 'closed') return 'Live has stopped: the server closed it. Switch it off and on again.';
  if (state === 'reconnecting') return 'The connection was lost; reconnecting…';
  if (matching > 0) return plural(matching, 'new event');
  if (undecided > 0) return `${formatCount(undecided)} arrived; see which match`;
  return undefined;
}
