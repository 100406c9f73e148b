/** Bundles of a real ledger with a past: events that were shredded, keys that were rotated, and a shred that is not over. */
import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { type BundleReport, type BundleTrust, splitBundle, verifyBundle } from '@watchglass/record';
import { clinic, item, type TestPlace, testPlace } from '../ledger/ledger.fixture.ts';
import type { Ledger } from '../ledger/ledger.ts';
import { isUnit, march, openWithKeys, shredUnits, writePast } from '../ledger/shred.fixture.ts';
import { realWorld } from '../world/real-world.ts';
import { createBundleMaker } from './make-bundle.ts';

const page = '<!doctype html><script type="application/json" id="evidence"></script>\n';
const by = { id: 'p-ito', name: 'Dana Ito', roles: ['privacy-officer'] };

async function withPast(run: (place: TestPlace, ledger: Ledger) => Promise<void>): Promise<void> {
  await using place = await testPlace();
  const { ledger } = await openWithKeys(place);
  await writePast(place, ledger);
  await run(place, ledger);
}

async function bundleOf(place: TestPlace, ledger: Ledger, asked: object): Promise<string> {
  const maker = createBundleMaker({
    ledger,
    page,
    world: realWorld(),
    indexes: {
      find: () => Promise.reject(new Error('the index is not asked here')),
      reached: async () => undefined,
      matcher: () => (m) => Buffer.from(m).includes('"kind":"auth"'),
      pseudonyms: () => ({ patient: (id: string) => id }) as never,
    },
  });
  const input = { purpose: 'HOPERAT', reason: 'Complaint 17', ...asked };
  const prepared = await maker.prepare({ tenant: clinic, input, by, signal: new AbortController().signal });
  const { size } = ledger.head(clinic);
  const { event, envelope } = item(place, {
    ...{ kind: 'review', action: 'read', operation: 'bundle', targets: prepared.targets },
    ...{
      exposure: { count: prepared.count },
      purpose: { code: prepared.purpose },
      actor: { id: by.id, type: 'human' },
    },
  });
  // As the server writes it: nobody else's word vouches for a bundle.
  await ledger.append(clinic, [{ event, envelope: { ...envelope, submitter: 'self', intake: 'self' } }]);
  let file = '';
  for await (const piece of await prepared.complete(size)) file += piece;
  return file;
}

function verified(file: string, trust: BundleTrust = {}): BundleReport {
  const { evidence, page: digest } = splitBundle(file);
  const report = verifyBundle(evidence, { page: digest, ...trust });
  assert.deepEqual(report.findings, []);
  return report;
}

test('what was shredded is in a bundle with its evidence, beside what was not', () =>
  withPast(async (place, ledger) => {
    await shredUnits(ledger, isUnit('access', march));
    const report = verified(await bundleOf(place, ledger, { indexes: [[0, 6]] }), { vkey: ledger.vkey(clinic) });
    assert.deepEqual(
      report.events.map(({ shredded, record }) => shredded?.unit ?? record?.event.kind),
      [...Array.from({ length: 5 }, () => `access-${march}`), 'auth', 'review'],
    );
    assert.equal(report.shreds[0]?.done.record?.event.operation, 'shred-completed');
    const scanned = verified(await bundleOf(place, ledger, { filters: { kind: 'auth' }, scan: true }));
    assert.deepEqual([scanned.events.length, scanned.contents?.query.shredded], [12, 30]);
    await ledger[Symbol.asyncDispose]();
  }));

test('an event of a shred that is not over is refused by its own code', () =>
  withPast(async (place, ledger) => {
    await shredUnits(ledger, isUnit('access', march));
    await ledger[Symbol.asyncDispose]();
    const path = join(place.ledgerDir, `clinic/shreds/access-${march}`);
    const [terms, begun] = (await readFile(path, 'utf8')).split('\n');
    const { ledger: again } = await openWithKeys(place);
    await writeFile(path, `${terms}\n${begun}\n`);
    await assert.rejects(bundleOf(place, again, { indexes: [0] }), { code: 'shredded' });
    await again[Symbol.asyncDispose]();
  }));

test('a bundle of a log with rotated keys verifies for who has any of them', () =>
  withPast(async (place, ledger) => {
    const old = ledger.vkey(clinic);
    await ledger.changeCheckpointKey(clinic, { kind: 'planned' });
    const next = ledger.vkey(clinic);
    const during = await bundleOf(place, ledger, { indexes: [3] });
    for (const vkey of [old, next]) assert.ok(verified(during, { vkey }).pinned);
    await ledger.changeCheckpointKey(clinic, { kind: 'end-overlap' });
    await ledger.changeCheckpointKey(clinic, { kind: 'add-ml-dsa-44' });
    await ledger.changeCheckpointKey(clinic, { kind: 'planned' });
    await ledger.changeCheckpointKey(clinic, { kind: 'end-overlap' });
    const file = await bundleOf(place, ledger, { indexes: [3] });
    for (const [vkey, steps] of [
      [old, 2],
      [next, 1],
      [ledger.vkey(clinic), 0],
    ] as const) {
      const report = verified(file, { vkey });
      assert.ok(report.pinned);
      assert.equal(report.followed.length, steps);
    }
    await ledger.changeCheckpointKey(clinic, { kind: 'compromised' });
    const { evidence } = splitBundle(await bundleOf(place, ledger, { indexes: [3] }));
    const codes = verifyBundle(evidence, { vkey: old }).findings.map(({ code }) => code);
    assert.ok(codes.includes('key-revoked'), codes.join());
    await ledger[Symbol.asyncDispose]();
  }));
