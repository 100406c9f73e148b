import assert from 'node:assert/strict';
import { test } from 'node:test';
import { stackCounts } from './counts-data.ts';

const point = (time: number, part: Partial<Record<'success' | 'denied' | 'failed' | 'error', number>>) => ({
  time,
  success: 0,
  denied: 0,
  failed: 0,
  error: 0,
  ...part,
});

test('outcomes are stacked, and buckets without events are there with nothing', () => {
  const counts = stackCounts({
    from: 0,
    to: 400,
    stepMs: 100,
    series: [point(0, { success: 3, denied: 1 }), point(200, { failed: 2, error: 1 })],
  });
  assert.deepEqual(
    counts.buckets.map((bucket) => bucket.total),
    [4, 0, 3, 0],
  );
  assert.deepEqual(counts.tops.success, [3, 0, 0, 0]);
  assert.deepEqual(counts.tops.denied, [4, 0, 2, 0]);
  assert.deepEqual(counts.tops.error, [4, 0, 3, 0]);
  assert.deepEqual(counts.totals, { success: 3, denied: 1, failed: 2, error: 1 });
  assert.deepEqual(counts.peak, { timeMs: 0, total: 4 });
});

test('the grid follows the buckets the server gave, when they begin inside the range', () => {
  const counts = stackCounts({
    from: 30,
    to: 330,
    stepMs: 100,
    series: [point(100, { success: 1 }), point(300, { success: 1 })],
  });
  assert.deepEqual(
    counts.buckets.map((bucket) => bucket.timeMs),
    [0, 100, 200, 300],
  );
  assert.equal(counts.fromMs, 0);
  assert.equal(counts.toMs, 400);
});

test('an empty range has no peak', () => {
  assert.equal(stackCounts({ from: 0, to: 200, stepMs: 100, series: [] }).peak, undefined);
});
