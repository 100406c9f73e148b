/** A small log of each format version ever written: it must verify for ever, with the key and the roots it had then. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { test } from 'node:test';
import { openLedger, verifyLedger } from '../../packages/record/src/reader.ts';

const golden = [
  {
    version: 'v1',
    vkey: 'watchglass.example/clinic+031bc462+AfcnGwfbvdnK1+/VceqAiLF9zQalbUZXHiw0oh4Yuo7k',
    logs: [
      {
        tenant: 'clinic',
        size: 180,
        root: 'd515714eab5493d15c64c5aef8287fad84398c4d081ee1bfb4fe5252cab495e0',
        records: 'fba7e27779e28b236ee8f5bffefdf9231e85c43260d038b869568a7845ba9963',
      },
      {
        tenant: 'hospital-2',
        size: 9,
        root: 'f767f4167724667a9e0bf4c1373295c242e75aeeaab9208555d6adb9039ac095',
        records: 'fb298d7a2529aa6ce0496c670024bcdbb9e634e1926266eca0d53fc2e16e3964',
      },
      {
        tenant: 'research',
        size: 6,
        root: '3b86fc80e46d9e5b85a7620e699cb7b6d0851f9f8316b231a2531311f234138a',
        records: '77cf9cf47e31a6954ffd16ab12a9ae538dab46d33e4ef8c2ad3634964a0ee1a9',
      },
    ],
  },
];

for (const { version, vkey, logs } of golden) {
  const ledgerDir = join(import.meta.dirname, version, 'ledger');
  const keysDir = join(import.meta.dirname, version, 'keys');

  test(`the golden log of format ${version} is intact, with the roots it was signed with`, async () => {
    const report = await verifyLedger({ ledgerDir, keysDir, vkey, full: true });
    assert.deepEqual(report.findings, []);
    assert.deepEqual(
      report.tenants.map(({ tenant, size, root, opened }) => ({ tenant, size, root, opened })),
      logs.map(({ tenant, size, root }) => ({ tenant, size, root, opened: size })),
    );
  });

  test(`every record of the golden log of format ${version} reads as it was written`, async () => {
    const ledger = await openLedger({ ledgerDir, keysDir });
    for (const { tenant, size, records } of logs) {
      const hash = createHash('sha256');
      for (let next = 0; next < size; ) {
        for (const { index, m } of await ledger.read(tenant, next, 50)) {
          hash.update(m).update('\n');
          next = index + 1;
        }
      }
      assert.equal(hash.digest('hex'), records, tenant);
    }
  });
}
