/**
 * A clock that goes only when it is told to. The wall clock may be stepped, back or far ahead, as an operator or a time
 * server does; the monotonic one never steps. Timers go by the monotonic clock.
 */
import type { Clock, Timer } from './world.ts';

interface Due {
  atMs: number;
  readonly periodMs: number | undefined;
  readonly run: () => void;
}

export class SimClock implements Clock {
  #wallMs: number;
  #monotonicMs = 0;
  #timers: Due[] = [];

  constructor(wallMs: number) {
    this.#wallMs = wallMs;
  }

  now(): number {
    return this.#wallMs;
  }

  monotonicMs(): number {
    return this.#monotonicMs;
  }

  after(delayMs: number, run: () => void): Timer {
    return this.#add(delayMs, undefined, run);
  }

  every(periodMs: number, run: () => void): Timer {
    return this.#add(periodMs, periodMs, run);
  }

  sleep(delayMs: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted === true) return reject(signal.reason);
      const aborted = (): void => {
        timer.cancel();
        reject(signal?.reason);
      };
      const timer = this.after(delayMs, () => {
        signal?.removeEventListener('abort', aborted);
        resolve();
      });
      signal?.addEventListener('abort', aborted, { once: true });
    });
  }

  /** Time passes: both clocks go on, and what is due runs, each timer once at most. */
  advance(ms: number): void {
    this.#wallMs += ms;
    this.#monotonicMs += ms;
    for (const due of [...this.#timers]) {
      if (due.atMs > this.#monotonicMs || !this.#timers.includes(due)) continue;
      if (due.periodMs === undefined) this.#remove(due);
      else due.atMs = this.#monotonicMs + due.periodMs;
      due.run();
    }
  }

  /** Somebody sets the wall clock. */
  step(ms: number): void {
    this.#wallMs += ms;
  }

  /** The process that set the timers is gone. */
  dropTimers(): void {
    this.#timers = [];
  }

  #add(delayMs: number, periodMs: number | undefined, run: () => void): Timer {
    const due: Due = { atMs: this.#monotonicMs + delayMs, periodMs, run };
    this.#timers.push(due);
    return { cancel: () => this.#remove(due) };
  }

  #remove(due: Due): void {
    this.#timers = this.#timers.filter((other) => other !== due);
  }
}
