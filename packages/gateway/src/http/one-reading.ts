/**
 * JSON of a request, where every parser finds the same in it: UTF-8, well-formed, no member twice. Of two members with one name some parsers take the first and some
 * the last, so the API could do, or do to somebody, what was never judged or recorded.
 */
import { countMembers } from './partial-json.ts';

/** Undefined where the bytes are no JSON, or JSON with two readings. */
export function parseOneReading(body: Uint8Array): unknown {
  const value = parseUtf8(body);
  if (value === undefined || typeof value !== 'object' || value === null) return value;
  let count = 0;
  const stack: object[] = [value];
  for (let next = stack.pop(); next !== undefined; next = stack.pop()) {
    if (!Array.isArray(next)) count += Object.keys(next).length;
    for (const inner of Object.values(next)) if (typeof inner === 'object' && inner !== null) stack.push(inner);
  }
  return countMembers(Buffer.from(body).toString('utf8')) === count ? value : undefined;
}

/** Undefined for what is nested so deep that it can be read, and not be written again. */
export function stringifyShallow(value: object): string | undefined {
  try {
    return JSON.stringify(value);
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

export function parseUtf8(body: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body));
  } catch {
    return undefined;
  }
}
