/**
 * The ids the ledger has seen lately, with their indexes: what makes a repeated append give the same receipt.
 *
 * Bounded: at most `entriesMax` ids and `ageMsMax`, the oldest go first. Typed arrays, 43 bytes an id: 45 MB when full,
 * and untouched pages of them cost nothing. Ids come from outside, so the hash is keyed: nobody can aim at one bucket.
 */
import type { Random } from '../world/world.ts';

/** Names one id in here, until it is evicted or rolled back. */
export type KnownId = number;

/** How far an entry of the table stands from where its hash would have it; from `farDistance` on the hash must be asked. */
const distanceBits = 5;
const farDistance = 2 ** distanceBits - 1;

export class KnownIds {
  readonly #entriesMax: number;
  readonly #ageMsMax: number;
  readonly #mask: number;
  /**
   * Open addressing with linear probing. An entry is a part of the hash that is never 0, the distance from its home, and the slot: nearly
   * always enough to tell ids apart, and to take one out, without a look at memory that isn't in the processor's cache. 0 is free.
   */
  readonly #table: Uint32Array;
  readonly #slotBits: number;
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

  /** @param entriesMax a power of two, at most 2^24 */
  constructor(entriesMax: number, ageMsMax: number, random: Random) {
    if (entriesMax > 2 ** 24 || 2 ** Math.round(Math.log2(entriesMax)) !== entriesMax)
      throw new RangeError(`expected a power of two up to 2^24, got ${entriesMax}`);
    this.#slotBits = Math.log2(entriesMax);
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
    const hash = this.#hash(tenant, w0, w1, w2, w3);
    const mark = this.#markOf(hash);
    const slotBits = this.#slotBits;
    const slotMask = this.#entriesMax - 1;
    for (let place = hash & this.#mask; ; place = (place + 1) & this.#mask) {
      const entry = this.#table[place] as number;
      if (entry === 0) return -1;
      if (entry >>> (slotBits + distanceBits) !== mark) continue;
      const slot = entry & slotMask;
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
    const hash = this.#hashOf(slot);
    let distance = 0;
    while (this.#table[(hash + distance) & this.#mask] !== 0) distance++;
    this.#table[(hash + distance) & this.#mask] = this.#entry(this.#markOf(hash), distance, slot);
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

  #hashOf(slot: number): number {
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

  /** Of the bits that don't say the home. */
  #markOf(hash: number): number {
    return (hash >>> (this.#slotBits + distanceBits)) | 1;
  }

  #entry(mark: number, distance: number, slot: number): number {
    return (
      ((mark << (this.#slotBits + distanceBits)) | (Math.min(distance, farDistance) << this.#slotBits) | slot) >>> 0
    );
  }

  /** How far the entry at `place` stands from its home. */
  #distance(entry: number, place: number): number {
    const distance = (entry >>> this.#slotBits) & farDistance;
    if (distance < farDistance) return distance;
    return (place - this.#hashOf(entry & (this.#entriesMax - 1))) & this.#mask;
  }

  /** Takes a slot out of the table and closes the hole, so that probing still finds what had been pushed past it. */
  #unlink(slot: number): void {
    const table = this.#table;
    const mask = this.#mask;
    const slotMask = this.#entriesMax - 1;
    let hole = this.#hashOf(slot) & mask;
    while (table[hole] === 0 || ((table[hole] as number) & slotMask) !== slot) hole = (hole + 1) & mask;
    for (let place = (hole + 1) & mask; table[place] !== 0; place = (place + 1) & mask) {
      const entry = table[place] as number;
      const distance = this.#distance(entry, place);
      const step = (place - hole) & mask;
      if (distance >= step) {
        table[hole] = this.#entry(entry >>> (this.#slotBits + distanceBits), distance - step, entry & slotMask);
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
    return (h ^ (h >>> 14)) >>> 0;
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
