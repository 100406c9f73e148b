/**
 * The Explorer: what happened, who did it, and the proof. All of its state is in the URL; all filtering is the server's.
 */
import { Radio, RefreshCw } from 'lucide-react';
import { type ReactElement, useCallback, useEffect, useMemo, useRef, useState } from 'react';
import type { ListedEvent } from '../api/client.ts';
import { isRecordingRefusal } from '../api/recording.ts';
import { ConsoleError } from '../errors.ts';
import { useLog, useTenant } from '../ledger/use-log.ts';
import type { Verdict } from '../proof/check-proof.ts';
import { useSession } from '../shell/session.tsx';
import { useKeys } from '../shell/shortcuts.ts';
import { activeFilters, changeState, clearFilters, type Filters, queryOf } from '../state/explorer-state.ts';
import { useKnownPeople } from '../state/known-people.ts';
import { explorerAddress, useExplorerState } from '../state/use-explorer-state.ts';
import { plural } from '../text/number.ts';
import { shiftRange } from '../time/range.ts';
import { AwaitedLine } from '../ui/awaited-line.tsx';
import { Button } from '../ui/button.tsx';
import { classNames } from '../ui/class-names.ts';
import { ErrorScreen, MessageScreen } from '../ui/message-screen.tsx';
import type { SealState } from '../ui/seal.tsx';
import { useMedia } from '../ui/use-media.ts';
import { CountsPanel } from './counts-panel.tsx';
import { EventPanel } from './event-panel.tsx';
import { EventsSkeleton, EventsTable } from './events-table.tsx';
import { Facets } from './facets.tsx';
import { FilterChips } from './filter-chips.tsx';
import { FilterForm } from './filter-form.tsx';
import { FirstEvent } from './first-event.tsx';
import { LivePill } from './live-pill.tsx';
import { SearchField } from './search-field.tsx';
import { TimeRangePicker } from './time-range-picker.tsx';
import { useEventList, useSummary } from './use-events.ts';
import { useLive } from './use-live.ts';
import { sealOfVerdict } from './use-verdict.ts';

export function ExplorerPage(): ReactElement {
  const { person } = useSession();
  if (!person.rights.includes('search')) {
    return (
      <MessageScreen title="Your roles don’t read the audit trail">
        <p>
          Reviewing belongs to privacy officers, security analysts, auditors and administrators. Ask an administrator of
          this server if that is your work.
        </p>
      </MessageScreen>
    );
  }
  return <Explorer />;
}

