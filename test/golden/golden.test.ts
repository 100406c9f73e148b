/** A small log of each format version ever written: it must verify for ever, with the key and the roots it had then. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { test } from 'node:test';
import { openLedger, verifyLedger } from '../../packages/record/src/reader.ts';
import { filesInMemory } from '../../packages/server/src/ledger/ledger.fixture.ts';

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

  test(`the golden log of format ${version} with the beginning of a group behind its last is intact, and says so`, async () => {
    const { contents, files } = await filesInMemory(join(import.meta.dirname, version));
    const segment =
      [...contents.keys()]
        .filter((path) => path.endsWith('.wgj'))
        .sort()
        .at(-1) ?? '';
    const whole = contents.get(segment) ?? new Uint8Array(0);
    for (const torn of ['57', '5747473100000000', `57474731${'00'.repeat(60)}`, '00'.repeat(700)]) {
      contents.set(segment, Buffer.concat([whole, Buffer.from(torn, 'hex')]));
      const { findings, notes, tenants } = await verifyLedger({ ledgerDir, keysDir, vkey, files });
      assert.deepEqual(findings, []);
      assert.equal(notes.filter((note) => note.includes(`ends in ${torn.length / 2} bytes`)).length, 1, notes.join());
      assert.deepEqual(
        tenants.map(({ root }) => root),
        logs.map(({ root }) => root),
      );
    }
  });

  test(`the golden log of format ${version} cut off anywhere in its last group is not intact`, async () => {
    const { contents, files } = await filesInMemory(join(import.meta.dirname, version));
    const segment =
      [...contents.keys()]
        .filter((path) => path.endsWith('.wgj'))
        .sort()
        .at(-1) ?? '';
    const whole = contents.get(segment) ?? new Uint8Array(0);
    for (const left of [whole.length - 1, whole.length - 100, 12, 0]) {
      contents.set(segment, whole.subarray(0, left));
      const { findings } = await verifyLedger({ ledgerDir, keysDir, vkey, files });
      assert.ok(
        findings.some(({ code }) => code === 'checkpoint-ahead'),
        `${left} bytes left`,
      );
    }
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
