/** A small log of each format version ever written: it must verify for ever, with the key and the roots it had then. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { openLedger, verifyLedger } from '../../packages/record/src/reader.ts';

const golden = [
  {
    version: 'v1',
    // The key it began with: two statements lead to the one that signs now.
    vkey: 'watchglass.example/clinic+031bc462+AfcnGwfbvdnK1+/VceqAiLF9zQalbUZXHiw0oh4Yuo7k',
    logs: [
      {
        tenant: 'clinic',
        size: 187,
        root: 'a4c266efe3cdba453aae1251669264b135060d2376d3cbbf21af12b99bd73f14',
        records: '2d7d7be1ac43792e3b0f50b6c744343be1799381daa4047979b7a522070bfb04',
      },
      {
        tenant: 'hospital-2',
        size: 11,
        root: 'df6a8c15abdd72c576542a75008b087f53356432956360f8a414946b700b24c6',
        records: '18187cb7b7c7cdc91f4a315551d411330b1fc72a9c0d231a593df98a9673ade5',
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

test('the golden log of which something was shredded is intact, and says how much of it', async () => {
  const dir = join(import.meta.dirname, 'v1-shredded');
  const vkey = (await readFile(join(dir, 'ledger/clinic/vkey'), 'utf8')).trimEnd();
  const report = await verifyLedger({ ledgerDir: join(dir, 'ledger'), keysDir: join(dir, 'keys'), vkey, full: true });
  assert.deepEqual(report.findings, []);
  const [log] = report.tenants;
  assert.deepEqual([log?.shredded, log?.held, (log?.opened ?? 0) + (log?.shredded ?? 0)], [27, 5, log?.size]);
  const ledger = await openLedger({ ledgerDir: join(dir, 'ledger'), keysDir: join(dir, 'keys') });
  assert.equal((await ledger.read('clinic', 0, 1000)).length, (log?.size ?? 0) - 27 + 5);
});
