/**
 * The list: one dense row an event, newest first. Rows are links, so that they open in a new tab too; only those near
 * the view are in the document. On a narrow screen a row is two lines.
 */
import { createColumnHelper, tableFeatures, useTable } from '@tanstack/react-table';
import { type ReactElement, type RefObject, useEffect, useRef } from 'react';
import type { ListedEvent } from '../api/client.ts';
import { plural } from '../text/number.ts';
import { nameOf, type People, standing } from '../text/people.ts';
import { describeEvent, isIntent, patientCount, plainText } from '../text/sentence.ts';
import { formatFullTime, formatRowTime, zoneName } from '../time/format.ts';
import type { Zone } from '../time/range.ts';
import { classNames } from '../ui/class-names.ts';
import { Outcome, OutcomeShape } from '../ui/outcome.tsx';
import { SealShape, type SealState, sealMeanings, sealWords } from '../ui/seal.tsx';
import { Sentence } from '../ui/sentence.tsx';
import { Skeleton } from '../ui/skeleton.tsx';
import { useWindowedRows } from './use-windowed-rows.ts';

export interface EventsTableProps {
  readonly events: readonly ListedEvent[];
  readonly people: People;
  readonly count: number;
  readonly zone: Zone;
  readonly narrow: boolean;
  /** Position of the row that j and k move. */
  readonly cursor: number;
  readonly opened: number | undefined;
  readonly sealOf: (event: ListedEvent) => SealState;
  readonly addressOf: (event: ListedEvent) => string;
  readonly onOpen: (event: ListedEvent, position: number) => void;
  readonly onNearEnd: () => void;
  readonly stale: boolean;
  readonly footer: ReactElement | null;
}

const rowPx = 34;
const narrowRowPx = 56;
/** Rows from the end at which older ones are asked for. */
const nearEndRows = 20;

interface TableMeta {
  readonly people: People;
  readonly zone: Zone;
  readonly sealOf: (event: ListedEvent) => SealState;
  readonly addressOf: (event: ListedEvent) => string;
}

interface Row {
  readonly event: ListedEvent;
  readonly meta: TableMeta;
  /** One row is a stop of the Tab key; j, k and the pointer reach the others. */
  readonly tabbable: boolean;
}

const features = tableFeatures({});
const helper = createColumnHelper<typeof features, Row>();
const columns = helper.columns([
  helper.display({ id: 'time', header: 'Time', cell: ({ row }) => <TimeCell {...row.original} /> }),
  helper.display({
    id: 'outcome',
    header: () => <span className="sr-only @3xl:not-sr-only">Outcome</span>,
    cell: ({ row }) => (
      <Outcome tight status={row.original.event.outcome.status} intent={isIntent(row.original.event)} />
    ),
  }),
  helper.display({ id: 'what', header: 'What happened', cell: ({ row }) => <WhatCell {...row.original} /> }),
  helper.display({ id: 'actor', header: 'Who', cell: ({ row }) => <ActorCell {...row.original} /> }),
  helper.display({ id: 'patients', header: 'Patients', cell: ({ row }) => patientCount(row.original.event) || '' }),
  helper.display({
    id: 'seal',
    header: 'Seal',
    cell: ({ row }) => <SealCell state={row.original.meta.sealOf(row.original.event)} />,
  }),
]);

/** Widths; the sentence takes what remains, and the less telling columns go first when there is little. */
const columnClasses: Readonly<Record<string, string>> = {
  time: 'w-36 pl-6 pr-2',
  outcome: 'w-11 px-2 @3xl:w-24',
  what: 'px-2',
  actor: 'w-40 px-2 hidden @xl:table-cell @3xl:w-48 @4xl:w-60 @6xl:w-72',
  patients: 'w-20 px-2 text-right hidden @3xl:table-cell',
  seal: 'w-16 pl-2 pr-6 text-center',
};

