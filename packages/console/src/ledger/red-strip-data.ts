/** Where on the strip of time each red interval and each unexamined stretch lies: shares of its width, each wide enough to be seen. */
import type { Completeness } from '../api/completeness.ts';

/** A second in a day would be invisible. */
const shareMin = 0.004;

export interface Mark {
  readonly state: 'red' | 'unexamined';
  /** From 0, the left end, to 1. */
  readonly left: number;
  readonly width: number;
}

/** The unexamined first, so that red lies over it. */
export function stripMarks({ examined, red, unexamined }: Completeness): Mark[] {
  const spanMs = Math.max(1, examined.to - examined.from);
  const markOf = (state: Mark['state'], from: number, to: number): Mark[] => {
    const left = Math.max(0, (from - examined.from) / spanMs);
    const right = Math.min(1, (to - examined.from) / spanMs);
    if (right < 0 || left > 1) return [];
    const width = Math.max(shareMin, right - left);
    return [{ state, left: Math.min(left, 1 - width), width }];
  };
  return [
    ...unexamined.flatMap(({ from, to }) =>
      from === undefined || to === undefined ? [] : markOf('unexamined', from, to),
    ),
    ...red.flatMap(({ from, to }) => markOf('red', from, to)),
  ];
}

const kindWords: Readonly<Record<string, string>> = {
  'recording-paused': 'Recording paused',
  'clock-stepped': 'Clock stepped',
  'emitter-silent': 'Emitter silent',
  'sequence-gap': 'Events missing',
  'counts-differ': 'Counts don’t add up',
};

export function kindTitle(kind: string): string {
  return kindWords[kind] ?? kind.replaceAll('-', ' ');
}

/** The state of the whole in a few words. */
export function completenessTitle({ verdict, red, redOmitted = 0 }: Completeness): string {
  const intervals = red.length + redOmitted;
  if (intervals > 0) return `${intervals} red ${intervals === 1 ? 'interval' : 'intervals'}`;
  return verdict === 'clear' ? 'No red interval' : 'No red interval in what was examined';
}
