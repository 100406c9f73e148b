import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { decode, encode } from '@watchglass/record';
import { eventsOf, frameHeaderBytes, parseBlockHeader } from '@watchglass/record/reader';
import { clinic, filesBelow, items, type TestPlace, testPlace } from './ledger.fixture.ts';

async function blocksOf(place: TestPlace): Promise<number[]> {
  const counts: number[] = [];
  for (const name of (await filesBelow(place.ledgerDir)).filter((file) => file.endsWith('.wgb'))) {
    const bytes = await readFile(join(place.ledgerDir, name));
    for (let at = 0; at < bytes.length; at += frameHeaderBytes + bytes.readUInt32BE(at)) {
      counts.push(eventsOf(parseBlockHeader(bytes, at + frameHeaderBytes).ranges));
    }
  }
  return counts;
}

test('the small blocks of a step become one block when the step ends, and every proof still holds', async () => {
  await using place = await testPlace();
  const ledger = await place.open();
  await ledger.addTenant(clinic);
  const ids: string[] = [];
  for (let group = 0; group < 12; group++) {
    const sent = [...items(place, 2), ...items(place, 1, { kind: 'review' })];
    ids.push(...sent.map(({ event }) => event.id));
    await ledger.append(clinic, sent);
  }
  const before = await ledger.open(clinic, 17);
  await ledger[Symbol.asyncDispose]();
  assert.deepEqual(await blocksOf(place), [24, 12]);
  const again = await place.open();
  assert.deepEqual(
    (await again.read(clinic, 0, 100)).map(({ m }) => decode(m).event.id),
    ids,
  );
  const after = await again.open(clinic, 17);
  assert.deepEqual([Buffer.from(after.r), Buffer.from(after.m)], [Buffer.from(before.r), Buffer.from(before.m)]);
  await again[Symbol.asyncDispose]();
  assert.deepEqual((await place.verify({ full: true })).findings, []);
});

test('what a step merges after a while is packed, and each record without its digest reads as it was', async () => {
  await using place = await testPlace();
  const ledger = await place.open();
  await ledger.addTenant(clinic);
  const sent = Array.from({ length: 20 }, () => items(place, 2));
  for (const some of sent) {
    await ledger.append(clinic, some);
    place.clock.advance(500);
  }
  await ledger[Symbol.asyncDispose]();
  const files = (await filesBelow(place.ledgerDir)).filter((name) => name.endsWith('.wgb'));
  const [block = Buffer.alloc(0)] = await Promise.all(files.map((name) => readFile(join(place.ledgerDir, name))));
  assert.deepEqual([files.length, parseBlockHeader(block, frameHeaderBytes).codec], [1, 2]);
  const again = await place.open();
  assert.deepEqual(
    (await again.read(clinic, 0, 100)).map(({ m }) => Buffer.from(m)),
    sent.flat().map(({ event, envelope }) => Buffer.from(encode({ ...envelope, event }))),
  );
  await again[Symbol.asyncDispose]();
  assert.deepEqual((await place.verify({ full: true })).findings, []);
});

test('a step that holds megabytes of small blocks merges them a megabyte at a time, each event once', async () => {
  await using place = await testPlace();
  const ledger = await place.open();
  await ledger.addTenant(clinic);
  let sent = 0;
  for (let group = 0; group < 24; group++) {
    const some = items(place, 200);
    sent += some.length;
    await ledger.append(clinic, some);
    place.clock.advance(400);
  }
  await ledger[Symbol.asyncDispose]();
  const counts = await blocksOf(place);
  // As many as megabytes: none stayed as it was, and none is larger.
  assert.ok(counts.length > 1 && counts.length < 8, counts.join());
  assert.equal(
    counts.reduce((sum, count) => sum + count, 0),
    sent,
  );
  const { findings, tenants } = await place.verify({ full: true });
  assert.deepEqual(findings, []);
  assert.equal(tenants[0]?.opened, sent);
});

test('an old segment is archived while writing goes on, and reading never notices', async () => {
  await using place = await testPlace();
  const ledger = await place.open();
  await ledger.addTenant(clinic);
  const ids: string[] = [];
  for (let minute = 0; minute < 25; minute++) {
    const sent = items(place, 3);
    ids.push(...sent.map(({ event }) => event.id));
    const [, seen] = await Promise.all([
      ledger.append(clinic, sent),
      ledger.read(clinic, 0, 1000),
      place.verify(),
    ]).then(([, records, report]) => [assert.deepEqual(report.findings, []), records] as const);
    assert.deepEqual(
      seen.map(({ m }) => decode(m).event.id),
      ids.slice(0, seen.length),
    );
    place.clock.advance(61_000);
  }
  const archived = JSON.parse((await readFile(join(place.ledgerDir, 'manifest'), 'utf8')).split('\n')[0] as string) as {
    tenants: { clinic: { size: number } };
  };
  assert.ok(archived.tenants.clinic.size >= 30, `${archived.tenants.clinic.size} archived`);
  await ledger[Symbol.asyncDispose]();
  assert.deepEqual((await place.verify({ full: true })).findings, []);
  const offline = await place.open();
  assert.deepEqual(
    (await offline.read(clinic, 0, 1000)).map(({ m }) => decode(m).event.id),
    ids,
  );
  await offline[Symbol.asyncDispose]();
});
