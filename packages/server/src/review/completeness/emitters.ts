/**
 * What emitters say of themselves, held against each other: one that reported and fell silent without saying goodbye, and counters that don't add up among
 * themselves, or with the numbers of the events in the log. docs/completeness.md, "What a gateway counted", has the two sums that must hold.
 */
import type { CounterName, Counters } from '@watchglass/record';
import { counted, type RedInterval, spanWords } from './red-interval.ts';
import type { EmitterSign, Sign } from './signs.ts';

/** How far apart counters may be configured: what is assumed until two of them show it. */
const cadenceMsMost = 3_600_000;
/** Counters that are late by less than this are only late. */
const lateMs = 90_000;

export interface Lane {
  readonly emitter: string;
  /** By sequence number. */
  readonly signs: readonly EmitterSign[];
}

/** The signs of each emitter, in the order in which it gave them. */
export function lanesOf(signs: readonly Sign[]): Lane[] {
  const lanes = new Map<string, EmitterSign[]>();
  for (const sign of signs) {
    if (sign.by !== 'emitter') continue;
    const lane = lanes.get(sign.emitter);
    if (lane === undefined) lanes.set(sign.emitter, [sign]);
    else lane.push(sign);
  }
  return [...lanes].map(([emitter, given]) => ({
    emitter,
    signs: given.sort((a, b) => a.seq - b.seq || a.index - b.index),
  }));
}

/** Whether it counts its requests: only then can its silence be told from having nothing to say. */
export function countsRequests({ signs }: Lane): boolean {
  return signs.some(({ what }) => what.kind === 'counters');
}

/** @param asOfMs up to when something could have come */
export function findSilences(lane: Lane, asOfMs: number): RedInterval[] {
  const found: RedInterval[] = [];
  const { emitter, signs } = lane;
  let before: EmitterSign | undefined;
  let cadenceMs = cadenceMsMost;
  for (const sign of signs) {
    if (before !== undefined) {
      const silent = silenceBetween(before, sign, limitOf(cadenceMs));
      if (silent !== undefined) {
        found.push({
          kind: 'emitter-silent',
          fromMs: Math.min(before.timeMs, sign.timeMs),
          toMs: Math.max(before.timeMs, sign.timeMs),
          emitter,
          evidence: [before.index, sign.index],
          words:
            silent === 'ended'
              ? `${emitter} ended without saying goodbye and was started again. What it did after its last count may not be on record.`
              : `${emitter} said nothing, though it counts its requests every ${spanWords(cadenceMs)}. What it did meanwhile may not be on record.`,
        });
      }
      if (sameRun(before, sign) && sign.timeMs - before.timeMs >= 1_000)
        cadenceMs = Math.min(cadenceMs, sign.timeMs - before.timeMs);
    }
    before = sign;
  }
  if (before !== undefined && before.what.kind !== 'stop' && countsRequests(lane)) {
    if (asOfMs - before.timeMs > limitOf(cadenceMs)) {
      found.push({
        kind: 'emitter-silent',
        fromMs: before.timeMs,
        toMs: asOfMs,
        ongoing: true,
        emitter,
        evidence: [before.index],
        words: `${emitter} has said nothing since, and no goodbye. It may have been killed, be cut off, or hold events that it can't send.`,
      });
    }
  }
  return found;
}

function limitOf(cadenceMs: number): number {
  return Math.max(3 * cadenceMs, cadenceMs + lateMs);
}

function silenceBetween(before: EmitterSign, sign: EmitterSign, limitMs: number): 'ended' | 'late' | undefined {
  if (before.what.kind === 'stop' || sign.what.kind === 'spool-cut') return undefined;
  if (sign.what.kind === 'start') return 'ended';
  if (before.what.kind === 'counters' && sign.what.kind === 'counters') {
    if (before.what.counters.since !== sign.what.counters.since) return 'ended';
    if (sign.timeMs - before.timeMs > limitMs) return 'late';
  }
  return undefined;
}

function sameRun(a: EmitterSign, b: EmitterSign): boolean {
  return a.what.kind === 'counters' && b.what.kind === 'counters' && a.what.counters.since === b.what.counters.since;
}

