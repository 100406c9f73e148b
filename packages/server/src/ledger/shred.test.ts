/** What a shred takes of a ledger, what it leaves, and what a verifier says of it. */
import assert from 'node:assert/strict';
import { copyFile, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { decode, RecordError } from '@watchglass/record';
import { openLedger as openOffline } from '@watchglass/record/reader';
import { LedgerError } from './errors.ts';
import { clinic, faultyDisk, filesBelow, flip, items, type TestPlace, testPlace } from './ledger.fixture.ts';
import type { Ledger } from './ledger.ts';
import { april, dayMs, isUnit, march, openWithKeys, planned, shredUnits, writePast } from './shred.fixture.ts';
import type { HoldTerms } from './shred.ts';
import { hashPlan } from './shred-survey.ts';
import type { TurningKeys } from './turning-keys.fixture.ts';

const sixYearsMs = 2192 * dayMs;
const terms: HoldTerms = {
  v: 1,
  criteria: { patient: 'wg-pt-7' },
  matter: 'case 2032-17',
  reason: 'litigation',
  by: 'p-1',
  added: '2026-05-01T00:00:00.000Z',
};

async function withPast(
  work: (past: { readonly place: TestPlace; readonly ledger: Ledger; readonly keys: TurningKeys }) => Promise<void>,
): Promise<void> {
  await using place = await testPlace();
  const past = await openWithKeys(place);
  await writePast(place, past.ledger);
  await past.ledger[Symbol.asyncDispose]();
  place.clock.advance(sixYearsMs);
  const { ledger, keys } = await openWithKeys(place);
  await ledger.append(clinic, items(place, 2));
  await work({ place, ledger, keys });
}

async function codes(place: TestPlace): Promise<string[]> {
  return [...new Set((await place.verify({ full: true })).findings.map(({ code }) => code))].sort();
}

test('a shredded class and epoch can’t be read, everything else can, and every proof still holds', async () => {
  await withPast(async ({ place, ledger }) => {
    const before = await ledger.prove(clinic, 0);
    const outcomes = await shredUnits(ledger, isUnit('access', march));
    assert.deepEqual(
      outcomes.map(({ retentionClass, epoch, events }) => [retentionClass, epoch, events]),
      [['access', march, 30]],
    );
    await assert.rejects(ledger.open(clinic, 0), { code: 'shredded' });
    const read = await ledger.read(clinic, 0, 1000);
    assert.equal(read[0]?.index, 5, 'the first event that is not of the shredded class');
    assert.equal(read.filter(({ retentionClass, epoch }) => retentionClass === 'access' && epoch === march).length, 0);
    assert.equal(await ledger.nextReadable(clinic, 0), 5);
    const proof = await ledger.prove(clinic, 0);
    assert.ok(proof.hashes.length >= before.hashes.length);
    const evidence = outcomes[0]?.evidence ?? -1;
    const { event } = decode((await ledger.open(clinic, evidence)).m);
    assert.equal(event.operation, 'shred-completed');
    assert.ok(event.changes?.some(({ path, after }) => path === '/kek' && after?.endsWith(' destroyed')));
    assert.ok(event.changes?.some(({ path, after }) => path === '/seed' && after?.startsWith('access-674-')));
    assert.deepEqual(
      event.targets?.map(({ id }) => id),
      ['access-674', 'p-1', 'p-2'],
    );
    await ledger[Symbol.asyncDispose]();
    const report = await place.verify({ full: true });
    assert.deepEqual(report.findings, []);
    assert.equal(report.tenants[0]?.shredded, 30);
    const names = await filesBelow(join(place.ledgerDir, 'clinic'));
    assert.equal(names.filter((name) => name.includes('access-674') && !name.startsWith('shreds/')).length, 0);
    const { ledger: again } = await openWithKeys(place);
    await assert.rejects(again.open(clinic, 0), { code: 'shredded' });
    assert.equal((await again.read(clinic, 0, 1000)).length, read.length);
    await again[Symbol.asyncDispose]();
    const offline = await openOffline({ ledgerDir: place.ledgerDir, keysDir: place.keysDir });
    assert.equal((await offline.read('clinic', 0, 3))[0]?.index, 5);
  });
});

test('a backup of the seeds opens nothing after the shred, and the surviving seeds open under the new key', async () => {
  await withPast(async ({ place, ledger }) => {
    const backup = await place.copy();
    const old = await readFile(join(place.keysDir, 'kek'));
    await shredUnits(ledger, isUnit('access', march));
    await ledger[Symbol.asyncDispose]();
    for (const name of await filesBelow(place.keysDir))
      assert.ok(!(await readFile(join(place.keysDir, name))).includes(old), `${name} holds the destroyed key`);
    // The backup's ledger with the keys there are now: its seeds are closed.
    const offline = await openOffline({ ledgerDir: backup.ledgerDir, keysDir: place.keysDir });
    await assert.rejects(
      offline.read('clinic', 0, 1),
      (error) => error instanceof RecordError && error.code === 'kek-unknown',
    );
    await backup.remove();
  });
});

test('what a hold keeps stays readable and is proven, until the hold is released', async () => {
  await withPast(async ({ place, ledger }) => {
    const hold = await ledger.ending.addHold(clinic, terms);
    const [survey] = await ledger.ending.survey(clinic, isUnit('access', march));
    assert.deepEqual(survey?.held, [[hold.id, 6]]);
    const held = await ledger.open(clinic, 4);
    await shredUnits(ledger, isUnit('access', march));
    await assert.rejects(ledger.open(clinic, 0), { code: 'shredded' });
    const kept = await ledger.open(clinic, 4);
    assert.deepEqual([Buffer.from(kept.r), Buffer.from(kept.m)], [Buffer.from(held.r), Buffer.from(held.m)]);
    assert.deepEqual(
      (await ledger.read(clinic, 0, 3)).map(({ index }) => index),
      [4, 5, 6],
    );
    // A later hold about the same keeps it when the first one goes.
    const later = await ledger.ending.addHold(clinic, { ...terms, criteria: { indexes: { first: 0, last: 10 } } });
    assert.deepEqual(later.kept, [{ retentionClass: 'access', epoch: march, events: 1 }]);
    await ledger.ending.releaseHold(clinic, hold.id, ['p-1', 'p-2']);
    assert.ok((await ledger.open(clinic, 4)).m.length > 0);
    await assert.rejects(ledger.open(clinic, 11), { code: 'shredded' });
    await ledger.ending.releaseHold(clinic, later.id, ['p-1', 'p-2']);
    await assert.rejects(ledger.open(clinic, 4), { code: 'shredded' });
    await assert.rejects(ledger.ending.releaseHold(clinic, hold.id, []), { code: 'not-found' });
    assert.deepEqual(await ledger.ending.holds(clinic), []);
    await ledger[Symbol.asyncDispose]();
    assert.deepEqual((await place.verify({ full: true })).findings, []);
    for (const name of await filesBelow(place.dir)) {
      const bytes = await readFile(join(place.dir, name));
      assert.ok(!bytes.includes('wg-pt-7'), `${name} holds a plain identifier`);
    }
  });
});

test('the seeds of many holds are wrapped anew at once, and each hold opens afterwards', async () => {
  await withPast(async ({ place, ledger }) => {
    const matters = Array.from({ length: 12 }, (_, at) => `case ${at}`);
    for (const matter of matters) await ledger.ending.addHold(clinic, { ...terms, matter });
    await shredUnits(ledger, isUnit('access', march));
    const holds = await ledger.ending.holds(clinic);
    assert.deepEqual(holds.map((hold) => hold.terms.matter).sort(), matters.toSorted());
    assert.ok(holds.every(({ kept }) => kept[0]?.events === 6));
    await ledger[Symbol.asyncDispose]();
    assert.deepEqual((await place.verify({ full: true })).findings, []);
  });
});

test('a plan that changed, an epoch that is open, and a class that is shredded already are not shredded', async () => {
  await withPast(async ({ ledger }) => {
    const units = planned(await ledger.ending.survey(clinic, isUnit('access', march)));
    const order = { units, plan: hashPlan(clinic, units), people: ['p-1', 'p-2'] };
    await ledger.ending.addHold(clinic, terms);
    await assert.rejects(ledger.ending.shred(clinic, order), { code: 'plan-changed' });
    assert.ok((await ledger.open(clinic, 0)).m.length > 0);
    assert.deepEqual(
      (await ledger.ending.survey(clinic, () => true)).map(({ epoch }) => epoch),
      [march, march, march, april, april, april],
    );
    await shredUnits(ledger, isUnit('access', march));
    await assert.rejects(ledger.ending.shred(clinic, order), { code: 'plan-changed' });
    assert.deepEqual(await ledger.ending.survey(clinic, isUnit('access', march)), []);
    await ledger[Symbol.asyncDispose]();
  });
});

test('a keeper that refuses to destroy leaves a shred that has begun, and it goes on later', async () => {
  await withPast(async ({ place, ledger, keys }) => {
    keys.refusal = new RecordError('kek-refused', 'the account may not schedule deletions');
    await assert.rejects(
      shredUnits(ledger, isUnit('access', march)),
      (error) => error instanceof LedgerError && error.code === 'shred-unfinished',
    );
    await assert.rejects(ledger.open(clinic, 0), { code: 'shredded' });
    assert.deepEqual(ledger.ending.unfinished(clinic), [{ retentionClass: 'access', epoch: march }]);
    await ledger.append(clinic, items(place, 1));
    const meanwhile = await place.verify();
    assert.deepEqual(meanwhile.findings, []);
    assert.ok(meanwhile.notes.some((note) => note.includes('has begun and is not over')));
    // As where a file that stays can't be wrapped anew.
    keys.refusal = new LedgerError('key-in-use', 'a file that stays is wrapped under it');
    await assert.rejects(ledger.ending.resume(), { code: 'shred-unfinished' });
    keys.refusal = undefined;
    keys.pending = '2032-06-01T00:00:00.000Z';
    const [outcome] = await ledger.ending.resume();
    assert.deepEqual(outcome?.keys[0]?.destruction, { kind: 'pendingUntil', at: keys.pending });
    assert.deepEqual(await ledger.ending.resume(), []);
    await ledger[Symbol.asyncDispose]();
    assert.deepEqual((await place.verify({ full: true })).findings, []);
  });
});

test('a hold that comes between the terms of a shred and its beginning takes them back; without one it goes on', async () => {
  for (const held of [true, false]) {
    await using place = await testPlace();
    const past = await openWithKeys(place);
    await writePast(place, past.ledger);
    await past.ledger[Symbol.asyncDispose]();
    place.clock.advance(sixYearsMs);
    const faults = { journalRoomBytes: Number.POSITIVE_INFINITY, failSync: undefined };
    const { ledger } = await openWithKeys(place, { world: place.world(faultyDisk(faults)) });
    await ledger.append(clinic, [...items(place, 2), ...items(place, 1, { kind: 'review', operation: 'search' })]);
    const units = planned(await ledger.ending.survey(clinic, isUnit('access', march)));
    faults.journalRoomBytes = 0;
    const order = { units, plan: hashPlan(clinic, units), people: ['p-1', 'p-2'] };
    await assert.rejects(ledger.ending.shred(clinic, order), { code: 'storage-full' });
    faults.journalRoomBytes = Number.POSITIVE_INFINITY;
    assert.deepEqual(ledger.ending.unfinished(clinic), [{ retentionClass: 'access', epoch: march }]);
    if (held) await ledger.ending.addHold(clinic, terms);
    const outcomes = await ledger.ending.resume();
    assert.deepEqual(ledger.ending.unfinished(clinic), []);
    assert.equal(outcomes.length, held ? 0 : 1);
    if (held) {
      assert.ok((await ledger.open(clinic, 4)).m.length > 0, 'what the hold is about');
      assert.ok((await ledger.open(clinic, 0)).m.length > 0, 'and the rest: it was approved without the hold');
      await shredUnits(ledger, isUnit('access', march));
      assert.ok((await ledger.open(clinic, 4)).m.length > 0);
    }
    await assert.rejects(ledger.open(clinic, 0), { code: 'shredded' });
    await ledger[Symbol.asyncDispose]();
    assert.deepEqual((await place.verify({ full: true })).findings, []);
  }
});

test('all classes of an epoch leave one hole, and what lies past it is read', async () => {
  await withPast(async ({ place, ledger }) => {
    await shredUnits(ledger, ({ epoch }) => epoch === march);
    assert.equal(await ledger.nextReadable(clinic, 0), 42);
    assert.equal((await ledger.read(clinic, 0, 1))[0]?.index, 42);
    await ledger[Symbol.asyncDispose]();
    const report = await place.verify({ full: true });
    assert.deepEqual(report.findings, []);
    assert.equal(report.tenants[0]?.shredded, 42);
  });
});

test('without the keys a verifier checks the evidence all the same', async () => {
  await withPast(async ({ place, ledger }) => {
    await ledger.ending.addHold(clinic, terms);
    await shredUnits(ledger, isUnit('access', march));
    await ledger[Symbol.asyncDispose]();
    const report = await place.verify({ withoutKeys: true });
    assert.deepEqual(report.findings, []);
    assert.equal(report.tenants[0]?.shredded, 30);
    assert.equal(report.tenants[0]?.held, 6);
  });
});

test('whatever is changed of a shred or of what a hold kept is found', async () => {
  await withPast(async ({ place, ledger }) => {
    const before = await place.copy();
    const hold = await ledger.ending.addHold(clinic, terms);
    await shredUnits(ledger, isUnit('access', march));
    await ledger[Symbol.asyncDispose]();
    assert.deepEqual(await codes(place), []);
    const dir = (at: TestPlace): string => join(at.ledgerDir, 'clinic');
    const record = 'shreds/access-674';
    const copies = `holds/${hold.id}/access-674.wgh`;
    const lines = (await readFile(join(dir(place), record), 'utf8')).split('\n');
    const seed = (await filesBelow(join(dir(before), 'seeds'))).find((name) => name.startsWith('access-674')) as string;
    const attacks: readonly [string, (at: TestPlace) => Promise<void>, readonly string[]][] = [
      ['the record removed', (at) => rm(join(dir(at), record)), ['index-missing', 'shred-missing']],
      [
        'the evidence removed',
        (at) => writeFile(join(dir(at), record), `${lines[0]}\n${lines[1]}\n`),
        ['shred-unproven'],
      ],
      [
        'both events removed',
        (at) => writeFile(join(dir(at), record), `${lines[0]}\n`),
        ['index-missing', 'shred-missing'],
      ],
      [
        'another event as evidence',
        (at) => writeFile(join(dir(at), record), `${lines[0]}\n${lines[1]}\n${lines[1]}\n`),
        ['shred-unproven'],
      ],
      [
        'the days edited',
        (at) => writeFile(join(dir(at), record), lines.join('\n').replace('"days":2192', '"days":2193')),
        ['index-missing', 'shred-unproven'],
      ],
      [
        'the record cut',
        (at) => writeFile(join(dir(at), record), lines[0] ?? ''),
        ['index-missing', 'shred-malformed'],
      ],
      ['a range edited', (at) => flip(join(dir(at), `${record}.ranges`), 11), ['index-missing', 'shred-malformed']],
      ['the ranges removed', (at) => rm(join(dir(at), `${record}.ranges`)), ['index-missing', 'shred-malformed']],
      [
        'a block file put back',
        (at) =>
          copyFile(join(dir(before), 'blocks/access-674-000000.wgb'), join(dir(at), 'blocks/access-674-000000.wgb')),
        ['shred-undone'],
      ],
      [
        'a seed put back',
        (at) => copyFile(join(dir(before), 'seeds', seed), join(dir(at), 'seeds', seed)),
        ['seed-refused', 'shred-undone'],
      ],
      ['a copy edited', (at) => flip(join(dir(at), copies), 300), ['hold-malformed', 'hold-missing']],
      ['the copies removed', (at) => rm(join(dir(at), copies)), ['hold-missing']],
      ['the hold removed', (at) => rm(join(dir(at), 'holds'), { recursive: true }), ['hold-missing', 'shred-missing']],
      ['the terms of the hold edited', (at) => flip(join(dir(at), `holds/${hold.id}/terms`), 90), ['hold-tampered']],
      [
        'a release that the log does not know',
        (at) => writeFile(join(dir(at), `holds/${hold.id}/released`), `${lines[1]}\n`),
        ['shred-unproven'],
      ],
      ['another file', (at) => writeFile(join(dir(at), 'shreds/access'), ''), ['file-unknown']],
      ['another file of the hold', (at) => writeFile(join(dir(at), `holds/${hold.id}/x`), ''), ['file-unknown']],
    ];
    for (const [what, change, expected] of attacks) {
      const forged = await place.copy();
      await change(forged);
      const found = await codes(forged);
      for (const code of expected) assert.ok(found.includes(code), `${what}: expected ${expected}, got ${found}`);
      await forged.remove();
    }
    await before.remove();
  });
});
