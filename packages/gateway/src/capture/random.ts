/** Random bytes for ids and traces, drawn in bulk: one call to the system for hundreds of requests instead of four for each. */
import { randomFillSync } from 'node:crypto';

const pool = Buffer.alloc(8_192);
let used = pool.length;

/** `count` fresh bytes, at most 64; a copy that is the caller's own. */
export function drawBytes(count: number): Buffer {
  if (used + count > pool.length) {
    randomFillSync(pool);
    used = 0;
  }
  const drawn = Buffer.from(pool.subarray(used, used + count));
  used += count;
  return drawn;
}
