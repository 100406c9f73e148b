/** After a disk failed nothing is written and nothing acknowledged any more, wherever it failed; a restart reads back what is there. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { decode, parseTenantId } from '@watchglass/record';
import type { Disk } from '../world/disk.ts';
import { realDisk } from '../world/real-disk.ts';
import { LedgerError } from './errors.ts';
import { clinic, faultyDisk, item, items, type TestPlace, testPlace } from './ledger.fixture.ts';

/** The real disk, with one operation failing, once, where `fails` says so. */
function failingOnce(code: string, fails: (operation: string, path: string) => boolean): Disk {
  let left = 1;
  const check = (operation: string, path: string): void => {
    if (left === 0 || !fails(operation, path)) return;
    left--;
    throw Object.assign(new Error(`${code}: ${operation}`), { code });
  };
  return {
    ...realDisk,
    async open(path, how, mode) {
      const file = await realDisk.open(path, how, mode);
      return {
        write: (bytes, position) => file.write(bytes, position),
        read: (into, position) => file.read(into, position),
        async datasync() {
          check('datasync', path);
          await file.datasync();
        },
        truncate: (bytes) => file.truncate(bytes),
        size: () => file.size(),
        close: () => file.close(),
      };
    },
    async replace(path, bytes, options) {
      check('replace', path);
      await realDisk.replace(path, bytes, options);
      // The name is there; whether it is durable isn't known.
      check('replaced', path);
    },
    async syncDirectory(path) {
      check('sync', path);
      await realDisk.syncDirectory(path);
    },
  };
}

/** Runs until an archiving meets the failure; then a restart must find everything. */
async function failWhileArchiving(disk: Disk): Promise<void> {
  await using place = await testPlace();
  const failed = Promise.withResolvers<void>();
  const ledger = await place.open({
    world: place.world(disk),
    segmentBytesMax: 1,
    report: ({ message }) => {
      if (message.includes('read-only')) failed.resolve();
    },
  });
  await ledger.addTenant(clinic);
  const sent = items(place, 3);
  await ledger.append(clinic, sent);
  place.clock.advance(60_000);
  await failed.promise;
  assert.equal(ledger.state.kind, 'read-only');
  await assert.rejects(
    ledger.append(clinic, items(place, 1)),
    (error) => error instanceof LedgerError && error.code === 'read-only',
  );
  assert.equal((await ledger.read(clinic, 0, 10)).length, 3);
  await ledger[Symbol.asyncDispose]();
  assert.deepEqual((await place.verify({ full: true })).findings, []);
  await goesOn(place, sent);
}

async function goesOn(place: TestPlace, sent: ReturnType<typeof items>): Promise<void> {
  const again = await place.open();
  assert.deepEqual(again.state, { kind: 'writable' });
  const { receipts } = await again.append(clinic, sent);
  assert.deepEqual(
    receipts.map(({ index, duplicate }) => [index, duplicate]),
    sent.map((_, index) => [index, true]),
  );
  await again.append(clinic, items(place, 2));
  await again[Symbol.asyncDispose]();
  assert.deepEqual((await place.verify({ full: true })).findings, []);
}

test('a failed datasync of an archive file ends writing, and is not tried again', () =>
  failWhileArchiving(failingOnce('EIO', (operation, path) => operation === 'datasync' && path.endsWith('.wgb'))));

test('a failed sync of a directory ends writing', () =>
  failWhileArchiving(failingOnce('EIO', (operation, path) => operation === 'sync' && path.endsWith('/commitments'))));

for (const code of ['EIO', 'ENOSPC']) {
  test(`a manifest that was replaced, ${code} after it, is never written over by what counted before`, async () => {
    let replaced = 0;
    await failWhileArchiving(
      // The first manifests are those of the empty ledger and of its first tenant.
      failingOnce(
        code,
        (operation, path) => operation === 'replaced' && path.endsWith('/manifest') && ++replaced === 3,
      ),
    );
  });
}

test('no room for the manifest is no failure: archiving is tried again', async () => {
  await using place = await testPlace();
  let asked = 0;
  const disk = failingOnce(
    'ENOSPC',
    (operation, path) => operation === 'replace' && path.endsWith('/manifest') && ++asked === 3,
  );
  const ledger = await place.open({ world: place.world(disk) });
  await ledger.addTenant(clinic);
  const sent = items(place, 3);
  await ledger.append(clinic, sent);
  await ledger[Symbol.asyncDispose]();
  assert.ok(place.reports.some(({ message }) => /will be tried again/.test(message)));
  await goesOn(place, sent);
});

test('a seed whose datasync failed is not used, and no other is made', async () => {
  await using place = await testPlace();
  const disk = failingOnce('EIO', (operation, path) => operation === 'replace' && path.includes('/seeds/'));
  const ledger = await place.open({ world: place.world(disk) });
  await ledger.addTenant(clinic);
  const sent = items(place, 2);
  for (let i = 0; i < 2; i++) {
    await assert.rejects(
      ledger.append(clinic, sent),
      (error) => error instanceof LedgerError && error.code === 'read-only',
    );
  }
  await ledger[Symbol.asyncDispose]();
  const again = await place.open();
  assert.equal(again.head(clinic).size, 0);
  await again.append(clinic, sent);
  await again[Symbol.asyncDispose]();
  assert.deepEqual((await place.verify({ full: true })).findings, []);
});

