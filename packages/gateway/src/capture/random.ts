/** Random bytes for ids and traces, drawn in bulk: one call to the system for hundreds of requests instead of four for each. */
import { randomBytes } from 'node:crypto';

const poolBytes = 8_192;

let pool = Buffer.alloc(0);
let used = 0;

/** `count` fresh bytes, at most 64; the caller's own, since each pool is drawn from once. */
export function drawBytes(count: number): Buffer {
  if (used + count > pool.length) {
    pool = randomBytes(poolBytes);
    used = 0;
  }
  const drawn = pool.subarray(used, used + count);
  used += count;
  return drawn;
}
