/**
 * How much room a spool has: its own bound, and what the file system still gives. Room that is set aside for an event which is still to come counts as
 * taken.
 */
import type { SpoolDisk } from './disk.ts';
import { SdkError } from './errors.ts';

/** How long an answer of the file system is believed. */
const freeBytesForMs = 100;

export interface Reservation {
  readonly bytes: number;
  /** Gives back what is beyond so many bytes. */
  shrinkTo(bytes: number): void;
  /** Gives the room back; once is enough, more does no harm. */
  release(): void;
}

export class Room {
  readonly #disk: SpoolDisk;
  readonly #directory: string;
  readonly #maxBytes: number;
  readonly #freeBytesMin: number;
  #reservedBytes = 0;
  #freeBytes = Number.POSITIVE_INFINITY;
  #freeBytesAt = Number.NEGATIVE_INFINITY;

  constructor(parts: {
    readonly disk: SpoolDisk;
    readonly directory: string;
    readonly maxBytes: number;
    readonly freeBytesMin: number;
  }) {
    this.#disk = parts.disk;
    this.#directory = parts.directory;
    this.#maxBytes = parts.maxBytes;
    this.#freeBytesMin = parts.freeBytesMin;
  }

  get reservedBytes(): number {
    return this.#reservedBytes;
  }

  /** `usedBytes` is what is on disk or on its way there. Throws `spool-full`. */
  reserve(bytes: number, usedBytes: number): Reservation {
    this.assert(bytes, usedBytes);
    this.#reservedBytes += bytes;
    let heldBytes = bytes;
    const shrinkTo = (leftBytes: number): void => {
      const givenBytes = Math.max(0, heldBytes - leftBytes);
      heldBytes -= givenBytes;
      this.#reservedBytes -= givenBytes;
    };
    return {
      get bytes() {
        return heldBytes;
      },
      shrinkTo,
      release: () => shrinkTo(0),
    };
  }

  /** Throws `spool-full` unless there is room for `bytes` more. */
  assert(bytes: number, usedBytes: number): void {
    const wanted = usedBytes + this.#reservedBytes + bytes;
    if (wanted > this.#maxBytes) {
      throw new SdkError(
        'spool-full',
        `expected at most ${this.#maxBytes} bytes in the spool, got ${wanted}; see whether the server is reachable and takes events, or raise maxBytes`,
      );
    }
    const now = performance.now();
    if (now - this.#freeBytesAt > freeBytesForMs) {
      this.#freeBytes = this.#disk.freeBytes(this.#directory);
      this.#freeBytesAt = now;
    }
    if (this.#freeBytes - this.#reservedBytes - bytes < this.#freeBytesMin) {
      throw new SdkError(
        'spool-full',
        `expected ${this.#freeBytesMin} bytes free beside the spool, got ${this.#freeBytes}; free some: it goes on by itself`,
      );
    }
  }
}