export function EventsTable(props: EventsTableProps): ReactElement {
  const { events, people, zone, sealOf, addressOf, cursor, narrow, count, onNearEnd } = props;
  const scroller = useRef<HTMLDivElement>(null);
  const height = narrow ? narrowRowPx : rowPx;
  const { first, end } = useWindowedRows(scroller, height, events.length);
  const meta: TableMeta = { people, zone, sealOf, addressOf };
  const data = events
    .slice(first, end)
    .map((event, i): Row => ({ event, meta, tabbable: first + i === Math.max(cursor, 0) }));
  const table = useTable({ features, columns, data, getRowId: (row) => String(row.event.index) });
  useCursorInView(scroller, cursor, height);
  useEffect(() => {
    if (end > events.length - nearEndRows) onNearEnd();
  }, [end, events.length, onNearEnd]);
  const common = { ...props, first };
  return (
    <section
      ref={scroller}
      aria-label="Events"
      aria-busy={props.stale}
      className="@container relative min-h-0 flex-1 overflow-y-auto overflow-x-hidden bg-surface outline-offset-[-2px]"
    >
      {narrow ? (
        <ul
          aria-label={plural(count, 'event')}
          style={{ paddingTop: first * height, paddingBottom: (events.length - end) * height }}
        >
          {data.map((row, i) => (
            <NarrowRow key={row.event.index} row={row} position={first + i} {...common} />
          ))}
        </ul>
      ) : (
        <table className="w-full table-fixed border-separate border-spacing-0" aria-rowcount={count + 1}>
          <caption className="sr-only">{plural(count, 'event')}, newest first</caption>
          <thead>
            {table.getHeaderGroups().map((group) => (
              <tr key={group.id} aria-rowindex={1}>
                {group.headers.map((header) => (
                  <th
                    key={header.id}
                    scope="col"
                    className={classNames(
                      'sticky top-0 z-10 h-8 border-line border-b bg-surface text-left font-medium text-ink-3 text-xs',
                      columnClasses[header.id],
                    )}
                  >
                    {header.id === 'time' ? (
                      `Time, ${zoneName(zone, new Date(events[0]?.time ?? 0))}`
                    ) : (
                      <table.FlexRender header={header} />
                    )}
                  </th>
                ))}
              </tr>
            ))}
          </thead>
          <tbody>
            <Spacer rows={first} height={height} />
            {table.getRowModel().rows.map((row, i) => {
              const position = first + i;
              const { event } = row.original;
              return (
                <tr
                  key={row.id}
                  aria-rowindex={position + 2}
                  data-position={position}
                  aria-current={event.index === props.opened ? 'true' : undefined}
                  onClick={(click) => {
                    const selecting = window.getSelection()?.isCollapsed === false;
                    if (!hasModifier(click) && !selecting) props.onOpen(event, position);
                  }}
                  className={classNames(
                    'cursor-default -outline-offset-2 outline-accent has-[a:focus-visible]:outline-2',
                    event.index === props.opened
                      ? 'bg-accent-wash'
                      : position === cursor
                        ? 'bg-hover'
                        : 'hover:bg-hover',
                  )}
                >
                  {row.getAllCells().map((cell) => (
                    <td
                      key={cell.id}
                      className={classNames('h-[34px] truncate border-line border-b', columnClasses[cell.column.id])}
                    >
                      <table.FlexRender cell={cell} />
                    </td>
                  ))}
                </tr>
              );
            })}
            <Spacer rows={events.length - end} height={height} />
          </tbody>
        </table>
      )}
      {props.footer}
    </section>
  );
}

function TimeCell({ event, meta }: Row): ReactElement {
  return (
    <time dateTime={event.time} title={formatFullTime(event.time, meta.zone)} className="mono text-ink-2">
      {formatRowTime(event.time, meta.zone)}
    </time>
  );
}

function WhatCell({ event, meta, tabbable }: Row): ReactElement {
  const parts = describeEvent(event, meta.people);
  return (
    <a
      href={meta.addressOf(event)}
      data-event-link=""
      title={plainText(parts)}
      tabIndex={tabbable ? 0 : -1}
      onClick={(click) => {
        // The row opens it in place; with a modifier the browser opens a tab.
        if (!hasModifier(click)) click.preventDefault();
      }}
      className="text-ink outline-none"
    >
      <Sentence parts={parts} />
    </a>
  );
}

