/**
 * Compiles a description into a validator: closures over constants, one pass, a fresh object with its members in the
 * order of the description. All errors up to a bound are collected, each with its JSON Pointer.
 *
 * An error never repeats a value: it says the type or the length of what came, and names a word only where a choice of
 * fixed words was expected.
 */
import type { FieldError } from './errors.ts';
import type { ObjectShape, Shape } from './shape.ts';
import { textRules } from './text-format.ts';

/** How many errors are collected before validation stops looking. */
export const errorsMax = 20;

/** The state of one validation. */
export interface Validation {
  readonly errors: FieldError[];
  /** Where we are, from the root. */
  readonly path: (string | number)[];
  /** Members of all objects seen: a text with more has one twice. */
  members: number;
}

/** Returns the value, rebuilt; what it returns after an error is meaningless. */
export type Validator = (value: unknown, at: Validation) => unknown;

export function startValidation(): Validation {
  return { errors: [], path: [], members: 0 };
}

export function compileValidator(shape: Shape): Validator {
  switch (shape.type) {
    case 'constant':
      return compileConstant(shape.value);
    case 'choice':
      return compileChoice(shape.values);
    case 'boolean':
      return (value, at) => (typeof value === 'boolean' ? value : fail(at, 'true or false', describe(value)));
    case 'number':
      return compileNumber(shape);
    case 'text':
      return compileText(shape);
    case 'list':
      return compileList(compileValidator(shape.of), shape.itemsMax);
    case 'either': {
      const text = compileValidator(shape.text);
      const number = compileValidator(shape.number);
      return (value, at) => (typeof value === 'number' ? number(value, at) : text(value, at));
    }
    case 'object':
      return compileObject(shape);
    default:
      return shape satisfies never;
  }
}

function compileConstant(constant: number): Validator {
  return (value, at) => {
    if (value === constant) return constant;
    return fail(at, String(constant), typeof value === 'number' ? 'another number' : describe(value));
  };
}

function compileChoice(values: readonly string[]): Validator {
  const known = new Set<unknown>(values);
  const expected = `one of ${values.join(' ')}`;
  return (value, at) => {
    if (known.has(value)) return value;
    if (typeof value !== 'string') return fail(at, expected, describe(value));
    const near = nearest(value, values);
    // Only a plain lower-case word is repeated: enough to see a slip, too little to carry an identifier.
    const got = /^[a-z][a-z-]{0,31}$/.test(value) ? `the word ${value}` : describe(value);
    return fail(at, near === undefined ? expected : `${expected}; did you mean ${near}?`, got);
  };
}

function compileNumber({ whole, min, max }: Shape & { type: 'number' }): Validator {
  const expected = `${whole ? 'a whole number' : 'a number'} from ${min} to ${max}`;
  return (value, at) => {
    if (typeof value !== 'number') return fail(at, expected, describe(value));
    if (value >= min && value <= max && (!whole || Number.isInteger(value))) return value === 0 ? 0 : value;
    return fail(at, expected, value < min || value > max ? 'a number out of that range' : describe(value));
  };
}

function compileText({ format, charsMin, charsMax }: Shape & { type: 'text' }): Validator {
  const rule = textRules[format];
  const expected = rule.sized ? rule.expected : `${rule.expected}, ${charsMin} to ${charsMax} characters`;
  const { test } = rule;
  return (value, at) => {
    if (typeof value !== 'string') return fail(at, expected, describe(value));
    const chars = value.length;
    // Characters are code points; a string has at most twice as many UTF-16 units, and is only counted where that matters.
    if (chars < charsMin || (chars > charsMax && (chars > 2 * charsMax || codePoints(value) > charsMax))) {
      return fail(at, expected, describe(value));
    }
    if (test(value)) return value;
    return fail(at, expected, rule.explain?.(value) ?? `${describe(value)} that is not of that form`);
  };
}

function compileList(item: Validator, itemsMax: number): Validator {
  return (value, at) => {
    if (!Array.isArray(value)) return fail(at, `an array of at most ${itemsMax}`, describe(value));
    if (value.length > itemsMax) return fail(at, `an array of at most ${itemsMax}`, describe(value));
    const out: unknown[] = new Array(value.length);
    for (let i = 0; i < value.length; i++) {
      at.path.push(i);
      out[i] = item(value[i], at);
      at.path.pop();
      if (at.errors.length >= errorsMax) break;
    }
    return out;
  };
}

