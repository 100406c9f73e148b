/**
 * What a gateway counts of its own requests, as a `system` event `request-counters`: cumulative numbers since its start, one a change (`/received` after `417`).
 * They are what the ledger is held against, so minimisation keeps them: these names, plain decimals, and nothing else.
 */
import type { Change, Event } from './event.ts';

export const countersOperation = 'request-counters';

/** docs/completeness.md says what each counts, and what they add up to. */
export const counterNames = [
  'since',
  'received',
  'recorded',
  'flooded',
  'faulted',
  'unrecorded',
  'inFlight',
  'answered',
  'refused',
  'connectionFaults',
  'eventsRecorded',
  'eventsPending',
  'eventsUnrecorded',
] as const;

export type CounterName = (typeof counterNames)[number];
/** `since` is milliseconds since 1970. */
export type Counters = Readonly<Record<CounterName, number>>;

const paths: ReadonlySet<string> = new Set(counterNames.map((name) => `/${name}`));
const decimal = /^(?:0|[1-9]\d{0,15})$/;

export function isCountersEvent(event: Pick<Event, 'kind' | 'operation'>): boolean {
  return event.kind === 'system' && event.operation === countersOperation;
}

/** Of an event of counters: a number that may stay. */
export function isCounter({ path, before, after }: Change): boolean {
  return before === undefined && after !== undefined && paths.has(path) && decimal.test(after);
}

export function countersToChanges(counters: Counters): Change[] {
  return counterNames.map((name) => ({ op: 'replace', path: `/${name}`, after: String(counters[name]) }));
}

/** The counters of an event; `undefined` where it isn't one that has all of them. */
export function countersOf(event: Pick<Event, 'kind' | 'operation' | 'changes'>): Counters | undefined {
  if (!isCountersEvent(event)) return undefined;
  const found = (event.changes ?? [])
    .filter(isCounter)
    .map(({ path, after }) => [path.slice(1), Number(after)] as const);
  const counters = Object.fromEntries(found) as Record<CounterName, number>;
  return counterNames.every((name) => Object.hasOwn(counters, name)) ? counters : undefined;
}
