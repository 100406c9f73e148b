import assert from 'node:assert/strict';
import { test } from 'node:test';
import { concatBytes, encodeUtf8 } from './bytes.ts';
import { leafHashOf } from './commitment.ts';
import { Frontier } from './frontier.ts';
import { hashChildren, hashLeaf, rootOf } from './tree.ts';

const leaves = Array.from({ length: 70_000 }, (_, i) => hashLeaf(encodeUtf8(`vector-${i}`)));

test('the root equals the tree’s at every size', () => {
  const frontier = new Frontier();
  for (let size = 0; size <= 300; size++) {
    assert.equal(frontier.size, size);
    assert.deepEqual(frontier.root(), rootOf(leaves.slice(0, size)));
    frontier.appendLeafHashes(leaves[size] as Uint8Array);
  }
});

test('one batch and many give the same root', () => {
  const one = new Frontier();
  one.appendLeafHashes(concatBytes(...leaves.slice(0, 5000)));
  const many = new Frontier();
  for (let at = 0, step = 1; at < 5000; step = (step * 7) % 300) {
    const end = Math.min(5000, at + step);
    many.appendLeafHashes(concatBytes(...leaves.slice(at, end)));
    at = end;
  }
  assert.deepEqual(one.root(), many.root());
});

test('commitments are appended as leaves of type 1, and their leaf hashes come back', () => {
  const commitments = concatBytes(...leaves.slice(0, 10));
  const frontier = new Frontier();
  const hashes = frontier.appendCommitments(commitments);
  const expected = leaves.slice(0, 10).map((leaf) => leafHashOf(leaf));
  assert.deepEqual(hashes, concatBytes(...expected));
  assert.deepEqual(frontier.root(), rootOf(expected));
});

test('the root of each full tile is given once, at its level and place', () => {
  const frontier = new Frontier();
  const seen: [number, number, Uint8Array][] = [];
  frontier.appendLeafHashes(concatBytes(...leaves), (level, n, hash) => seen.push([level, n, hash]));
  const first = seen.filter(([level]) => level === 1);
  assert.deepEqual(
    first.map(([, n]) => n),
    Array.from({ length: 273 }, (_, n) => n),
  );
  for (const n of [0, 1, 272]) assert.deepEqual(first[n]?.[2], rootOf(leaves.slice(n * 256, n * 256 + 256)));
  const second = seen.filter(([level]) => level === 2);
  assert.equal(second.length, 1);
  assert.deepEqual(second[0], [2, 0, rootOf(leaves.slice(0, 65_536))]);
});

test('a frontier is taken up again from stored nodes', () => {
  const read = (level: number, n: number): Uint8Array =>
    level === 0 ? (leaves[n] as Uint8Array) : hashChildren(read(level - 1, 2 * n), read(level - 1, 2 * n + 1));
  for (const size of [0, 1, 2, 255, 256, 1000]) {
    const frontier = Frontier.from(size, read);
    assert.deepEqual(frontier.root(), rootOf(leaves.slice(0, size)));
    frontier.appendLeafHashes(leaves[size] as Uint8Array);
    assert.deepEqual(frontier.root(), rootOf(leaves.slice(0, size + 1)));
  }
});

test('a copy goes its own way', () => {
  const frontier = new Frontier();
  frontier.appendLeafHashes(concatBytes(...leaves.slice(0, 7)));
  const copy = frontier.clone();
  frontier.appendLeafHashes(leaves[7] as Uint8Array);
  assert.equal(copy.size, 7);
  assert.deepEqual(copy.root(), rootOf(leaves.slice(0, 7)));
});

test('bytes that are no whole number of hashes are refused', () => {
  assert.throws(() => new Frontier().appendLeafHashes(new Uint8Array(33)), { code: 'argument-invalid' });
  assert.throws(() => new Frontier().appendCommitments(new Uint8Array(31)), { code: 'argument-invalid' });
});
