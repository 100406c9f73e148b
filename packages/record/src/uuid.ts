/** UUIDv7 (RFC 9562 §5.7): ids that sort by time. Time and randomness come from the caller. */
import { tryDecodeHex } from './bytes.ts';
import { RecordError } from './errors.ts';

/** Lower case only, so that one id has one spelling. */
export const uuidv7Pattern: RegExp = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

/**
 * @param nowMs milliseconds since 1970
 * @param random 10 random bytes, of which 74 bits are used
 * @example
 * uuidv7(Date.now(), crypto.getRandomValues(new Uint8Array(10)));
 */
export function uuidv7(nowMs: number, random: Uint8Array): string {
  if (!Number.isSafeInteger(nowMs) || nowMs < 0 || nowMs >= 2 ** 48 || random.length !== 10) {
    throw new RecordError('argument-invalid', 'expected whole milliseconds since 1970 below 2^48 and 10 random bytes');
  }
  const bytes = new Uint8Array(16);
  const high = Math.floor(nowMs / 2 ** 24);
  for (let i = 0; i < 3; i++) {
    bytes[i] = high >> (16 - 8 * i);
    bytes[i + 3] = (nowMs % 2 ** 24) >> (16 - 8 * i);
  }
  bytes.set(random, 6);
  bytes[6] = 0x70 | ((bytes[6] as number) & 0x0f);
  bytes[8] = 0x80 | ((bytes[8] as number) & 0x3f);
  return formatUuid(bytes);
}

/** The 16 bytes of a UUID in lower case. */
export function uuidBytes(id: string): Uint8Array {
  const bytes = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(id)
    ? tryDecodeHex(id.replaceAll('-', ''))
    : undefined;
  if (bytes === undefined) throw new RecordError('argument-invalid', 'expected a UUID in lower case');
  return bytes;
}

const digitCodes: readonly number[] = Array.from('0123456789abcdef', (digit) => digit.charCodeAt(0));
const dashCode = 0x2d;

/** A UUID from its 16 bytes: one string in one piece, since a request makes several and each is written out again and again. */
export function formatUuid(bytes: Uint8Array): string {
  if (bytes.length !== 16) throw new RecordError('argument-invalid', `expected 16 bytes, got ${bytes.length}`);
  const codes: number[] = [];
  for (let i = 0; i < 16; i++) {
    if (i === 4 || i === 6 || i === 8 || i === 10) codes.push(dashCode);
    const byte = bytes[i] as number;
    codes.push(digitCodes[byte >> 4] as number, digitCodes[byte & 0x0f] as number);
  }
  return String.fromCharCode(...codes);
}
