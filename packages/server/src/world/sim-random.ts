/**
 * Numbers from a seed: the same seed gives the same ones, on every machine. For simulation only; the real generator is in
 * `real-world.ts`. A fork has a stream of its own, so that asking one more question here doesn't change the answers there.
 */
import type { Random } from './world.ts';

export class SimRandom implements Random {
  readonly #state: Uint32Array;

  constructor(seed: number) {
    this.#state = Uint32Array.of(seed >>> 0, Math.floor(seed / 2 ** 32) >>> 0, 0x9e3779b9, 1);
    for (let i = 0; i < 12; i++) this.#next();
  }

  /** sfc32: 32 bits. */
  #next(): number {
    const state = this.#state;
    const [a, b, c, counter] = state as unknown as [number, number, number, number];
    const out = (a + b + counter) >>> 0;
    state[3] = counter + 1;
    state[0] = b ^ (b >>> 9);
    state[1] = c + (c << 3);
    state[2] = ((c << 21) | (c >>> 11)) + out;
    return out;
  }

  /** A whole number from 0 to `count` - 1. */
  below(count: number): number {
    return Math.floor((this.#next() / 2 ** 32) * count);
  }

  /** A whole number from `from` to `to`, both possible. */
  between(from: number, to: number): number {
    return from + this.below(to - from + 1);
  }

  /** True in `percent` of a hundred times. */
  chance(percent: number): boolean {
    return this.#next() / 2 ** 32 < percent / 100;
  }

  pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)] as T;
  }

  /** One of the names, each as often as its weight says. */
  weighted<K extends string>(weights: Readonly<Record<K, number>>): K {
    const entries = Object.entries(weights) as [K, number][];
    let left = this.below(entries.reduce((sum, [, weight]) => sum + weight, 0));
    for (const [name, weight] of entries) {
      left -= weight;
      if (left < 0) return name;
    }
    throw new TypeError('expected at least one weight above zero');
  }

  bytes(count: number): Uint8Array {
    const out = new Uint8Array(count);
    for (let at = 0; at < count; at++) out[at] = this.#next() >>> 24;
    return out;
  }

  fork(): SimRandom {
    return new SimRandom(this.#next() * 2 ** 21 + (this.#next() >>> 11));
  }
}
