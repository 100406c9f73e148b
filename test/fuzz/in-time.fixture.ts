/** For fuzzing: whatever comes in, a parser ends soon. */
import assert from 'node:assert/strict';

const msMax = 500;

export function inTime<T>(work: () => T): T {
  const startedMs = performance.now();
  const result = work();
  assert.ok(performance.now() - startedMs < msMax, 'it took too long');
  return result;
}
