/** A log whose leaves are of type 0x02: written, started again, verified offline, proven, and found out when its type is changed. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { formatProof, openingExtra, openProof, parseTenantId } from '@watchglass/record';
import { parseManifest } from '@watchglass/record/reader';
import { clinic, item, items, withPlace } from './ledger.fixture.ts';

const other = parseTenantId('other');

test('it is written, archived, started again, and verified offline beside one of type 0x01', () =>
  withPlace(async (place) => {
    for (const round of [1, 2]) {
      await using ledger = await place.open();
      await ledger.addTenant(clinic, 2);
      await ledger.addTenant(other);
      await ledger.append(clinic, items(place, 300, { changes: [{ path: '/name', op: 'replace', after: 'x"<é' }] }));
      assert.deepEqual([ledger.leafType(clinic), ledger.leafType(other)], [2, 1]);
      const entries = await ledger.resource(clinic, 'tile/entries/000');
      assert.equal(entries?.[2], 2, 'the type stands in the leaf data');
      const { hashes, checkpoint } = await ledger.prove(clinic, 299 * round);
      const { r, m, leaf } = await ledger.open(clinic, 299 * round);
      assert.equal(leaf[0], 2);
      const text = formatProof({ extra: openingExtra(r, m), index: BigInt(299 * round), hashes, checkpoint });
      assert.equal(openProof(text, { vkey: ledger.vkey(clinic) }).record.event.tenant, 'clinic');
      // Beside the writer: a part is archived, a part in the journal.
      const report = await place.verify({ full: true });
      assert.deepEqual(report.findings, []);
    }
    const report = await place.verify({ full: true });
    assert.deepEqual(report.findings, []);
    assert.equal(report.tenants.find(({ tenant }) => tenant === 'clinic')?.opened, 600);
    const manifest = readFileSync(join(place.ledgerDir, 'manifest'), 'utf8');
    assert.match(manifest, /"clinic":\{"origin":"watchglass\.example\/clinic","leaf":2,"size":600,/);
    assert.match(manifest, /"other":\{"origin":"watchglass\.example\/other","size":/, 'others look as ever');
  }));

test('a log stays of the type it was created with, and that is said', () =>
  withPlace(async (place) => {
    await using ledger = await place.open();
    await ledger.addTenant(clinic);
    await ledger.addTenant(clinic, 2);
    assert.equal(ledger.leafType(clinic), 1);
    assert.match(place.reports.map(({ message }) => message).join('\n'), /leaves of type 1, and they stay so/);
  }));

test('a manifest that states another type is found, by a verifier and by the writer', () =>
  withPlace(async (place) => {
    {
      await using ledger = await place.open();
      await ledger.addTenant(clinic, 2);
      await ledger.append(clinic, items(place, 5));
    }
    const path = join(place.ledgerDir, 'manifest');
    const [line = ''] = readFileSync(path, 'utf8').split('\n');
    const changed = line.replace('"leaf":2,', '');
    writeFileSync(path, `${changed}\n${createHash('sha256').update(changed).digest('hex')}\n`);
    assert.equal(parseManifest(readFileSync(path)).tenants.get('clinic')?.leaf, undefined);
    const report = await place.verify();
    const found = new Set(report.findings.map(({ code }) => code));
    assert.ok(found.has('root-mismatch') && found.has('commitment-mismatch'), [...found].join());
    await using ledger = await place.open();
    assert.equal(ledger.state.kind, 'read-only');
    const three = line.replace('"leaf":2,', '"leaf":3,');
    writeFileSync(path, `${three}\n${createHash('sha256').update(three).digest('hex')}\n`);
    assert.throws(() => parseManifest(readFileSync(path)), { code: 'manifest-malformed' });
  }));

test('a record that was changed in its block does not open its commitment', () =>
  withPlace(async (place) => {
    await using ledger = await place.open();
    await ledger.addTenant(clinic, 2);
    await ledger.append(clinic, [item(place)]);
    const { r, m } = await ledger.open(clinic, 0);
    const { hashes, checkpoint } = await ledger.prove(clinic, 0);
    const forged = Buffer.from(Buffer.from(m).toString().replace('"read"', '"edit"'));
    const text = formatProof({ extra: openingExtra(r, forged), index: 0n, hashes, checkpoint });
    assert.throws(() => openProof(text, { vkey: ledger.vkey(clinic) }), { code: 'inclusion-invalid' });
  }));
