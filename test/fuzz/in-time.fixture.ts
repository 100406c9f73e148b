/** For fuzzing: whatever comes in, a parser ends soon. */
import assert from 'node:assert/strict';

/** Far above what any input needs, far below what a backtracking expression would take: of this thread's own time, however busy the machine is. */
const msMax = 500;

export function inTime<T>(work: () => T): T {
  const { user: beforeMicros } = process.threadCpuUsage();
  try {
    return work();
  } finally {
    const tookMs = (process.threadCpuUsage().user - beforeMicros) / 1_000;
    assert.ok(tookMs < msMax, `took ${tookMs} ms`);
  }
}
