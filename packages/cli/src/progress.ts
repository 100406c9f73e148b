/**
 * A progress bar on a terminal's standard error, and silence elsewhere: a log file full of bars helps nobody.
 * The caller ends it in a `finally`.
 */
import type { Io } from './io.ts';

export interface Progress {
  /** Both count the same thing; `total` may grow. */
  update(done: number, total: number): void;
  end(): void;
}

export async function openProgress(io: Io, what: string, unit: string): Promise<Progress> {
  if (io.stderr.isTTY !== true) return { update: () => {}, end: () => {} };
  const { SingleBar } = await import('cli-progress');
  const bar = new SingleBar({
    format: `${what} {bar} {percentage}% | {value}/{total} ${unit} | {rate} ${unit}/s | {eta_formatted}`,
    barCompleteChar: '█',
    barIncompleteChar: '░',
    hideCursor: true,
    clearOnComplete: true,
    etaBuffer: 50,
    stream: process.stderr,
  });
  const startedMs = performance.now();
  let running = false;
  return {
    update(done, total) {
      const rate = Math.round(done / Math.max(0.001, (performance.now() - startedMs) / 1_000));
      if (!running) bar.start(total, done, { rate });
      running = true;
      bar.setTotal(total);
      bar.update(done, { rate });
    },
    end() {
      if (running) bar.stop();
      running = false;
    },
  };
}
