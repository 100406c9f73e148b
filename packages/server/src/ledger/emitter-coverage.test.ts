import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { EmitterCoverage } from './emitter-coverage.ts';

const seed = 20260314;

test('a hole is told once, after it has been open long enough, and its closing is told', () => {
  const coverage = new EmitterCoverage(false);
  coverage.arrived('edge', 3, 2, 1000);
  assert.deepEqual(coverage.takeNotes(30_000, 30_000), []);
  assert.deepEqual(coverage.takeNotes(31_000, 30_000), [
    { kind: 'sequence-gap', emitter: 'edge', first: 1, last: 2, count: 2, sinceMs: 1000 },
  ]);
  assert.deepEqual(coverage.takeNotes(99_000, 30_000), []);
  coverage.arrived('edge', 1, 2, 99_000);
  assert.deepEqual(coverage.takeNotes(99_000, 30_000), [
    { kind: 'sequence-gap-closed', emitter: 'edge', first: 1, last: 2, count: 2 },
  ]);
});

test('a hole says between which moments its numbers were given, over a restart too', () => {
  let coverage = new EmitterCoverage(false);
  coverage.arrived('edge', 1, 1, 1000);
  coverage = new EmitterCoverage(false, JSON.parse(JSON.stringify(coverage.snapshot())));
  coverage.arrived('edge', 5, 1, 7000);
  coverage = new EmitterCoverage(false, JSON.parse(JSON.stringify(coverage.snapshot())));
  assert.deepEqual(coverage.takeNotes(90_000, 30_000), [
    { kind: 'sequence-gap', emitter: 'edge', first: 2, last: 4, count: 3, sinceMs: 7000, afterMs: 1000 },
  ]);
  // A snapshot as it was before these moments were kept.
  const older = new EmitterCoverage(false, [['edge', 5, 2, [[2, 4, 7000, 0]]]]);
  assert.deepEqual(older.takeNotes(90_000, 30_000), [
    { kind: 'sequence-gap', emitter: 'edge', first: 2, last: 4, count: 3, sinceMs: 7000 },
  ]);
});

test('a hole that is filled part by part is told as closed for exactly the parts that came', () => {
  const coverage = new EmitterCoverage(false);
  coverage.arrived('edge', 10, 1, 0);
  coverage.takeNotes(30_000, 30_000);
  for (const seq of [5, 4, 6, 9]) coverage.arrived('edge', seq, 1, 31_000);
  assert.deepEqual(
    coverage.takeNotes(31_000, 30_000).map(({ kind, first, last }) => [kind, first, last]),
    [
      ['sequence-gap-closed', 4, 6],
      ['sequence-gap-closed', 9, 9],
    ],
  );
});

test('reordering within the time is nobody’s concern', () => {
  const coverage = new EmitterCoverage(false);
  for (const seq of [2, 1, 5, 3, 4]) coverage.arrived('edge', seq, 1, seq);
  assert.deepEqual(coverage.takeNotes(99_000, 30_000), []);
  assert.equal(coverage.missing(), 0);
});

test('a sequence number that comes again is told with how many there were', () => {
  const coverage = new EmitterCoverage(false);
  coverage.arrived('edge', 1, 10, 0);
  coverage.arrived('edge', 4, 3, 0);
  assert.deepEqual(coverage.takeNotes(0, 30_000), [
    { kind: 'sequence-repeat', emitter: 'edge', first: 4, last: 6, count: 3 },
  ]);
});

test('without a memory of before, an emitter may begin anywhere', () => {
  const coverage = new EmitterCoverage(true);
  coverage.arrived('edge', 500, 1, 0);
  assert.deepEqual([coverage.missing(), coverage.lastSeq('edge')], [0, 500]);
});

test('a snapshot carries everything over', () => {
  const coverage = new EmitterCoverage(false);
  coverage.arrived('edge', 3, 2, 1000);
  coverage.takeNotes(99_000, 30_000);
  const again = new EmitterCoverage(false, JSON.parse(JSON.stringify(coverage.snapshot())));
  assert.deepEqual(again.status(), coverage.status());
  assert.deepEqual(again.takeNotes(99_000, 30_000), []);
});

test('what one emitter can make it hold is bounded', () => {
  const coverage = new EmitterCoverage(false);
  for (let seq = 2; seq < 4000; seq += 2) coverage.arrived('edge', seq, 1, 0);
  assert.equal(coverage.status()[0]?.gaps.length, 64);
  assert.ok(coverage.takeNotes(0, 30_000).length <= 256);
  for (let i = 0; i < 12_000; i++) coverage.arrived(`edge-${i}`, 1, 1, 0);
  assert.equal(coverage.status().length, 10_000);
  assert.equal(coverage.untracked, 2001);
});

test(`the holes are exactly the numbers that did not come, in whatever order the others did (seed ${seed})`, () => {
  const runs = fc.array(fc.tuple(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1, max: 6 })), {
    minLength: 1,
    maxLength: 20,
  });
  fc.assert(
    fc.property(runs, (arrivals) => {
      const coverage = new EmitterCoverage(false);
      const came = new Set<number>();
      for (const [first, count] of arrivals) {
        coverage.arrived('edge', first, count, 0);
        for (let i = 0; i < count; i++) came.add(first + i);
      }
      const last = Math.max(...came);
      const missing = Array.from({ length: last }, (_, i) => i + 1).filter((seq) => !came.has(seq));
      const [status] = coverage.status();
      assert.equal(status?.lastSeq, last);
      assert.deepEqual(
        status?.gaps
          .flatMap(({ first, last: end }) => Array.from({ length: end - first + 1 }, (_, i) => first + i))
          .sort((a, b) => a - b),
        missing,
      );
      assert.equal(coverage.missing(), missing.length);
    }),
    { seed, numRuns: 500 },
  );
});
