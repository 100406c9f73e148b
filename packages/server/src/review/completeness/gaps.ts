/** Sequence numbers of emitters that are missing: what the ledger told as missing, less what it told as come since. */
import { counted, type RedInterval } from './red-interval.ts';
import type { OwnSign, Sign } from './signs.ts';

interface Missing {
  readonly first: number;
  readonly last: number;
}

type GapSign = OwnSign & { readonly what: { readonly kind: 'gap' | 'gap-closed' } };

/** @param signs in the order of the log */
export function findGaps(signs: readonly Sign[]): RedInterval[] {
  const told = signs.filter(isGap);
  return told.flatMap((gap) => {
    const { what } = gap;
    if (what.kind !== 'gap') return [];
    const { emitter, afterMs, sinceMs } = what;
    let missing: readonly Missing[] = [what];
    for (const { index, what: closed } of told) {
      if (closed.kind === 'gap-closed' && closed.emitter === emitter && index > gap.index)
        missing = missing.flatMap((part) => without(part, closed));
    }
    if (missing.length === 0) return [];
    const count = missing.reduce((sum, { first, last }) => sum + last - first + 1, 0);
    // Before the moments were recorded, all that is known is when it was told.
    const toMs = sinceMs ?? gap.receivedMs;
    const red: RedInterval = {
      kind: 'sequence-gap',
      fromMs: Math.min(afterMs ?? toMs, toMs),
      toMs,
      emitter,
      evidence: [gap.index],
      words: `${counted(count, 'event')} of ${emitter} never arrived: ${numbersOf(missing)}. Each event of an emitter has a number, and these are not in the log.`,
    };
    return [red];
  });
}

function isGap(sign: Sign): sign is GapSign {
  return sign.by === 'self' && (sign.what.kind === 'gap' || sign.what.kind === 'gap-closed');
}

function without({ first, last }: Missing, closed: Missing): readonly Missing[] {
  if (closed.last < first || closed.first > last) return [{ first, last }];
  return [
    { first, last: closed.first - 1 },
    { first: closed.last + 1, last },
  ].filter((part) => part.first <= part.last);
}

const numbersShown = 4;

function numbersOf(missing: readonly Missing[]): string {
  const shown = missing
    .slice(0, numbersShown)
    .map(({ first, last }) => (first === last ? `${first}` : `${first}–${last}`));
  const rest = missing.length - shown.length;
  const single = missing.length === 1 && missing[0]?.first === missing[0]?.last;
  return `${single ? 'number' : 'numbers'} ${shown.join(', ')}${rest > 0 ? ` and ${rest} more` : ''}`;
}
