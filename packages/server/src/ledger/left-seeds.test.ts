/** What a ledger that was left keeps, when keys end in the one that goes on from it. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { openLedger as openOffline, verifyLedger } from '@watchglass/record/reader';
import { clinic, items, testPlace } from './ledger.fixture.ts';
import { dayMs, isUnit, march, openWithKeys, shredUnits, writePast } from './shred.fixture.ts';
import { succeed } from './succeed.ts';

test('a shred in a successor takes nothing of the ledger that was left, nor of what a hold kept there', async () => {
  await using place = await testPlace();
  {
    const { ledger } = await openWithKeys(place);
    await writePast(place, ledger);
    await ledger[Symbol.asyncDispose]();
  }
  place.clock.advance(2192 * dayMs);
  {
    const { ledger } = await openWithKeys(place);
    await ledger.ending.addHold(clinic, {
      v: 1,
      criteria: { patient: 'wg-pt-7' },
      matter: 'case 2032-17',
      reason: 'litigation',
      by: 'p-1',
      added: '2032-05-01T00:00:00.000Z',
    });
    await shredUnits(ledger, isUnit('access', march));
    await ledger[Symbol.asyncDispose]();
  }
  const { ledgerDir } = await succeed({ dataDir: place.dir, world: place.world() });
  {
    const { ledger } = await openWithKeys(place);
    await ledger.append(clinic, items(place, 3));
    await ledger[Symbol.asyncDispose]();
  }
  place.clock.advance(2250 * dayMs);
  const { ledger } = await openWithKeys(place);
  await ledger.append(clinic, items(place, 1));
  const outcomes = await shredUnits(ledger, ({ retentionClass }) => retentionClass === 'access');
  assert.equal(outcomes.length, 1);
  assert.equal(outcomes[0]?.keys[0]?.destruction.kind, 'destroyed');
  await ledger[Symbol.asyncDispose]();
  const { keysDir } = place;
  assert.deepEqual((await verifyLedger({ ledgerDir, keysDir, full: true })).findings, []);
  const left = await openOffline({ ledgerDir, keysDir });
  const read = await left.read('clinic', 0, 1_000);
  assert.equal(read[0]?.index, 4, 'what the hold kept of the class that was shredded');
  assert.ok(read.length > 50);
  assert.deepEqual((await verifyLedger({ ledgerDir: join(place.dir, 'ledger'), keysDir, full: true })).findings, []);
});
