/**
 * Guessing passwords and codes is stopped by counting failures: ten in fifteen minutes lock a username, a hundred lock an address
 * (many people of a hospital share one). The first lock lasts fifteen minutes, each that follows within a day twice as long, an hour at most: guessing gets
 * hopeless, and nobody is shut out for a day by somebody else. Unknown usernames count like known ones.
 *
 * The counts are in memory only: a restart forgives. Bounded: the oldest counts go first.
 */
import type { Clock } from '../world/world.ts';

export const lockoutWindowMs: number = 15 * 60_000;
export const failuresPerUsernameMax = 10;
export const failuresPerAddressMax = 100;
export const lockMsMax: number = 60 * 60_000;
/** So long after a lock the next one is longer. */
const strikesMs = 24 * 3_600_000;
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
  /** What this very attempt, having failed, locked; to be recorded. */
  locked(attempt: Attempt): readonly ('account' | 'address')[];
  /** True when an attempt that met a lock should be recorded now: the first, and then one a minute. */
  shouldRecord(attempt: Attempt): boolean;
}

export interface Attempt {
  /** Empty where nobody is named: a passkey that nobody has. Then only the address counts. */
  readonly username: string;
  readonly address: string | undefined;
}

interface Count {
  failures: number;
  sinceMs: number;
  /** Locks of the last day. */
  strikes: number;
  lockedUntilMs: number | undefined;
}

export function createLockout(clock: Clock): Lockout {
  const counts = new Map<string, Count>();
  const recorded = new Map<string, number>();

  const keysOf = (attempt: Attempt): Key[] => {
    const keys: Key[] = [];
    if (attempt.username !== '')
      keys.push({ what: 'account', key: `u ${attempt.username}`, max: failuresPerUsernameMax });
    if (attempt.address !== undefined) {
      keys.push({ what: 'address', key: `a ${attempt.address}`, max: failuresPerAddressMax });
    }
    return keys;
  };
  const live = (key: string): Count | undefined => {
    const count = counts.get(key);
    if (count === undefined) return undefined;
    const nowMs = clock.monotonicMs();
    const { lockedUntilMs, sinceMs } = count;
    if (lockedUntilMs !== undefined ? nowMs < lockedUntilMs : nowMs - sinceMs < lockoutWindowMs) return count;
    // What was locked is remembered for a day, with a clean window.
    if (lockedUntilMs === undefined && (count.strikes === 0 || nowMs - sinceMs >= strikesMs)) {
      counts.delete(key);
      return undefined;
    }
    Object.assign(count, { failures: 0, sinceMs: nowMs, lockedUntilMs: undefined });
    return count;
  };

  return {
    remainingMs(attempt) {
      let remainingMs = 0;
      for (const { key } of keysOf(attempt)) {
        const until = live(key)?.lockedUntilMs;
        if (until !== undefined) remainingMs = Math.max(remainingMs, until - clock.monotonicMs());
      }
      return remainingMs;
    },
    begin(attempt) {
      for (const { key, max } of keysOf(attempt)) {
        const nowMs = clock.monotonicMs();
        const count = live(key) ?? { failures: 0, sinceMs: nowMs, strikes: 0, lockedUntilMs: undefined };
        counts.set(key, count);
        count.failures += 1;
        if (count.failures < max || count.lockedUntilMs !== undefined) continue;
        count.lockedUntilMs = nowMs + Math.min(lockoutWindowMs * 2 ** count.strikes, lockMsMax);
        count.strikes += 1;
      }
      forgetOldest(counts);
    },
    withdraw(attempt) {
      for (const { key, max } of keysOf(attempt)) takeBack(live(key), max);
    },
    succeeded(attempt) {
      counts.delete(`u ${attempt.username}`);
      if (attempt.address !== undefined) takeBack(live(`a ${attempt.address}`), failuresPerAddressMax);
    },
    locked: (attempt) =>
      keysOf(attempt).flatMap(({ what, key, max }) => {
        const count = live(key);
        return count?.lockedUntilMs !== undefined && count.failures === max ? [what] : [];
      }),
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

interface Key {
  readonly what: 'account' | 'address';
  readonly key: string;
  readonly max: number;
}

/** A failure that was none; and the lock with it, if it was the one that locked. */
function takeBack(count: Count | undefined, max: number): void {
  if (count === undefined || count.failures === 0) return;
  count.failures -= 1;
  if (count.failures >= max || count.lockedUntilMs === undefined) return;
  count.lockedUntilMs = undefined;
  count.strikes -= 1;
}

function forgetOldest(map: Map<string, unknown>): void {
  for (const key of map.keys()) {
    if (map.size <= trackedMax) return;
    map.delete(key);
  }
}