function Explorer(): ReactElement {
  const { person, demo } = useSession();
  const tenant = useTenant();
  const { state, change, set } = useExplorerState();
  const narrow = useMedia('(max-width: 639px)');
  const [asOfMs, setAsOfMs] = useState(() => Date.now());
  const [live, setLive] = useState(false);
  const [verdicts, setVerdicts] = useState<ReadonlyMap<number, Verdict>>(new Map());
  const searchField = useRef<HTMLInputElement>(null);
  const zone = state.zone ?? 'local';

  // The open event is no part of the question.
  const question = JSON.stringify(queryOf({ ...changeState(state, { event: undefined }), tenant }, asOfMs));
  const query = useMemo(() => JSON.parse(question) as ReturnType<typeof queryOf>, [question]);
  const handle = useEventList(tenant, query, asOfMs);
  const people = useKnownPeople(tenant);
  const summary = useSummary(tenant, query, asOfMs);
  const news = useLive({ on: live, tenant, own: person.id, query, asOfMs });
  const { data: log, refetch: checkLog } = useLog();
  const size = log?.kind === 'intact' ? Number(log.size) : undefined;

  const events = handle.list?.events ?? noEvents;
  const openedAt = state.event === undefined ? -1 : events.findIndex((event) => event.index === state.event);
  const [cursor, setCursor] = useState(-1);
  const position = openedAt >= 0 ? openedAt : Math.min(cursor, events.length - 1);

  const open = useCallback(
    (event: ListedEvent, at: number) => {
      setCursor(at);
      change({ event: event.index }, { replace: state.event !== undefined });
    },
    [change, state.event],
  );
  const close = useCallback(() => {
    setCursor(openedAt);
    change({ event: undefined });
    requestAnimationFrame(() => focusRow(openedAt));
  }, [change, openedAt]);
  const move = useCallback(
    (step: -1 | 1) => {
      const next = Math.max(0, Math.min(events.length - 1, position + step));
      const event = events[next];
      if (!event) return;
      setCursor(next);
      if (state.event !== undefined) change({ event: event.index }, { replace: true });
      else requestAnimationFrame(() => focusRow(next));
    },
    [change, events, position, state.event],
  );
  const refresh = useCallback(() => {
    setAsOfMs(Date.now());
    void checkLog();
  }, [checkLog]);
  const search = (filters: Filters): void => change({ q: undefined, ...filters });
  const toggleLive = (): void => {
    if (person.rights.includes('tail')) setLive(!live);
  };

  useKeys([
    [
      '/',
      (key) => {
        key.preventDefault();
        searchField.current?.focus();
        searchField.current?.select();
      },
    ],
    ['j', () => move(1)],
    ['k', () => move(-1)],
    [
      'Enter',
      (key) => {
        const event = events[position];
        if (event && (key.target === document.body || (key.target as HTMLElement).id === 'content'))
          open(event, position);
      },
    ],
    [
      'Escape',
      () => {
        if (state.event !== undefined) close();
      },
    ],
    ['r', refresh],
    ['l', toggleLive],
    [
      '[',
      () => {
        const earlier = shiftRange(state, asOfMs, -1);
        if (earlier) change({ range: undefined, from: earlier.from, to: earlier.to });
      },
    ],
    [
      ']',
      () => {
        const later = shiftRange(state, asOfMs, 1);
        if (later) change({ range: undefined, from: later.from, to: later.to });
      },
    ],
  ]);

  const sealOf = useCallback(
    (event: ListedEvent): SealState => {
      const verdict = verdicts.get(event.index);
      if (verdict) return sealOfVerdict(verdict);
      if (size === undefined) return 'unchecked';
      return event.index < size ? 'covered' : 'pending';
    },
    [verdicts, size],
  );
  const onVerdict = useCallback((index: number, verdict: Verdict) => {
    setVerdicts((before) => (before.get(index) === verdict ? before : new Map(before).set(index, verdict)));
  }, []);
  const addressOf = useCallback(
    (event: ListedEvent) => explorerAddress(changeState(state, { event: event.index })),
    [state],
  );
  useEffect(() => {
    document.title = state.event === undefined ? 'Explorer · Watchglass' : `Event ${state.event} · Watchglass`;
  }, [state.event]);

  const small = useMedia('(max-width: 1023px)');
  const wide = useMedia(state.event === undefined ? '(min-width: 1024px)' : '(min-width: 1680px)');
  const facets = (
    <Facets
      facets={summary.data?.facets}
      people={people}
      failed={summary.isError}
      state={state}
      spread={small}
      onChange={change}
    />
  );
  return (
    <>
      <div className="flex flex-wrap items-center gap-2 px-4 py-3 md:px-6">
        <h1 className="sr-only font-semibold text-lg tracking-tight xl:not-sr-only xl:mr-2">Explorer</h1>
        <SearchField field={searchField} q={state.q ?? ''} onSearch={search} />
        <FilterForm state={state} onChange={change} facets={small ? facets : undefined} />
        <TimeRangePicker state={state} asOfMs={asOfMs} onChange={change} />
        {person.rights.includes('tail') && (
          <Button aria-pressed={live} onClick={toggleLive} title="Count new events as they arrive (l)">
            <Radio className="size-4" aria-hidden="true" />
            <span className="hidden sm:inline">Live</span>
            {live && news.state !== 'open' && <span className="sr-only">{news.state}</span>}
          </Button>
        )}
        <Button icon aria-label="Refresh (r)" title="Refresh (r)" onClick={refresh}>
          <RefreshCw className={classNames('size-4', handle.stale && 'animate-spin')} aria-hidden="true" />
        </Button>
      </div>
      <FilterChips state={state} people={people} onChange={change} onClear={() => set(clearFilters(state))} />
      <div className="flex min-h-0 flex-1 border-line border-t">
        {wide && !(summary.isError && !summary.data) && (
          <aside aria-label="Facets" className="w-52 shrink-0 overflow-y-auto border-line border-r">
            {facets}
          </aside>
        )}
        <div className="relative flex min-w-0 flex-1 flex-col bg-surface">
          {(handle.stale || summary.isPlaceholderData) && <AwaitedLine />}
          <CountsPanel
            summary={summary.data}
            unindexed={Math.max(handle.list?.unindexed ?? 0, summary.data?.unindexed ?? 0)}
            stale={summary.isPlaceholderData}
            failed={summary.isError}
            state={state}
            narrow={narrow}
            onChange={change}
          />
          <LivePill live={news} onShow={refresh} />
          {handle.list === undefined ? (
            handle.error ? (
              <ErrorScreen error={forReaders(handle.error)} onRetry={handle.retry} />
            ) : (
              <EventsSkeleton />
            )
          ) : events.length === 0 ? (
            <Nothing
              filtered={activeFilters(state).length > 0}
              everything={state.range === 'all'}
              logEmpty={size === 0}
              demo={demo}
              onClear={() => set(clearFilters(state))}
              onAll={() => change({ range: 'all', from: undefined, to: undefined })}
            />
          ) : (
            <EventsTable
              events={events}
              people={people}
              count={handle.list.count}
              zone={zone}
              narrow={narrow}
              cursor={position}
              opened={state.event}
              sealOf={sealOf}
              addressOf={addressOf}
              onOpen={open}
              onNearEnd={handle.loadOlder}
              stale={handle.stale}
              footer={
                <ListFooter events={events} handle={handle} demo={demo} filtered={activeFilters(state).length > 0} />
              }
            />
          )}
        </div>
        {state.event !== undefined && (
          <EventPanel
            index={state.event}
            listed={events[openedAt]}
            zone={zone}
            nowMs={asOfMs}
            address={explorerAddress(state)}
            onClose={close}
            onPrevious={openedAt > 0 ? () => move(-1) : undefined}
            onNext={openedAt >= 0 && openedAt < events.length - 1 ? () => move(1) : undefined}
            onFilter={change}
            onVerdict={onVerdict}
          />
        )}
      </div>
    </>
  );
}

