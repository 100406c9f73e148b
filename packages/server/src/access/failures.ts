/**
 * The counts of failed attempts (lockout.ts), kept in `state.sqlite`: a restart forgives nobody. Under names that tell nothing (state-seal.ts), since people type their password where the
 * username belongs. A lock is durable when it is kept; a count before it costs no wait.
 *
 * Within a process locks go by the monotonic clock; between two by the wall clock, which can shorten a lock when it is set forward meanwhile, and never makes one longer than the longest.
 */
import type { Clock } from '../world/world.ts';
import { cheaply, inTransaction, type State, text } from './state.ts';
import type { StateSeal } from './state-seal.ts';

export interface Count {
  failures: number;
  /** Monotonic. */
  sinceMs: number;
  /** Locks of the last day. */
  strikes: number;
  /** Monotonic. */
  lockedUntilMs: number | undefined;
}

export interface Failures {
  /** Of an account or an address. */
  nameOf(key: string): string;
  /** Oldest first. */
  load(lives: { readonly lockMsMax: number; readonly strikesMs: number }): Map<string, Count>;
  /** Undefined: forgiven. */
  keep(counts: ReadonlyMap<string, Count | undefined>): void;
}

/** Nothing is kept; for tests of the counting alone. */
export const noFailures: Failures = { nameOf: (key) => key, load: () => new Map(), keep: () => undefined };

export function openFailures(parts: {
  readonly state: State;
  readonly clock: Clock;
  readonly seal: StateSeal;
}): Failures {
  const { state, clock, seal } = parts;
  const all = state.prepare('SELECT * FROM failures ORDER BY since_ms');
  const upsert = state.prepare(
    'INSERT OR REPLACE INTO failures (name, failures, strikes, since_ms, locked_until_ms) VALUES (?, ?, ?, ?, ?)',
  );
  const remove = state.prepare('DELETE FROM failures WHERE name = ?');
  return {
    nameOf: (key) => seal.nameOf('failures', key),
    load({ lockMsMax, strikesMs }) {
      const [wallMs, monotonicMs] = [clock.now(), clock.monotonicMs()];
      const counts = new Map<string, Count>();
      const over: string[] = [];
      for (const row of all.iterate()) {
        const name = text(row, 'name');
        const lockedMs = row.locked_until_ms === null ? 0 : Math.min(Number(row.locked_until_ms) - wallMs, lockMsMax);
        const agoMs = Math.max(0, wallMs - Number(row.since_ms));
        if (lockedMs <= 0 && agoMs >= strikesMs) over.push(name);
        else
          counts.set(name, {
            failures: Number(row.failures),
            strikes: Number(row.strikes),
            sinceMs: monotonicMs - agoMs,
            lockedUntilMs: row.locked_until_ms === null ? undefined : monotonicMs + lockedMs,
          });
      }
      if (over.length > 0)
        cheaply(state, () => {
          for (const name of over) remove.run(name);
        });
      return counts;
    },
    keep(counts) {
      const [wallMs, monotonicMs] = [clock.now(), clock.monotonicMs()];
      const isLock = [...counts.values()].some((count) => count?.lockedUntilMs !== undefined);
      (isLock ? inTransaction : cheaply)(state, () => {
        for (const [name, count] of counts) {
          if (count === undefined) remove.run(name);
          else {
            const { failures, strikes, sinceMs, lockedUntilMs } = count;
            const asWall = (ms: number): number => Math.round(wallMs + ms - monotonicMs);
            upsert.run(
              name,
              failures,
              strikes,
              asWall(sinceMs),
              lockedUntilMs === undefined ? null : asWall(lockedUntilMs),
            );
          }
        }
      });
    },
  };
}
