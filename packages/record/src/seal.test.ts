import assert from 'node:assert/strict';
import { test } from 'node:test';
import { encodeUtf8, tryDecodeUtf8 } from './bytes.ts';
import { generateSigner } from './note-key.ts';
import { hashSeal, openSeal, parseSeal, type Seal, sealKeyName, signSeal } from './seal.ts';
import { emptyRoot } from './tree.ts';

const origin = 'watchglass.example/clinic';
const key = (epoch: number): ReturnType<typeof generateSigner> =>
  generateSigner(sealKeyName(origin, epoch), new Uint8Array(32).fill(epoch % 251));
const seal: Seal = {
  origin,
  epoch: 674,
  size: 812,
  root: emptyRoot(),
  previous: hashSeal(Uint8Array.of(1)),
  next: key(675),
};

test('a seal reads as it was written, under the key announced for it', () => {
  const bytes = signSeal(seal, key(674));
  const { next, ...rest } = openSeal(bytes, key(674));
  assert.deepEqual(rest, { origin, epoch: 674, size: 812, root: seal.root, previous: seal.previous });
  assert.deepEqual([next.name, next.publicKey], [seal.next.name, seal.next.publicKey]);
  assert.equal(parseSeal(signSeal({ ...seal, previous: undefined }, key(674))).previous, undefined);
});

test('a seal under another key is refused, also one of the same name', () => {
  const bytes = signSeal(seal, key(674));
  assert.throws(() => openSeal(bytes, key(675)), { code: 'note-unverified' });
  const impostor = generateSigner(sealKeyName(origin, 674), new Uint8Array(32).fill(7));
  assert.throws(() => openSeal(signSeal(seal, impostor), key(674)), { code: 'note-unverified' });
});

test('a changed byte makes another seal, or none', () => {
  const bytes = signSeal(seal, key(674));
  for (let at = 0; at < bytes.length; at++) {
    const changed = Uint8Array.from(bytes);
    changed[at] = (changed[at] as number) ^ 1;
    assert.throws(() => openSeal(changed, key(674)), /./, `byte ${at}`);
  }
});

test('a seal has one spelling', () => {
  const text = tryDecodeUtf8(signSeal(seal, key(674))) as string;
  for (const [from, to] of [
    ['epoch 674', 'epoch 0674'],
    ['size 812', 'size  812'],
    ['size 812', 'size 9007199254740992'],
    ['watchglass/seal/v1', 'watchglass/seal/v2'],
    ['root ', 'root  '],
    [/next [^\n]+/, 'next none'],
    ['previous ', ''],
    ['\n\n', '\nmore\n\n'],
  ] as const) {
    assert.throws(() => parseSeal(encodeUtf8(text.replace(from, to))), { code: 'seal-malformed' }, String(from));
  }
  const twice = `${text}${text.slice(text.lastIndexOf('\n\n') + 2)}`;
  assert.throws(() => parseSeal(encodeUtf8(twice)), { code: 'seal-malformed' });
  assert.throws(() => parseSeal(Uint8Array.of(0xff)), { code: 'seal-malformed' });
});