function compileObject(shape: ObjectShape): Validator {
  const names = shape.members.map((member) => member.name);
  const known = new Set(names);
  const members = shape.members.map(({ name, required, shape: of }) => ({
    name,
    required,
    validate: compileValidator(of),
  }));
  return (value, at) => {
    if (!isPlainObject(value)) return fail(at, 'an object', describe(value));
    const out: Record<string, unknown> = {};
    let seen = 0;
    for (const { name, required, validate } of members) {
      const given = value[name];
      if (given === undefined && !required) continue;
      at.path.push(name);
      if (given === undefined) {
        fail(at, 'this member, which is required', 'nothing');
      } else {
        seen++;
        out[name] = validate(given, at);
      }
      at.path.pop();
      if (at.errors.length >= errorsMax) return out;
    }
    at.members += seen;
    if (Object.keys(value).length !== seen) refuseUnknown(value, known, names, at);
    return out;
  };
}

function refuseUnknown(
  value: Record<string, unknown>,
  known: ReadonlySet<string>,
  names: readonly string[],
  at: Validation,
): void {
  for (const name of Object.keys(value)) {
    if (known.has(name) || value[name] === undefined) continue;
    if (at.errors.length >= errorsMax) return;
    // A member's name is the sender's word too: it is repeated only where it looks like a name.
    const nameable = /^[A-Za-z_$][A-Za-z_-]{0,39}$/.test(name);
    const near = nameable ? nearest(name, names) : undefined;
    const hint = near === undefined ? `only the members ${names.join(' ')}` : `no such member; did you mean ${near}?`;
    if (nameable) at.path.push(name);
    fail(at, hint, nameable ? 'an unknown member' : `an unknown member with a name of ${name.length} characters`);
    if (nameable) at.path.pop();
  }
}

function fail(at: Validation, expected: string, got: string): undefined {
  if (at.errors.length < errorsMax) at.errors.push({ at: pointer(at.path), expected, got });
  return undefined;
}

function pointer(path: readonly (string | number)[]): string {
  let out = '';
  for (const part of path) out += `/${String(part).replaceAll('~', '~0').replaceAll('/', '~1')}`;
  return out;
}

function isPlainObject(value: unknown): value is Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null || Object.getPrototypeOf(prototype) === null;
}

/** The type of a value, and a length: never the value. */
function describe(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return `an array of ${value.length}`;
  switch (typeof value) {
    case 'string':
      return `a text of ${codePoints(value)} characters`;
    case 'number':
      return Number.isInteger(value)
        ? 'a whole number'
        : Number.isFinite(value)
          ? 'a number with decimals'
          : 'not a finite number';
    case 'boolean':
      return 'a boolean';
    case 'object':
      return 'an object';
    case 'undefined':
      return 'nothing';
    default:
      return `a ${typeof value}`;
  }
}

function codePoints(text: string): number {
  let count = text.length;
  for (let i = 1; i < text.length; i++) {
    if ((text.charCodeAt(i) & 0xfc00) === 0xdc00 && (text.charCodeAt(i - 1) & 0xfc00) === 0xd800) count--;
  }
  return count;
}

/** The known word that a slip of the hand, another case or another separator would turn into this one. */
export function nearest(word: string, known: readonly string[]): string | undefined {
  if (word.length > 40) return undefined;
  const plain = plainWord(word);
  let best: string | undefined;
  let bestDistance = Math.max(1, Math.floor(plain.length / 3)) + 1;
  for (const candidate of known) {
    const distance = editDistance(plain, plainWord(candidate));
    if (distance < bestDistance) {
      best = candidate;
      bestDistance = distance;
    }
  }
  return best;
}

function plainWord(word: string): string {
  return word.toLowerCase().replace(/[-_]/g, '');
}

/** Levenshtein distance. Both words are short. */
function editDistance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const current = [i];
    for (let j = 1; j <= b.length; j++) {
      const swap = (previous[j - 1] as number) + (a[i - 1] === b[j - 1] ? 0 : 1);
      current.push(Math.min(swap, (previous[j] as number) + 1, (current[j - 1] as number) + 1));
    }
    previous = current;
  }
  return previous[b.length] as number;
}
