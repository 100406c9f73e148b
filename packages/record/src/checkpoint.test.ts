import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatCheckpoint, parseCheckpoint } from './checkpoint.ts';
import { signNote } from './note.ts';
import { generateSigner } from './note-key.ts';
import { emptyRoot } from './tree.ts';

const origin = 'watchglass.example/clinic-a';
const empty = formatCheckpoint({ origin, size: 0n, root: emptyRoot() });
const lines = empty.split('\n') as [string, string, string, string];

test('a checkpoint is written as the specification says', () => {
  assert.equal(empty, `${origin}\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n`);
});

test('a bare text and the signed note around it give the same checkpoint', () => {
  const checkpoint = { origin, size: 2n ** 64n - 1n, root: emptyRoot(), extensions: ['a line', 'another'] };
  const body = formatCheckpoint(checkpoint);
  assert.deepEqual(parseCheckpoint(body), checkpoint);
  assert.deepEqual(parseCheckpoint(signNote(body, [generateSigner(origin, new Uint8Array(32))])), checkpoint);
});

test('other spellings of a checkpoint are refused', () => {
  const [name, size, root] = lines;
  for (const text of [
    '',
    '\n',
    empty.slice(0, -1),
    `${name}\n${size}\n`,
    `\n${size}\n${root}\n`,
    `${name}\n00\n${root}\n`,
    `${name}\n01\n${root}\n`,
    `${name}\n+1\n${root}\n`,
    `${name}\n1 \n${root}\n`,
    `${name}\n-1\n${root}\n`,
    `${name}\n0x1\n${root}\n`,
    `${name}\n18446744073709551616\n${root}\n`,
    `${name}\n99999999999999999999999\n${root}\n`,
    `${name}\n${size}\n${root.slice(0, -1)}\n`,
    `${name}\n${size}\n${root} \n`,
    `${name}\n${size}\nAAAA\n`,
    `${name}\r\n${size}\n${root}\n`,
    `${name}\n${size}\n${root}\n${'x\n'.repeat(100)}`,
    `${name}\n${size}\n${root}\nx\u0000\n`,
  ]) {
    assert.throws(() => parseCheckpoint(text), { code: 'checkpoint-malformed' }, JSON.stringify(text));
  }
  assert.throws(() => parseCheckpoint(`${empty}\n`), { code: 'note-malformed' });
  assert.throws(() => parseCheckpoint(undefined as never), { code: 'checkpoint-malformed' });
});

test('what would not read back is not written', () => {
  const good = { origin, size: 1n, root: emptyRoot() };
  for (const bad of [
    { ...good, origin: '' },
    { ...good, origin: 'a\nb' },
    { ...good, size: -1n },
    { ...good, size: 2n ** 64n },
    { ...good, size: 1 as never },
    { ...good, root: new Uint8Array(31) },
    { ...good, extensions: [''] },
    { ...good, extensions: ['\ud800'] },
  ]) {
    assert.throws(() => formatCheckpoint(bad), { code: 'checkpoint-malformed' });
  }
});
