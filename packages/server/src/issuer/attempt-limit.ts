/** How often one address may post the sign-in form: a bucket of tokens each, refilled steadily. Bounded: the longest idle go first. */
import type { Clock } from '../world/world.ts';

const attemptsPerMinuteMax = 60;
const addressesMax = 20_000;

export interface AttemptLimit {
  /** 0 when the attempt may go on; otherwise how long to wait. */
  take(address: string): number;
}

export function createAttemptLimit(clock: Clock, perMinuteMax: number = attemptsPerMinuteMax): AttemptLimit {
  const buckets = new Map<string, { tokens: number; atMs: number }>();
  const msPerToken = 60_000 / perMinuteMax;
  return {
    take(address) {
      const nowMs = clock.monotonicMs();
      const { tokens, atMs } = buckets.get(address) ?? { tokens: perMinuteMax, atMs: nowMs };
      const filled = Math.min(perMinuteMax, tokens + (nowMs - atMs) / msPerToken);
      const allowed = filled >= 1;
      buckets.delete(address);
      buckets.set(address, { tokens: allowed ? filled - 1 : filled, atMs: nowMs });
      for (const oldest of buckets.keys()) {
        if (buckets.size <= addressesMax) break;
        buckets.delete(oldest);
      }
      return allowed ? 0 : Math.ceil((1 - filled) * msPerToken);
    },
  };
}
