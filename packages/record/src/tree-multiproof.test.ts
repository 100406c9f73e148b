import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { concatBytes, encodeHex } from './bytes.ts';
import { hashLeaf, rootOf } from './tree.ts';
import { multiproofPlan, rootOfMultiproof } from './tree-multiproof.ts';
import { foldStep, inclusionPlan, type NodeReader } from './tree-proof.ts';

const leavesOf = (size: number): Uint8Array[] =>
  Array.from({ length: size }, (_, i) => hashLeaf(Uint8Array.of(i >> 8, i & 255)));

function nodesOver(leaves: readonly Uint8Array[]): NodeReader {
  return (level, n) => rootOf(leaves.slice(n * 2 ** level, (n + 1) * 2 ** level));
}

const chosen = fc.integer({ min: 1, max: 200 }).chain((size) =>
  fc.record({
    size: fc.constant(size),
    indexes: fc
      .uniqueArray(fc.integer({ min: 0, max: size - 1 }), { minLength: 1, maxLength: 40 })
      .map((list) => list.sort((a, b) => a - b)),
  }),
);

function prove(size: number, indexes: readonly number[], leaves: readonly Uint8Array[]): Uint8Array[] {
  const read = nodesOver(leaves);
  return multiproofPlan(indexes, size).map((step) => foldStep(step.map(({ level, n }) => read(level, n))));
}

test('the leaves and the hashes of a proof lead to the root, whatever is chosen of whatever tree', () => {
  fc.assert(
    fc.property(chosen, ({ size, indexes }) => {
      const leaves = leavesOf(size);
      const hashes = prove(size, indexes, leaves);
      const placed = indexes.map((index) => ({ index, hash: leaves[index]! }));
      assert.equal(encodeHex(rootOfMultiproof({ leaves: placed, size, hashes })), encodeHex(rootOf(leaves)));
    }),
  );
});

test('one leaf needs exactly the hashes of its inclusion proof, and all leaves need none', () => {
  for (const size of [1, 2, 5, 8, 13]) {
    const all = Array.from({ length: size }, (_, i) => i);
    assert.deepEqual(multiproofPlan(all, size), []);
    for (const index of all) {
      const one = multiproofPlan([index], size).map((step) => JSON.stringify(step));
      assert.deepEqual(
        one.sort(),
        inclusionPlan(index, size)
          .map((step) => JSON.stringify(step))
          .sort(),
      );
    }
  }
});

test('any hash or leaf that is another leads to another root, and any number of hashes but the right one is refused', () => {
  fc.assert(
    fc.property(chosen, fc.nat(), fc.nat(), ({ size, indexes }, at, bit) => {
      const leaves = leavesOf(size);
      const hashes = prove(size, indexes, leaves);
      const placed = indexes.map((index) => ({ index, hash: leaves[index]! }));
      const flipped = (hash: Uint8Array): Uint8Array => {
        const copy = hash.slice();
        copy[bit % 32]! ^= 1 << (bit % 8);
        return copy;
      };
      const every = [...placed.map(({ hash }) => hash), ...hashes];
      const which = at % every.length;
      const changed = every.map((hash, i) => (i === which ? flipped(hash) : hash));
      const root = rootOfMultiproof({
        leaves: placed.map(({ index }, i) => ({ index, hash: changed[i]! })),
        size,
        hashes: changed.slice(placed.length),
      });
      assert.notEqual(encodeHex(root), encodeHex(rootOf(leaves)));
      const more = [...hashes, concatBytes(leaves[0]!)];
      assert.throws(() => rootOfMultiproof({ leaves: placed, size, hashes: more }), { code: 'inclusion-invalid' });
      if (hashes.length > 0)
        assert.throws(() => rootOfMultiproof({ leaves: placed, size, hashes: hashes.slice(1) }), {
          code: 'inclusion-invalid',
        });
    }),
  );
});

test('indexes out of order, twice, none or outside of the tree are refused', () => {
  for (const indexes of [[], [3, 2], [2, 2], [8], [-1], [0.5]])
    assert.throws(() => multiproofPlan(indexes, 8), { code: 'argument-invalid' });
});
