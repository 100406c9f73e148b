/** The report as it goes out: times as texts, bounded lists, and the verdict in words. */
import { isOwnEmitter } from '../../access/own-recorder.ts';
import type { EmitterStatus } from '../../ledger/ledger.ts';
import { countsRequests, type Lane } from './emitters.ts';
import { counted, type RedInterval, type RedKind } from './red-interval.ts';

const intervalsMax = 500;
const emittersMax = 500;

export interface CompletenessReport {
  readonly tenant: string;
  /** `red`: there are intervals. `clear`: there are none, and everything asked for was examined. `partial`: there are none in what was. */
  readonly verdict: 'red' | 'clear' | 'partial';
  readonly words: string;
  readonly red: readonly ShownInterval[];
  /** More than are shown. */
  readonly redOmitted?: number;
  readonly examined: {
    readonly from: string;
    readonly to: string;
    /** Entries of the log from `first` to before `end`; equal where there are none. */
    readonly first: number;
    readonly end: number;
    /** Events of the server, the ledger and the emitters themselves that the report follows from. */
    readonly signs: number;
  };
  /** What was asked for and not looked at. */
  readonly unexamined: readonly { readonly from?: string; readonly to?: string; readonly words: string }[];
  /** What can't be seen from here, however long one looks. */
  readonly limits: readonly string[];
  readonly emitters: readonly ShownEmitter[];
  readonly emittersOmitted?: number;
}

export interface ShownInterval {
  readonly kind: RedKind;
  readonly from: string;
  readonly to: string;
  readonly ongoing?: true;
  readonly emitter?: string;
  readonly evidence: readonly number[];
  readonly words: string;
}

export interface ShownEmitter {
  readonly id: string;
  /** Events of it in the log, as far as is remembered. */
  readonly received: number;
  readonly lastSeq: number;
  /** Numbers that are missing now, late ones among them. */
  readonly missing: number;
  /** Whether it counts its requests, so that silence can be told. */
  readonly counts: boolean;
  /** The newest thing it said of itself. */
  readonly lastSign?: string;
}

/** What wasn't looked at. */
export interface Unexamined {
  readonly fromMs?: number;
  readonly toMs?: number;
  readonly words: string;
}

export function reportOf(parts: {
  readonly tenant: string;
  readonly asked: { readonly fromMs: number; readonly toMs: number };
  readonly unexamined: readonly Unexamined[];
  readonly found: readonly RedInterval[];
  readonly signCount: number;
  readonly lanes: readonly Lane[];
  readonly emitters: readonly EmitterStatus[];
  readonly first: number;
  readonly end: number;
}): CompletenessReport {
  const { tenant, unexamined, found, signCount, lanes, first, end } = parts;
  const { fromMs, toMs } = parts.asked;
  const others = parts.emitters.filter(({ id }) => !isOwnEmitter(id));
  const laneOf = new Map(lanes.map((lane) => [lane.emitter, lane]));
  const emitters = others.map(({ id, received, lastSeq, gaps }): ShownEmitter => {
    const lane = laneOf.get(id);
    const last = lane?.signs.at(-1);
    return {
      id,
      received,
      lastSeq,
      missing: gaps.reduce((sum, gap) => sum + gap.last - gap.first + 1, 0),
      counts: lane !== undefined && countsRequests(lane),
      ...(last === undefined ? {} : { lastSign: timeOf(last.timeMs) }),
    };
  });
  const counting = emitters.filter(({ counts }) => counts).length;
  const verdict = found.length > 0 ? 'red' : unexamined.length > 0 ? 'partial' : 'clear';
  return {
    tenant,
    verdict,
    words: wordsOf(verdict, found.length, { end, first, emitters: emitters.length, counting }),
    red: found.slice(-intervalsMax).map(shownInterval),
    ...(found.length > intervalsMax ? { redOmitted: found.length - intervalsMax } : {}),
    examined: { from: timeOf(fromMs), to: timeOf(toMs), first, end: Math.max(first, end), signs: signCount },
    unexamined: unexamined.map(({ fromMs: from, toMs: to, words }) => ({
      ...(from === undefined ? {} : { from: timeOf(from) }),
      ...(to === undefined ? {} : { to: timeOf(to) }),
      words,
    })),
    limits: limitsOf(emitters.length - counting),
    emitters: emitters.slice(0, emittersMax),
    ...(emitters.length > emittersMax ? { emittersOmitted: emitters.length - emittersMax } : {}),
  };
}

function shownInterval({ fromMs, toMs, ...rest }: RedInterval): ShownInterval {
  const { kind, ...others } = rest;
  return { kind, from: timeOf(fromMs), to: timeOf(toMs), ...others };
}

function wordsOf(
  verdict: CompletenessReport['verdict'],
  red: number,
  examined: { readonly first: number; readonly end: number; readonly emitters: number; readonly counting: number },
): string {
  const { first, end, emitters, counting } = examined;
  const entries = end > first ? `entries ${first} to ${end - 1}` : 'no entries';
  const rests = `Examined: ${entries} of the log, ${counted(emitters, 'emitter')}, ${counting} of which ${counting === 1 ? 'counts its' : 'count their'} requests.`;
  switch (verdict) {
    case 'red':
      return `The record may be incomplete in ${counted(red, 'interval')}. ${rests}`;
    case 'clear':
      return `No red interval. ${rests}`;
    case 'partial':
      return `No red interval in what was examined, and not everything was. ${rests}`;
  }
}

function limitsOf(uncounted: number): string[] {
  const always = 'What never reached a gateway, an SDK or this server leaves no trace here.';
  if (uncounted === 0) return [always];
  const few = uncounted === 1;
  return [
    always,
    `${counted(uncounted, 'emitter')} ${few ? 'counts' : 'count'} no requests: ${few ? 'its' : 'their'} silence can’t be told from having nothing to say.`,
  ];
}

function timeOf(ms: number): string {
  return new Date(ms).toISOString();
}
