/**
 * Guessing passwords and codes is stopped by counting failures: ten in fifteen minutes lock a username, a hundred lock an address
 * (many people of a hospital share one). The first lock lasts fifteen minutes, each that follows within a day twice as long, an hour at most: guessing gets
 * hopeless, and nobody is shut out for a day by somebody else. Unknown usernames count like known ones.
 *
 * The counts are kept (failures.ts): a restart forgives nobody. Of IPv6 a network of /64 is one address, since one client can have all of it. Bounded: the oldest counts go first.
 */
import { neighbourhood } from '@watchglass/record/source';
import type { Clock } from '../world/world.ts';
import { type Count, type Failures, noFailures } from './failures.ts';

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

export function createLockout(clock: Clock, kept: Failures = noFailures): Lockout {
  const counts = kept.load({ lockMsMax, strikesMs });
  const recorded = new Map<string, number>();

  const keysOf = (attempt: Attempt): Key[] => {
    const keys: Key[] = [];
    if (attempt.username !== '')
      keys.push({ what: 'account', key: kept.nameOf(`u ${attempt.username}`), max: failuresPerUsernameMax });
    if (attempt.address !== undefined) {
      keys.push({
        what: 'address',
        key: kept.nameOf(`a ${neighbourhood(attempt.address)}`),
        max: failuresPerAddressMax,
      });
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
  const keep = (keys: readonly Key[], forgotten: readonly string[] = []): void => {
    const changed = [...forgotten, ...keys.map(({ key }) => key)].map((key) => [key, counts.get(key)] as const);
    if (changed.length > 0) kept.keep(new Map(changed));
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
      const keys = keysOf(attempt);
      for (const { key, max } of keys) {
        const nowMs = clock.monotonicMs();
        const count = live(key) ?? { failures: 0, sinceMs: nowMs, strikes: 0, lockedUntilMs: undefined };
        counts.set(key, count);
        count.failures += 1;
        if (count.failures < max || count.lockedUntilMs !== undefined) continue;
        count.lockedUntilMs = nowMs + Math.min(lockoutWindowMs * 2 ** count.strikes, lockMsMax);
        count.strikes += 1;
      }
      keep(keys, forgetOldest(counts));
    },
    withdraw(attempt) {
      const keys = keysOf(attempt);
      for (const { key, max } of keys) takeBack(live(key), max);
      keep(keys);
    },
    succeeded(attempt) {
      const keys = keysOf(attempt);
      for (const { what, key, max } of keys) {
        if (what === 'account') counts.delete(key);
        else takeBack(live(key), max);
      }
      keep(keys);
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

/** Those that are not tracked any more. */
function forgetOldest(map: Map<string, unknown>): readonly string[] {
  const forgotten: string[] = [];
  for (const key of map.keys()) {
    if (map.size <= trackedMax) break;
    map.delete(key);
    forgotten.push(key);
  }
  return forgotten;
}
