import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { realRandom } from '../world/real-world.ts';
import { KnownIds } from './known-ids.ts';

const hour = 3_600_000;
const seed = 20260314;

/** Ids that differ in a few bits: what makes probing long. */
function idOf(n: number): Buffer {
  const id = Buffer.alloc(16);
  id.writeUInt32LE(n, 12);
  return id;
}

test('an id is found with its index and its tenant, and no other is', () => {
  const ids = new KnownIds(16, hour, realRandom);
  ids.add(1, idOf(5), 0, 77);
  assert.equal(ids.indexOf(ids.find(1, idOf(5), 0)), 77);
  assert.equal(ids.find(2, idOf(5), 0), -1);
  assert.equal(ids.find(1, idOf(6), 0), -1);
});

test('a digest is unknown until it is set', () => {
  const ids = new KnownIds(16, hour, realRandom);
  const known = ids.add(1, idOf(5), 0, 0);
  const digest = Buffer.from('0011223344556677', 'hex');
  assert.equal(ids.sameDigest(known, digest, 0), undefined);
  ids.setDigest(known, digest, 0);
  assert.equal(ids.sameDigest(known, digest, 0), true);
  assert.equal(ids.sameDigest(known, Buffer.alloc(8), 0), false);
});

test('ids go when they are too old', () => {
  const ids = new KnownIds(16, hour, realRandom);
  ids.add(1, idOf(1), 0, 0);
  ids.tick(0);
  ids.add(1, idOf(2), 0, 1);
  ids.tick(hour / 2);
  ids.tick(hour + 1);
  assert.equal(ids.find(1, idOf(1), 0), -1);
  assert.notEqual(ids.find(1, idOf(2), 0), -1);
  assert.equal(ids.size, 1);
});

test(`it holds exactly the newest ids, whatever is added, rolled back and evicted (seed ${seed})`, () => {
  const entriesMax = 16;
  const actions = fc.array(
    fc.oneof(fc.record({ add: fc.integer({ min: 0, max: 60 }) }), fc.record({ back: fc.integer({ min: 0, max: 5 }) })),
    { maxLength: 120 },
  );
  fc.assert(
    fc.property(actions, (steps) => {
      const ids = new KnownIds(entriesMax, hour, realRandom);
      let model: { readonly id: number; readonly index: number }[] = [];
      let next = 0;
      for (const step of steps) {
        if ('add' in step) {
          if (model.some(({ id }) => id === step.add)) continue;
          ids.add(0, idOf(step.add), 0, next);
          model.push({ id: step.add, index: next++ });
          model = model.slice(-entriesMax);
        } else {
          const back = Math.min(step.back, model.length);
          ids.rollBack(ids.mark() - back);
          model = model.slice(0, model.length - back);
        }
        assert.equal(ids.size, model.length);
        for (let id = 0; id <= 60; id++) {
          const found = ids.find(0, idOf(id), 0);
          assert.equal(found < 0 ? undefined : ids.indexOf(found), model.find((known) => known.id === id)?.index);
        }
      }
    }),
    { seed, numRuns: 60 },
  );
});

test('a full table of 65,536 finds each of the newest ids and none of the evicted, also where probing is long', () => {
  const entriesMax = 65_536;
  const ids = new KnownIds(entriesMax, hour, realRandom);
  const added = 150_000;
  for (let n = 0; n < added; n++) ids.add(n % 3, idOf(n), 0, n);
  ids.rollBack(ids.mark() - 1000);
  const newest = added - 1000;
  for (let n = 0; n < added; n++) {
    const found = ids.find(n % 3, idOf(n), 0);
    const expected = n >= newest || n < added - entriesMax ? -1 : n;
    assert.equal(found < 0 ? -1 : ids.indexOf(found), expected);
  }
});

test('a table whose size is no power of two is refused', () => {
  assert.throws(() => new KnownIds(1000, hour, realRandom), RangeError);
});
