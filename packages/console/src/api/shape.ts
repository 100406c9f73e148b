/**
 * Checks for what comes over the wire: a value is `unknown` until one of these has looked at it. Unknown members are let
 * through untouched and not copied, so that a newer server does not break an older console.
 */
import { ConsoleError } from '../errors.ts';

export type Check<T> = (value: unknown, at: string) => T;
export type Checked<C> = C extends Check<infer T> ? T : never;

function refuse(at: string, expected: string, value: unknown): never {
  const got = value === null ? 'null' : Array.isArray(value) ? 'an array' : typeof value;
  throw new ConsoleError(
    'unexpected-answer',
    `Expected ${expected} at ${at || '/'} of the server's answer, got ${got}. Reload the page; if it stays, console and server are of different versions.`,
  );
}

export const text: Check<string> = (value, at) => (typeof value === 'string' ? value : refuse(at, 'a string', value));

export const flag: Check<boolean> = (value, at) =>
  typeof value === 'boolean' ? value : refuse(at, 'a boolean', value);

export const count: Check<number> = (value, at) =>
  typeof value === 'number' && Number.isFinite(value) ? value : refuse(at, 'a number', value);

/** RFC 3339 text, or milliseconds since 1970; comes out as milliseconds. */
export const instant: Check<number> = (value, at) => {
  const ms = typeof value === 'number' ? value : typeof value === 'string' ? Date.parse(value) : Number.NaN;
  return Number.isFinite(ms) ? ms : refuse(at, 'a time', value);
};

export const textOrCount: Check<string | number> = (value, at) =>
  typeof value === 'string' || typeof value === 'number' ? value : refuse(at, 'a string or number', value);

export function oneOf<const T extends readonly string[]>(values: T): Check<T[number]> {
  return (value, at) =>
    typeof value === 'string' && values.includes(value)
      ? (value as T[number])
      : refuse(at, `one of ${values.join(' ')}`, value);
}

export function list<T>(item: Check<T>): Check<readonly T[]> {
  return (value, at) =>
    Array.isArray(value) ? value.map((v, i) => item(v, `${at}/${i}`)) : refuse(at, 'an array', value);
}

export function record<T>(item: Check<T>): Check<Readonly<Record<string, T>>> {
  return (value, at) => {
    const source = members(value, at);
    return Object.fromEntries(Object.entries(source).map(([key, v]) => [key, item(v, `${at}/${key}`)]));
  };
}

export function orNull<T>(item: Check<T>): Check<T | null> {
  return (value, at) => (value === null || value === undefined ? null : item(value, at));
}

type Shape = Readonly<Record<string, Check<unknown>>>;
type Required<S extends Shape> = { readonly [K in keyof S]: Checked<S[K]> };
type Optional<S extends Shape> = { readonly [K in keyof S]?: Checked<S[K]> };

/** An object with these members; those of `optional` may be absent (or null) and then stay absent. */
export function object<R extends Shape, O extends Shape>(required: R, optional?: O): Check<Required<R> & Optional<O>> {
  return (value, at) => {
    const source = members(value, at);
    const result: Record<string, unknown> = {};
    for (const [key, check] of Object.entries(required)) result[key] = check(source[key], `${at}/${key}`);
    for (const [key, check] of Object.entries(optional ?? {})) {
      const member = source[key];
      if (member !== undefined && member !== null) result[key] = check(member, `${at}/${key}`);
    }
    return result as Required<R> & Optional<O>;
  };
}

function members(value: unknown, at: string): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) refuse(at, 'an object', value);
  return value as Record<string, unknown>;
}
