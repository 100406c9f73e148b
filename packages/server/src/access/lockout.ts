/**
 * Guessing passwords is stopped by counting failures: ten in fifteen minutes lock a username, a hundred lock an address
 * (many people of a hospital share one), for the rest of the window. Unknown usernames count like known ones.
 *
 * The counts are in memory only: a restart forgives. Bounded: the oldest counts go first.
 */
import type { Clock } from '../world/world.ts';

export const lockoutWindowMs: number = 15 * 60_000;
export const failuresPerUsernameMax = 10;
export const failuresPerAddressMax = 100;
const trackedMax = 20_000;
/** While locked, further attempts are recorded at most this often per username and address. */
const recordPeriodMs = 60_000;

export interface Lockout {
  /** How long the attempt has to wait; 0 when it may go on. */
  remainingMs(attempt: Attempt): number;
  /** Counts the attempt as a failure before the password is looked at, so that attempts side by side gain nothing. */
  begin(attempt: Attempt): void;
  /** Takes the attempt back: nobody looked at its password. */
  withdraw(attempt: Attempt): void;
  /** Forgets the failures of the username, and takes this attempt back from the address. */
  succeeded(attempt: Attempt): void;
  /** True when an attempt that met a lock should be recorded now: the first, and then one a minute. */
  shouldRecord(attempt: Attempt): boolean;
}

export interface Attempt {
  readonly username: string;
  readonly address: string | undefined;
}

interface Count {
  failures: number;
  readonly sinceMs: number;
}

export function createLockout(clock: Clock): Lockout {
  const counts = new Map<string, Count>();
  const recorded = new Map<string, number>();

  const keysOf = (attempt: Attempt): { key: string; max: number }[] => {
    const keys = [{ key: `u ${attempt.username}`, max: failuresPerUsernameMax }];
    if (attempt.address !== undefined) keys.push({ key: `a ${attempt.address}`, max: failuresPerAddressMax });
    return keys;
  };
  const live = (key: string): Count | undefined => {
    const count = counts.get(key);
    if (count !== undefined && clock.monotonicMs() - count.sinceMs >= lockoutWindowMs) {
      counts.delete(key);
      return undefined;
    }
    return count;
  };

  return {
    remainingMs(attempt) {
      let remainingMs = 0;
      for (const { key, max } of keysOf(attempt)) {
        const count = live(key);
        if (count === undefined || count.failures < max) continue;
        remainingMs = Math.max(remainingMs, count.sinceMs + lockoutWindowMs - clock.monotonicMs());
      }
      return remainingMs;
    },
    begin(attempt) {
      for (const { key } of keysOf(attempt)) {
        const count = live(key);
        if (count !== undefined) count.failures += 1;
        else counts.set(key, { failures: 1, sinceMs: clock.monotonicMs() });
      }
      forgetOldest(counts);
    },
    withdraw(attempt) {
      for (const { key } of keysOf(attempt)) {
        const count = live(key);
        if (count !== undefined && count.failures > 0) count.failures -= 1;
      }
    },
    succeeded(attempt) {
      counts.delete(`u ${attempt.username}`);
      const address = attempt.address === undefined ? undefined : live(`a ${attempt.address}`);
      if (address !== undefined) address.failures -= 1;
    },
    shouldRecord(attempt) {
      const key = `${attempt.username} ${attempt.address ?? ''}`;
      const lastMs = recorded.get(key);
      if (lastMs !== undefined && clock.monotonicMs() - lastMs < recordPeriodMs) return false;
      recorded.delete(key);
      recorded.set(key, clock.monotonicMs());
      forgetOldest(recorded);
      return true;
    },
  };
}

function forgetOldest(map: Map<string, unknown>): void {
  for (const key of map.keys()) {
    if (map.size <= trackedMax) return;
    map.delete(key);
  }
}
