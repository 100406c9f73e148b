import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Coverage } from './coverage.ts';

const coverage = (...files: readonly [epoch: number, start: number, next: number][]): Coverage => {
  const made = new Coverage('access');
  for (const [epoch, start, next] of files) made.put({ epoch, path: `access-${epoch}`, start, next });
  return made;
};

test('files that follow one another leave no hole', () => {
  assert.equal(coverage().firstHole, 0);
  assert.equal(coverage([0, 0, 10]).firstHole, 10);
  assert.equal(coverage([2, 25, 40], [0, 0, 10], [1, 10, 25]).firstHole, 40);
});

test('a missing file is where following begins again', () => {
  assert.equal(coverage([1, 10, 25]).firstHole, 0);
  assert.equal(coverage([0, 0, 10], [2, 25, 40]).firstHole, 10);
});

test('entries go on with the newest file that covers their position or ends there', () => {
  const made = coverage([0, 0, 10], [1, 10, 25]);
  assert.equal(made.at(9)?.epoch, 0);
  assert.equal(made.at(10)?.epoch, 1);
  assert.equal(made.at(25)?.epoch, 1);
  assert.equal(made.at(26), undefined);
  assert.equal(coverage([0, 0, 10], [2, 25, 40]).at(10)?.epoch, 0);
});
