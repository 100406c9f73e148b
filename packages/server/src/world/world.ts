/**
 * The world outside the process, behind one seam: time, randomness and disk. Everything in the server takes these from
 * here, so that a test can replay a run on a simulated clock and a simulated disk (packages/server/src/world is the only
 * place where `Date.now`, `setTimeout` for logic, `node:fs` and the random generator may be touched).
 */
import type { Disk } from './disk.ts';

export interface World {
  readonly clock: Clock;
  readonly random: Random;
  readonly disk: Disk;
}

export interface Clock {
  /** Wall clock, ms since 1970. May step back. */
  now(): number;
  /** Never steps back; ms since some fixed moment. */
  monotonicMs(): number;
  /** Calls `run` once after `delayMs`. Doesn't keep the process alive. */
  after(delayMs: number, run: () => void): Timer;
  /** Calls `run` every `periodMs`. Doesn't keep the process alive. */
  every(periodMs: number, run: () => void): Timer;
  /** Resolves after `delayMs`; rejects with the signal's reason when it aborts first. */
  sleep(delayMs: number, signal?: AbortSignal): Promise<void>;
}

export interface Timer {
  cancel(): void;
}

export interface Random {
  /** `count` bytes from the system's cryptographic generator. */
  bytes(count: number): Uint8Array;
}