/** The name, then what they are in quiet ink; the id is in the title. */
function ActorCell({ event: { actor }, meta }: Row): ReactElement {
  const name = nameOf(actor, meta.people);
  const as = standing(actor, meta.people, 1);
  return (
    <span title={as === '' ? actor.id : `${actor.id} · ${as}`}>
      {name === undefined ? <span className="mono">{actor.id}</span> : name}
      {as !== '' && <span className="hidden text-ink-3 @3xl:inline"> {as}</span>}
    </span>
  );
}

function SealCell({ state }: { readonly state: SealState }): ReactElement {
  return (
    <span title={`${sealWords[state]}. ${sealMeanings[state]}`} className="inline-flex align-middle">
      <SealShape state={state} />
      <span className="sr-only">{sealWords[state]}</span>
    </span>
  );
}

function NarrowRow(props: EventsTableProps & { readonly row: Row; readonly position: number }): ReactElement {
  const { row, position, zone } = props;
  const { event, meta } = row;
  const parts = describeEvent(event, meta.people);
  const { status } = event.outcome;
  const name = nameOf(event.actor, meta.people);
  const as = standing(event.actor, meta.people, 1);
  return (
    <li data-position={position} className="h-14 border-line border-b">
      <a
        href={meta.addressOf(event)}
        data-event-link=""
        aria-current={event.index === props.opened ? 'true' : undefined}
        onClick={(click) => {
          if (hasModifier(click)) return;
          click.preventDefault();
          props.onOpen(event, position);
        }}
        className={classNames(
          'flex h-full flex-col justify-center px-4 -outline-offset-2',
          event.index === props.opened ? 'bg-accent-wash' : 'active:bg-hover',
        )}
      >
        <span className="flex items-center gap-2">
          <OutcomeShape status={status} />
          <span className="min-w-0 flex-1 truncate font-medium text-ink">
            <Sentence parts={parts} />
          </span>
          <SealShape state={meta.sealOf(event)} />
        </span>
        <span className="flex gap-2 pl-5 text-ink-3 text-xs">
          <span className="min-w-0 flex-1 truncate">
            {status !== 'success' && (
              <span className={status === 'error' ? 'text-red' : status === 'denied' ? 'text-amber' : 'text-ink-2'}>
                {status} ·{' '}
              </span>
            )}
            {name ?? event.actor.id}
            {as !== '' && `, ${as}`}
          </span>
          <span className="mono shrink-0">
            {formatRowTime(event.time, zone)} {zoneName(zone, new Date(event.time))}
          </span>
        </span>
      </a>
    </li>
  );
}

function hasModifier(click: { metaKey: boolean; ctrlKey: boolean; shiftKey: boolean }): boolean {
  return click.metaKey || click.ctrlKey || click.shiftKey;
}

function Spacer({ rows, height }: { readonly rows: number; readonly height: number }): ReactElement | null {
  if (rows <= 0) return null;
  return (
    <tr>
      <td style={{ height: rows * height }} />
    </tr>
  );
}

function useCursorInView(scroller: RefObject<HTMLElement | null>, cursor: number, height: number): void {
  useEffect(() => {
    const element = scroller.current;
    if (!element || cursor < 0) return;
    const headPx = 32;
    const top = cursor * height;
    if (top < element.scrollTop) element.scrollTop = top;
    else if (top + height + headPx > element.scrollTop + element.clientHeight) {
      element.scrollTop = top + height + headPx - element.clientHeight;
    }
  }, [scroller, cursor, height]);
}

export function EventsSkeleton(): ReactElement {
  return (
    <div
      aria-busy="true"
      aria-label="Loading events"
      role="status"
      className="flex-1 overflow-hidden bg-surface px-6 pt-3"
    >
      {Array.from({ length: 14 }, (_, n) => n).map((n) => (
        <div key={n} className="flex h-[34px] items-center gap-4">
          <Skeleton className="h-3 w-24" />
          <Skeleton className="h-3 w-16" />
          <Skeleton className={n % 3 === 0 ? 'h-3 flex-1' : n % 3 === 1 ? 'h-3 w-1/2' : 'h-3 w-2/5'} />
        </div>
      ))}
    </div>
  );
}
