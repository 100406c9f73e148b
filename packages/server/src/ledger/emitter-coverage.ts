/**
 * Which sequence numbers of each emitter of one tenant have arrived. Loss before the ledger shows as a hole; a hole is told
 * once it has been open for a while, and again when it closes. Reordering inside that while is nobody's concern.
 *
 * Bounded: `emittersMax` emitters, `gapsMax` holes each; past the bound the oldest hole is told at once and forgotten.
 */
import type { EmitterStatus } from './ledger.ts';

const emittersMax = 10_000;
const gapsMax = 64;
/** Notes that wait to be told; more are dropped: the emitter's status still shows its holes. */
const notesMax = 256;

interface Gap {
  first: number;
  last: number;
  readonly sinceMs: number;
  /** When the number before the hole came; undefined for a hole at the beginning, or of an older snapshot. */
  readonly afterMs: number | undefined;
  told: boolean;
}

interface Emitter {
  lastSeq: number;
  /** When something came from it last. */
  lastMs: number | undefined;
  received: number;
  readonly gaps: Gap[];
  /** Sequence numbers that came again under another id, not told yet. */
  repeats: { count: number; first: number; last: number } | undefined;
}

/** Something about an emitter that should be an event. Sequence numbers are inclusive. */
export interface CoverageNote {
  readonly kind: 'sequence-gap' | 'sequence-gap-closed' | 'sequence-repeat';
  readonly emitter: string;
  readonly first: number;
  readonly last: number;
  readonly count: number;
  /** Of a hole: when the number behind it came. */
  readonly sinceMs?: number;
  /** Of a hole: when the number before it came. What is missing was given between the two, unless it was delayed. */
  readonly afterMs?: number;
}

/** What is kept over a restart. */
export type CoverageSnapshot = readonly (readonly [
  emitter: string,
  lastSeq: number,
  received: number,
  gaps: readonly (readonly (number | null)[])[],
  lastMs?: number | null,
])[];

export class EmitterCoverage {
  readonly #emitters: Map<string, Emitter> = new Map();
  readonly #notes: CoverageNote[] = [];
  /** When what came before isn't known any more: an emitter seen first may begin anywhere. */
  readonly #lenient: boolean;
  #untracked = 0;

  constructor(lenient: boolean, snapshot: CoverageSnapshot = []) {
    this.#lenient = lenient;
    for (const [emitter, lastSeq, received, gaps, lastMs] of snapshot) {
      const open = gaps.map(([first, last, sinceMs, told, afterMs]) => ({
        first: first ?? 0,
        last: last ?? 0,
        sinceMs: sinceMs ?? 0,
        afterMs: afterMs ?? undefined,
        told: told === 1,
      }));
      const known = { lastSeq, lastMs: lastMs ?? undefined, received, gaps: open, repeats: undefined };
      this.#emitters.set(emitter, known);
    }
  }

  /** Events of emitters beyond the bound, whose holes aren't seen. */
  get untracked(): number {
    return this.#untracked;
  }

  lastSeq(emitter: string): number {
    return this.#emitters.get(emitter)?.lastSeq ?? 0;
  }

  /** `count` sequence numbers from `firstSeq` on are in the ledger. */
  arrived(id: string, firstSeq: number, count: number, nowMs: number): void {
    let emitter = this.#emitters.get(id);
    if (emitter === undefined) {
      if (this.#emitters.size >= emittersMax) {
        this.#untracked += count;
        return;
      }
      const lastSeq = this.#lenient ? firstSeq - 1 : 0;
      emitter = { lastSeq, lastMs: undefined, received: 0, gaps: [], repeats: undefined };
      this.#emitters.set(id, emitter);
    }
    emitter.received += count;
    const last = firstSeq + count - 1;
    if (firstSeq > emitter.lastSeq + 1) {
      const { lastSeq, lastMs: afterMs } = emitter;
      emitter.gaps.push({ first: lastSeq + 1, last: firstSeq - 1, sinceMs: nowMs, afterMs, told: false });
      if (emitter.gaps.length > gapsMax) this.#tell(id, emitter.gaps.shift() as Gap);
    } else if (firstSeq <= emitter.lastSeq) {
      this.#fill(id, emitter, firstSeq, Math.min(last, emitter.lastSeq));
    }
    if (last > emitter.lastSeq) {
      emitter.lastSeq = last;
      emitter.lastMs = nowMs;
    }
  }

