/** Draws the same bytes each time, by the word it is given: a golden log has no secrets. */
import { createHash } from 'node:crypto';
import { realDisk } from '../../packages/server/src/world/real-disk.ts';
import { realClock } from '../../packages/server/src/world/real-world.ts';
import type { World } from '../../packages/server/src/world/world.ts';

export function drawnWorld(word: string, now: () => number): World {
  let drawn = 0;
  return {
    clock: { ...realClock, now, monotonicMs: now },
    random: {
      bytes(count) {
        const parts: Buffer[] = [];
        for (let got = 0; got < count; got += 32)
          parts.push(createHash('sha256').update(`${word} ${drawn++}`).digest());
        return Buffer.concat(parts).subarray(0, count);
      },
    },
    disk: realDisk,
  };
}
