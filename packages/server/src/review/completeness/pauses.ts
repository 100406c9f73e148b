/**
 * When the ledger took no records, and when its clock can't be believed: starts with what came before them, spells with a full disk, clocks that were
 * stepped, and stretches without any entry though an idle log writes a heartbeat every five minutes. What lies between two signs is looked at by halving,
 * within a bound; past it, it is said which part wasn't.
 */
import { type RedInterval, spanWords } from './red-interval.ts';
import type { OwnSign, Sign } from './signs.ts';

/** An idle log has an entry every five minutes; a minute for a slow disk. */
const quietMsMax = 6 * 60_000;
/** Own events are made in the order of the log, but for what waited for a key. */
const backMsMin = 60_000;
/** Over a restart nothing waits. */
const backMsMinRestart = 1_000;
/** Statements that a starting process makes before it says that it started. */
export const statementsMax = 64;

export interface Entry {
  readonly index: number;
  readonly receivedMs: number;
  readonly sign: Sign | undefined;
}

/** The entry at an index, or the next one that is there; undefined past the end, or once no more may be read. */
export type EntryReader = (index: number) => Promise<Entry | undefined>;

export interface Pauses {
  readonly red: readonly RedInterval[];
  /** Between these entries nobody looked whether there was a pause. */
  readonly unexamined: readonly { readonly fromMs: number; readonly toMs: number }[];
}

/** @param signs in the order of the log, the first and last entry looked at among them, where they are there */
export async function findPauses(signs: readonly (Sign | Entry)[], read: EntryReader): Promise<Pauses> {
  const red: RedInterval[] = [];
  const unexamined: { fromMs: number; toMs: number }[] = [];
  const steps = signs.flatMap((one) => stepOf(one) ?? []);
  let before: Entry | undefined;
  let ownBefore: OwnSign | undefined;
  for (const one of signs) {
    const entry = 'sign' in one ? one : { index: one.index, receivedMs: one.receivedMs, sign: one };
    const { sign } = entry;
    const own = sign?.by === 'self' ? sign : undefined;
    if (own?.what.kind === 'start') red.push(...(await beforeStart(own, read)));
    else if (before !== undefined && own?.what.kind !== 'statement')
      await quietBetween(before, entry, read, { red, unexamined, steps });
    if (own !== undefined) {
      red.push(...clockOf(own, ownBefore));
      ownBefore = own;
    }
    before = entry;
  }
  return { red, unexamined };
}

async function beforeStart(start: OwnSign, read: EntryReader): Promise<RedInterval[]> {
  let before: Entry | undefined;
  for (let index = start.index - 1; index >= 0 && start.index - index <= statementsMax; index--) {
    const entry = await read(index);
    // What was shredded, or may not be read any more, says nothing: then this isn't told, rather than told wrong.
    if (entry === undefined || entry.index !== index) return [];
    if (entry.sign?.by === 'self' && entry.sign.what.kind === 'statement') continue;
    before = entry;
    break;
  }
  if (before === undefined) return [];
  const clean = before.sign?.by === 'self' && before.sign.what.kind === 'stop';
  const awayMs = start.receivedMs - before.receivedMs;
  const span = {
    fromMs: Math.min(before.receivedMs, start.receivedMs),
    toMs: Math.max(before.receivedMs, start.receivedMs),
    evidence: [before.index, start.index],
  };
  const away = awayMs < 0 ? '' : `, at most ${spanWords(awayMs)}`;
  const words = clean
    ? `The server was stopped and started again${away}. Gateways and SDKs keep their events meanwhile and send them later; what others did is not on record.`
    : `The server ended without a stop on record (it was killed, lost power, or could write no more) and was started again${away}. Gateways and SDKs keep their events meanwhile and send them later; what others did is not on record.`;
  const found: RedInterval[] = [{ kind: 'recording-paused', ...span, words }];
  if (awayMs < -backMsMinRestart) found.push({ kind: 'clock-stepped', ...span, words: backWords(-awayMs) });
  return found;
}

