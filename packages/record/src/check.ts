/**
 * The validator's quick sister: says whether a parsed JSON value follows a description *and* has its members in the
 * description's order already. Then there is nothing to rebuild and nothing to say; nothing is allocated.
 *
 * A no is no verdict: `validate.ts` has the last word and the words for it. A test holds that a yes is always its yes.
 */
import type { ObjectShape, Shape } from './shape.ts';
import { textRules } from './text-format.ts';

/** Members of all objects seen: a text with more has one twice. */
export interface Tally {
  members: number;
}

/** `value` comes from `JSON.parse`. */
export type Checker = (value: unknown, tally: Tally) => boolean;

export function compileChecker(shape: Shape): Checker {
  switch (shape.type) {
    case 'constant': {
      const { value: constant } = shape;
      return (value) => value === constant;
    }
    case 'choice': {
      const known = new Set<unknown>(shape.values);
      return (value) => known.has(value);
    }
    case 'boolean':
      return (value) => typeof value === 'boolean';
    case 'number': {
      const { whole, min, max } = shape;
      return (value) =>
        typeof value === 'number' &&
        value >= min &&
        value <= max &&
        (!whole || Number.isInteger(value)) &&
        !Object.is(value, -0);
    }
    case 'text': {
      const { format, charsMin, charsMax } = shape;
      const { test } = textRules[format];
      // Code points are at most UTF-16 units: longer texts are left to the validator, which counts.
      return (value) =>
        typeof value === 'string' && value.length >= charsMin && value.length <= charsMax && test(value);
    }
    case 'list':
      return compileList(compileChecker(shape.of), shape.itemsMax);
    case 'either': {
      const text = compileChecker(shape.text);
      const number = compileChecker(shape.number);
      return (value, tally) => (typeof value === 'number' ? number(value, tally) : text(value, tally));
    }
    case 'object':
      return compileObject(shape);
    default:
      return shape satisfies never;
  }
}

function compileList(item: Checker, itemsMax: number): Checker {
  return (value, tally) => {
    if (!Array.isArray(value) || value.length > itemsMax) return false;
    for (let i = 0; i < value.length; i++) if (!item(value[i], tally)) return false;
    return true;
  };
}

function compileObject(shape: ObjectShape): Checker {
  const names = shape.members.map(({ name }) => name);
  const requireds = shape.members.map(({ required }) => required);
  const checkers = shape.members.map((member) => compileChecker(member.shape));
  const count = names.length;
  return (value, tally) => {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
    let next = 0;
    for (const name in value) {
      while (next < count && names[next] !== name) if (requireds[next++] === true) return false;
      if (next === count) return false;
      if (!(checkers[next] as Checker)((value as Record<string, unknown>)[name], tally)) return false;
      tally.members++;
      next++;
    }
    for (; next < count; next++) if (requireds[next] === true) return false;
    return true;
  };
}
