import assert from 'node:assert/strict';
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { decode, parseTenantId, RecordError } from '@watchglass/record';
import { openLedger as openOffline, parseSeedFile, verifyLedger } from '@watchglass/record/reader';
import { LedgerError } from '../errors.ts';
import { clinic, items, type TestPlace, testPlace } from '../ledger.fixture.ts';
import type { Ledger } from '../ledger.ts';
import { type KeyChange, KeyService } from './key-service.ts';
import { type OpenedKeyrings, openKeyrings } from './open-keyrings.ts';
import { defaultKeys, type KeysSettings } from './settings.ts';
import { startVault, type VaultKeeper } from './vault-server.fixture.ts';

interface Opened extends AsyncDisposable {
  readonly ledger: Ledger;
  readonly keyrings: OpenedKeyrings;
  readonly service: KeyService;
  readonly recorded: KeyChange[];
  readonly record: (change: KeyChange) => Promise<void>;
}

const other = parseTenantId('other');
const passphrase: KeysSettings = {
  ...defaultKeys,
  shared: { provider: 'passphrase', passphrase: { kind: 'environment', name: 'PASSPHRASE' } },
};

async function open(
  place: TestPlace,
  settings: KeysSettings = defaultKeys,
  env: Record<string, string> = { PASSPHRASE: 'correct horse battery staple' },
): Promise<Opened> {
  const stack = new AsyncDisposableStack();
  let keyrings: OpenedKeyrings | undefined;
  const ledger = stack.use(
    await place.open({
      keyrings: async (mayMake) => {
        // Random and disk are the real ones; a keeper is reached by the clock of the place.
        keyrings = stack.use(
          await openKeyrings({ world: place.world(), env, keysDir: place.keysDir, settings, mayMake }),
        );
        return keyrings;
      },
    }),
  );
  const opened = keyrings as unknown as OpenedKeyrings;
  const recorded: KeyChange[] = [];
  const service = new KeyService({
    keyrings: opened,
    sources: [(tenant) => ledger.wrappedSeeds(tenant)],
    tenants: () => ledger.tenants(),
    world: place.world(),
  });
  return {
    ledger,
    keyrings: opened,
    service,
    recorded,
    record: async (change) => void recorded.push(change),
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}

async function inPlace(run: (place: TestPlace) => Promise<void>): Promise<void> {
  await using place = await testPlace();
  await run(place);
}

const coded =
  (code: string) =>
  (error: unknown): boolean =>
    (error instanceof LedgerError || error instanceof RecordError) && error.code === code;

async function seedKeks(place: TestPlace, tenant = 'clinic'): Promise<string[]> {
  const dir = join(place.ledgerDir, tenant, 'seeds');
  const names = await readdir(dir);
  return Promise.all(names.map(async (name) => parseSeedFile(await readFile(join(dir, name))).kek));
}

async function idsOf(ledger: Ledger, tenant = clinic): Promise<string[]> {
  return (await ledger.read(tenant, 0, 1_000)).map(({ m }) => decode(m).event.id);
}

test('an installation begins with one local key and no keyring.json', () =>
  inPlace(async (place) => {
    await using opened = await open(place);
    await opened.ledger.addTenant(clinic);
    assert.deepEqual(await readdir(place.keysDir), ['clinic.checkpoint-key', 'clinic.epoch-key-674', 'kek']);
    assert.deepEqual(opened.keyrings.turned, []);
    const [only, ...more] = await opened.service.list();
    assert.equal(more.length, 0);
    assert.equal(only?.state, 'current');
  }));

test('after a rotation new seeds are under the new key, older ones stay readable, and a restart knows both', () =>
  inPlace(async (place) => {
    const sent: string[] = [];
    const append = async ({ ledger }: Opened, count: number): Promise<void> => {
      const batch = items(place, count);
      sent.push(...batch.map(({ event }) => event.id));
      await ledger.append(clinic, batch);
    };
    let turned: { from: string | undefined; to: string } | undefined;
    {
      await using first = await open(place);
      await first.ledger.addTenant(clinic);
      await append(first, 3);
      turned = await first.service.rotate({ tenant: undefined, record: first.record });
      assert.deepEqual(first.recorded, [{ kind: 'turn', tenant: undefined, ...turned }]);
      await append(first, 2);
    }
    await using second = await open(place);
    await append(second, 4);
    assert.deepEqual(await idsOf(second.ledger), sent);
    assert.deepEqual(new Set(await seedKeks(place)), new Set([turned.from, turned.to]));
    assert.deepEqual(
      (await second.service.list()).map(({ id, state, files }) => [id, state, files.seeds]),
      [
        [turned.from, 'older', 1],
        [turned.to, 'current', 1],
      ],
    );
    assert.deepEqual((await place.verify({ full: true })).findings, []);
  }));

test('wrapping anew moves every seed, is done once, and lets the older key be destroyed', () =>
  inPlace(async (place) => {
    for (let run = 0; run < 3; run++) {
      await using opened = await open(place);
      await opened.ledger.addTenant(clinic);
      await opened.ledger.append(clinic, [...items(place, 2), ...items(place, 1, { kind: 'auth' })]);
    }
    await using opened = await open(place);
    const { service, record } = opened;
    const { from = '', to } = await service.rotate({ tenant: undefined, record });
    await assert.rejects(service.destroy({ tenant: undefined, id: from, record }), coded('key-in-use'));
    await assert.rejects(service.destroy({ tenant: undefined, id: to, record }), coded('key-in-use'));
    const progress: number[] = [];
    const report = await service.rewrap({
      tenants: [clinic],
      record,
      onProgress: ({ done, total }) => progress.push(done / total),
    });
    assert.deepEqual(report, { rewrapped: 6, already: 0, left: 0, failed: [] });
    assert.equal(progress.at(-1), 1);
    assert.deepEqual(new Set(await seedKeks(place)), new Set([to]));
    const again = await service.rewrap({ tenants: [clinic], record });
    assert.deepEqual(again, { rewrapped: 0, already: 6, left: 0, failed: [] });
    const before = await idsOf(opened.ledger);
    assert.deepEqual(await service.destroy({ tenant: undefined, id: from, record }), { kind: 'destroyed' });
    assert.ok(!(await readdir(place.keysDir)).includes('kek'));
    assert.equal((await service.list()).find(({ id }) => id === from)?.state, 'destroyed');
    assert.deepEqual(
      opened.recorded.map(({ kind }) => kind),
      ['turn', 'rewrap', 'rewrapped', 'destroy', 'destroyed'],
    );
    await opened[Symbol.asyncDispose]();
    await using later = await open(place);
    assert.deepEqual(await idsOf(later.ledger), before);
    assert.deepEqual((await place.verify({ full: true })).findings, []);
    const offline = await openOffline({ ledgerDir: place.ledgerDir, keysDir: place.keysDir });
    assert.equal((await offline.read('clinic', 0, 100)).length, before.length);
  }));

test('what is not kept stays under the older key, and is closed for ever once that is destroyed', () =>
  inPlace(async (place) => {
    await using opened = await open(place);
    await opened.ledger.addTenant(clinic);
    await opened.ledger.append(clinic, [...items(place, 2), ...items(place, 2, { kind: 'auth' })]);
    const { service, record } = opened;
    const { from = '' } = await service.rotate({ tenant: undefined, record });
    const keep = ({ scope }: { scope?: { retentionClass: string } }): boolean => scope?.retentionClass === 'access';
    assert.deepEqual(await service.rewrap({ tenants: [clinic], keep, record }), {
      rewrapped: 1,
      already: 0,
      left: 1,
      failed: [],
    });
    await service.destroy({ tenant: undefined, id: from, keep, record });
    await opened[Symbol.asyncDispose]();
    const report = await place.verify();
    assert.deepEqual(new Set(report.findings.map(({ code }) => code)), new Set(['seed-refused']));
    const offline = await openOffline({ ledgerDir: place.ledgerDir, keysDir: place.keysDir });
    assert.equal((await offline.read('clinic', 0, 2)).length, 2);
    await assert.rejects(offline.read('clinic', 2, 1), coded('kek-unknown'));
  }));

test('wrapping anew that is ended in the middle goes on where it stopped', () =>
  inPlace(async (place) => {
    for (let run = 0; run < 6; run++) {
      await using opened = await open(place);
      await opened.ledger.addTenant(clinic);
      await opened.ledger.append(clinic, items(place, 1));
    }
    await using opened = await open(place);
    const { service, record } = opened;
    const { to } = await service.rotate({ tenant: undefined, record });
    const stop = new AbortController();
    const ended = service.rewrap({
      tenants: [clinic],
      record,
      signal: stop.signal,
      onProgress: ({ done }) => done === 2 && stop.abort(new Error('killed')),
    });
    await assert.rejects(ended, /killed/);
    const moved = (await seedKeks(place)).filter((id) => id === to).length;
    assert.ok(moved >= 2 && moved < 6, String(moved));
    assert.deepEqual((await place.verify()).findings, []);
    const report = await service.rewrap({ tenants: [clinic], record });
    assert.equal(report.rewrapped, 6 - moved);
    assert.equal(report.already, moved);
    assert.deepEqual(new Set(await seedKeks(place)), new Set([to]));
  }));

test('what can’t be recorded does not happen', () =>
  inPlace(async (place) => {
    await using opened = await open(place);
    await opened.ledger.addTenant(clinic);
    const [before] = await opened.service.list();
    const refuse = (): Promise<void> => Promise.reject(new Error('the ledger is full'));
    await assert.rejects(opened.service.rotate({ tenant: undefined, record: refuse }), /the ledger is full/);
    assert.equal(opened.keyrings.of(clinic).current.id, before?.id);
    assert.ok(!(await readdir(place.keysDir)).includes('keyring.json'));
    // A change that failed holds up none after it.
    const { from } = await opened.service.rotate({ tenant: undefined, record: opened.record });
    assert.equal(from, before?.id);
  }));

test('a rotation waits for what is being wrapped under the key before it', () =>
  inPlace(async (place) => {
    await using opened = await open(place);
    await opened.ledger.addTenant(clinic);
    const order: string[] = [];
    const wrapping = Promise.withResolvers<void>();
    const held = opened.keyrings.of(clinic).hold(async (kek) => {
      await wrapping.promise;
      order.push(`stored under ${kek.id}`);
    });
    const rotated = opened.service
      .rotate({ tenant: undefined, record: opened.record })
      .then(({ to }) => order.push(`turned to ${to}`));
    while (opened.recorded.length === 0) await new Promise((resolve) => setImmediate(resolve));
    wrapping.resolve();
    await Promise.all([held, rotated]);
    assert.match(order[0] as string, /^stored under local:/);
    assert.match(order[1] as string, /^turned to local:/);
  }));

test('another provider in the configuration becomes current at the start, and seeds of the one before stay readable', () =>
  inPlace(async (place) => {
    {
      await using opened = await open(place);
      await opened.ledger.addTenant(clinic);
      await opened.ledger.append(clinic, items(place, 2));
    }
    {
      await using opened = await open(place, passphrase);
      const [turned, ...more] = opened.keyrings.turned;
      assert.equal(more.length, 0);
      assert.match(turned?.from ?? '', /^local:/);
      assert.match(turned?.to ?? '', /^passphrase:[0-9a-f]{16}$/);
      await opened.ledger.append(clinic, items(place, 2));
      assert.equal((await idsOf(opened.ledger)).length, 4);
    }
    {
      await using opened = await open(place, passphrase);
      assert.deepEqual(opened.keyrings.turned, []);
    }
    {
      await using opened = await open(place);
      assert.match(opened.keyrings.turned[0]?.to ?? '', /^local:/);
      assert.equal((await idsOf(opened.ledger)).length, 4);
    }
    const stored = await readFile(join(place.keysDir, 'keyring.json'), 'utf8');
    assert.ok(!stored.includes('horse'), 'no secret stands in keyring.json');
  }));

test('a wrong passphrase is refused by its own code, and the right one opens everything', () =>
  inPlace(async (place) => {
    {
      await using opened = await open(place, passphrase);
      await opened.ledger.addTenant(clinic);
      await opened.ledger.append(clinic, items(place, 2));
    }
    {
      await using opened = await open(place, passphrase, { PASSPHRASE: 'incorrect horse battery staple' });
      await assert.rejects(opened.ledger.append(clinic, items(place, 1)), (error: unknown) => {
        assert.ok(error instanceof LedgerError && error.code === 'keys-unavailable', String(error));
        assert.equal(error.details.keeper, 'kek-refused');
        assert.ok(!error.message.includes('horse'));
        return true;
      });
      await assert.rejects(opened.ledger.read(clinic, 0, 10), coded('keys-unavailable'));
    }
    await assert.rejects(
      open(place, { ...passphrase, shared: { ...passphrase.shared } }, {}).then((one) =>
        one.ledger.append(clinic, items(place, 1)).finally(() => one[Symbol.asyncDispose]()),
      ),
      coded('keys-unavailable'),
    );
    await using opened = await open(place, passphrase);
    assert.equal((await idsOf(opened.ledger)).length, 2);
  }));

test('a passphrase that is too short, or a key of a tenant that can’t be reached, keeps the server from starting', () =>
  inPlace(async (place) => {
    await assert.rejects(open(place, passphrase, { PASSPHRASE: 'short' }), coded('kek-refused'));
    const nobody: KeysSettings = {
      ...defaultKeys,
      tenants: {
        clinic: {
          provider: 'vault-transit',
          key: 'k',
          address: 'http://127.0.0.1:1',
          mount: 'transit',
          token: { kind: 'environment', name: 'T' },
        },
      },
    };
    await using place2 = await testPlace();
    const world = {
      ...place2.world(),
      clock: {
        ...place2.clock,
        now: () => 0,
        monotonicMs: () => 0,
        after: () => ({ cancel: () => undefined }),
        every: () => ({ cancel: () => undefined }),
        sleep: async () => undefined,
      },
    };
    await assert.rejects(
      openKeyrings({ world, env: { T: 't' }, keysDir: place2.keysDir, settings: nobody, mayMake: true }),
      coded('kek-unreachable'),
    );
    assert.ok(!(await readdir(place2.keysDir)).includes('keyring.json'));
  }));

async function withVault(
  run: (place: TestPlace, vault: VaultKeeper, settings: KeysSettings) => Promise<void>,
): Promise<void> {
  await using vault = await startVault();
  await inPlace((place) => run(place, vault, { ...defaultKeys, tenants: { clinic: vault.settings } }));
}

test('a tenant brings its own key: its seeds are under that one, and no other tenant’s ring finds it', () =>
  withVault(async (place, vault, settings) => {
    {
      await using before = await open(place);
      for (const tenant of [clinic, other]) await before.ledger.addTenant(tenant);
      await before.ledger.append(clinic, items(place, 2));
    }
    await using opened = await open(place, settings, vault.deps.env as Record<string, string>);
    const { ledger, keyrings, service, record } = opened;
    await ledger.append(clinic, items(place, 1));
    await ledger.append(other, items(place, 1, { tenant: other }));
    assert.deepEqual(await seedKeks(place, 'other'), [keyrings.of(other).current.id]);
    assert.match(keyrings.of(other).current.id, /^local:/);
    const own = keyrings.of(clinic).current.id;
    assert.equal(own, 'vault-transit:watchglass');
    assert.deepEqual(new Set(await seedKeks(place)), new Set([own, keyrings.of(other).current.id]));
    assert.equal(keyrings.of(other).find(own), undefined);
    // From before it brought one, it has seeds under the shared key; they can be moved.
    assert.deepEqual(await service.rewrap({ tenants: [clinic], record }), {
      rewrapped: 1,
      already: 1,
      left: 0,
      failed: [],
    });
    const { to } = await service.rotate({ tenant: 'clinic', record });
    assert.match(to, /^vault-transit:watchglass-[0-9a-f]{8}$/);
    await service.rewrap({ tenants: [clinic], record });
    assert.deepEqual(await service.destroy({ tenant: 'clinic', id: own, record }), { kind: 'destroyed' });
    assert.ok(!vault.keys.has('watchglass'));
    assert.equal((await idsOf(ledger)).length, 3);
    await assert.rejects(service.rotate({ tenant: 'other', record }), coded('keyring-invalid'));
  }));

test('a key that two rings were given is not destroyed for the one while the other needs it', () =>
  withVault(async (place, vault, settings) => {
    const both = { ...settings, shared: settings.tenants.clinic as KeysSettings['shared'] };
    await using opened = await open(place, both, vault.deps.env as Record<string, string>);
    const { ledger, keyrings, service, record } = opened;
    for (const tenant of [clinic, other]) await ledger.addTenant(tenant);
    await ledger.append(clinic, items(place, 1));
    await ledger.append(other, items(place, 1, { tenant: other }));
    const own = keyrings.of(clinic).current.id;
    assert.equal(keyrings.of(other).current.id, own);
    await service.rotate({ tenant: 'clinic', record });
    await service.rewrap({ tenants: [clinic], record });
    await assert.rejects(service.destroy({ tenant: 'clinic', id: own, record }), coded('key-in-use'));
    assert.ok(vault.keys.has('watchglass'));
    assert.equal((await idsOf(ledger, other)).length, 1);
  }));

test('an offline verification opens what lies under keys kept elsewhere, and says when their keeper does not let it', () =>
  withVault(async (place, vault, settings) => {
    const env = vault.deps.env as Record<string, string>;
    {
      await using opened = await open(place, settings, env);
      await opened.ledger.addTenant(clinic);
      await opened.ledger.append(clinic, items(place, 3));
    }
    await using keyrings = await openKeyrings({
      world: place.world(),
      env,
      keysDir: place.keysDir,
      settings,
      mayMake: false,
      readOnly: true,
    });
    const { ledgerDir } = place;
    const report = await verifyLedger({ ledgerDir, keyrings, full: true });
    assert.deepEqual([report.findings, report.tenants[0]?.opened], [[], 3]);
    vault.allowed.delete('decrypt');
    await assert.rejects(verifyLedger({ ledgerDir, keyrings }), coded('kek-refused'));
    vault.allowed.add('decrypt');
    vault.keys.delete('watchglass');
    assert.deepEqual(
      new Set((await verifyLedger({ ledgerDir, keyrings })).findings.map(({ code }) => code)),
      new Set(['seed-refused']),
    );
  }));

test('a keyring.json that is damaged or contradicts itself keeps the ledger from starting', () =>
  inPlace(async (place) => {
    {
      await using opened = await open(place);
      await opened.ledger.addTenant(clinic);
      await opened.service.rotate({ tenant: undefined, record: opened.record });
    }
    const path = join(place.keysDir, 'keyring.json');
    const good = await readFile(path, 'utf8');
    const changes: [string, (text: string) => string][] = [
      ['cut', (text) => text.slice(0, text.length / 2)],
      ['another version', (text) => text.replace('"v": 1', '"v": 2')],
      ['a member nobody knows', (text) => text.replace('"v": 1', '"v": 1, "x": 1')],
      [
        'a current key that is not there',
        (text) => text.replace(/"current": "local:[0-9a-f]+"/, '"current": "local:0000000000000000"'),
      ],
      ['a current key that was destroyed', (text) => text.replaceAll('"there"', '"destroyed"')],
    ];
    for (const [what, change] of changes) {
      assert.notEqual(change(good), good, what);
      await writeFile(path, change(good));
      await assert.rejects(open(place), coded('keyring-invalid'), what);
    }
    await writeFile(path, good);
    await (await open(place))[Symbol.asyncDispose]();
    // The current key itself is gone: appends say so; nothing is made anew in its place.
    const current = (JSON.parse(good) as { shared: { current: string } }).shared.current.replace('local:', 'kek-');
    await rm(join(place.keysDir, current));
    await using opened = await open(place);
    await assert.rejects(opened.ledger.append(clinic, items(place, 1)), coded('keys-unavailable'));
    assert.ok(!(await readdir(place.keysDir)).includes(current));
  }));

test('a keyring.json that names a path outside of the keys directory opens nothing', () =>
  inPlace(async (place) => {
    await mkdir(place.keysDir, { recursive: true });
    await writeFile(join(place.dir, 'kek-0123456789abcdef'), Buffer.alloc(32, 1));
    const entry = {
      id: 'local:0123456789abcdef',
      locator: '../kek-0123456789abcdef',
      settings: { provider: 'local' },
      state: 'there',
      since: '2026-01-01T00:00:00.000Z',
    };
    await writeFile(
      join(place.keysDir, 'keyring.json'),
      JSON.stringify({ v: 1, shared: { current: entry.id, keks: [entry] }, tenants: {} }),
    );
    await using opened = await open(place);
    await opened.ledger.addTenant(clinic);
    await assert.rejects(opened.ledger.append(clinic, items(place, 1)), coded('keys-unavailable'));
  }));
