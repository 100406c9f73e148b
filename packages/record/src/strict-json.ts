/**
 * JSON without its ambiguities: UTF-8 only, bounded in length and depth, and no member given twice.
 *
 * Two readers may take different values from a text with a duplicate member (RFC 8259 §4), and so may a signer and a
 * verifier. The text is parsed by the engine; duplicates show up because the text then has more members than the result.
 */
import { encodeUtf8, tryDecodeUtf8 } from './bytes.ts';
import { RecordError } from './errors.ts';

export interface JsonBounds {
  readonly bytesMax: number;
  readonly depthMax: number;
}

/** What an event may be at most, as text. */
export const eventJsonBounds: JsonBounds = { bytesMax: 65_536, depthMax: 16 };

export interface StrictJson {
  readonly value: unknown;
  readonly text: string;
  /** Members of all objects in the text, duplicates counted. */
  readonly members: number;
  /** The text has no white space outside of texts and no escapes, and its numbers are as the engine writes them: it is what `JSON.stringify(value)` gives, unless a member's name is an array index or stands twice. */
  readonly plain: boolean;
}

/**
 * Parses a text. Compare `members` with what the value has (`countMembers`, or what a validator counted).
 *
 * @throws {RecordError} `json-invalid`
 */
export function parseJson(text: string | Uint8Array, bounds: JsonBounds): StrictJson {
  if (text.length > bounds.bytesMax) throw tooLong(bounds, text.length);
  const decoded = typeof text === 'string' ? text : tryDecodeUtf8(text);
  if (decoded === undefined || !decoded.isWellFormed()) throw invalid('expected UTF-8');
  const bytes = typeof text === 'string' ? encodeUtf8(text) : text;
  if (bytes.length > bounds.bytesMax) throw tooLong(bounds, bytes.length);
  const { members, plain } = scan(bytes, bounds.depthMax);
  try {
    return { value: JSON.parse(decoded) as unknown, text: decoded, members, plain };
  } catch {
    // The engine's message quotes the text, which may be PHI: it isn't passed on.
    throw invalid('expected one whole JSON value');
  }
}

/** Members of all objects within a parsed value. */
export function countMembers(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0;
  let count = 0;
  if (Array.isArray(value)) {
    for (const item of value) count += countMembers(item);
    return count;
  }
  for (const item of Object.values(value)) count += 1 + countMembers(item);
  return count;
}

/** @throws {RecordError} `json-invalid` where the text has more members than the value */
export function refuseDuplicates(inText: number, inValue: number): void {
  if (inText !== inValue) throw invalid('expected each member once, got one twice');
}

/**
 * Cuts an array of JSON values into the bytes of each, as they were sent, so that each can be parsed and digested on its own.
 *
 * Only the outer structure is looked at: an item may still be malformed. White space around items isn't part of them.
 *
 * @throws {RecordError} `json-invalid` where this is no array, or it has more than `itemsMax` items
 */
export function splitJsonArray(bytes: Uint8Array, itemsMax: number): Uint8Array[] {
  let at = skipSpace(bytes, 0);
  if (bytes[at] !== openBracket) throw invalid('expected an array');
  at = skipSpace(bytes, at + 1);
  const items: Uint8Array[] = [];
  if (bytes[at] === closeBracket) at++;
  else {
    for (;;) {
      if (items.length === itemsMax) throw invalid(`expected at most ${itemsMax} items`);
      const end = itemEnd(bytes, at);
      items.push(bytes.subarray(at, trimEnd(bytes, at, end)));
      at = skipSpace(bytes, end + 1);
      if (bytes[end] === closeBracket) break;
    }
  }
  if (skipSpace(bytes, at) !== bytes.length) throw invalid('expected nothing after the array');
  return items;
}

const space = 0x20;
const minus = 0x2d;
const zero = 0x30;
const nine = 0x39;
/** No number is written with more characters by the engine. */
const plainNumberCharsMax = 32;
const quote = 0x22;
const backslash = 0x5c;
const comma = 0x2c;
const colon = 0x3a;
const openBracket = 0x5b;
const closeBracket = 0x5d;
const openBrace = 0x7b;
const closeBrace = 0x7d;

