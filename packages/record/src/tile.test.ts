import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseTilePath, tilePath, tileWidthAt } from './tile.ts';

// c2sp.org/tlog-tiles, "Merkle Tree".
test('the example of the specification holds', () => {
  assert.equal(tilePath(0, 1234067), 'tile/0/x001/x234/067');
  assert.equal(tilePath('entries', 1234067n, 8), 'tile/entries/x001/x234/067.p/8');
  assert.equal(tilePath(63, 2n ** 64n - 1n, 255), 'tile/63/x018/x446/x744/x073/x709/x551/615.p/255');
});

test('every path reads back to what it was made of', () => {
  const level = fc.oneof(fc.constant('entries' as const), fc.integer({ min: 0, max: 63 }));
  fc.assert(
    fc.property(level, fc.bigInt(0n, 2n ** 64n - 1n), fc.integer({ min: 1, max: 256 }), (l, n, width) => {
      assert.deepEqual(parseTilePath(tilePath(l, n, width)), { level: l, n, width });
    }),
  );
});

test('other spellings are refused', () => {
  for (const path of [
    '',
    'tile/0',
    'tile/0/',
    'tile/0/0',
    'tile/0/00',
    'tile/0/0000',
    'tile/00/000',
    'tile/64/000',
    'tile/-1/000',
    'tile/0/x000/000',
    'tile/0/001/000',
    'tile/0/x001',
    'tile/0/000.p',
    'tile/0/000.p/',
    'tile/0/000.p/0',
    'tile/0/000.p/01',
    'tile/0/000.p/256',
    'tile/0/000.p/8/',
    'tile/Entries/000',
    '/tile/0/000',
    'tile/0/../000',
    'tile/0/000\n',
    `tile/0/${'x999/'.repeat(6)}999`,
    `tile/0/${'x001/'.repeat(30)}000`,
  ]) {
    assert.throws(() => parseTilePath(path), { code: 'tile-path-invalid' }, path);
  }
  assert.throws(() => tilePath(64, 0), { code: 'tile-path-invalid' });
  assert.throws(() => tilePath(0, -1), { code: 'tile-path-invalid' });
  assert.throws(() => tilePath(0, 1.5), { code: 'tile-path-invalid' });
  assert.throws(() => tilePath(0, 2n ** 64n), { code: 'tile-path-invalid' });
  assert.throws(() => tilePath(0, 0, 257), { code: 'tile-path-invalid' });
});

// c2sp.org/tlog-tiles, "Partial Tiles".
test('a tree of 70,000 leaves has the tiles the specification counts', () => {
  assert.equal(tileWidthAt(0, 272, 70_000), 256);
  assert.equal(tileWidthAt(0, 273, 70_000), 112);
  assert.equal(tileWidthAt(0, 274, 70_000), 0);
  assert.equal(tileWidthAt(1, 0, 70_000n), 256);
  assert.equal(tileWidthAt(1, 1n, 70_000), 17);
  assert.equal(tileWidthAt(2, 0, 70_000), 1);
  assert.equal(tileWidthAt(3, 0, 70_000), 0);
  assert.equal(tileWidthAt(1, 0, 256), 1);
});