test('a hole that could not be told, because the disk was full, is told later', async () => {
  await using place = await testPlace();
  const faults = { journalRoomBytes: 1e9, failSync: undefined };
  const told = Promise.withResolvers<string>();
  const ledger = await place.open({
    world: place.world(faultyDisk(faults)),
    report: ({ message }) => told.resolve(message),
  });
  await ledger.addTenant(clinic);
  await ledger.append(clinic, [
    item(place, { emitter: { id: 'edge', seq: 1 } }),
    item(place, { emitter: { id: 'edge', seq: 4 } }),
  ]);
  faults.journalRoomBytes = 10;
  place.clock.advance(31_000);
  assert.match(await told.promise, /was not stored/);
  faults.journalRoomBytes = 1e9;
  place.clock.advance(6_000);
  await ledger.grown(clinic, 2, AbortSignal.timeout(60_000));
  await ledger[Symbol.asyncDispose]();
});

test('what a heartbeat counted, and could not store because the disk was full, the next one tells', async () => {
  await using place = await testPlace();
  const faults = { journalRoomBytes: 1e9, failSync: undefined };
  const told = Promise.withResolvers<string>();
  const ledger = await place.open({
    world: place.world(faultyDisk(faults)),
    heartbeatMs: 60_000,
    report: ({ message }) => told.resolve(message),
  });
  await ledger.addTenant(clinic);
  await ledger.append(clinic, items(place, 2));
  ledger.countRefused(clinic, 3);
  faults.journalRoomBytes = 10;
  place.clock.advance(61_000);
  assert.match(await told.promise, /was not stored/);
  faults.journalRoomBytes = 1e9;
  place.clock.advance(61_000);
  await ledger.grown(clinic, 2, AbortSignal.timeout(60_000));
  const [entry] = await ledger.read(clinic, 2, 1);
  const { operation, changes } = decode(entry?.m ?? new Uint8Array(0)).event;
  assert.equal(operation, 'heartbeat');
  assert.deepEqual(
    changes?.slice(0, 2).map(({ after }) => after),
    ['2', '3'],
  );
  await ledger[Symbol.asyncDispose]();
});

test('a tenant that is being added when the ledger closes is added before the next process may begin', async () => {
  await using place = await testPlace();
  const ledger = await place.open();
  const adding = ledger.addTenant(clinic);
  await ledger[Symbol.asyncDispose]();
  // Already settled: nothing of it comes after the lock is free.
  const settled = await Promise.race([
    adding.then(
      () => 'added',
      () => 'refused',
    ),
    new Promise((resolve) => setImmediate(() => resolve('still at it'))),
  ]);
  assert.notEqual(settled, 'still at it');
  assert.deepEqual((await place.verify()).findings, []);
});

test('names of the ledger’s own files are no tenants', async () => {
  await using place = await testPlace();
  const ledger = await place.open();
  for (const name of ['journal', 'manifest', 'lock'])
    await assert.rejects(ledger.addTenant(parseTenantId(name)), /choose another/);
  await ledger[Symbol.asyncDispose]();
  assert.deepEqual((await place.verify()).findings, []);
});

test('a sequence number that readers refuse is refused before it is durable', async () => {
  await using place = await testPlace();
  const ledger = await place.open();
  await ledger.addTenant(clinic);
  await ledger.append(clinic, [item(place, { emitter: { id: 'edge', seq: Number.MAX_SAFE_INTEGER } })]);
  await assert.rejects(ledger.append(clinic, [item(place, { emitter: { id: 'edge', seq: 2 ** 53 } })]), TypeError);
  await ledger.append(clinic, items(place, 1));
  await ledger[Symbol.asyncDispose]();
  assert.deepEqual((await place.verify({ full: true })).findings, []);
});

test('a step ends before a journal segment is too long to be read as a whole', async () => {
  await using place = await testPlace();
  const ledger = await place.open({ segmentBytesMax: 1024 * 1024 });
  await ledger.addTenant(clinic);
  const longest: number[] = [];
  for (let call = 0; call < 24; call++) {
    const targets = (): { type: string; id: string }[] =>
      Array.from({ length: 60 }, () => ({ type: 'Patient', id: randomBytes(48).toString('base64url') }));
    await ledger.append(
      clinic,
      Array.from({ length: 500 }, () => item(place, { targets: targets() })),
    );
    const folder = join(place.ledgerDir, 'journal');
    for (const name of await readdir(folder))
      longest.push((await stat(join(folder, name)).catch(() => ({ size: 0 }))).size);
  }
  assert.ok(Math.max(...longest) > 8e6, 'the events must be long enough to matter');
  assert.ok(Math.max(...longest) < 40e6, `a segment has ${Math.max(...longest)} bytes`);
  await ledger[Symbol.asyncDispose]();
});
