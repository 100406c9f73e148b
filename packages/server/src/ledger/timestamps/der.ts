/**
 * Reading and writing the little DER (ITU-T X.690) that timestamps need. Strict: definite and shortest lengths, tags below 31, every byte accounted for; whatever else comes is
 * a `LedgerError`, and never a wait or a read past the end.
 */
import { LedgerError } from '../errors.ts';

export const tags = {
  boolean: 0x01,
  integer: 0x02,
  octetString: 0x04,
  oid: 0x06,
  generalizedTime: 0x18,
  sequence: 0x30,
  set: 0x31,
} as const;

export interface Der {
  readonly tag: number;
  /** Tag, length and content. */
  readonly bytes: Uint8Array;
  readonly content: Uint8Array;
}

const childrenMax = 1_024;

/** The one value that fills the bytes. */
export function readDer(bytes: Uint8Array): Der {
  const value = readAt(bytes, 0);
  if (value.bytes.length !== bytes.length) throw malformed('there are bytes behind the value');
  return value;
}

/** What a constructed value holds, in order. */
export function childrenOf(value: Der): Der[] {
  if ((value.tag & 0x20) === 0) throw malformed('expected a constructed value');
  const children: Der[] = [];
  for (let at = 0; at < value.content.length; ) {
    const child = readAt(value.content, at);
    if (children.push(child) > childrenMax) throw malformed('a value holds too many others');
    at += child.bytes.length;
  }
  return children;
}

export function expectTag(value: Der | undefined, tag: number): Der {
  if (value?.tag !== tag) throw malformed(`expected tag ${tag}, got ${value?.tag ?? 'nothing'}`);
  return value;
}

/** An object identifier in dots. */
export function oidOf(value: Der | undefined): string {
  const { content } = expectTag(value, tags.oid);
  const arcs: number[] = [];
  let arc = 0;
  for (const [at, byte] of content.entries()) {
    if (arc > 0xff_ffff || (arc === 0 && byte === 0x80)) throw malformed('an object identifier is out of bounds');
    arc = arc * 128 + (byte & 0x7f);
    if ((byte & 0x80) !== 0) {
      if (at === content.length - 1) throw malformed('an object identifier is cut short');
      continue;
    }
    if (arcs.length === 0) arcs.push(Math.min(2, Math.floor(arc / 40)), arc - 40 * Math.min(2, Math.floor(arc / 40)));
    else arcs.push(arc);
    arc = 0;
  }
  if (arcs.length === 0) throw malformed('an object identifier is empty');
  return arcs.join('.');
}

/** RFC 3161 §2.4.2: GeneralizedTime in UTC, with decimals of the second or without. ms since 1970. */
export function timeOf(value: Der | undefined): number {
  const text = Buffer.from(expectTag(value, tags.generalizedTime).content).toString('latin1');
  const match = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(\.\d{1,9})?Z$/.exec(text);
  const [, year, month, day, hour, minute, second, decimals = ''] = match ?? [];
  const ms = match === null ? Number.NaN : Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`);
  if (!Number.isFinite(ms)) throw malformed('expected a time in UTC');
  return ms + Math.floor(Number(`0${decimals}`) * 1000);
}

export function encodeDer(tag: number, ...contents: readonly Uint8Array[]): Uint8Array {
  const content = Buffer.concat(contents);
  const { length } = content;
  const head =
    length < 0x80 ? [tag, length] : length < 0x100 ? [tag, 0x81, length] : [tag, 0x82, length >> 8, length & 0xff];
  if (length > 0xffff) throw malformed('a value is too long to be written');
  return Buffer.concat([Uint8Array.from(head), content]);
}

export function encodeOid(dotted: string): Uint8Array {
  const [first = 0, second = 0, ...rest] = dotted.split('.').map(Number);
  const bytes = [first * 40 + second, ...rest].flatMap((arc) => {
    const septets = [arc & 0x7f];
    for (let left = Math.floor(arc / 128); left > 0; left = Math.floor(left / 128))
      septets.unshift((left & 0x7f) | 0x80);
    return septets;
  });
  return encodeDer(tags.oid, Uint8Array.from(bytes));
}

function readAt(bytes: Uint8Array, at: number): Der {
  const tag = bytes[at];
  const first = bytes[at + 1];
  if (tag === undefined || first === undefined) throw malformed('a value is cut short');
  if ((tag & 0x1f) === 0x1f) throw malformed('a tag is out of bounds');
  let start = at + 2;
  let length = first;
  if (first >= 0x80) {
    const count = first & 0x7f;
    if (count === 0 || count > 3) throw malformed('a length is indefinite or out of bounds');
    length = 0;
    for (let i = 0; i < count; i++) length = length * 256 + (bytes[start++] ?? 0);
    if (length < 0x80 || length < 256 ** (count - 1)) throw malformed('a length is not the shortest');
  }
  const end = start + length;
  if (end > bytes.length) throw malformed('a value is cut short');
  return { tag, bytes: bytes.subarray(at, end), content: bytes.subarray(start, end) };
}

function malformed(message: string): LedgerError {
  return new LedgerError('timestamp-invalid', `the timestamp is not DER as it should be: ${message}`);
}
