/**
 * The openings r of one step (docs/format.md, "The leaf"): the AES-256-CTR keystream under the step's opening key, 32
 * bytes for each index from the first of the step on. Asking in ascending order costs one cipher call for 512 openings.
 */
import { createCipheriv } from 'node:crypto';
import { RecordError } from '../errors.ts';

const aheadCount = 512;
const zeros: Uint8Array = new Uint8Array(32 * aheadCount);

/** Most events a step may have. */
export const stepEventsMax = 65_536;

export class Openings {
  readonly #key: Uint8Array;
  #from = -1;
  #stream: Uint8Array = zeros;

  constructor(openingKey: Uint8Array) {
    this.#key = openingKey;
  }

  /** Part of the keystream: `seek` says where in it an opening is, until the next `seek`. */
  get stream(): Uint8Array {
    return this.#stream;
  }

  /** 32 bytes, a view that stays valid; `offset` = index − first index of the step. */
  at(offset: number): Uint8Array {
    const from = this.seek(offset);
    return this.#stream.subarray(from, from + 32);
  }

  /** As `at`, without an object for each: the position of the opening in `stream`. */
  seek(offset: number): number {
    if (this.#from < 0 || offset < this.#from || offset >= this.#from + aheadCount) this.#fill(offset);
    return 32 * (offset - this.#from);
  }

  erase(): void {
    this.#key.fill(0);
    this.#from = -1;
    this.#stream = zeros;
  }

  #fill(offset: number): void {
    if (!Number.isInteger(offset) || offset < 0 || offset >= stepEventsMax) {
      throw new RecordError(
        'argument-invalid',
        `expected an offset in the step from 0 to ${stepEventsMax - 1}, got ${offset}`,
      );
    }
    const counter = Buffer.alloc(16);
    counter.writeUInt32BE(2 * offset, 12); // an opening is two cipher blocks
    this.#stream = createCipheriv('aes-256-ctr', this.#key, counter).update(zeros);
    this.#from = offset;
  }
}