  /** What should be told now; each once. */
  takeNotes(nowMs: number, gapMs: number): CoverageNote[] {
    for (const [id, emitter] of this.#emitters) {
      for (const gap of emitter.gaps) if (!gap.told && nowMs - gap.sinceMs >= gapMs) this.#tell(id, gap);
      if (emitter.repeats !== undefined) {
        this.#note({ kind: 'sequence-repeat', emitter: id, ...emitter.repeats });
        emitter.repeats = undefined;
      }
    }
    return this.#notes.splice(0);
  }

  /** What was taken and couldn't be stored is told again at the next asking. */
  giveBack(note: CoverageNote): void {
    this.#note(note);
  }

  /** Open holes, in sequence numbers. */
  missing(): number {
    let count = 0;
    for (const { gaps } of this.#emitters.values()) for (const gap of gaps) count += gap.last - gap.first + 1;
    return count;
  }

  status(): EmitterStatus[] {
    return [...this.#emitters].map(([id, { lastSeq, received, gaps }]) => ({
      id,
      lastSeq,
      received,
      gaps: gaps.map(({ first, last, sinceMs }) => ({ first, last, sinceMs })),
    }));
  }

  snapshot(): CoverageSnapshot {
    return [...this.#emitters].map(([id, { lastSeq, lastMs, received, gaps }]) => [
      id,
      lastSeq,
      received,
      gaps.map((gap) => [gap.first, gap.last, gap.sinceMs, gap.told ? 1 : 0, gap.afterMs ?? null]),
      lastMs ?? null,
    ]);
  }

  #note(note: CoverageNote): void {
    if (this.#notes.length < notesMax) this.#notes.push(note);
  }

  /** Numbers that come one after another before they are told are one note. */
  #noteClosed(emitter: string, first: number, last: number): void {
    const kind = 'sequence-gap-closed';
    const at = this.#notes.findIndex(
      (note) => note.kind === kind && note.emitter === emitter && (note.last + 1 === first || last + 1 === note.first),
    );
    const beside = this.#notes[at];
    if (beside === undefined) {
      this.#note({ kind, emitter, first, last, count: last - first + 1 });
      return;
    }
    const low = Math.min(first, beside.first);
    const high = Math.max(last, beside.last);
    this.#notes[at] = { kind, emitter, first: low, last: high, count: high - low + 1 };
  }

  #tell(emitter: string, gap: Gap): void {
    if (gap.told) return;
    gap.told = true;
    const { first, last, sinceMs, afterMs } = gap;
    const count = last - first + 1;
    this.#note({
      kind: 'sequence-gap',
      emitter,
      first,
      last,
      count,
      sinceMs,
      ...(afterMs === undefined ? {} : { afterMs }),
    });
  }

  /** Numbers up to the last one seen: they close holes, or are repeats. */
  #fill(id: string, emitter: Emitter, first: number, last: number): void {
    let filled = 0;
    for (let at = 0; at < emitter.gaps.length; at++) {
      const gap = emitter.gaps[at] as Gap;
      const low = Math.max(first, gap.first);
      const high = Math.min(last, gap.last);
      if (low > high) continue;
      filled += high - low + 1;
      const left = { ...gap, last: low - 1 };
      const right = { ...gap, first: high + 1 };
      const rest = [left, right].filter((part) => part.first <= part.last);
      emitter.gaps.splice(at, 1, ...rest);
      at += rest.length - 1;
      // Every part that was told as missing is told when it comes, so that told and come are the same numbers in the end.
      if (gap.told) this.#noteClosed(id, low, high);
    }
    while (emitter.gaps.length > gapsMax) this.#tell(id, emitter.gaps.shift() as Gap);
    const count = last - first + 1 - filled;
    if (count > 0) {
      const known = emitter.repeats;
      emitter.repeats = {
        count: (known?.count ?? 0) + count,
        first: Math.min(known?.first ?? first, first),
        last: Math.max(known?.last ?? last, last),
      };
    }
  }
}
