import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { verifyLedger } from '@watchglass/record/reader';
import { realDisk } from '../../world/real-disk.ts';
import { realHttp } from '../../world/real-http.ts';
import { realRandom } from '../../world/real-world.ts';
import { clinic, filesBelow, items, type TestPlace, ToldClock, testPlace } from '../ledger.fixture.ts';
import type { Ledger } from '../ledger.ts';
import { hasOpenssl, makeAuthority, type TestAuthority } from './authority.fixture.ts';
import { openTimestamp } from './timestamp.ts';
import { readRoots, Timestamping } from './timestamping.ts';

const hourMs = 3_600_000;

describe('timestamps of a ledger', { skip: hasOpenssl() ? false : 'needs openssl' }, () => {
  let authority: TestAuthority;
  before(async () => {
    authority = await makeAuthority('ec');
  });
  after(() => authority[Symbol.asyncDispose]());

  const timestamping = async (ledger: Ledger, clock: ToldClock, url: string, told: string[]): Promise<Timestamping> =>
    new Timestamping({
      ledger,
      world: { clock, random: realRandom, disk: realDisk },
      http: realHttp,
      url,
      periodMs: hourMs,
      roots: readRoots(await readFile(authority.caFile, 'utf8')),
      report: ({ message }) => told.push(message),
    });
  const stamps = async (place: TestPlace): Promise<string[]> =>
    (await filesBelow(place.ledgerDir)).filter((name) => name.endsWith('.tsr'));
  const verified = async (place: TestPlace, ca?: string): ReturnType<typeof verifyLedger> => {
    const roots = ca === undefined ? [] : readRoots(await readFile(ca, 'utf8'));
    return verifyLedger({
      ledgerDir: place.ledgerDir,
      keysDir: place.keysDir,
      openTimestamp: (response, message) => openTimestamp(response, { message, roots }),
    });
  };

  test('a log that has grown is stamped once a period, across restarts, and verified', async () => {
    const place = await testPlace();
    await using service = await authority.listen();
    // The authority has the time of the machine.
    const clock = new ToldClock(Date.now());
    const told: string[] = [];
    {
      await using ledger = await place.open();
      await ledger.addTenant(clinic);
      await ledger.append(clinic, items(place, 3));
      await using stamping = await timestamping(ledger, clock, service.url, told);
      stamping.start();
      await clock.passUntil(() => stamping.status().length === 1);
      await ledger.append(clinic, items(place, 1));
    }
    {
      await using ledger = await place.open();
      await using stamping = await timestamping(ledger, clock, service.url, told);
      stamping.start();
      const startedMs = clock.monotonicMs();
      await clock.passUntil(() => service.asked() === 2);
      assert.ok(clock.monotonicMs() - startedMs > hourMs - 120_000, 'not before the period is over');
      await clock.passUntil(() => told.length > 0);
      assert.match(told[0] ?? '', /more than ten minutes from ours/);
    }
    assert.deepEqual(await stamps(place), ['clinic/timestamps/3.tsr']);
    const report = await verified(place, authority.caFile);
    assert.equal(report.intact, true, JSON.stringify(report.findings));
    assert.deepEqual(report.tenants[0]?.timestamps?.newest?.size, 3);
    await place.remove();
  });

  test('a stamp of another tree, of a longer log, of nobody known, or under a false name is a finding', async () => {
    const place = await testPlace();
    await using service = await authority.listen();
    const clock = new ToldClock(Date.now());
    {
      await using ledger = await place.open();
      await ledger.addTenant(clinic);
      await ledger.append(clinic, items(place, 3));
      await using stamping = await timestamping(ledger, clock, service.url, []);
      stamping.start();
      await clock.passUntil(() => stamping.status().length === 1);
    }
    const dir = join(place.ledgerDir, 'clinic/timestamps');
    const good = await readFile(join(dir, '3.tsr'));
    const codes = async (ca?: string): Promise<string[]> =>
      (await verified(place, ca)).findings.map(({ code }) => code);
    assert.deepEqual(await codes(), []);
    const other = await makeAuthority('ec');
    assert.deepEqual(await codes(other.caFile), ['timestamp-invalid']);
    await other[Symbol.asyncDispose]();
    await writeFile(join(dir, '2.tsr'), good);
    assert.deepEqual(await codes(), ['timestamp-invalid']);
    await realDisk.remove(join(dir, '2.tsr'));
    await writeFile(join(dir, '9.tsr'), good);
    assert.deepEqual(await codes(), ['rollback']);
    await realDisk.remove(join(dir, '9.tsr'));
    await writeFile(join(dir, '03.tsr'), good);
    assert.deepEqual(await codes(), ['file-unknown']);
    await realDisk.remove(join(dir, '03.tsr'));
    const changed = Uint8Array.from(good);
    changed[changed.length - 5] = (changed[changed.length - 5] as number) ^ 1;
    await writeFile(join(dir, '3.tsr'), changed);
    assert.deepEqual(await codes(), ['timestamp-invalid']);
    // Without anything to verify them with they are named, not passed over.
    const bare = await place.verify();
    assert.match(bare.notes.join(), /1 timestamps of clinic were not verified/);
    await place.remove();
  });

  test('an authority that fails, lies or answers rubbish is told once and nothing of it is kept', async () => {
    const place = await testPlace();
    const clock = new ToldClock(Date.now());
    await using ledger = await place.open();
    await ledger.addTenant(clinic);
    await ledger.append(clinic, items(place, 2));
    const answers = [
      { status: 500, body: Buffer.alloc(0) },
      { status: 200, body: Buffer.from('hello') },
      { status: 200, body: Buffer.from('30053003020102', 'hex') },
      { status: 200, body: await authority.reply(Buffer.from('30', 'hex')).catch(() => Buffer.alloc(3)) },
    ];
    let asked = 0;
    const told: string[] = [];
    await using stamping = new Timestamping({
      ledger,
      world: { clock, random: realRandom, disk: realDisk },
      http: {
        ask: async () => ({ contentType: '', ...(answers[asked++ % answers.length] as (typeof answers)[number]) }),
      },
      url: 'http://tsa.example/',
      periodMs: hourMs,
      roots: [],
      report: ({ message }) => told.push(message),
    });
    stamping.start();
    await clock.passUntil(() => asked === answers.length + 1);
    assert.equal(told.length, 1);
    assert.match(told[0] ?? '', /a checkpoint was not stamped/);
    assert.deepEqual(await stamps(place), []);
    await stamping[Symbol.asyncDispose]();
    await ledger[Symbol.asyncDispose]();
    await place.remove();
  });
});
