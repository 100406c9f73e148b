import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { decodeBase64, encodeHex, tryDecodeHex } from './bytes.ts';
import { commit, leafDataOf, leafHashOf, originHashOf } from './commitment.ts';
import { readVector } from './event.fixture.ts';

interface Vectors {
  readonly origin: string;
  readonly originHash: string;
  readonly cases: readonly Readonly<Record<'index' | 'r' | 'm' | 'commitment' | 'leafData' | 'leafHash', string>>[];
}

const vectors: Vectors = readVector('commitment');
const originHash = originHashOf(vectors.origin);

test('the vectors of commitments and leaves hold', () => {
  assert.equal(encodeHex(originHash), vectors.originHash);
  for (const { index, r, m, ...expected } of vectors.cases) {
    const c = commit({ originHash, index: BigInt(index), r: tryDecodeHex(r) as Uint8Array, m: decodeBase64(m) });
    const got = { commitment: c, leafData: leafDataOf(c), leafHash: leafHashOf(c) };
    for (const [name, value] of Object.entries(got))
      assert.equal(encodeHex(value), expected[name as keyof typeof expected]);
  }
});

test('a commitment is the hash of the bytes that docs/format.md lays out', () => {
  fc.assert(
    fc.property(
      fc.maxSafeNat(),
      fc.uint8Array({ minLength: 32, maxLength: 32 }),
      fc.uint8Array({ maxLength: 9000, size: 'max' }),
      (index, r, m) => {
        const head = Buffer.alloc(16);
        head.write('watchglass/c/v1');
        const numbers = Buffer.alloc(12);
        numbers.writeBigUInt64BE(BigInt(index));
        numbers.writeUInt32BE(m.length, 8);
        const hash = createHash('sha256').update(head).update(originHash).update(numbers.subarray(0, 8));
        const expected = hash.update(r).update(numbers.subarray(8)).update(m).digest('hex');
        assert.equal(encodeHex(commit({ originHash, index, r, m })), expected);
        assert.equal(encodeHex(commit({ originHash, index: BigInt(index), r, m })), expected);
      },
    ),
    { numRuns: 50 },
  );
});

test('parts of the wrong size are refused', () => {
  const good = { originHash, index: 0, r: new Uint8Array(32), m: new Uint8Array(1) };
  assert.throws(() => commit({ ...good, r: new Uint8Array(31) }), { code: 'argument-invalid' });
  assert.throws(() => commit({ ...good, originHash: new Uint8Array(33) }), { code: 'argument-invalid' });
  assert.throws(() => commit({ ...good, index: -1 }), { code: 'argument-invalid' });
  assert.throws(() => commit({ ...good, index: 2n ** 64n }), { code: 'argument-invalid' });
  assert.throws(() => commit({ ...good, m: new Uint8Array(65_537) }), { code: 'event-too-large' });
  assert.throws(() => leafDataOf(new Uint8Array(31)), { code: 'argument-invalid' });
});
