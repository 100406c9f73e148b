/** Epochs end, and each is sealed once: at the boundary its events have, empty ones too, whatever the clock does and wherever a process dies. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import {
  decode,
  generateSigner,
  parseCheckpoint,
  parseSeal,
  parseSignerKey,
  type Seal,
  sameKey,
  signSeal,
} from '@watchglass/record';
import { clinic, faultyDisk, items, type TestPlace, withPlace } from './ledger.fixture.ts';

const march = 674;
const monthMs = 31 * 24 * 3_600_000;

async function sealsOf(place: TestPlace): Promise<Map<number, Seal>> {
  const dir = join(place.ledgerDir, 'clinic/seals');
  const seals = new Map<number, Seal>();
  for (const name of await readdir(dir)) seals.set(Number(name), parseSeal(await readFile(join(dir, name))));
  return new Map([...seals].sort(([a], [b]) => a - b));
}

async function keysOf(place: TestPlace): Promise<string[]> {
  return (await readdir(place.keysDir)).filter((name) => name.includes('.epoch-key-')).sort();
}

test('a log begins with a seal of the month before it, signed by the checkpoint key, that announces the key of its first', () =>
  withPlace(async (place) => {
    const ledger = await place.open();
    await ledger.addTenant(clinic);
    const [[epoch, seal] = []] = await sealsOf(place);
    assert.deepEqual([epoch, seal?.size, seal?.previous], [march - 1, 0, undefined]);
    assert.deepEqual(await keysOf(place), [`clinic.epoch-key-${march}`]);
    const text = await readFile(join(place.keysDir, `clinic.epoch-key-${march}`), 'utf8');
    assert.ok(seal !== undefined && sameKey(parseSignerKey(text.split('\n')[0] ?? ''), seal.next));
    await ledger[Symbol.asyncDispose]();
    assert.deepEqual((await place.verify({ full: true })).findings, []);
  }));

test('the month that ends is sealed at exactly what was committed in it, and its key is gone', () =>
  withPlace(async (place) => {
    const ledger = await place.open();
    await ledger.addTenant(clinic);
    await ledger.append(clinic, items(place, 5));
    const ended = parseCheckpoint(ledger.head(clinic).checkpoint);
    const lastOfMarch = ledger.append(clinic, items(place, 2));
    place.clock.advance(monthMs);
    // Still under way when April's first event arrives: what was taken first belongs to March.
    await Promise.all([lastOfMarch, ledger.append(clinic, items(place, 3))]);
    assert.equal(ended.size, 5n);
    const seals = await sealsOf(place);
    assert.deepEqual([...seals.keys()], [march - 1, march]);
    assert.equal(seals.get(march)?.size, 7);
    assert.deepEqual(await keysOf(place), [`clinic.epoch-key-${march + 1}`]);
    assert.deepEqual(
      (await ledger.read(clinic, 0, 100)).map(({ epoch }) => epoch),
      [march, march, march, march, march, march, march, march + 1, march + 1, march + 1],
    );
    await ledger[Symbol.asyncDispose]();
    assert.deepEqual((await place.verify({ full: true })).findings, []);
  }));

test('months without events are sealed too: at the tick of an idle server, and at the start of one that was down', () =>
  withPlace(async (place) => {
    const first = await place.open();
    await first.addTenant(clinic);
    await first.append(clinic, items(place, 1));
    place.clock.advance(2 * monthMs);
    // An append after the tick waits for what the tick began.
    await first.append(clinic, items(place, 1));
    assert.deepEqual([...(await sealsOf(place)).keys()], [march - 1, march, march + 1]);
    await first[Symbol.asyncDispose]();
    place.clock.advance(5 * monthMs);
    const second = await place.open();
    assert.deepEqual(
      [...(await sealsOf(place)).values()].map(({ size }) => size),
      [0, 1, 1, 2, 2, 2, 2, 2],
    );
    await second[Symbol.asyncDispose]();
    assert.deepEqual(await keysOf(place), [`clinic.epoch-key-${march + 7}`]);
    assert.deepEqual((await place.verify({ full: true })).findings, []);
  }));

test('a clock that steps back stays in the epoch that is open', () =>
  withPlace(async (place) => {
    const ledger = await place.open();
    await ledger.addTenant(clinic);
    place.clock.advance(monthMs);
    await ledger.append(clinic, items(place, 1));
    place.clock.advance(-monthMs);
    await ledger.append(clinic, items(place, 2));
    assert.deepEqual(
      (await ledger.read(clinic, 0, 9)).map(({ epoch }) => epoch),
      [march + 1, march + 1, march + 1],
    );
    await ledger[Symbol.asyncDispose]();
    const again = await place.open();
    await again.append(clinic, items(place, 1));
    assert.equal((await sealsOf(place)).size, 2);
    await again[Symbol.asyncDispose]();
    assert.deepEqual((await place.verify({ full: true })).findings, []);
  }));

test('every seal is an event of the log, once, with its hash and the key it announces', () =>
  withPlace(async (place) => {
    for (let start = 0; start < 3; start++) {
      const ledger = await place.open({ recordStatements: true });
      await ledger.addTenant(clinic);
      await ledger.append(clinic, items(place, 1));
      place.clock.advance(monthMs);
      await ledger.append(clinic, items(place, 1));
      place.clock.advance(10_000);
      await ledger.grown(clinic, 3 + start * 3, AbortSignal.timeout(10_000));
      await ledger[Symbol.asyncDispose]();
    }
    const ledger = await place.open();
    const events = (await ledger.read(clinic, 0, 100)).map(({ m }) => decode(m).event);
    const told = events.filter(({ operation }) => operation === 'sealing-begun' || operation === 'epoch-sealed');
    await ledger[Symbol.asyncDispose]();
    const seals = [...(await sealsOf(place))];
    assert.deepEqual(
      told.map(({ targets }) => Number(targets?.[0]?.id)),
      seals.map(([epoch]) => epoch),
    );
    for (const [at, [epoch]] of seals.entries()) {
      const bytes = await readFile(join(place.ledgerDir, 'clinic/seals', String(epoch)));
      const hash = told[at]?.changes?.find(({ path }) => path === '/seal/hash')?.after;
      assert.equal(hash, createHash('sha256').update(bytes).digest('base64'));
    }
    assert.deepEqual((await place.verify({ full: true })).findings, []);
  }));

test('a seal signed again with a key that was copied before it was erased contradicts the log', () =>
  withPlace(async (place) => {
    const ledger = await place.open({ recordStatements: true });
    await ledger.addTenant(clinic);
    await ledger.append(clinic, items(place, 1));
    const copied = await readFile(join(place.keysDir, `clinic.epoch-key-${march}`), 'utf8');
    place.clock.advance(monthMs);
    await ledger.append(clinic, items(place, 1));
    place.clock.advance(10_000);
    await ledger.grown(clinic, 3, AbortSignal.timeout(10_000));
    await ledger[Symbol.asyncDispose]();
    const path = join(place.ledgerDir, `clinic/seals/${march}`);
    const seal = parseSeal(await readFile(path));
    const mine = generateSigner(seal.next.name, new Uint8Array(32));
    await writeFile(path, signSeal({ ...seal, next: mine }, parseSignerKey(copied.split('\n')[0] ?? '')));
    const { findings } = await place.verify();
    assert.deepEqual(
      findings.map(({ code, index }) => [code, index]),
      [['seal-forged', 3]],
    );
    // Who can't open the records can't see it.
    assert.deepEqual((await place.verify({ withoutKeys: true })).findings, []);
  }));

test('a seal that had no room is made by the next append, at the boundary it was begun at', () =>
  withPlace(async (place) => {
    let room = true;
    const disk = faultyDisk({ journalRoomBytes: 2 ** 30, failSync: undefined });
    const full = {
      ...disk,
      replace: async (...args: Parameters<typeof disk.replace>): Promise<void> => {
        if (!room && args[0].includes('/seals/')) throw Object.assign(new Error('no room'), { code: 'ENOSPC' });
        await disk.replace(...args);
      },
    };
    const ledger = await place.open({ world: place.world(full) });
    await ledger.addTenant(clinic);
    await ledger.append(clinic, items(place, 2));
    room = false;
    const held = items(place, 1);
    place.clock.advance(monthMs);
    const april = items(place, 1);
    await assert.rejects(ledger.append(clinic, april), { code: 'storage-full' });
    // Received in March: but March is being sealed at two leaves, so it waits for April.
    await assert.rejects(ledger.append(clinic, held), { code: 'storage-full' });
    room = true;
    await ledger.append(clinic, held);
    await ledger.append(clinic, april);
    assert.equal((await sealsOf(place)).get(march)?.size, 2);
    assert.deepEqual(
      (await ledger.read(clinic, 0, 9)).map(({ epoch }) => epoch - march),
      [0, 0, 1, 1],
    );
    await ledger[Symbol.asyncDispose]();
    assert.deepEqual((await place.verify({ full: true })).findings, []);
  }));

test('a ledger whose epoch key is lost, or whose seals are older than its events, is read-only', () =>
  withPlace(async (place) => {
    const ledger = await place.open();
    await ledger.addTenant(clinic);
    await ledger.append(clinic, items(place, 1));
    place.clock.advance(monthMs);
    await ledger.append(clinic, items(place, 1));
    await ledger[Symbol.asyncDispose]();
    for (const [name, told] of [
      [`keys/clinic.epoch-key-${march + 1}`, /not the key that the seal of epoch 674 announced/],
      [`ledger/clinic/seals/${march}`, /epoch 674 before it has no seal|epoch-key-674 is not the key/],
    ] as const) {
      const copy = await place.copy();
      await rm(join(copy.dir, name));
      const opened = await copy.open();
      assert.equal(opened.state.kind, 'read-only');
      assert.match(opened.state.kind === 'read-only' ? opened.state.reason : '', told);
      await opened[Symbol.asyncDispose]();
      await copy.remove();
    }
  }));
