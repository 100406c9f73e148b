import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { parseSeedFile } from '@watchglass/record/reader';
import { openKeyrings } from './ledger/kek/open-keyrings.ts';
import { defaultKeys } from './ledger/kek/settings.ts';
import { clinic, items, type TestPlace, testPlace } from './ledger/ledger.fixture.ts';
import { changeLocalKey, succeedLocalLedger } from './local-ledger.ts';

const variable = 'WATCHGLASS_TEST_PASSPHRASE';

/** A ledger whose keys a passphrase makes: nothing in its directory opens it. */
async function withPassphrase(work: (place: TestPlace) => Promise<void>): Promise<void> {
  const place = await testPlace();
  process.env[variable] = 'correct horse battery staple';
  try {
    {
      await using stack = new AsyncDisposableStack();
      const settings = {
        ...defaultKeys,
        shared: { provider: 'passphrase', passphrase: { kind: 'environment', name: variable } },
      } as const;
      const ledger = stack.use(
        await place.open({
          keyrings: async (mayMake) =>
            stack.use(
              await openKeyrings({
                world: place.world(),
                env: process.env,
                keysDir: place.keysDir,
                settings,
                mayMake,
              }),
            ),
        }),
      );
      await ledger.addTenant(clinic);
      await ledger.append(clinic, items(place, 3));
    }
    await work(place);
  } finally {
    delete process.env[variable];
    await place.remove();
  }
}

async function seedKeks(place: TestPlace): Promise<Set<string>> {
  const dir = join(place.ledgerDir, 'clinic/seeds');
  const names = await readdir(dir);
  return new Set(await Promise.all(names.map(async (name) => parseSeedFile(await readFile(join(dir, name))).kek)));
}

test('a change of the checkpoint key by hand leaves the key-encryption key with its keeper', () =>
  withPassphrase(async (place) => {
    const before = await readFile(join(place.keysDir, 'keyring.json'), 'utf8');
    const [kek] = await seedKeks(place);
    const { vkeys } = await changeLocalKey({ dataDir: place.dir }, { tenant: 'clinic', change: { kind: 'planned' } });
    assert.equal(vkeys.length, 2);
    assert.equal(await readFile(join(place.keysDir, 'keyring.json'), 'utf8'), before);
    assert.deepEqual([...(await seedKeks(place))], [kek]);
    assert.match(kek ?? '', /^passphrase:/);
    const names = await readdir(place.keysDir);
    assert.deepEqual(
      names.filter((name) => name.startsWith('kek') && !name.endsWith('.argon2id')),
      [],
      'a key that opens the ledger lies beside it',
    );
  }));

test('a successor is begun under the keys of the ledger that is left, and knows its recovery point', () =>
  withPassphrase(async (place) => {
    const [kek] = await seedKeks(place);
    const { logs } = await succeedLocalLedger({ dataDir: place.dir });
    assert.equal(logs[0]?.size, 3);
    assert.match(logs[0]?.recovery ?? 'none', /^2026-03-/);
    assert.deepEqual([...(await seedKeks(place))], [kek]);
    assert.ok(!(await readdir(place.keysDir)).includes('kek'));
  }));
