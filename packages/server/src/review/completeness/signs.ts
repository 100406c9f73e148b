/**
 * Signs: what stored `system` events say about whether the record is whole. Only what came in by our own hand (`intake` and `submitter` are `self`) is believed about
 * the server and the ledger; what a gateway says of itself is held against other things, for whoever has its write key can say it too.
 */
import { type Change, type Counters, countersOf, decode, isCountersEvent, type StoredRecord } from '@watchglass/record';
import { serverEmitterId } from '../../access/own-recorder.ts';

interface Placed {
  readonly index: number;
  readonly receivedMs: number;
}

export interface OwnSign extends Placed {
  readonly by: 'self';
  readonly what:
    | { readonly kind: 'start' | 'stop' }
    | { readonly kind: 'heartbeat'; readonly received: number | undefined; readonly size: number | undefined }
    | { readonly kind: 'clock-stepped'; readonly expectedMs: number; readonly foundMs: number }
    | { readonly kind: 'recording-resumed'; readonly sinceMs: number; readonly untilMs: number }
    | {
        readonly kind: 'gap' | 'gap-closed';
        readonly emitter: string;
        readonly first: number;
        readonly last: number;
        readonly afterMs: number | undefined;
        readonly sinceMs: number | undefined;
      }
    /** The ledger's own statements of seals and keys, which a starting process may write before it says that it started. */
    | { readonly kind: 'statement' }
    | { readonly kind: 'other' };
}

export interface EmitterSign extends Placed {
  readonly by: 'emitter';
  readonly emitter: string;
  readonly seq: number;
  readonly submitter: string;
  /** When it says it happened: what waited in a spool came later. */
  readonly timeMs: number;
  readonly what:
    | { readonly kind: 'start' | 'stop' | 'spool-cut' }
    | { readonly kind: 'counters'; readonly counters: Counters }
    /** An event of counters that can't be read as such. */
    | { readonly kind: 'counters-broken' };
}

export type Sign = OwnSign | EmitterSign;

const statements: ReadonlySet<string> = new Set([
  'sealing-begun',
  'epoch-sealed',
  'checkpoint-key-rotated',
  'checkpoint-key-added',
  'checkpoint-key-overlap-ended',
  'log-succeeds',
]);

/** Undefined where an event says nothing of it. @param m a stored record */
export function signOf(index: number, m: Uint8Array): Sign | undefined {
  const record = decode(m);
  const { event } = record;
  if (event.kind !== 'system') return undefined;
  const place = { index, receivedMs: Date.parse(record.received) };
  if (record.intake === 'self' && record.submitter === 'self') return { ...place, by: 'self', what: ownOf(record) };
  const what = emitterWhat(record);
  if (what === undefined) return undefined;
  const { id: emitter, seq } = event.emitter;
  return { ...place, by: 'emitter', emitter, seq, submitter: record.submitter, timeMs: Date.parse(event.time), what };
}

/** When an entry was received; for any kind of event. */
export function receivedOf(m: Uint8Array): number {
  return Date.parse(decode(m).received);
}

function ownOf({ event }: StoredRecord): OwnSign['what'] {
  const { operation = '', changes = [], emitter, targets } = event;
  if (emitter.id === serverEmitterId && (operation === 'start' || operation === 'stop')) return { kind: operation };
  if (statements.has(operation)) return { kind: 'statement' };
  const count = (path: string): number | undefined => wholeOf(afterOf(changes, path));
  const moment = (path: string): number | undefined => momentOf(afterOf(changes, path));
  switch (operation) {
    case 'heartbeat':
      return { kind: 'heartbeat', received: count('/received'), size: count('/size') };
    case 'clock-stepped': {
      const expectedMs = moment('/clock/expected');
      const foundMs = moment('/clock/found');
      if (expectedMs === undefined || foundMs === undefined) return { kind: 'other' };
      return { kind: 'clock-stepped', expectedMs, foundMs };
    }
    case 'recording-resumed': {
      const sinceMs = moment('/paused/since');
      const untilMs = moment('/paused/until');
      if (sinceMs === undefined || untilMs === undefined) return { kind: 'other' };
      return { kind: 'recording-resumed', sinceMs, untilMs };
    }
    case 'sequence-gap':
    case 'sequence-gap-closed': {
      const first = count('/seq/first');
      const last = count('/seq/last');
      const id = targets?.[0]?.id;
      if (first === undefined || last === undefined || id === undefined) return { kind: 'other' };
      const kind = operation === 'sequence-gap' ? 'gap' : 'gap-closed';
      return { kind, emitter: id, first, last, afterMs: moment('/seq/after'), sinceMs: moment('/seq/since') };
    }
    default:
      return { kind: 'other' };
  }
}

function emitterWhat({ event }: StoredRecord): EmitterSign['what'] | undefined {
  const { operation } = event;
  if (operation === 'start' || operation === 'stop' || operation === 'spool-cut') return { kind: operation };
  if (!isCountersEvent(event)) return undefined;
  const counters = countersOf(event);
  return counters === undefined || !Object.values(counters).every(Number.isSafeInteger)
    ? { kind: 'counters-broken' }
    : { kind: 'counters', counters };
}

function afterOf(changes: readonly Change[], path: string): string | undefined {
  return changes.find((change) => change.path === path)?.after;
}

function wholeOf(text: string | undefined): number | undefined {
  return text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : undefined;
}

function momentOf(text: string | undefined): number | undefined {
  const ms = text === undefined ? Number.NaN : Date.parse(text);
  return Number.isNaN(ms) ? undefined : ms;
}
