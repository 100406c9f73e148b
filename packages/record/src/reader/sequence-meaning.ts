/**
 * Per-emitter sequences over a whole log: numbers that are missing or came twice, and whether the log says so itself. The server's own emitters count without a
 * hole (what it couldn't store has no number); of others the server tells what it sees, a while after, unless it ends before.
 *
 * Bounded: `emittersMax` emitters and `holesMax` holes each; what is past that isn't looked for.
 */
import type { Event } from '../event.ts';
import type { TellMeaning } from './meaning-findings.ts';

const emittersMax = 10_000;
const holesMax = 256;
/** A hole is told after half a minute; what isn't told after so long, by a server that went on running, wasn't. */
const tellWithinMs = 5 * 60_000;

interface Span {
  first: number;
  last: number;
  readonly index: number;
  readonly sinceMs: number;
  /** The log says it. */
  told: boolean;
}

interface Emitter {
  last: number;
  readonly holes: Span[];
  repeats: Span | undefined;
  /** What was missing isn't known any more: what comes late may fill it. */
  lenient: boolean;
  /** Records were passed over since its last: its numbers may go on anywhere above. */
  jumps: boolean;
}

/** Of the record that is looked at. */
export interface Moment {
  readonly index: number;
  readonly receivedMs: number;
  /** When the run of the server that stored it stored its first. */
  readonly runSinceMs: number;
}

export class SequenceMeaning {
  readonly #emitters: Map<string, Emitter> = new Map();
  readonly #tell: (index: number) => TellMeaning;
  #passedOver = false;

  constructor(tell: (index: number) => TellMeaning) {
    this.#tell = tell;
  }

  arrived({ id, seq }: Event['emitter'], isOwn: boolean, now: Moment): void {
    let emitter = this.#emitters.get(id);
    if (emitter === undefined) {
      if (this.#emitters.size >= emittersMax) return;
      emitter = { last: 0, holes: [], repeats: undefined, lenient: this.#passedOver, jumps: this.#passedOver };
      this.#emitters.set(id, emitter);
    }
    const { last, jumps } = emitter;
    emitter.last = Math.max(last, seq);
    emitter.jumps = false;
    if (seq === last + 1 || (jumps && seq > last)) return;
    if (isOwn) this.#tell(now.index)('sequence-broken', `number ${last + 1} of emitter ${id}`, `number ${seq}`);
    else if (seq > last) {
      emitter.holes.push({ first: last + 1, last: seq - 1, index: now.index, sinceMs: now.receivedMs, told: false });
      forgetSurplus(emitter);
    } else if (!fill(emitter, seq) && !emitter.lenient) {
      emitter.repeats ??= { first: seq, last: seq, index: now.index, sinceMs: now.receivedMs, told: false };
      emitter.repeats.first = Math.min(emitter.repeats.first, seq);
      emitter.repeats.last = Math.max(emitter.repeats.last, seq);
    }
  }

  /** Records that were shredded may have held any number: what is missing up to here is nobody's concern any more. */
  passedOver(): void {
    this.#passedOver = true;
    for (const emitter of this.#emitters.values()) {
      emitter.holes.length = 0;
      emitter.lenient = true;
      emitter.jumps = true;
    }
  }

  /** The log says that numbers are missing, that they came after all, or that they came twice. Returns whether it can be so. */
  said(
    kind: 'sequence-gap' | 'sequence-gap-closed' | 'sequence-repeat',
    id: string,
    span: { first: number; last: number },
  ): boolean {
    const emitter = this.#emitters.get(id);
    if (emitter === undefined) return this.#emitters.size >= emittersMax;
    if (span.last > emitter.last) return false;
    if (kind === 'sequence-repeat') {
      const { repeats } = emitter;
      if (repeats !== undefined && repeats.first >= span.first && repeats.last <= span.last)
        emitter.repeats = undefined;
    } else if (kind === 'sequence-gap') {
      for (const hole of emitter.holes) if (hole.first <= span.last && hole.last >= span.first) hole.told = true;
    }
    return true;
  }

  /** At the end of the log. */
  end(now: Moment): void {
    const isDue = ({ sinceMs }: Span): boolean => now.receivedMs - Math.max(sinceMs, now.runSinceMs) > tellWithinMs;
    for (const [id, { holes, repeats }] of this.#emitters) {
      for (const hole of holes.filter((one) => !one.told && isDue(one)))
        this.#tell(hole.index)(
          'hole-unrecorded',
          `numbers ${hole.first} to ${hole.last} of emitter ${id}, or an event that says they are missing`,
          'neither',
        );
      if (repeats !== undefined && isDue(repeats))
        this.#tell(repeats.index)(
          'repeat-unrecorded',
          `an event that says that numbers between ${repeats.first} and ${repeats.last} of emitter ${id} came twice`,
          'none',
        );
    }
  }
}

/** Takes a number out of the holes; false where it was in none. */
function fill(emitter: Emitter, seq: number): boolean {
  const at = emitter.holes.findIndex(({ first, last }) => first <= seq && seq <= last);
  const hole = emitter.holes[at];
  if (hole === undefined) return false;
  const parts = [
    { ...hole, last: seq - 1 },
    { ...hole, first: seq + 1 },
  ].filter(({ first, last }) => first <= last);
  emitter.holes.splice(at, 1, ...parts);
  forgetSurplus(emitter);
  return true;
}

function forgetSurplus(emitter: Emitter): void {
  if (emitter.holes.length <= holesMax) return;
  emitter.holes.shift();
  emitter.lenient = true;
}
