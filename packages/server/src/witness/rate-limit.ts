/** How often one address may ask: a bucket of tokens each, in bounded memory. An address that was forgotten begins with a full bucket. */
import type { Clock } from '../world/world.ts';

const addressesMax = 4_096;

export interface RateLimitSettings {
  readonly perSecond: number;
  readonly burst: number;
}

export class RateLimit {
  readonly #clock: Clock;
  readonly #settings: RateLimitSettings;
  readonly #buckets: Map<string, { tokens: number; atMs: number }> = new Map();

  constructor(clock: Clock, settings: RateLimitSettings) {
    this.#clock = clock;
    this.#settings = settings;
  }

  /** True where the address may ask now. */
  take(address: string): boolean {
    const { perSecond, burst } = this.#settings;
    const nowMs = this.#clock.monotonicMs();
    const bucket = this.#buckets.get(address) ?? { tokens: burst, atMs: nowMs };
    bucket.tokens = Math.min(burst, bucket.tokens + ((nowMs - bucket.atMs) / 1000) * perSecond);
    bucket.atMs = nowMs;
    // Those asked lately stay last, so that the first is the one to forget.
    this.#buckets.delete(address);
    if (this.#buckets.size >= addressesMax) this.#buckets.delete(this.#buckets.keys().next().value ?? '');
    this.#buckets.set(address, bucket);
    if (bucket.tokens < 1) return false;
    bucket.tokens -= 1;
    return true;
  }
}