/** Cumulative ones: they never fall while a gateway runs. */
const growing: readonly CounterName[] = [
  'received',
  'recorded',
  'flooded',
  'faulted',
  'unrecorded',
  'answered',
  'refused',
  'connectionFaults',
  'eventsRecorded',
  'eventsUnrecorded',
];

interface Count {
  readonly sign: EmitterSign;
  readonly counters: Counters;
}

export function findCountFaults({ emitter, signs }: Lane): RedInterval[] {
  const found: RedInterval[] = [];
  let start: EmitterSign | undefined;
  let before: Count | undefined;
  for (const sign of signs) {
    if (sign.what.kind === 'start') {
      start = sign;
      before = undefined;
    }
    if (sign.what.kind === 'counters-broken') {
      const words = `${emitter} sent counters that can’t be read: some are missing, or are no numbers.`;
      found.push({ ...spanOf(before?.sign ?? start, sign), kind: 'counts-differ', emitter, words });
    }
    if (sign.what.kind !== 'counters') continue;
    const now: Count = { sign, counters: sign.what.counters };
    const earlier = before?.counters.since === now.counters.since ? before : undefined;
    const began = earlier === undefined && start !== undefined ? start : undefined;
    for (const words of faultsOf(emitter, now, earlier, began))
      found.push({ ...spanOf(earlier?.sign ?? began, sign), kind: 'counts-differ', emitter, words });
    before = now;
  }
  return found;
}

function spanOf(before: EmitterSign | undefined, sign: EmitterSign): Pick<RedInterval, 'fromMs' | 'toMs' | 'evidence'> {
  const since = sign.what.kind === 'counters' ? sign.what.counters.since : sign.timeMs;
  const fromMs = Math.min(before?.timeMs ?? since, sign.timeMs);
  return {
    fromMs,
    toMs: sign.timeMs,
    evidence: before === undefined ? [sign.index] : [before.index, sign.index],
  };
}

function faultsOf(
  emitter: string,
  { sign, counters }: Count,
  earlier: Count | undefined,
  start: EmitterSign | undefined,
): string[] {
  const words: string[] = [];
  const { received, recorded, flooded, faulted, unrecorded, inFlight } = counters;
  const accounted = recorded + flooded + faulted + unrecorded + inFlight;
  if (received !== accounted)
    words.push(
      `${emitter} saw ${counted(received, 'request')} and accounts for ${accounted}: its counters don’t add up.`,
    );
  const rose = (name: CounterName): number => counters[name] - (earlier?.counters[name] ?? 0);
  if (growing.some((name) => rose(name) < 0))
    words.push(`The counters of ${emitter} went back, which they never do while it runs.`);
  if (earlier !== undefined && earlier.sign.submitter !== sign.submitter)
    words.push(`Counters in the name of ${emitter} came by two write keys at once: somebody else may speak for it.`);
  if (rose('unrecorded') > 0)
    words.push(`${counted(rose('unrecorded'), 'request')} of ${emitter} ended with nothing on record.`);
  if (rose('eventsUnrecorded') > 0)
    words.push(`${counted(rose('eventsUnrecorded'), 'event')} of ${emitter} could not be made durable.`);
  const numbers = numbersGiven(counters, sign, earlier, start);
  if (numbers !== undefined && (numbers.given < numbers.least || numbers.given > numbers.most))
    words.push(
      `${emitter} counted ${numbers.least === numbers.most ? numbers.least : `${numbers.least} to ${numbers.most}`} events of its own, and numbered ${numbers.given}.`,
    );
  return words;
}

/** Events that were given to the spool between two counts (or since the start), by their numbers and by the counters. */
function numbersGiven(
  { eventsRecorded, eventsPending }: Counters,
  sign: EmitterSign,
  earlier: Count | undefined,
  start: EmitterSign | undefined,
): { readonly given: number; readonly least: number; readonly most: number } | undefined {
  if (earlier !== undefined) {
    const recorded = eventsRecorded - earlier.counters.eventsRecorded;
    return {
      given: sign.seq - earlier.sign.seq,
      least: Math.max(0, recorded - earlier.counters.eventsPending),
      most: recorded + eventsPending,
    };
  }
  if (start === undefined) return undefined;
  return { given: sign.seq - start.seq, least: eventsRecorded, most: eventsRecorded + eventsPending };
}
