import assert from 'node:assert/strict';
import { test } from 'node:test';
import { streamOf } from './prng.ts';

const draws = (...path: (string | number)[]): number[] => {
  const stream = streamOf('seed', ...path);
  return Array.from({ length: 8 }, () => stream.u32());
};

test('the same path gives the same numbers, and another path others', () => {
  assert.deepEqual(draws('patient', 7), draws('patient', 7));
  assert.notDeepEqual(draws('patient', 7), draws('patient', 8));
  assert.notDeepEqual(draws('patient', 7), draws('patient7'));
  assert.notDeepEqual(streamOf('a', 'b').u32(), streamOf('b', 'a').u32());
});

test('first draws of neighbouring paths are spread evenly', () => {
  const cells = new Array<number>(16).fill(0);
  for (let index = 0; index < 16_000; index++) {
    const cell = streamOf('even', 'subject', index).below(16);
    cells[cell] = (cells[cell] ?? 0) + 1;
  }
  // 1000 expected in each; five deviations are 155.
  assert.ok(
    cells.every((count) => Math.abs(count - 1000) < 155),
    cells.join(' '),
  );
});

test('between stays within its bounds and reaches both', () => {
  const stream = streamOf('bounds');
  const seen = new Set(Array.from({ length: 400 }, () => stream.between(-2, 3)));
  assert.deepEqual(
    [...seen].sort((a, b) => a - b),
    [-2, -1, 0, 1, 2, 3],
  );
});

test('shuffling keeps every element and leaves the original alone', () => {
  const list = Array.from({ length: 50 }, (_, index) => index);
  const shuffled = streamOf('shuffle').shuffled(list);
  assert.notDeepEqual(shuffled, list);
  assert.deepEqual(
    shuffled.toSorted((a, b) => a - b),
    list,
  );
});

test('weights decide how often something is drawn', () => {
  const stream = streamOf('weights');
  let rare = 0;
  for (let index = 0; index < 10_000; index++)
    if (
      stream.weighted([
        ['often', 9],
        ['rare', 1],
      ] as const) === 'rare'
    )
      rare++;
  assert.ok(rare > 850 && rare < 1150, `${rare}`);
});
