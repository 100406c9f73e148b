/** The world as it is: the system's clock, its cryptographic generator, its disk. */
import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { realDisk } from './real-disk.ts';
import type { Clock, Random, Timer, World } from './world.ts';

export const realClock: Clock = {
  now: () => Date.now(),
  monotonicMs: () => performance.now(),
  after(delayMs, run) {
    const timer = setTimeout(run, delayMs);
    timer.unref();
    return cancelWith(() => clearTimeout(timer));
  },
  every(periodMs, run) {
    const timer = setInterval(run, periodMs);
    timer.unref();
    return cancelWith(() => clearInterval(timer));
  },
  async sleep(delayMs, signal) {
    try {
      await sleep(delayMs, undefined, signal === undefined ? {} : { signal });
    } catch (error) {
      throw signal?.aborted === true ? signal.reason : error;
    }
  },
};

export const realRandom: Random = {
  bytes: (count) => randomBytes(count),
};

export function realWorld(): World {
  return { clock: realClock, random: realRandom, disk: realDisk };
}

function cancelWith(cancel: () => void): Timer {
  return { cancel };
}