/** What a sign says of the clock and the disk, by itself or against the one before it. */
export function clockOf(sign: OwnSign, before: OwnSign | undefined): RedInterval[] {
  const { what, index } = sign;
  if (what.kind === 'clock-stepped') {
    const { expectedMs, foundMs } = what;
    const words =
      foundMs < expectedMs
        ? backWords(expectedMs - foundMs)
        : `The clock of the server was set ahead by ${spanWords(foundMs - expectedMs)}, or the machine slept. No entry has a time in between, and those before it may have a wrong one.`;
    return [
      {
        kind: 'clock-stepped',
        fromMs: Math.min(expectedMs, foundMs),
        toMs: Math.max(expectedMs, foundMs),
        evidence: [index],
        words,
      },
    ];
  }
  if (what.kind === 'recording-resumed') {
    const words =
      'The disk under the ledger was full, and what was sent was refused. Gateways and SDKs keep their events meanwhile and send them later; what others did is not on record.';
    return [{ kind: 'recording-paused', fromMs: what.sinceMs, toMs: what.untilMs, evidence: [index], words }];
  }
  const backMs = before === undefined || what.kind === 'start' ? 0 : before.receivedMs - sign.receivedMs;
  if (before === undefined || backMs < backMsMin) return [];
  return [
    {
      kind: 'clock-stepped',
      fromMs: sign.receivedMs,
      toMs: before.receivedMs,
      evidence: [before.index, index],
      words: backWords(backMs),
    },
  ];
}

function backWords(ms: number): string {
  return `The clock of the server was set back by ${spanWords(ms)}. Times in between happened twice, and entries before it may have a wrong one; the order of the log holds.`;
}

async function quietBetween(
  a: Entry,
  b: Entry,
  read: EntryReader,
  found: {
    readonly red: RedInterval[];
    readonly unexamined: { fromMs: number; toMs: number }[];
    readonly steps: readonly Step[];
  },
): Promise<void> {
  // Halves on a stack of its own: as deep as the logarithm of the distance, and the earlier half first.
  const spans: (readonly [Entry, Entry])[] = [[a, b]];
  for (let span = spans.pop(); span !== undefined; span = spans.pop()) {
    const [low, high] = span;
    // What a clock jumped over did not pass.
    const jumped = found.steps.reduce((ms, step) => ms + within(step, low.receivedMs, high.receivedMs), 0);
    if (high.receivedMs - low.receivedMs - jumped <= quietMsMax) continue;
    if (high.index - low.index <= 1) {
      found.red.push({
        kind: 'recording-paused',
        fromMs: low.receivedMs,
        toMs: high.receivedMs,
        evidence: [low.index, high.index],
        words: `Nothing was recorded for ${spanWords(high.receivedMs - low.receivedMs)}, though an idle log has a heartbeat every 5 minutes: the server stood still, or could not write.`,
      });
      continue;
    }
    const middle = await read(low.index + Math.floor((high.index - low.index) / 2));
    if (middle === undefined || middle.index >= high.index) {
      found.unexamined.push({ fromMs: low.receivedMs, toMs: high.receivedMs });
      continue;
    }
    spans.push([middle, high], [low, middle]);
  }
}

interface Step {
  readonly expectedMs: number;
  readonly foundMs: number;
}

function stepOf(one: Sign | Entry): Step | undefined {
  const sign = 'sign' in one ? one.sign : one;
  return sign?.by === 'self' && sign.what.kind === 'clock-stepped' ? sign.what : undefined;
}

/** How much of a step ahead lies between two moments. */
function within({ expectedMs, foundMs }: Step, lowMs: number, highMs: number): number {
  return Math.max(0, Math.min(foundMs, highMs) - Math.max(expectedMs, lowMs));
}

/** Heartbeats say what came in since the one before, and how long the log is: the two have to agree. */
export function findHeartbeatFaults(signs: readonly Sign[]): RedInterval[] {
  const red: RedInterval[] = [];
  let before: { readonly sign: OwnSign; readonly size: number } | undefined;
  for (const sign of signs) {
    if (sign.by !== 'self') continue;
    const { what } = sign;
    if (what.kind === 'start') before = undefined;
    if (what.kind !== 'heartbeat' || what.size === undefined || what.received === undefined) continue;
    const grown = what.size - (before?.size ?? what.size);
    const fault =
      what.size > sign.index
        ? `A heartbeat says that the log had ${what.size} entries, and stands at ${sign.index} in it.`
        : before !== undefined && grown !== what.received
          ? `The ledger counted ${what.received} entries since its last heartbeat, and its log grew by ${grown}.`
          : undefined;
    if (fault !== undefined) {
      red.push({
        kind: 'counts-differ',
        fromMs: Math.min(before?.sign.receivedMs ?? sign.receivedMs, sign.receivedMs),
        toMs: Math.max(before?.sign.receivedMs ?? sign.receivedMs, sign.receivedMs),
        emitter: 'ledger',
        evidence: before === undefined ? [sign.index] : [before.sign.index, sign.index],
        words: fault,
      });
    }
    before = { sign, size: what.size };
  }
  return red;
}
