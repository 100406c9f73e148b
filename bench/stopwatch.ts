/** Time on the clock and of the processor for a number of events. On a machine that others use too, the second is what to compare. */
export interface Spent {
  readonly perSecond: number;
  /** µs of processor time an event, of all threads; of the main one. */
  readonly cpuUs: number;
  readonly mainUs: number;
}

export function stopwatch(): (events: number) => Spent {
  const startedMs = performance.now();
  const whole = process.cpuUsage();
  const main = process.threadCpuUsage();
  return (events) => {
    const ms = performance.now() - startedMs;
    const { user, system } = process.cpuUsage(whole);
    const thread = process.threadCpuUsage(main);
    return {
      perSecond: (events / ms) * 1000,
      cpuUs: (user + system) / events,
      mainUs: (thread.user + thread.system) / events,
    };
  };
}

export function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}

export function quantile(values: readonly number[], q: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? 0;
}
