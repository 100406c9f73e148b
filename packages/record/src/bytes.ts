/**
 * Bytes as text and back, strictly: canonical base64 (RFC 4648 §4), lower-case hex, UTF-8.
 *
 * `Buffer` is not used (browsers lack it) and would be too lenient: it skips what it doesn't know. Two texts never
 * decode to the same bytes here, so that a proof or a key has one spelling only.
 */
import { RecordError } from './errors.ts';

const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';
const values: Int8Array = new Int8Array(128).fill(-1);
for (let i = 0; i < 64; i++) values[alphabet.charCodeAt(i)] = i;

/** Standard base64 with padding. */
export function encodeBase64(bytes: Uint8Array): string {
  let out = '';
  let i = 0;
  for (; i + 2 < bytes.length; i += 3) {
    const word = ((bytes[i] as number) << 16) | ((bytes[i + 1] as number) << 8) | (bytes[i + 2] as number);
    out += letter(word >> 18) + letter(word >> 12) + letter(word >> 6) + letter(word);
  }
  const left = bytes.length - i;
  if (left === 1) {
    const word = (bytes[i] as number) << 16;
    out += `${letter(word >> 18)}${letter(word >> 12)}==`;
  } else if (left === 2) {
    const word = ((bytes[i] as number) << 16) | ((bytes[i + 1] as number) << 8);
    out += `${letter(word >> 18)}${letter(word >> 12)}${letter(word >> 6)}=`;
  }
  return out;
}

/**
 * Decodes standard base64 with padding, refusing every spelling but the canonical one: white space, missing padding,
 * the URL alphabet, or left-over bits that aren't zero.
 *
 * @throws {RecordError} `base64-invalid`
 */
export function decodeBase64(text: string): Uint8Array {
  const bytes = tryDecodeBase64(text);
  if (bytes === undefined) {
    throw new RecordError(
      'base64-invalid',
      `expected canonical standard base64 with padding, got ${text.length} characters that are not; check that nothing was cut, wrapped or re-encoded`,
    );
  }
  return bytes;
}

/** As `decodeBase64`, but `undefined` instead of an error. */
export function tryDecodeBase64(text: string): Uint8Array | undefined {
  if (text.length % 4 !== 0) return undefined;
  if (text.length === 0) return new Uint8Array(0);
  const padding = text.endsWith('==') ? 2 : text.endsWith('=') ? 1 : 0;
  const length = (text.length / 4) * 3 - padding;
  const out = new Uint8Array(length);
  const end = text.length - padding;
  let at = 0;
  let bits = 0;
  let word = 0;
  for (let i = 0; i < end; i++) {
    const code = text.charCodeAt(i);
    const value = code < 128 ? (values[code] as number) : -1;
    if (value < 0) return undefined;
    word = ((word << 6) | value) & 0xffff;
    bits += 6;
    if (bits >= 8) {
      bits -= 8;
      out[at++] = (word >> bits) & 0xff;
    }
  }
  return (word & ((1 << bits) - 1)) === 0 ? out : undefined;
}

const hexPairs: readonly string[] = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'));

/** Lower-case hex. */
export function encodeHex(bytes: Uint8Array): string {
  let out = '';
  for (const byte of bytes) out += hexPairs[byte] as string;
  return out;
}

/** Decodes lower-case hex; `undefined` for anything else. */
export function tryDecodeHex(text: string): Uint8Array | undefined {
  if (text.length % 2 !== 0 || !/^[0-9a-f]*$/.test(text)) return undefined;
  const out = new Uint8Array(text.length / 2);
  for (let i = 0; i < out.length; i++) out[i] = Number.parseInt(text.slice(2 * i, 2 * i + 2), 16);
  return out;
}

const encoder: TextEncoder = new TextEncoder();
const decoder: TextDecoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** UTF-8 of a string. Lone surrogates become U+FFFD: check `isWellFormed()` first where that matters. */
export function encodeUtf8(text: string): Uint8Array {
  return encoder.encode(text);
}

/** Strict UTF-8, a byte order mark kept as a character; `undefined` if the bytes aren't UTF-8. */
export function tryDecodeUtf8(bytes: Uint8Array): string | undefined {
  try {
    return decoder.decode(bytes);
  } catch {
    return undefined;
  }
}

/** The parts, one after the other. */
export function concatBytes(...parts: readonly Uint8Array[]): Uint8Array {
  let length = 0;
  for (const part of parts) length += part.length;
  const out = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

/** Equal lengths and equal bytes. Not for secrets: it stops at the first difference. */
export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

function letter(bits: number): string {
  return alphabet[bits & 63] as string;
}
