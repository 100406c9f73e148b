import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { decodeBase64, encodeBase64, encodeHex, encodeUtf8, tryDecodeHex } from './bytes.ts';
import { readVector } from './event.fixture.ts';
import {
  emptyRoot,
  hashChildren,
  hashLeaf,
  inclusionProofLength,
  rootOf,
  verifyConsistency,
  verifyInclusion,
} from './tree.ts';
import { consistencyProof, inclusionProof } from './tree-proof.ts';

interface Vectors {
  readonly roots: Readonly<Record<string, string>>;
  readonly inclusion: readonly { index: number; size: number; proof: readonly string[] }[];
  readonly consistency: readonly { size1: number; size2: number; proof: readonly string[] }[];
}

const vectors: Vectors = readVector('tree');
const leaves = Array.from({ length: 1000 }, (_, i) => hashLeaf(encodeUtf8(`vector-${i}`)));
const rootAt = (size: number): Uint8Array => rootOf(leaves.slice(0, size));
const knownRoot = (size: number): Uint8Array => tryDecodeHex(vectors.roots[size] as string) as Uint8Array;

/** RFC 6962 §2.1, word for word. */
function definedRoot(hashes: readonly Uint8Array[]): Uint8Array {
  if (hashes.length === 0) return emptyRoot();
  if (hashes.length === 1) return hashes[0] as Uint8Array;
  let k = 1;
  while (k * 2 < hashes.length) k *= 2;
  return hashChildren(definedRoot(hashes.slice(0, k)), definedRoot(hashes.slice(k)));
}

test('the vectors of roots and proofs hold', () => {
  for (const [size, root] of Object.entries(vectors.roots)) assert.equal(encodeHex(rootAt(Number(size))), root);
  for (const { index, size, proof } of vectors.inclusion) {
    assert.deepEqual(inclusionProof(index, size, leaves).map(encodeBase64), proof);
    const leafHash = leaves[index] as Uint8Array;
    verifyInclusion({
      leafHash,
      index: BigInt(index),
      size: BigInt(size),
      proof: proof.map(decodeBase64),
      root: rootAt(size),
    });
  }
  for (const { size1, size2, proof } of vectors.consistency) {
    assert.deepEqual(consistencyProof(size1, size2, leaves).map(encodeBase64), proof);
    const roots = { root1: rootAt(size1), root2: rootAt(size2) };
    verifyConsistency({ size1: BigInt(size1), size2: BigInt(size2), ...roots, proof: proof.map(decodeBase64) });
  }
});

test('the root is the one RFC 6962 defines, at every size up to 130', () => {
  for (let size = 0; size <= 130; size++) assert.deepEqual(rootAt(size), definedRoot(leaves.slice(0, size)));
});

test('every inclusion proof of every small tree verifies, for its own index only', () => {
  for (let size = 1; size <= 33; size++) {
    const root = rootAt(size);
    for (let index = 0; index < size; index++) {
      const proof = inclusionProof(index, size, leaves);
      const leafHash = leaves[index] as Uint8Array;
      assert.equal(inclusionProofLength(BigInt(index), BigInt(size)), proof.length);
      verifyInclusion({ leafHash, index: BigInt(index), size: BigInt(size), proof, root });
      for (let wrong = 0; wrong <= size; wrong++) {
        if (wrong === index) continue;
        const claim = { leafHash, index: BigInt(wrong), size: BigInt(size), proof, root };
        assert.throws(() => verifyInclusion(claim), { code: 'inclusion-invalid' });
      }
    }
  }
});

test('every consistency proof between small trees verifies, for its own sizes only', () => {
  for (let size2 = 0; size2 <= 20; size2++) {
    for (let size1 = 0; size1 <= size2; size1++) {
      const proof = consistencyProof(size1, size2, leaves);
      const claim = { size1: BigInt(size1), root1: rootAt(size1), size2: BigInt(size2), root2: rootAt(size2), proof };
      verifyConsistency(claim);
      if (size1 === 0 || size1 === size2) continue;
      for (const wrong of [
        { ...claim, root1: rootAt(size1 + 1) },
        { ...claim, root2: rootAt(size2 + 1) },
        { ...claim, proof: proof.slice(1) },
        { ...claim, proof: [...proof, rootAt(3)] },
        { ...claim, proof: [rootAt(3), ...proof] },
        { ...claim, size1: claim.size2, size2: claim.size1 },
      ]) {
        assert.throws(() => verifyConsistency(wrong), { code: 'consistency-invalid' });
      }
    }
  }
});

test('a proof with any bit changed, dropped, doubled or swapped is refused', () => {
  fc.assert(
    fc.property(fc.integer({ min: 2, max: 300 }), fc.nat(), fc.nat(), fc.nat(), (size, i, where, bit) => {
      const index = i % size;
      const proof = inclusionProof(index, size, leaves);
      const claim = {
        leafHash: leaves[index] as Uint8Array,
        index: BigInt(index),
        size: BigInt(size),
        root: rootAt(size),
      };
      const at = where % proof.length;
      const flipped = proof.map((hash) => hash.slice());
      const victim = flipped[at] as Uint8Array;
      victim[bit % 32] = (victim[bit % 32] as number) ^ (1 << (bit % 8));
      const doubled = [...proof, proof[at] as Uint8Array];
      for (const bad of [flipped, proof.toSpliced(at, 1), doubled, [], [...proof].reverse()]) {
        if (bad.length === proof.length && bad.every((hash, k) => Buffer.compare(hash, proof[k] as Uint8Array) === 0))
          continue;
        assert.throws(() => verifyInclusion({ ...claim, proof: bad }), { code: 'inclusion-invalid' });
      }
    }),
    { numRuns: 200 },
  );
});

test('two roots for one size, and a proof where none is needed, are refused', () => {
  const same = { size1: 5n, root1: rootAt(5), size2: 5n, root2: rootAt(5), proof: [] };
  verifyConsistency(same);
  assert.throws(() => verifyConsistency({ ...same, root2: rootAt(6) }), { code: 'consistency-invalid' });
  assert.throws(() => verifyConsistency({ ...same, proof: [rootAt(1)] }), { code: 'consistency-invalid' });
  const empty = { size1: 0n, root1: emptyRoot(), size2: 5n, root2: rootAt(5), proof: [] };
  verifyConsistency(empty);
  assert.throws(() => verifyConsistency({ ...empty, root1: rootAt(5) }), { code: 'consistency-invalid' });
});

test('sizes at the end of 64 bits are judged without overflow', () => {
  const claim = { leafHash: rootAt(1), index: 2n ** 64n - 2n, size: 2n ** 64n - 1n, proof: [], root: rootAt(2) };
  assert.throws(() => verifyInclusion(claim), { code: 'inclusion-invalid' });
  assert.throws(() => verifyInclusion({ ...claim, size: 2n ** 64n }), { code: 'argument-invalid' });
  assert.throws(() => verifyInclusion({ ...claim, size: 5 as never }), { code: 'argument-invalid' });
});

test('hashes that have not 32 bytes are refused', () => {
  assert.throws(() => hashChildren(new Uint8Array(31), new Uint8Array(32)), { code: 'argument-invalid' });
  assert.throws(() => rootOf([new Uint8Array(33)]), { code: 'argument-invalid' });
  const claim = { leafHash: rootAt(1), index: 0n, size: 2n, proof: [new Uint8Array(31)], root: rootAt(2) };
  assert.throws(() => verifyInclusion(claim), { code: 'argument-invalid' });
});

test('the known roots are those of the vectors', () => {
  assert.deepEqual(rootAt(1000), knownRoot(1000));
});
