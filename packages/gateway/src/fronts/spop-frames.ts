/**
 * The frames of SPOP 2.0, HAProxy's protocol for asking others about its streams: read and written, every length checked against what is there. Nothing is kept
 * of a frame that isn't whole and sound.
 */

export const frameTypes = {
  unset: 0,
  haproxyHello: 1,
  haproxyDisconnect: 2,
  notify: 3,
  agentHello: 101,
  agentDisconnect: 102,
  ack: 103,
} as const;

/** Status codes of a disconnect, as the protocol numbers them. */
export const spopStatus = {
  normal: 0,
  frameTooBig: 3,
  frameInvalid: 4,
  versionMissing: 5,
  frameSizeMissing: 6,
  capabilitiesMissing: 7,
  versionUnsupported: 8,
  frameSizeOutOfRange: 9,
  fragmentation: 10,
  resources: 13,
} as const;
export type SpopStatus = keyof typeof spopStatus;

export const frameBytesMax = 16_380;
/** HAProxy takes no agent that can't do with so much. */
export const frameBytesMin = 256;
const argumentsMax = 64;
const messagesMax = 8;

export type SpopValue = string | number | bigint | boolean | Uint8Array | null;

export interface Frame {
  readonly type: number;
  readonly final: boolean;
  readonly aborted: boolean;
  readonly streamId: number;
  readonly frameId: number;
  /** A view of what was received: read before anything else arrives. */
  readonly payload: Buffer;
}

export class SpopError extends Error {
  readonly status: SpopStatus;

  constructor(status: SpopStatus) {
    super(`expected a sound SPOP frame, got one that is refused with ${status}`);
    this.name = 'SpopError';
    this.status = status;
  }
}

/** Cuts frames out of a stream of bytes. Holds at most one frame that isn't whole yet. */
export class FrameReader {
  #held: Buffer = Buffer.alloc(0);
  /** What both sides agreed on. */
  bytesMax: number = frameBytesMax;

  /** Frames that are whole now, each without its length. Throws `SpopError`. */
  *take(chunk: Buffer): Generator<Buffer, void> {
    this.#held = this.#held.length === 0 ? chunk : Buffer.concat([this.#held, chunk]);
    while (this.#held.length >= 4) {
      const length = this.#held.readUInt32BE(0);
      if (length > this.bytesMax) throw new SpopError('frameTooBig');
      if (length < 7) throw new SpopError('frameInvalid');
      if (this.#held.length < 4 + length) return;
      const frame = this.#held.subarray(4, 4 + length);
      this.#held = this.#held.subarray(4 + length);
      yield frame;
    }
  }

  /** Bytes of a frame that hasn't wholly arrived. */
  get heldBytes(): number {
    return this.#held.length;
  }
}

/** Throws `SpopError`. */
export function parseFrame(bytes: Buffer): Frame {
  const cursor = new Cursor(bytes);
  const type = cursor.byte();
  const flags = cursor.uint32();
  const streamId = cursor.varint();
  const frameId = cursor.varint();
  return {
    type,
    final: (flags & 1) !== 0,
    aborted: (flags & 2) !== 0,
    streamId,
    frameId,
    payload: cursor.rest(),
  };
}

/** Of HELLO and DISCONNECT. A name that comes twice is refused. */
export function parsePairs(payload: Buffer): ReadonlyMap<string, SpopValue> {
  const cursor = new Cursor(payload);
  const pairs = new Map<string, SpopValue>();
  while (!cursor.ended) readPair(cursor, pairs);
  return pairs;
}

export interface Message {
  readonly name: string;
  readonly values: ReadonlyMap<string, SpopValue>;
}

/**
 * Of NOTIFY. HAProxy sends the same names in the same order with each question, so a name is compared with what stood in its place before, and a new string is made
 * only where it differs: `known` is the reader's own, one for a connection.
 */
export function parseMessages(payload: Buffer, known: string[] = []): readonly Message[] {
  const cursor = new Cursor(payload);
  const messages: Message[] = [];
  while (!cursor.ended) {
    if (messages.length === messagesMax) throw new SpopError('frameInvalid');
    const name = cursor.text();
    const count = cursor.byte();
    if (count > argumentsMax) throw new SpopError('frameInvalid');
    const values = new Map<string, SpopValue>();
    for (let i = 0; i < count; i++) {
      const argument = cursor.name(known[i]);
      known[i] = argument;
      if (values.has(argument)) throw new SpopError('frameInvalid');
      values.set(argument, cursor.value());
    }
    messages.push({ name, values });
  }
  return messages;
}

function readPair(cursor: Cursor, pairs: Map<string, SpopValue>): void {
  const name = cursor.text();
  if (pairs.has(name) || pairs.size === argumentsMax) throw new SpopError('frameInvalid');
  pairs.set(name, cursor.value());
}

class Cursor {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  get ended(): boolean {
    return this.#at >= this.#bytes.length;
  }

  rest(): Buffer {
    return this.#bytes.subarray(this.#at);
  }

  byte(): number {
    const byte = this.#bytes[this.#at];
    if (byte === undefined) throw new SpopError('frameInvalid');
    this.#at += 1;
    return byte;
  }

  uint32(): number {
    return this.take(4).readUInt32BE(0);
  }

