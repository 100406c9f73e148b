/**
 * The ids the ledger has seen lately, with their indexes: what makes a repeated append give the same receipt.
 *
 * Bounded: at most `entriesMax` ids and `ageMsMax`, the oldest go first. Typed arrays, 43 bytes an id: 45 MB when full,
 * and untouched pages of them cost nothing. Ids come from outside, so the hash is keyed: nobody can aim at one bucket.
 */
import type { Random } from '../world/world.ts';

/** Names one id in here, until it is evicted or rolled back. */
export type KnownId = number;

export class KnownIds {
  readonly #entriesMax: number;
  readonly #ageMsMax: number;
  readonly #mask: number;
  /** Slot + 1, or 0: open addressing with linear probing. */
  readonly #table: Uint32Array;
  readonly #words: Uint32Array;
  readonly #tenants: Uint16Array;
  readonly #indexes: Float64Array;
  /** The first 8 bytes of the digest; 0, 0 is not known. */
  readonly #digests: Uint32Array;
  readonly #keys: Uint32Array;
  /** Entries ever added and evicted; the slot of an entry is its number modulo entriesMax. */
  #added = 0;
  #evicted = 0;
  /** When what was added: for the age bound. */
  readonly #marks: { readonly added: number; readonly nowMs: number }[] = [];

  /** @param entriesMax a power of two */
  constructor(entriesMax: number, ageMsMax: number, random: Random) {
    this.#entriesMax = entriesMax;
    this.#ageMsMax = ageMsMax;
    this.#mask = entriesMax * 2 - 1;
    this.#table = new Uint32Array(entriesMax * 2);
    this.#words = new Uint32Array(entriesMax * 4);
    this.#tenants = new Uint16Array(entriesMax);
    this.#indexes = new Float64Array(entriesMax);
    this.#digests = new Uint32Array(entriesMax * 2);
    this.#keys = new Uint32Array(Uint8Array.from(random.bytes(16)).buffer);
  }

  get size(): number {
    return this.#added - this.#evicted;
  }

  /** The entry of the 16 bytes of `ids` at `at`, or -1. */
  find(tenant: number, ids: Uint8Array, at: number): KnownId {
    const w0 = word(ids, at);
    const w1 = word(ids, at + 4);
    const w2 = word(ids, at + 8);
    const w3 = word(ids, at + 12);
    for (let place = this.#hash(tenant, w0, w1, w2, w3); ; place = (place + 1) & this.#mask) {
      const slot = (this.#table[place] as number) - 1;
      if (slot < 0) return -1;
      const from = slot * 4;
      const words = this.#words;
      if (
        words[from + 3] === w3 &&
        words[from + 2] === w2 &&
        words[from + 1] === w1 &&
        words[from] === w0 &&
        this.#tenants[slot] === tenant
      ) {
        return slot;
      }
    }
  }

  indexOf(id: KnownId): number {
    return this.#indexes[id] as number;
  }

  /** Whether the digests are equal; undefined when the one in here isn't known. */
  sameDigest(id: KnownId, digests: Uint8Array, at: number): boolean | undefined {
    const high = this.#digests[id * 2] as number;
    const low = this.#digests[id * 2 + 1] as number;
    if (high === 0 && low === 0) return undefined;
    return high === word(digests, at) && low === word(digests, at + 4);
  }

  setDigest(id: KnownId, digests: Uint8Array, at: number): void {
    this.#digests[id * 2] = word(digests, at);
    this.#digests[id * 2 + 1] = word(digests, at + 4);
  }

  /** Adds an id that `find` didn't find. */
  add(tenant: number, ids: Uint8Array, at: number, index: number): KnownId {
    if (this.size === this.#entriesMax) this.#evict();
    const slot = this.#added % this.#entriesMax;
    this.#added++;
    for (let i = 0; i < 4; i++) this.#words[slot * 4 + i] = word(ids, at + 4 * i);
    this.#tenants[slot] = tenant;
    this.#indexes[slot] = index;
    this.#digests[slot * 2] = 0;
    this.#digests[slot * 2 + 1] = 0;
    let place = this.#home(slot);
    while (this.#table[place] !== 0) place = (place + 1) & this.#mask;
    this.#table[place] = slot + 1;
    return slot;
  }

  /** Says what time it is; ids older than the bound go. */
  tick(nowMs: number): void {
    const newest = this.#marks[this.#marks.length - 1];
    // 1,000 marks over the whole window are fine enough.
    if (newest === undefined || nowMs - newest.nowMs >= this.#ageMsMax / 1000)
      this.#marks.push({ added: this.#added, nowMs });
    while (this.#marks[0] !== undefined && nowMs - this.#marks[0].nowMs > this.#ageMsMax) {
      const { added } = this.#marks.shift() as { added: number };
      while (this.#evicted < added) this.#evict();
    }
  }

  /** A point to roll back to. */
  mark(): number {
    return this.#added;
  }

  /** Forgets what was added since `mark`: it wasn't stored. */
  rollBack(mark: number): void {
    while (this.#added > mark && this.#added > this.#evicted) {
      this.#added--;
      this.#unlink(this.#added % this.#entriesMax);
    }
    while ((this.#marks[this.#marks.length - 1]?.added ?? 0) > this.#added) this.#marks.pop();
  }

  #evict(): void {
    this.#unlink(this.#evicted % this.#entriesMax);
    this.#evicted++;
  }

  #home(slot: number): number {
    const at = slot * 4;
    const words = this.#words;
    return this.#hash(
      this.#tenants[slot] as number,
      words[at] as number,
      words[at + 1] as number,
      words[at + 2] as number,
      words[at + 3] as number,
    );
  }

  /** Takes a slot out of the table and closes the hole, so that probing still finds what had been pushed past it. */
  #unlink(slot: number): void {
    const table = this.#table;
    let hole = this.#home(slot);
    while (table[hole] !== slot + 1) hole = (hole + 1) & this.#mask;
    for (let place = (hole + 1) & this.#mask; table[place] !== 0; place = (place + 1) & this.#mask) {
      const home = this.#home((table[place] as number) - 1);
      if (((place - home) & this.#mask) >= ((place - hole) & this.#mask)) {
        table[hole] = table[place] as number;
        hole = place;
      }
    }
    table[hole] = 0;
  }

  #hash(tenant: number, w0: number, w1: number, w2: number, w3: number): number {
    const [k0, k1, k2, k3] = this.#keys as unknown as [number, number, number, number];
    let h = Math.imul(w0 ^ k0, 0x9e3779b1) ^ Math.imul(w1 ^ k1, 0x85ebca6b);
    h = Math.imul(h ^ (h >>> 15) ^ w2 ^ k2, 0xc2b2ae35);
    h = Math.imul(h ^ (h >>> 13) ^ w3 ^ k3, 0x27d4eb2f) ^ tenant;
    h = Math.imul(h ^ (h >>> 16), 0x165667b1);
    return (h ^ (h >>> 14)) & this.#mask;
  }
}

function word(bytes: Uint8Array, at: number): number {
  return (
    ((bytes[at] as number) |
      ((bytes[at + 1] as number) << 8) |
      ((bytes[at + 2] as number) << 16) |
      ((bytes[at + 3] as number) << 24)) >>>
    0
  );
}
