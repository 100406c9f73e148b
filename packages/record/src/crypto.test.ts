import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { encodeHex, tryDecodeHex } from './bytes.ts';
import * as browser from './crypto-browser.ts';
import * as node from './crypto-node.ts';

const bytes = (hex: string): Uint8Array => tryDecodeHex(hex) as Uint8Array;

// NIST FIPS 180-4 examples; RFC 4231 §4.3; RFC 8032 §7.1, tests 1 and 2.
for (const [name, crypto] of [
  ['node', node],
  ['browser', browser],
] as const) {
  test(`${name}: the vectors of the standards hold`, () => {
    const { sha256, hmacSha256, ed25519PublicKey, ed25519Sign, ed25519Verify } = crypto;
    assert.equal(
      encodeHex(sha256(bytes('616263'))),
      'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad',
    );
    const mac = hmacSha256(new TextEncoder().encode('Jefe'), new TextEncoder().encode('what do ya want for nothing?'));
    assert.equal(encodeHex(mac), '5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843');
    const seed = bytes('9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60');
    const key = bytes('d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a');
    const signature = bytes(
      'e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b',
    );
    assert.deepEqual(ed25519PublicKey(seed), key);
    assert.deepEqual(ed25519Sign(seed, new Uint8Array(0)), signature);
    assert.ok(ed25519Verify(key, new Uint8Array(0), signature));
  });
}

test('both implementations give the same bytes', () => {
  const any = fc.uint8Array({ maxLength: 300 });
  const seed = fc.uint8Array({ minLength: 32, maxLength: 32 });
  fc.assert(
    fc.property(any, seed, (data, key) => {
      assert.deepEqual(browser.sha256(data), node.sha256(data));
      assert.deepEqual(browser.hmacSha256(key, data), node.hmacSha256(key, data));
      const publicKey = node.ed25519PublicKey(key);
      assert.deepEqual(browser.ed25519PublicKey(key), publicKey);
      const signature = node.ed25519Sign(key, data);
      assert.deepEqual(browser.ed25519Sign(key, data), signature);
      for (const { ed25519Verify } of [browser, node]) {
        assert.equal(ed25519Verify(publicKey, data, signature), true);
        assert.equal(ed25519Verify(publicKey, Uint8Array.of(...data, 1), signature), false);
        assert.equal(ed25519Verify(publicKey, data, signature.slice(1)), false);
        assert.equal(ed25519Verify(publicKey.slice(1), data, signature), false);
      }
    }),
    { numRuns: 30 },
  );
});

test('both implementations refuse a signature with any bit changed, and one with S + L', () => {
  const seed = new Uint8Array(32).fill(9);
  const message = new TextEncoder().encode('a checkpoint\n');
  const publicKey = node.ed25519PublicKey(seed);
  const signature = node.ed25519Sign(seed, message);
  const order = 2n ** 252n + 27742317777372353535851937790883648493n;
  const little = (part: Uint8Array): bigint => BigInt(`0x${encodeHex(part.slice().reverse())}`);
  const malleable = signature.slice();
  malleable.set(bytes((little(signature.subarray(32)) + order).toString(16).padStart(64, '0')).reverse(), 32);
  for (const { ed25519Verify } of [browser, node]) {
    assert.equal(ed25519Verify(publicKey, message, malleable), false);
    for (let i = 0; i < 64; i += 7) {
      const changed = signature.slice();
      changed[i] = (changed[i] as number) ^ 1;
      assert.equal(ed25519Verify(publicKey, message, changed), false);
    }
  }
});

test('a hash is written where it is asked for, also over its own input', () => {
  for (const { sha256, sha256Into } of [browser, node]) {
    const data = new Uint8Array(65).fill(3);
    const expected = sha256(data);
    sha256Into(data, data, 33);
    assert.deepEqual(data.subarray(33), expected);
  }
});
