/**
 * Reading and writing the big-endian integers and length-prefixed fields of docs/format.md. A reader never runs past its
 * end and never allocates what a length field claims: it throws a RecordError with the code it was made with.
 */
import { type ErrorCode, RecordError } from '../errors.ts';

export class ByteReader {
  readonly bytes: Uint8Array;
  at: number;
  readonly end: number;
  readonly #view: DataView;
  readonly #code: ErrorCode;

  constructor(bytes: Uint8Array, code: ErrorCode, at = 0, end: number = bytes.length) {
    this.bytes = bytes;
    this.at = at;
    this.end = end;
    this.#code = code;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get left(): number {
    return this.end - this.at;
  }

  u8(what: string): number {
    return this.#view.getUint8(this.#step(1, what));
  }

  u16(what: string): number {
    return this.#view.getUint16(this.#step(2, what));
  }

  u32(what: string): number {
    return this.#view.getUint32(this.#step(4, what));
  }

  /** As a number: positions beyond 2^53 are refused. */
  u64(what: string): number {
    const value = this.#view.getBigUint64(this.#step(8, what));
    if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw this.error(`${what} is beyond 2^53`);
    return Number(value);
  }

  /** A view of the next `count` bytes, not a copy. */
  take(count: number, what: string): Uint8Array {
    const from = this.#step(count, what);
    return this.bytes.subarray(from, from + count);
  }

  /** UTF-8 text behind a length of one byte. */
  text(what: string): string {
    const bytes = this.take(this.u8(what), what);
    try {
      return decoder.decode(bytes);
    } catch (cause) {
      throw this.error(`${what} is not UTF-8`, cause);
    }
  }

  magic(expected: string, what: string): void {
    const bytes = this.take(expected.length, what);
    for (let i = 0; i < expected.length; i++) {
      if (bytes[i] !== expected.charCodeAt(i)) throw this.error(`expected ${what} to begin with ${expected}`);
    }
  }

  error(message: string, cause?: unknown): RecordError {
    return new RecordError(this.#code, `${message}, at byte ${this.at}`, { cause });
  }

  #step(count: number, what: string): number {
    const from = this.at;
    if (count > this.end - from) throw this.error(`expected ${count} bytes of ${what}, got ${this.end - from}`);
    this.at = from + count;
    return from;
  }
}

/** Writes into a buffer made large enough beforehand. */
export class ByteWriter {
  readonly bytes: Buffer;
  at = 0;

  /** @param over memory to write into where it is long enough */
  constructor(sizeBytes: number, over?: Uint8Array) {
    this.bytes =
      over !== undefined && over.length >= sizeBytes
        ? Buffer.from(over.buffer, over.byteOffset, sizeBytes)
        : Buffer.allocUnsafe(sizeBytes);
  }

  u8(value: number): this {
    this.at = this.bytes.writeUInt8(value, this.at);
    return this;
  }

  u16(value: number): this {
    this.at = this.bytes.writeUInt16BE(value, this.at);
    return this;
  }

  u32(value: number): this {
    this.at = this.bytes.writeUInt32BE(value, this.at);
    return this;
  }

  u64(value: number): this {
    this.at = writeU64(this.bytes, value, this.at);
    return this;
  }

  put(bytes: Uint8Array): this {
    this.bytes.set(bytes, this.at);
    this.at += bytes.length;
    return this;
  }

  ascii(text: string): this {
    this.at += this.bytes.write(text, this.at, 'latin1');
    return this;
  }

  /** UTF-8 behind a length of one byte. */
  text(text: string): this {
    const bytes = encoder.encode(text);
    if (bytes.length > 255)
      throw new RecordError('argument-invalid', `expected a name of at most 255 bytes, got ${bytes.length}`);
    return this.u8(bytes.length).put(bytes);
  }
}

/** A safe integer as eight bytes; returns the position after it. */
export function writeU64(into: Buffer, value: number, at: number): number {
  // Readers refuse what is larger: it must not be written either.
  if (!Number.isSafeInteger(value) || value < 0)
    throw new RecordError('argument-invalid', `expected a position from 0 to 2^53 - 1, got ${value}`);
  into.writeUInt32BE(Math.floor(value / 2 ** 32), at);
  return into.writeUInt32BE(value % 2 ** 32, at + 4);
}

/** Bytes of a text behind a length of one byte. */
export function textBytes(text: string): number {
  return 1 + encoder.encode(text).length;
}

const encoder: TextEncoder = new TextEncoder();
const decoder: TextDecoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
