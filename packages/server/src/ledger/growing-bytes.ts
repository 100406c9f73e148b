/** A buffer that grows: what a group collects, without an allocation an event. */
export class GrowingBytes {
  #bytes: Buffer;
  #length = 0;

  constructor(sizeBytes: number) {
    this.#bytes = Buffer.allocUnsafeSlow(sizeBytes);
  }

  get length(): number {
    return this.#length;
  }

  /** Room for `count` more bytes; returns the position of the first, which `bytes` must be asked for again after. */
  extend(count: number): number {
    const at = this.#length;
    if (at + count > this.#bytes.length) {
      const larger = Buffer.allocUnsafeSlow(Math.max(this.#bytes.length * 2, at + count));
      larger.set(this.#bytes.subarray(0, at));
      this.#bytes = larger;
    }
    this.#length = at + count;
    return at;
  }

  put(bytes: Uint8Array): number {
    const at = this.extend(bytes.length);
    this.#bytes.set(bytes, at);
    return at;
  }

  /** The whole buffer, longer than `length`; until the next `extend`. */
  get buffer(): Buffer {
    return this.#bytes;
  }

  view(from = 0, to: number = this.#length): Buffer {
    return this.#bytes.subarray(from, to);
  }

  /** Begins anew in the same memory. */
  clear(): void {
    this.#length = 0;
  }
}

/**
 * Large buffers that are used again: new memory costs the system more than what is written into it, and old memory the garbage
 * collector. At most `countMax` lie idle.
 */
export class SpareBytes {
  readonly sizeBytes: number;
  readonly #countMax: number;
  readonly #spare: GrowingBytes[] = [];

  constructor(sizeBytes: number, countMax: number) {
    this.sizeBytes = sizeBytes;
    this.#countMax = countMax;
  }

  take(): GrowingBytes {
    return this.#spare.pop() ?? new GrowingBytes(this.sizeBytes);
  }

  /** Nobody may hold a view of it any more. Others than of this size aren't kept. */
  give(bytes: GrowingBytes): void {
    if (bytes.buffer.length !== this.sizeBytes || this.#spare.length >= this.#countMax) return;
    bytes.clear();
    this.#spare.push(bytes);
  }
}
