/**
 * The event ids of the last records of a log, to see one that comes twice. Bounded: two generations of `generationMax` ids, the older one forgotten when the newer is
 * full, so at least `generationMax` are known at any time. Ids come from outside, so the hash is keyed: nobody can aim at one bucket.
 */
import { randomBytes } from 'node:crypto';

const generationMax = 1 << 19;

interface Generation {
  /** Four words an id. */
  readonly words: Uint32Array;
  readonly indexes: Float64Array;
  readonly receivedMs: Float64Array;
  /** 0 is free; else 1 + the number of the id in here. */
  readonly table: Uint32Array;
  count: number;
}

export class RecentIds {
  readonly #idsMax: number;
  readonly #mask: number;
  readonly #key: Uint32Array = new Uint32Array(Uint8Array.from(randomBytes(16)).buffer);
  #newer: Generation;
  #older: Generation | undefined;

  /** @param records how many there are at most: less memory for less */
  constructor(records: number) {
    this.#idsMax = Math.max(16, Math.min(generationMax, 2 ** Math.ceil(Math.log2(Math.max(1, records)))));
    this.#mask = this.#idsMax * 2 - 1;
    this.#newer = makeGeneration(this.#idsMax);
  }

  /** Takes in a record, and returns the one before it that has its id, if there is one. */
  add(
    id: Uint8Array,
    record: { readonly index: number; readonly receivedMs: number },
  ): { readonly index: number; readonly receivedMs: number } | undefined {
    const words = [word(id, 0), word(id, 4), word(id, 8), word(id, 12)] as const;
    const hash = this.#hash(words);
    const known = this.#find(this.#newer, words, hash) ?? (this.#older && this.#find(this.#older, words, hash));
    if (this.#newer.count === this.#idsMax) {
      this.#older = this.#newer;
      this.#newer = makeGeneration(this.#idsMax);
    }
    const { table, count } = this.#newer;
    let place = hash & this.#mask;
    while (table[place] !== 0) place = (place + 1) & this.#mask;
    table[place] = count + 1;
    this.#newer.words.set(words, count * 4);
    this.#newer.indexes[count] = record.index;
    this.#newer.receivedMs[count] = record.receivedMs;
    this.#newer.count++;
    return known;
  }

  #find(
    { table, words: stored, indexes, receivedMs }: Generation,
    words: readonly number[],
    hash: number,
  ): { readonly index: number; readonly receivedMs: number } | undefined {
    for (let place = hash & this.#mask; ; place = (place + 1) & this.#mask) {
      const entry = (table[place] as number) - 1;
      if (entry < 0) return undefined;
      if (words.every((one, at) => stored[entry * 4 + at] === one))
        return { index: indexes[entry] as number, receivedMs: receivedMs[entry] as number };
    }
  }

  #hash(words: readonly number[]): number {
    let h = 0;
    for (const [at, one] of words.entries()) {
      h = Math.imul(h ^ one ^ (this.#key[at] as number), 0x9e3779b1);
      h ^= h >>> 15;
    }
    h = Math.imul(h, 0x85ebca6b);
    return (h ^ (h >>> 13)) >>> 0;
  }
}

function makeGeneration(idsMax: number): Generation {
  return {
    words: new Uint32Array(idsMax * 4),
    indexes: new Float64Array(idsMax),
    receivedMs: new Float64Array(idsMax),
    table: new Uint32Array(idsMax * 2),
    count: 0,
  };
}

function word(bytes: Uint8Array, at: number): number {
  return (
    (((bytes[at] as number) << 24) |
      ((bytes[at + 1] as number) << 16) |
      ((bytes[at + 2] as number) << 8) |
      (bytes[at + 3] as number)) >>>
    0
  );
}
