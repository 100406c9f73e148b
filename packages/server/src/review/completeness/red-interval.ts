/**
 * A red interval: a stretch of time during which the record may be incomplete, with what it follows from. This file has the shape, and what makes
 * a readable list of many: overlapping ones of a kind are one, the oldest first, and there is a bound.
 */

/** docs/completeness.md has a row for each. */
export const redKinds = [
  'recording-paused',
  'clock-stepped',
  'emitter-silent',
  'sequence-gap',
  'counts-differ',
] as const;
export type RedKind = (typeof redKinds)[number];

export interface RedInterval {
  readonly kind: RedKind;
  readonly fromMs: number;
  readonly toMs: number;
  /** It had not ended when the report was made. */
  readonly ongoing?: true;
  readonly emitter?: string;
  /** Ledger indexes of the events it follows from, ascending. */
  readonly evidence: readonly number[];
  /** One sentence or two, for people; no times, which stand beside it. */
  readonly words: string;
}

/** Of one interval: more prove nothing more. */
const evidenceMax = 16;

/** Those that touch the asked time, the oldest first. Two of the same kind, emitter and words that overlap are one. */
export function arrange(found: readonly RedInterval[], asked: { fromMs: number; toMs: number }): RedInterval[] {
  const touching = found
    .filter(({ fromMs, toMs }) => fromMs <= asked.toMs && toMs >= asked.fromMs)
    .sort((a, b) => a.fromMs - b.fromMs || a.toMs - b.toMs);
  const arranged: RedInterval[] = [];
  const newest = new Map<string, number>();
  for (const one of touching) {
    const name = JSON.stringify([one.kind, one.emitter, one.kind === 'clock-stepped' ? '' : one.words]);
    const at = newest.get(name);
    const before = at === undefined ? undefined : arranged[at];
    if (at === undefined || before === undefined || before.toMs < one.fromMs) {
      newest.set(name, arranged.length);
      arranged.push({ ...one, evidence: evidenceOf(one.evidence) });
      continue;
    }
    arranged[at] = {
      ...before,
      toMs: Math.max(before.toMs, one.toMs),
      ...(one.ongoing === true ? { ongoing: true } : {}),
      evidence: evidenceOf([...before.evidence, ...one.evidence]),
    };
  }
  return arranged;
}

function evidenceOf(indexes: readonly number[]): number[] {
  return [...new Set(indexes)].sort((a, b) => a - b).slice(0, evidenceMax);
}

/** `3 events`, `1 event`. */
export function counted(count: number, one: string, many: string = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`;
}

/** A span in words: `40 s`, `12 min`, `3 h`, `2 days`. */
export function spanWords(ms: number): string {
  const seconds = Math.round(ms / 1_000);
  if (seconds < 120) return `${seconds} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 120) return `${minutes} min`;
  const hours = Math.round(minutes / 60);
  return hours < 72 ? `${hours} h` : `${Math.round(hours / 24)} days`;
}
