/** What witnesses vouch for, in a line. How old it is matters: what came after it only the log itself vouches for. */
import { plain } from '../table.ts';

interface Said {
  readonly size: number;
  readonly by: readonly string[];
  readonly quorum: boolean;
  readonly timeSeconds?: number;
}

/** One line: how far, by whom, how long ago, and what is not covered. */
export function sayWitnessed({ size, by, quorum, timeSeconds }: Said, of: number, nowMs: number): string {
  const names = by.map(plain).join(', ');
  if (!quorum) return `cosigned to ${size} by ${names}; not checked: give --policy with the keys of the witnesses`;
  const age = timeSeconds === undefined ? '' : `, ${ageOf(nowMs / 1000 - timeSeconds)} ago`;
  const rest = of > size ? `; nobody else vouches for the ${of - size} after it yet` : '';
  return `witnessed to ${size} by ${names}${age}${rest}`;
}

function ageOf(seconds: number): string {
  const units: readonly (readonly [number, string])[] = [
    [86_400, 'day'],
    [3_600, 'hour'],
    [60, 'minute'],
    [1, 'second'],
  ];
  const whole = Math.max(0, Math.floor(seconds));
  const [size, name] = units.find(([unit]) => whole >= unit) ?? [1, 'second'];
  const count = Math.floor(whole / size);
  return `${count} ${name}${count === 1 ? '' : 's'}`;
}