const noEvents: readonly ListedEvent[] = [];

/** Where the server speaks to senders, or of what is on the screen already, in a reader's words. */
function forReaders(error: unknown): unknown {
  if (!(error instanceof ConsoleError)) return error;
  // An ended session already brings up the sign-in; what is behind it stays calm.
  if (error.status === 401)
    return new ConsoleError('signed-out', 'Sign in again; filters, range and the open event are kept.', {});
  if (error.status === 429 || error.code === 'unavailable') {
    return new ConsoleError(
      error.code,
      'What is on record is not touched, and your filters are kept. Try again in a few seconds; if it stays so, ask who runs this server to look at its log.',
      error,
    );
  }
  if (!isRecordingRefusal(error)) return error;
  return new ConsoleError(
    error.code,
    'What is on record is not touched. Look at the Ledger screen for the reason, and try again once it takes records.',
    error,
  );
}

interface NothingProps {
  readonly filtered: boolean;
  readonly everything: boolean;
  readonly logEmpty: boolean;
  readonly demo: boolean;
  readonly onClear: () => void;
  readonly onAll: () => void;
}

function Nothing({ filtered, everything, logEmpty, demo, onClear, onAll }: NothingProps): ReactElement {
  const actions = (
    <>
      {filtered && <Button onClick={onClear}>Clear filters</Button>}
      {!everything && <Button onClick={onAll}>Look at all time</Button>}
    </>
  );
  if (!filtered && (everything || logEmpty)) return <FirstEvent demo={demo} actions={actions} />;
  return (
    <MessageScreen title={filtered ? 'Nothing matches' : 'Nothing happened in this range'} actions={actions}>
      <p>
        {filtered ? 'No event in this range matches all of the filters.' : 'There are events before or after it.'} The
        server looked through the whole range, not through a page.
      </p>
    </MessageScreen>
  );
}

interface ListFooterProps {
  readonly events: readonly ListedEvent[];
  readonly handle: ReturnType<typeof useEventList>;
  readonly demo: boolean;
  readonly filtered: boolean;
}

function ListFooter({ events, handle, demo, filtered }: ListFooterProps): ReactElement {
  const list = handle.list;
  const shown = events.length;
  if (!filtered && list?.hasOlder === false && events.every((event) => event.submitter === 'self')) {
    return <FirstEvent demo={demo} ownOnly />;
  }
  return (
    <div className="flex h-14 items-center gap-3 px-6 text-ink-3 text-xs">
      {handle.olderError ? (
        <>
          <span className="text-red">Older events could not be read.</span>
          <Button onClick={handle.loadOlder}>Try again</Button>
        </>
      ) : list?.hasOlder ? (
        <Button onClick={handle.loadOlder} disabled={handle.loadingOlder}>
          {handle.loadingOlder ? 'Reading older events…' : 'Older events'}
        </Button>
      ) : (
        <span>
          {plural(shown, 'event')}: {shown === 1 ? 'that is all.' : 'that is all of them.'}
        </span>
      )}
    </div>
  );
}

function focusRow(position: number): void {
  document
    .querySelector<HTMLElement>(`[data-position="${position}"] [data-event-link], li[data-position="${position}"] a`)
    ?.focus({ preventScroll: true });
}
