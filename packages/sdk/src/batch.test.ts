import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { Batch, joinBatches } from './batch.ts';

function batchOf(firstSeq: number, ...lines: readonly string[]): Batch {
  return new Batch({ firstSeq, count: lines.length, bytes: Buffer.from(lines.map((line) => `${line}\n`).join('')) });
}

describe('a batch', () => {
  const batch = batchOf(7, '{"a":1}', '{"ä":2}', '{"c":3}');

  it('gives the lines it was made of, and their numbers', () => {
    assert.deepEqual(batch.lines, ['{"a":1}', '{"ä":2}', '{"c":3}']);
    assert.equal(batch.lastSeq, 9);
    assert.deepEqual(batchOf(1).lines, []);
  });

  it('is cut between lines', () => {
    assert.equal(batch.slice(0), batch);
    for (const [from, to, lines] of [
      [1, 3, ['{"ä":2}', '{"c":3}']],
      [1, 2, ['{"ä":2}']],
      [0, 1, ['{"a":1}']],
      [2, 2, []],
    ] as const) {
      const part = batch.slice(from, to);
      assert.deepEqual([part.firstSeq, part.count, part.lines], [7 + from, lines.length, lines]);
    }
  });

  it('keeps within bounds of events and bytes', () => {
    const within = (eventsMax: number, bytesMax: number): number => batch.within({ eventsMax, bytesMax }).count;
    assert.equal(batch.within({ eventsMax: 3, bytesMax: batch.bytes.length }), batch);
    assert.deepEqual([within(2, 1_000), within(9, 8), within(9, 7), within(9, 16), within(9, 17)], [2, 1, 0, 1, 2]);
    assert.deepEqual([within(0, 1_000), within(9, -1)], [0, 0]);
  });

  it('is joined with those that follow it', () => {
    const joined = joinBatches(7, [batch, batchOf(10, '{"d":4}')]);
    assert.deepEqual([joined.firstSeq, joined.count, joined.lastSeq], [7, 4, 10]);
    assert.deepEqual(joined.lines, [...batch.lines, '{"d":4}']);
    assert.equal(joinBatches(7, [batch]), batch);
    assert.equal(joinBatches(7, []).count, 0);
  });
});
