/** A restored backup is left as it is, and another ledger goes on from it: its first record says which head, and until when; cut off anywhere, it is finished. */
import assert from 'node:assert/strict';
import { cp, mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { decode, parseCheckpoint, parseSuccession, parseTenantId } from '@watchglass/record';
import { type VerifyReport, verifyLedger } from '@watchglass/record/reader';
import { realDisk } from '../world/real-disk.ts';
import { clinic, digestOf, flip, item, items, type TestPlace, testPlace } from './ledger.fixture.ts';
import { succeed } from './succeed.ts';

const other = parseTenantId('other');

async function withBackup(
  run: (place: TestPlace, told: { vkey: string; newest: string; lost: number }) => Promise<void>,
): Promise<void> {
  await using place = await testPlace();
  const first = await place.open();
  await first.addTenant(clinic);
  await first.addTenant(other);
  await first.append(clinic, items(place, 4));
  const mine = item(place);
  const event = { ...mine.event, tenant: other };
  await first.append(other, [{ event, envelope: { ...mine.envelope, digest: digestOf(event) } } as typeof mine]);
  await first[Symbol.asyncDispose]();
  await cp(place.ledgerDir, join(place.dir, 'backup'), { recursive: true });
  place.clock.advance(60_000);
  const second = await place.open();
  await second.append(clinic, items(place, 3));
  const told = { vkey: second.vkey(clinic), newest: second.head(clinic).checkpoint, lost: 3 };
  await second[Symbol.asyncDispose]();
  await rm(place.ledgerDir, { recursive: true });
  await rename(join(place.dir, 'backup'), place.ledgerDir);
  await run(place, told);
}

function codesOf({ findings }: VerifyReport): string[] {
  return [...new Set(findings.map(({ code }) => code))].sort();
}

test('a successor says in its first record which head it goes on from and its recovery point; both ledgers verify', () =>
  withBackup(async (place, { vkey, newest }) => {
    assert.deepEqual(codesOf(await place.verify({ checkpoint: newest })), ['rollback']);
    const { ledgerDir, logs } = await succeed({ dataDir: place.dir, world: place.world() });
    const [log] = logs;
    assert.deepEqual(
      [log?.origin, log?.predecessor, log?.size, log?.recovery],
      [
        'watchglass.example/clinic/2',
        'watchglass.example/clinic',
        4,
        new Date(place.clock.now() - 60_000).toISOString(),
      ],
    );
    const old = await verifyLedger({ ledgerDir, keysDir: place.keysDir, vkey, full: true });
    assert.deepEqual(old.findings, []);
    const report = await place.verify({ full: true });
    assert.deepEqual(report.findings, []);
    const [continued] = report.tenants;
    assert.deepEqual(continued?.predecessor, {
      origin: 'watchglass.example/clinic',
      size: 4,
      root: old.tenants[0]?.root,
      recovery: log?.recovery,
      byItsKey: true,
    });
    assert.match(
      report.notes.join('\n'),
      /clinic goes on from watchglass.example\/clinic, which was left at 4 leaves; recovery point 2026/,
    );
    const ledger = await place.open();
    const [first] = await ledger.read(clinic, 0, 1);
    const { operation, changes } = decode(first?.m ?? new Uint8Array(0)).event;
    const said = Object.fromEntries((changes ?? []).map(({ path, after }) => [path, after]));
    assert.equal(operation, 'log-succeeds');
    assert.equal(said['/predecessor/recovery'], log?.recovery);
    const embedded = parseCheckpoint(Buffer.from(said['/predecessor/checkpoint'] ?? '', 'base64').toString('utf8'));
    assert.equal(embedded.size, 4n);
    // It takes events as any other.
    await ledger.append(clinic, items(place, 2));
    await ledger[Symbol.asyncDispose]();
    assert.deepEqual((await place.verify({ full: true })).findings, []);
  }));

test('who pinned the old key is led to the successor; who pinned another one is not', () =>
  withBackup(async (place, { vkey }) => {
    await succeed({ dataDir: place.dir, world: place.world() });
    assert.deepEqual(codesOf(await place.verify({ vkey })), []);
    const stranger = (await readFile(join(place.dir, 'ledger.1/other/vkey'), 'utf8'))
      .trim()
      .replace('/other+', '/clinic+');
    await assert.rejects(place.verify({ vkey: stranger }), { code: 'key-invalid' });
    const elsewhere = await testPlace();
    const ledger = await elsewhere.open();
    await ledger.addTenant(clinic);
    const theirs = ledger.vkey(clinic);
    await ledger[Symbol.asyncDispose]();
    await elsewhere.remove();
    assert.deepEqual(codesOf(await place.verify({ vkey: theirs })), ['succession-invalid']);
  }));

test('what was remembered of witnesses is about the old log: it is kept beside, and holds the new one to nothing', () =>
  withBackup(async (place) => {
    await mkdir(join(place.dir, 'witnesses'));
    await writeFile(join(place.dir, 'witnesses/clinic.json'), '{"v":1,"sizes":{"aa":{"size":7,"timeSeconds":1}}}\n');
    await succeed({ dataDir: place.dir, world: place.world() });
    assert.deepEqual(await readdir(join(place.dir, 'witnesses')), []);
    assert.deepEqual(await readdir(join(place.dir, 'witnesses.1')), ['clinic.json']);
  }));

test('a successor of a successor, and what is made from a ledger is not taken along', () =>
  withBackup(async (place) => {
    await succeed({ dataDir: place.dir, world: place.world() });
    const { logs, ledgerDir } = await succeed({ dataDir: place.dir, world: place.world() });
    assert.deepEqual(
      logs.map(({ origin }) => origin),
      ['watchglass.example/clinic/3', 'watchglass.example/other/3'],
    );
    assert.equal(ledgerDir, join(place.dir, 'ledger.2'));
    assert.deepEqual((await place.verify({ full: true })).findings, []);
    assert.ok(!(await readdir(place.dir)).includes('succession.json'));
  }));

test('whatever a succession was cut off after, no server opens the ledger, and doing it again finishes it', () =>
  withBackup(async (pristine) => {
    const changes = new Set(['replace', 'rename', 'remove', 'removeTree', 'makeDirectory']);
    for (let at = 0; ; at += 3) {
      const place = await pristine.copy();
      let left = at;
      let cut = false;
      const disk = new Proxy(realDisk, {
        get(target, name: keyof typeof realDisk) {
          const member = target[name] as (...args: unknown[]) => Promise<unknown>;
          if (!changes.has(name)) return member.bind(target);
          return async (...args: unknown[]) => {
            if (left-- <= 0) {
              cut = true;
              throw Object.assign(new Error('cut off here'), { code: 'ENOSPC' });
            }
            return member.apply(target, args);
          };
        },
      });
      await succeed({ dataDir: place.dir, world: place.world(disk) }).catch((error: unknown) =>
        assert.ok(cut, String(error)),
      );
      if (!cut) {
        await place.remove();
        assert.ok(at > 15, `${at} changes`);
        return;
      }
      const begun = (await readdir(place.dir)).includes('succession.json');
      if (begun) await assert.rejects(place.open(), /not finished/, `change ${at}`);
      const { logs } = await succeed({ dataDir: place.dir, world: place.world() });
      assert.equal(logs.length, 2);
      const report = await place.verify({ full: true });
      assert.deepEqual(report.findings, [], `change ${at}`);
      assert.ok(report.tenants.every(({ size, predecessor }) => size >= 1 && predecessor?.byItsKey === true));
      await place.remove();
    }
  }));

test('what a successor says of its predecessor cannot be changed, dropped or added', () =>
  withBackup(async (place) => {
    await succeed({ dataDir: place.dir, world: place.world() });
    const path = join(place.ledgerDir, 'clinic/predecessor');
    const bytes = await readFile(path);
    for (let at = 0; at < bytes.length; at += 7) {
      await flip(path, at);
      assert.ok(codesOf(await place.verify()).includes('succession-invalid'), `byte ${at}`);
      await writeFile(path, bytes);
    }
    await rm(path);
    assert.deepEqual(codesOf(await place.verify()), ['succession-invalid']);
    await writeFile(path, await readFile(join(place.ledgerDir, 'other/predecessor')));
    assert.ok(codesOf(await place.verify()).includes('succession-invalid'));
    assert.equal(parseSuccession(bytes).predecessor, 'watchglass.example/clinic');
    await writeFile(path, bytes);
    await writeFile(join(place.dir, 'ledger.1/clinic/predecessor'), bytes);
    const old = await verifyLedger({ ledgerDir: join(place.dir, 'ledger.1'), keysDir: place.keysDir });
    assert.deepEqual(codesOf(old), ['succession-invalid']);
  }));
