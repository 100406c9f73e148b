/** A log stopped and opened again at every size where a tile, a commitment file or a level of the tree begins: the tree is the same one. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hashLeaf, verifyInclusion } from '@watchglass/record';
import { encodeBatch } from './encoded-batch.ts';
import { clinic, items, testPlace } from './ledger.fixture.ts';
import type { Ledger } from './ledger.ts';

const sizes = [1, 255, 256, 257, 65_279, 65_280, 65_281, 65_535, 65_536, 65_537, 131_071, 131_072, 131_073];
const callMax = 16_384;

test('a log that is closed and opened at sizes around 256, 65,536 and 131,072 goes on with the same tree', {
  timeout: 120_000,
}, async () => {
  await using place = await testPlace();
  let size = 0;
  for (const next of sizes) {
    const ledger = await place.open();
    await ledger.addTenant(clinic);
    assert.deepEqual(ledger.state, { kind: 'writable' }, `at ${size}`);
    assert.equal(ledger.head(clinic).size, size);
    while (size < next) {
      const count = Math.min(next - size, callMax);
      await ledger.appendEncoded(clinic, encodeBatch(clinic, items(place, count)));
      size += count;
    }
    await provenAt(ledger, [0, 255, 256, 65_535, 65_536, size - 1]);
    await ledger[Symbol.asyncDispose]();
  }
  const { findings, tenants } = await place.verify();
  assert.deepEqual(findings, []);
  assert.equal(tenants[0]?.opened, 131_073);
});

async function provenAt(ledger: Ledger, indexes: readonly number[]): Promise<void> {
  const { size, root } = ledger.head(clinic);
  for (const index of indexes.filter((candidate) => candidate < size)) {
    const { hashes } = await ledger.prove(clinic, index);
    const { leaf } = await ledger.open(clinic, index);
    verifyInclusion({ leafHash: hashLeaf(leaf), index: BigInt(index), size: BigInt(size), proof: hashes, root });
  }
}
