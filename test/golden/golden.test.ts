/** A small log of each format version ever written: it must verify for ever, with the key and the roots it had then. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { openLedger, verifyLedger } from '../../packages/record/src/reader.ts';
import { filesInMemory } from '../../packages/server/src/ledger/ledger.fixture.ts';

const golden = [
  {
    version: 'v1',
    // The key it began with: two statements lead to the one that signs now.
    vkey: 'watchglass.example/clinic+031bc462+AfcnGwfbvdnK1+/VceqAiLF9zQalbUZXHiw0oh4Yuo7k',
    logs: [
      {
        tenant: 'clinic',
        size: 187,
        root: '636b2c26f2f1928c53768e6585506a9764379dbbf5498498cddfdf665a082400',
        records: 'bb578bcc9fc30a0bc99d76ee44bdfac4b2bf7c31152fabebc80e086af701b171',
      },
      {
        tenant: 'hospital-2',
        size: 11,
        root: '7004f2d92355ef42262b26b50b2dc22a1d8039c53a397bc313c185d33c77a16f',
        records: 'c74ee26d5ef0f3aadf7d3ad9d0cee047eb6621550aa43879f563b1b611487ca7',
      },
      {
        tenant: 'research',
        size: 6,
        root: 'e868abf2a8818bd4c26b53861f4dd466410a8c8e5fdddf92195eed1ec13e6874',
        records: '01c62ce3bd44ad4a3dc0ff9364916f95113f05681991a0187ab68b90ca730f7d',
      },
    ],
  },
  {
    // Its journal is a masked segment.
    version: 'v1-masked',
    vkey: 'watchglass.example/clinic+a70cd822+AWInH9GVQpq3OkZMyTOqhl4lzpY/ls3QfxhhrZNiVivx',
    logs: [
      {
        tenant: 'clinic',
        size: 94,
        root: '2d4abd9c144e3f60d18f31e64fb58c892c5dbf000c87423833130fe85765a560',
        records: 'd15cca4daf3806c9bd609f6d774579413eb4573cb000e3691eff03bf27d23e06',
      },
      {
        tenant: 'hospital-2',
        size: 6,
        root: 'a34654eec18ca4f35bfa6d266a64b7c9c946f45049cc9525186e11f5ea46e767',
        records: 'a497c6e61847fbbbdbb0071dbffc72bd4a1491249e43c7b827c0e35013bfb7ac',
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

test('the golden log of packed blocks is intact, and its records read as they were written', async () => {
  const dir = join(import.meta.dirname, 'v1-packed');
  const place = { ledgerDir: join(dir, 'ledger'), keysDir: join(dir, 'keys') };
  const vkey = 'watchglass.example/clinic+1a56f183+AaHUgj3kFaCu6FzxCjSrTOnOjgNPE8PdRTyWzzHJ+nhT';
  const { findings, tenants } = await verifyLedger({ ...place, vkey, full: true });
  assert.deepEqual(findings, []);
  assert.deepEqual(
    tenants.map(({ size, opened, root }) => ({ size, opened, root })),
    [{ size: 63, opened: 63, root: 'eb6b15c4ea1cda67361e3f111e04e03a50558b45f792500c84d011a150bb9eae' }],
  );
  const hash = createHash('sha256');
  for (const { m } of await (await openLedger(place)).read('clinic', 0, 63)) hash.update(m).update('\n');
  assert.equal(hash.digest('hex'), '9e01d67cb98f59a9be3eec11426c0436a2b7c8db03409a4d1a7f39fb110f2c27');
});
