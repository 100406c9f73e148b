/**
 * Seeded randomness for the synthetic world. Every subject (a household, a patient's appointments, one encounter's
 * vitals) draws from a stream of its own, named by a path under the seed, so that adding something to the world doesn't
 * reshuffle the rest. The generator is sfc32 keyed by a 128-bit hash of the path. Only integer arithmetic and IEEE
 * addition and multiplication are used, so that the same seed gives the same bytes on every platform.
 * Not for secrets.
 */
export interface Stream {
  /** 0 ≤ n < 2³². */
  u32(): number;
  /** 0 ≤ x < 1, in steps of 2⁻³². */
  unit(): number;
  /** 0 ≤ n < count. */
  below(count: number): number;
  /** low ≤ n ≤ high. */
  between(low: number, high: number): number;
  /** True with this probability. */
  chance(probability: number): boolean;
  pick<T>(list: readonly T[]): T;
  /** One of the pairs' first halves, in proportion to the second. */
  weighted<T>(pairs: readonly (readonly [T, number])[]): T;
  /** A new list in a random order. */
  shuffled<T>(list: readonly T[]): T[];
  /** Roughly normal (sum of twelve units), never further than six deviations out. */
  normal(mean: number, deviation: number): number;
}

/** The stream that belongs to a path under a seed; the same arguments always give the same stream. */
export function streamOf(seed: string, ...path: readonly (string | number)[]): Stream {
  const [a, b, c, d] = hash128(`${seed}\u0000${path.join('\u0000')}`);
  return new Sfc32(a, b, c, d);
}

class Sfc32 implements Stream {
  #a: number;
  #b: number;
  #c: number;
  #counter: number;

  constructor(a: number, b: number, c: number, counter: number) {
    this.#a = a;
    this.#b = b;
    this.#c = c;
    this.#counter = counter;
    for (let round = 0; round < 12; round++) this.u32();
  }

  u32(): number {
    const sum = (((this.#a + this.#b) | 0) + this.#counter) | 0;
    this.#counter = (this.#counter + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = (((this.#c << 21) | (this.#c >>> 11)) + sum) | 0;
    return sum >>> 0;
  }

  unit(): number {
    return this.u32() / 4_294_967_296;
  }

  below(count: number): number {
    return Math.floor(this.unit() * count);
  }

  between(low: number, high: number): number {
    return low + this.below(high - low + 1);
  }

  chance(probability: number): boolean {
    return this.unit() < probability;
  }

  pick<T>(list: readonly T[]): T {
    if (list.length === 0) throw new RangeError('expected a list with something to pick from, got an empty one');
    return list[this.below(list.length)] as T;
  }

  weighted<T>(pairs: readonly (readonly [T, number])[]): T {
    let total = 0;
    for (const [, weight] of pairs) total += weight;
    let left = this.unit() * total;
    for (const [value, weight] of pairs) {
      left -= weight;
      if (left < 0) return value;
    }
    const last = pairs.at(-1);
    if (last === undefined) throw new RangeError('expected weighted pairs, got none');
    return last[0];
  }

  shuffled<T>(list: readonly T[]): T[] {
    const copy = [...list];
    for (let left = copy.length - 1; left > 0; left--) {
      const other = this.below(left + 1);
      const swap = copy[left] as T;
      copy[left] = copy[other] as T;
      copy[other] = swap;
    }
    return copy;
  }

  normal(mean: number, deviation: number): number {
    let sum = -6;
    for (let draw = 0; draw < 12; draw++) sum += this.unit();
    return mean + sum * deviation;
  }
}

const lanePrimes = [0x9e3779b1, 0x85ebca77, 0xc2b2ae3d, 0x27d4eb2f] as const;

/** Four multiplicative lanes over the UTF-16 units, each finished by an avalanche; spreads similar paths apart. */
function hash128(text: string): [number, number, number, number] {
  const lanes: [number, number, number, number] = [0x243f6a88, 0x13198a2e, 0x03707344, 0x299f31d0];
  for (let at = 0; at < text.length; at++) {
    const unit = text.charCodeAt(at);
    for (const [lane, prime] of lanePrimes.entries()) {
      const mixed = Math.imul((lanes[lane] as number) ^ unit, prime);
      lanes[lane] = (mixed << 13) | (mixed >>> 19);
    }
  }
  for (const lane of lanes.keys()) {
    let mixed = (lanes[lane] as number) ^ text.length ^ (lanes[(lane + 1) & 3] as number);
    mixed = Math.imul(mixed ^ (mixed >>> 16), 0x7feb352d);
    mixed = Math.imul(mixed ^ (mixed >>> 15), 0x846ca68b);
    lanes[lane] = mixed ^ (mixed >>> 16);
  }
  return lanes;
}