/** Position of the comma or bracket that ends the item beginning at `at`. */
function itemEnd(bytes: Uint8Array, at: number): number {
  const start = at;
  let depth = 0;
  for (; at < bytes.length; at++) {
    const byte = bytes[at];
    if (byte === quote) {
      for (at++; at < bytes.length && bytes[at] !== quote; at++) if (bytes[at] === backslash) at++;
    } else if (byte === openBrace || byte === openBracket) {
      depth++;
    } else if (depth > 0 && (byte === closeBrace || byte === closeBracket)) {
      depth--;
    } else if (depth === 0 && (byte === comma || byte === closeBracket)) {
      if (trimEnd(bytes, start, at) === start) throw invalid('expected a value in each place of the array');
      return at;
    }
  }
  throw invalid('expected the array to be closed');
}

function skipSpace(bytes: Uint8Array, at: number): number {
  while (isSpace(bytes[at])) at++;
  return at;
}

function trimEnd(bytes: Uint8Array, start: number, end: number): number {
  while (end > start && isSpace(bytes[end - 1])) end--;
  return end;
}

function isSpace(byte: number | undefined): boolean {
  return byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09;
}

/** Counts colons outside of texts, one for each member; refuses deep nesting before the engine has to recurse. */
function scan(bytes: Uint8Array, depthMax: number): { readonly members: number; readonly plain: boolean } {
  const { length } = bytes;
  let members = 0;
  let depth = 0;
  let plain = true;
  for (let i = 0; i < length; i++) {
    const byte = bytes[i] as number;
    if (byte === quote) {
      i = textEnd(bytes, i + 1);
    } else if (byte === colon) {
      members++;
    } else if (byte === openBrace || byte === openBracket) {
      if (++depth > depthMax) throw invalid(`expected at most ${depthMax} levels`);
    } else if (byte === closeBrace || byte === closeBracket) {
      depth--;
    } else if (byte <= space) {
      plain = false;
    } else if (byte === minus || (byte >= zero && byte <= nine)) {
      const end = numberEnd(bytes, i);
      plain &&= isPlainNumber(bytes, i, end);
      i = end - 1;
    }
  }
  return { members, plain: plain && !bytes.includes(backslash) };
}

/** Position of the quotation mark that ends the text. */
function textEnd(bytes: Uint8Array, from: number): number {
  for (let at = from; at < bytes.length; at++) {
    if (bytes[at] === quote) return at;
    if (bytes[at] === backslash) at++;
  }
  throw invalid('expected each text to end');
}

function numberEnd(bytes: Uint8Array, at: number): number {
  let end = at + 1;
  // Digits, signs, the point and the exponent; whether they make a number is for the engine to say.
  while (end < bytes.length && isOfNumber(bytes[end] as number)) end++;
  return end;
}

function isOfNumber(byte: number): boolean {
  return (byte >= zero && byte <= nine) || byte === minus || byte === 0x2b || byte === 0x2e || (byte | 0x20) === 0x65;
}

/** Would the engine write it so? Short whole numbers are clear; of others it is asked. */
function isPlainNumber(bytes: Uint8Array, from: number, to: number): boolean {
  const first = bytes[from] as number;
  if (to - from === 1) return first !== minus;
  let digits = to - from <= 15 && first !== zero;
  for (let i = from; digits && i < to; i++) digits = (bytes[i] as number) >= zero && (bytes[i] as number) <= nine;
  if (digits) return true;
  const text = String.fromCharCode(...bytes.subarray(from, Math.min(to, from + plainNumberCharsMax)));
  return to - from < plainNumberCharsMax && String(Number(text)) === text;
}

function tooLong({ bytesMax }: JsonBounds, got: number): RecordError {
  return invalid(`expected at most ${bytesMax} bytes, got ${got}`);
}

function invalid(message: string): RecordError {
  return new RecordError('json-invalid', message);
}
