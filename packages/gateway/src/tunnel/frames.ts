/**
 * Reads the frames of one direction of a WebSocket as they pass (RFC 6455 §5), without keeping them: whether they are sound, where one ends, and
 * with which code it was closed. What they say is nobody's business here. Both ends read the bytes by the same rules as this does, or they don't get them.
 */

export type FrameFault =
  | 'frame-reserved'
  | 'frame-opcode'
  | 'frame-mask'
  | 'frame-control'
  | 'frame-length'
  | 'frame-order'
  | 'frame-after-close'
  | 'message-too-large';

const opcodes = { continuation: 0x0, text: 0x1, binary: 0x2, close: 0x8, ping: 0x9, pong: 0xa } as const;
const known: ReadonlySet<number> = new Set(Object.values(opcodes));
const controlBytesMax = 125;
const headerBytesMax = 14;

export class FrameReader {
  readonly #masked: boolean;
  readonly #messageBytesMax: number;
  /** The head of the frame that is being read. */
  readonly #head = Buffer.alloc(headerBytesMax);
  #headBytes = 0;
  /** Of the payload, still to come. */
  #left = 0;
  #opcode = 0;
  /** The mask of a close frame, and the first two bytes of what it says. */
  #mask: Buffer | undefined;
  #closing: number[] = [];
  #inMessage = false;
  #messageBytes = 0;
  #closed = false;
  /** Once a close frame was read; 1005 where it had none (§7.1.5). */
  closeCode: number | undefined;

  /** `masked`: frames of a client have to be, those of a server must not. No extension was agreed on, so no bit of them may be set. */
  constructor(options: { readonly masked: boolean; readonly messageBytesMax: number }) {
    this.#masked = options.masked;
    this.#messageBytesMax = options.messageBytesMax;
  }

  /** The last byte was the last of a frame: another frame may be put behind it. */
  get atBoundary(): boolean {
    return this.#headBytes === 0 && this.#left === 0;
  }

  /** The first fault of what came, and then it is over. */
  push(chunk: Uint8Array): FrameFault | undefined {
    let at = 0;
    while (at < chunk.length) {
      if (this.#left > 0) {
        const taken = Math.min(this.#left, chunk.length - at);
        if (this.#opcode === opcodes.close) this.#noteClosing(chunk.subarray(at, at + taken));
        this.#left -= taken;
        at += taken;
        if (this.#left === 0) this.#finish();
        continue;
      }
      if (this.#closed) return 'frame-after-close';
      this.#head[this.#headBytes] = chunk[at] as number;
      this.#headBytes += 1;
      at += 1;
      const fault = this.#begin();
      if (fault !== undefined) return fault;
    }
    return undefined;
  }

  /** Undefined as long as the head is sound so far. */
  #begin(): FrameFault | undefined {
    const [first = 0, second = 0] = this.#head;
    if (this.#headBytes === 1) return this.#firstFault(first);
    const short = second & 0x7f;
    if (this.#headBytes === 2) {
      if (((second & 0x80) !== 0) !== this.#masked) return 'frame-mask';
      if ((first & 0x08) !== 0 && (short > controlBytesMax || (first & 0x80) === 0)) return 'frame-control';
    }
    const lengthBytes = short === 126 ? 2 : short === 127 ? 8 : 0;
    if (this.#headBytes < 2 + lengthBytes + (this.#masked ? 4 : 0)) return undefined;
    const length = lengthBytes === 0 ? short : lengthOf(this.#head.subarray(2, 2 + lengthBytes));
    // §5.2: the fewest bytes that hold it, so that there is one way to say it.
    if (length === undefined || (lengthBytes === 2 && length < 126) || (lengthBytes === 8 && length < 0x1_00_00))
      return 'frame-length';
    this.#mask = this.#masked ? Buffer.from(this.#head.subarray(this.#headBytes - 4, this.#headBytes)) : undefined;
    this.#headBytes = 0;
    return this.#beginPayload(first, length);
  }

  #firstFault(first: number): FrameFault | undefined {
    this.#opcode = first & 0x0f;
    if ((first & 0x70) !== 0) return 'frame-reserved';
    if (!known.has(this.#opcode)) return 'frame-opcode';
    if (this.#opcode >= opcodes.close) return undefined;
    return (this.#opcode === opcodes.continuation) === this.#inMessage ? undefined : 'frame-order';
  }

  #beginPayload(first: number, length: number): FrameFault | undefined {
    if (this.#opcode < opcodes.close) {
      this.#messageBytes = (this.#opcode === opcodes.continuation ? this.#messageBytes : 0) + length;
      if (this.#messageBytes > this.#messageBytesMax) return 'message-too-large';
      this.#inMessage = (first & 0x80) === 0;
    }
    this.#left = length;
    if (length === 0) this.#finish();
    return undefined;
  }

  #noteClosing(payload: Uint8Array): void {
    for (const byte of payload.subarray(0, 2 - this.#closing.length))
      this.#closing.push(byte ^ (this.#mask?.[this.#closing.length] ?? 0));
  }

  #finish(): void {
    if (this.#opcode !== opcodes.close) return;
    this.#closed = true;
    const [high, low] = this.#closing;
    this.closeCode = high === undefined || low === undefined ? 1_005 : high * 256 + low;
  }
}

/** A close frame of this end. Who speaks as a client masks it. */
export function closeFrame(code: number, mask?: Uint8Array): Buffer {
  const payload = Buffer.from([code >> 8, code & 0xff]);
  if (mask === undefined) return Buffer.concat([Buffer.from([0x88, payload.length]), payload]);
  const masked = payload.map((byte, position) => byte ^ (mask[position] as number));
  return Buffer.concat([Buffer.from([0x88, 0x80 | payload.length]), mask.subarray(0, 4), masked]);
}

/** Undefined for what is no length: its first bit set, or beyond what can be counted. */
function lengthOf(bytes: Buffer): number | undefined {
  if (bytes.length === 2) return bytes.readUInt16BE();
  const length = Number(bytes.readBigUInt64BE());
  return Number.isSafeInteger(length) ? length : undefined;
}
