/** A token that refuses, hangs or dies: what its process does is told, and takes nothing else with it. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { RecordError } from '@watchglass/record';
import { realWorld } from '../../world/real-world.ts';
import { SleepingClock } from './keeper-server.fixture.ts';
import { pkcs11Keks } from './pkcs11.ts';
import type { Pkcs11Settings } from './settings.ts';
import { missingForSoftHsm, startSoftHsm } from './softhsm.fixture.ts';

const missing = await missingForSoftHsm();
const aad = new TextEncoder().encode('a place');
const secret = new Uint8Array(32).fill(3);
const coded = (code: string) => (error: unknown) => {
  assert.ok(error instanceof RecordError && error.code === code, String(error));
  assert.doesNotMatch(error.message, /987654321|000000/);
  return true;
};
const settings: Pkcs11Settings = {
  provider: 'pkcs11',
  key: 'k',
  module: '/none',
  token: 't',
  pin: { kind: 'environment', name: 'PIN' },
};

/** Runs with a child that answers as the script says. */
async function withChild(script: string, run: (dir: string) => Promise<void>): Promise<void> {
  const dir = mkdtempSync(join(tmpdir(), 'pkcs11-'));
  writeFileSync(join(dir, 'child.mjs'), script);
  try {
    await run(join(dir, 'child.mjs'));
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

test('a module that hangs is ended at its deadline, and the next question starts another', () =>
  // It opens, and answers nothing after that.
  withChild(
    `process.on('message', (q) => { if (q.kind === 'open') process.send({ kind: 'done', found: true }); });`,
    async (childPath) => {
      const clock = new SleepingClock();
      const deps = { world: { ...realWorld(), clock }, env: { PIN: '1' } };
      await using provider = pkcs11Keks(settings, deps, { childPath });
      const kek = await provider.open('k');
      for (let time = 0; time < 2; time++) {
        let over = false;
        const settled = assert.rejects(kek.wrap(secret, aad), coded('kek-unreachable')).finally(() => {
          over = true;
        });
        // The clock goes on until the question is given up: before that a process has to start.
        while (!over) {
          await new Promise((resolve) => setImmediate(resolve));
          clock.advance(1);
        }
        await settled;
      }
    },
  ));

test('a module that kills its process is told, and nothing else ends', () =>
  withChild(`process.on('message', () => process.kill(process.pid, 'SIGKILL'));`, async (childPath) => {
    await using provider = pkcs11Keks(settings, { world: realWorld(), env: { PIN: '1' } }, { childPath });
    const kek = await provider.open('k');
    await assert.rejects(kek.wrap(secret, aad), coded('kek-unreachable'));
    await assert.rejects(kek.unwrap(new Uint8Array(60), aad), coded('kek-unreachable'));
  }));

test('koffi that is missing is told with what to install', () =>
  withChild(`process.on('message', () => process.send({ kind: 'koffi-missing' }));`, async (childPath) => {
    await using provider = pkcs11Keks(settings, { world: realWorld(), env: { PIN: '1' } }, { childPath });
    await assert.rejects(
      (await provider.open('k')).wrap(secret, aad),
      (error: unknown) => coded('kek-refused')(error) && /npm install koffi/.test(String(error)),
    );
  }));

test(
  'a wrong PIN, a token that isn’t there, a module that isn’t one and a key nobody has are told apart',
  missing === undefined ? {} : { skip: missing },
  async () => {
    await using hsm = await startSoftHsm();
    const wrap = async (
      changed: Partial<Pkcs11Settings>,
      env: Record<string, string> = hsm.deps.env as Record<string, string>,
    ): Promise<unknown> => {
      await using provider = pkcs11Keks({ ...hsm.settings, ...changed }, { ...hsm.deps, env });
      return await (await provider.open(changed.key ?? hsm.settings.key)).wrap(secret, aad);
    };
    await assert.rejects(wrap({}, { PIN: '000000' }), coded('kek-refused'));
    await assert.rejects(wrap({}, {}), coded('kek-refused'));
    await assert.rejects(wrap({ token: 'nobody’s' }), coded('kek-unreachable'));
    await assert.rejects(wrap({ module: '/usr/lib/none.so' }), coded('kek-unreachable'));
    await assert.rejects(wrap({ key: 'none' }), coded('kek-lost'));
    assert.ok((await wrap({})) instanceof Uint8Array);
  },
);
