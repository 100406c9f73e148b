/** What `/v1/completeness` says, checked: when the record may be incomplete, and what wasn't looked at. */
import { type Check, count, flag, instant, list, object, text } from './shape.ts';

export interface RedInterval {
  /** A kind that only a newer server knows is still shown, by its words. */
  readonly kind: string;
  /** Milliseconds since 1970. */
  readonly from: number;
  readonly to: number;
  /** It had not ended. */
  readonly ongoing?: boolean;
  readonly emitter?: string;
  /** Indexes of the events it follows from. */
  readonly evidence: readonly number[];
  readonly words: string;
}

const interval: Check<RedInterval> = object(
  { kind: text, from: instant, to: instant, evidence: list(count), words: text },
  { ongoing: flag, emitter: text },
);

export interface Completeness {
  readonly verdict: string;
  readonly words: string;
  /** The oldest first. */
  readonly red: readonly RedInterval[];
  readonly redOmitted?: number;
  readonly examined: { readonly from: number; readonly to: number; readonly first: number; readonly end: number };
  readonly unexamined: readonly { readonly from?: number; readonly to?: number; readonly words: string }[];
  /** What can't be seen from the server at all. */
  readonly limits: readonly string[];
}

export const completeness: Check<Completeness> = object(
  {
    verdict: text,
    words: text,
    red: list(interval),
    examined: object({ from: instant, to: instant, first: count, end: count }),
    unexamined: list(object({ words: text }, { from: instant, to: instant })),
    limits: list(text),
  },
  { redOmitted: count },
);