  take(length: number): Buffer {
    if (length > this.#bytes.length - this.#at) throw new SpopError('frameInvalid');
    this.#at += length;
    return this.#bytes.subarray(this.#at - length, this.#at);
  }

  /** The exact value of a number of at most 64 bits, in at most ten bytes. */
  wide(): bigint {
    const first = this.byte();
    if (first < 240) return BigInt(first);
    let value = BigInt(first);
    for (let shift = 4n; shift <= 60n; shift += 7n) {
      const byte = this.byte();
      value += BigInt(byte) << shift;
      if (byte < 128) return BigInt.asUintN(64, value);
    }
    throw new SpopError('frameInvalid');
  }

  /** One that counts something: beyond 2^53 nothing does. */
  varint(): number {
    const first = this.byte();
    if (first < 240) return first;
    let value = first;
    for (let shift = 4; shift <= 46; shift += 7) {
      const byte = this.byte();
      value += byte * 2 ** shift;
      if (byte < 128) {
        if (value > Number.MAX_SAFE_INTEGER) break;
        return value;
      }
    }
    throw new SpopError('frameInvalid');
  }

  /** Bytes as they are: a target in anything but ASCII is for the judge of targets to refuse. */
  text(): string {
    return this.take(this.varint()).toString('latin1');
  }

  /** A text that is likely to be `known`. */
  name(known: string | undefined): string {
    const length = this.varint();
    if (known?.length !== length || length > this.#bytes.length - this.#at) return this.take(length).toString('latin1');
    for (let i = 0; i < length; i++)
      if (this.#bytes[this.#at + i] !== known.charCodeAt(i)) return this.take(length).toString('latin1');
    this.#at += length;
    return known;
  }

  value(): SpopValue {
    const head = this.byte();
    switch (head & 0x0f) {
      case 0:
        return null;
      case 1:
        return (head & 0x10) !== 0;
      case 2:
      case 3:
      case 4:
      case 5: {
        const value = this.wide();
        return value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : value;
      }
      case 6:
        return this.take(4).join('.');
      case 7:
        return ipv6Text(this.take(16));
      case 8:
        return this.text();
      case 9:
        return Uint8Array.from(this.take(this.varint()));
      default:
        throw new SpopError('frameInvalid');
    }
  }
}

/** IPv4 inside IPv6 (RFC 4291 §2.5.5.2). */
const mappedPrefix = Buffer.from('00000000000000000000ffff', 'hex');

function ipv6Text(bytes: Buffer): string {
  if (bytes.subarray(0, 12).equals(mappedPrefix)) return bytes.subarray(12).join('.');
  const groups = Array.from({ length: 8 }, (_, i) => bytes.readUInt16BE(i * 2).toString(16));
  return new URL(`http://[${groups.join(':')}]`).hostname.slice(1, -1);
}

/** Frames of the agent one after another, in latin1, as it reads: what became known together leaves in one write. */
export class FrameWriter {
  #bytes: Buffer = Buffer.allocUnsafe(512);
  #at = 0;
  /** Where the last whole frame ends. */
  #wholeAt = 0;

  /** What was begun before and not ended is forgotten. */
  begin(type: number, streamId: number, frameId: number): this {
    this.#at = this.#wholeAt;
    this.#room(4);
    this.#at += 4;
    // FIN: nothing is ever fragmented here.
    return this.byte(type).byte(0).byte(0).byte(0).byte(1).varint(streamId).varint(frameId);
  }

  byte(value: number): this {
    this.#room(1);
    this.#bytes[this.#at++] = value;
    return this;
  }

  varint(value: number): this {
    this.#room(10);
    if (value < 240) {
      this.#bytes[this.#at++] = value;
      return this;
    }
    this.#bytes[this.#at++] = 240 + (value % 16);
    let left = Math.floor((value - 240) / 16);
    while (left >= 128) {
      this.#bytes[this.#at++] = 128 + (left % 128);
      left = Math.floor((left - 128) / 128);
    }
    this.#bytes[this.#at++] = left;
    return this;
  }

  text(value: string): this {
    this.varint(value.length);
    this.#room(value.length);
    this.#at += this.#bytes.write(value, this.#at, 'latin1');
    return this;
  }

  value(value: string | number | boolean): this {
    if (typeof value === 'boolean') return this.byte(value ? 0x11 : 0x01);
    if (typeof value === 'number') return this.byte(3).varint(value);
    return this.byte(8).text(value);
  }

  pair(name: string, value: string | number | boolean): this {
    return this.text(name).value(value);
  }

  /** A variable of the transaction, which HAProxy puts its prefix before. */
  setVariable(name: string, value: string | number | boolean): this {
    return this.byte(1).byte(3).byte(2).pair(name, value);
  }

  /** Of the frame begun last, with its length. */
  get length(): number {
    return this.#at - this.#wholeAt;
  }

  /** The frame begun last is whole. */
  end(): this {
    this.#bytes.writeUInt32BE(this.length - 4, this.#wholeAt);
    this.#wholeAt = this.#at;
    return this;
  }

  /** The frames that are whole: the caller's own. */
  take(): Buffer {
    const taken = this.#bytes.subarray(0, this.#wholeAt);
    this.#bytes = Buffer.allocUnsafe(Math.max(512, this.#wholeAt));
    this.#at = 0;
    this.#wholeAt = 0;
    return taken;
  }

  #room(bytes: number): void {
    if (this.#at + bytes <= this.#bytes.length) return;
    const larger = Buffer.allocUnsafe(Math.max(this.#bytes.length * 2, this.#at + bytes));
    this.#bytes.copy(larger, 0, 0, this.#at);
    this.#bytes = larger;
  }
}
