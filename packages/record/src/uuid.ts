/** UUIDv7 (RFC 9562 §5.7): ids that sort by time. Time and randomness come from the caller. */
import { encodeHex, tryDecodeHex } from './bytes.ts';
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
  const view = new DataView(bytes.buffer);
  view.setUint16(0, Math.floor(nowMs / 2 ** 32));
  view.setUint32(2, nowMs % 2 ** 32);
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

/** A UUID from its 16 bytes. */
export function formatUuid(bytes: Uint8Array): string {
  if (bytes.length !== 16) throw new RecordError('argument-invalid', `expected 16 bytes, got ${bytes.length}`);
  const hex = encodeHex(bytes);
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}
