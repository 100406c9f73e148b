import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { encodeHex } from './bytes.ts';
import { commit, originHashOf } from './commitment.ts';
import { Committer } from './committer.ts';

const origins = [originHashOf('example.com/log'), originHashOf('example.com/other')] as const;

test('a committer gives what commit gives, whatever came before and however long records are', () => {
  const committer = new Committer();
  const record = fc.record({
    originHash: fc.constantFrom(...origins),
    index: fc.maxSafeNat(),
    openings: fc.uint8Array({ minLength: 40, maxLength: 40 }),
    openingAt: fc.nat({ max: 8 }),
    m: fc.oneof(fc.uint8Array({ maxLength: 600 }), fc.uint8Array({ minLength: 4095, maxLength: 9000, size: 'max' })),
  });
  fc.assert(
    fc.property(record, ({ originHash, index, openings, openingAt, m }) => {
      const out = new Uint8Array(34);
      committer.commitInto({ originHash, index, openings, openingAt, m }, out, 1);
      const r = openings.subarray(openingAt, openingAt + 32);
      assert.equal(encodeHex(out), `00${encodeHex(commit({ originHash, index, r, m }))}00`);
    }),
    { numRuns: 300 },
  );
});

test('a committer refuses what commit refuses', () => {
  const good = { originHash: origins[0], index: 0, openings: new Uint8Array(32), openingAt: 0, m: new Uint8Array(1) };
  const out = new Uint8Array(32);
  const committer = new Committer();
  assert.throws(() => committer.commitInto({ ...good, originHash: new Uint8Array(31) }, out, 0), {
    code: 'argument-invalid',
  });
  assert.throws(() => committer.commitInto({ ...good, openingAt: 1 }, out, 0), { code: 'argument-invalid' });
  assert.throws(() => committer.commitInto({ ...good, index: -1 }, out, 0), { code: 'argument-invalid' });
  assert.throws(() => committer.commitInto({ ...good, index: 2 ** 53 }, out, 0), { code: 'argument-invalid' });
  assert.throws(() => committer.commitInto({ ...good, m: new Uint8Array(65_537) }, out, 0), {
    code: 'event-too-large',
  });
});
