/**
 * One rate, for many keys: the generic cell rate algorithm (ITU-T I.371), which keeps one number a key and knows no window to begin again. In any stretch of time
 * at most `burst` plus what the rate gives in it gets through.
 *
 * Bounded: whoever changes keys all the time fills the table, and from then on all new keys share one. Keys whose allowance is whole again go first, without loss.
 */

export interface Rate {
  /** Requests in `windowMs`, in the long run. */
  readonly limit: number;
  readonly windowMs: number;
  /** How many may come at once. */
  readonly burst: number;
}

export interface Taken {
  readonly allowed: boolean;
  /** How many more could come at once now. */
  readonly remainingCount: number;
  /** Of one that isn't allowed: when the next one will be. Of others 0. */
  readonly retryMs: number;
}

const sharedKey = '*';
const sweptAtOnce = 8;

export class RateTable {
  readonly #intervalMs: number;
  readonly #toleranceMs: number;
  readonly #burst: number;
  readonly #keysMax: number;
  /** When the allowance of a key is whole again: the theoretical arrival time. */
  readonly #whole = new Map<string, number>();
  #sweeping: MapIterator<[string, number]> | undefined;

  constructor(rate: Rate, options: { readonly keysMax: number }) {
    this.#intervalMs = rate.windowMs / rate.limit;
    this.#burst = rate.burst;
    this.#toleranceMs = this.#intervalMs * (rate.burst - 1);
    this.#keysMax = options.keysMax;
  }

  get size(): number {
    return this.#whole.size;
  }

  /**
   * One that isn't allowed takes nothing. `nowMs` never goes back. Of `count` at once, more than the burst need the whole allowance, and the rest is owed: the next has to wait
   * for it.
   */
  take(key: string, nowMs: number, count = 1): Taken {
    const kept = this.#whole.has(key) || this.#hasRoom(nowMs) ? key : sharedKey;
    const wholeMs = Math.max(this.#whole.get(kept) ?? nowMs, nowMs);
    const aheadMs = wholeMs - nowMs;
    // What is left after many additions of a fraction is not worth a refusal.
    const overMs = aheadMs + (Math.min(count, this.#burst) - 1) * this.#intervalMs - this.#toleranceMs;
    if (overMs > 1e-6) return { allowed: false, remainingCount: 0, retryMs: overMs };
    this.#whole.set(kept, wholeMs + count * this.#intervalMs);
    const remainingCount = Math.max(0, Math.floor(this.#burst - count - aheadMs / this.#intervalMs + 1e-6));
    return { allowed: true, remainingCount, retryMs: 0 };
  }

  /** A few steps of a round through the table: what it costs does not grow with it. */
  #hasRoom(nowMs: number): boolean {
    if (this.#whole.size < this.#keysMax) return true;
    for (let step = 0; step < sweptAtOnce; step += 1) {
      this.#sweeping ??= this.#whole.entries();
      const next = this.#sweeping.next();
      if (next.done === true) {
        this.#sweeping = undefined;
        continue;
      }
      const [key, wholeMs] = next.value;
      if (wholeMs <= nowMs) this.#whole.delete(key);
    }
    return this.#whole.size < this.#keysMax;
  }
}
