/** `state.sqlite` of another time: of the version before, an older copy, from beside another log. */
import assert from 'node:assert/strict';
import { copyFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { backup, DatabaseSync } from 'node:sqlite';
import { type TestContext, test } from 'node:test';
import { parseTenantId } from '@watchglass/record';
import { realWorld } from '../world/real-world.ts';
import type { Access, PersonPrincipal } from './access.ts';
import { openAccess } from './open-access.ts';

const tenant = parseTenantId('clinic');
const startMs = Date.UTC(2026, 2, 1);
const nurse = { username: 'n.abara', name: 'N. Abara', tenant, roles: ['nurse'], password: 'correct horse battery' };

async function install(context: TestContext) {
  const dir = await mkdtemp(join(tmpdir(), 'watchglass-older-'));
  context.after(() => rm(dir, { recursive: true }));
  const real = realWorld();
  let nowMs = startMs;
  const world = { ...real, clock: { ...real.clock, now: () => nowMs } };
  const open = async (origin?: string): Promise<Access> => {
    const access = await openAccess({
      ...{ path: join(dir, 'state.sqlite'), keysDir: join(dir, 'keys'), world, record: async () => undefined },
      ...(origin === undefined ? {} : { log: { tenant, origin } }),
    });
    access.tenants.add(tenant);
    return access;
  };
  return {
    dir,
    open,
    pass: (ms: number) => {
      nowMs += ms;
    },
  };
}

test('a state of the version before keeps its people, and nobody was given anything yet', async (context) => {
  const { dir, open } = await install(context);
  const access = await open();
  const person = await access.people.add(nurse, 'server');
  await access[Symbol.asyncDispose]();
  const state = new DatabaseSync(join(dir, 'state.sqlite'));
  state.exec('DROP TABLE issued; DROP TABLE failures; DROP TABLE marks; PRAGMA user_version = 4');
  state.close();
  // The version before wrote none; where one is there, a newer file was here.
  await rm(join(dir, 'state.mark'));
  await using after = await open();
  assert.deepEqual(after.people.get(person.id), person);
  assert.equal(after.people.endedMs(person.id), 0);
  assert.match(await readFile(join(dir, 'state.mark'), 'utf8'), /^[\w-]{22} 0\n$/);
});

test('an older copy in which a disabled person is in force does not start, and without the mark ends what everybody had', async (context) => {
  const { dir, open, pass } = await install(context);
  const access = await open();
  const person = await access.people.add(nurse, 'server');
  const principal: PersonPrincipal = { ...person, kind: 'person', authentication: { method: 'password' } };
  const { cookie } = await access.sessions.create(principal);
  access.issued.put('RefreshToken', 'token', { payload: {}, untilMs: startMs + 3_600_000 });
  await access[Symbol.asyncDispose]();
  const copy = await readFile(join(dir, 'state.sqlite'));
  const again = await open();
  assert.ok(again.sessions.look(cookie));
  await again.people.disable(person.id, 'server');
  await again[Symbol.asyncDispose]();
  await writeFile(join(dir, 'state.sqlite'), copy);
  await assert.rejects(open(), { code: 'state-older' });
  await rm(join(dir, 'state.mark'));
  pass(1_000);
  await using accepted = await open();
  assert.equal(accepted.sessions.get(cookie), undefined);
  assert.equal(accepted.issued.get('RefreshToken', 'token'), undefined);
  assert.equal(accepted.people.endedMs(person.id), startMs + 1_000);
});

test('a console session that was ended is missing in no older copy that starts', async (context) => {
  const { dir, open } = await install(context);
  const access = await open();
  const person = await access.people.add(nurse, 'server');
  const { cookie } = await access.sessions.create({
    ...person,
    kind: 'person',
    authentication: { method: 'password' },
  });
  await access[Symbol.asyncDispose]();
  const copy = await readFile(join(dir, 'state.sqlite'));
  const again = await open();
  await again.sessions.end(cookie);
  await again[Symbol.asyncDispose]();
  await writeFile(join(dir, 'state.sqlite'), copy);
  await assert.rejects(open(), { code: 'state-older' });
});

test('a backup that SQLite makes while the server runs goes on with a mark that was copied before it; the file alone is older', async (context) => {
  const { dir, open } = await install(context);
  const [path, mark] = [join(dir, 'state.sqlite'), join(dir, 'state.mark')];
  const access = await open();
  const person = await access.people.add(nurse, 'server');
  access.issued.put('RefreshToken', 'used', { payload: {}, untilMs: startMs + 3_600_000 });
  await copyFile(mark, join(dir, 'copy.mark'));
  access.issued.use('RefreshToken', 'used');
  await access.issued.settled();
  const source = new DatabaseSync(path, { readOnly: true });
  await backup(source, join(dir, 'copy.sqlite'));
  source.close();
  await copyFile(path, join(dir, 'alone.sqlite'));
  await access.people.disable(person.id, 'server');
  const lastMark = await readFile(mark);
  await access[Symbol.asyncDispose]();

  // Of the running server's file, what is in its -wal is missing.
  await copyFile(join(dir, 'alone.sqlite'), path);
  await assert.rejects(open(), { code: 'state-older', message: /-wal/ });
  await copyFile(join(dir, 'copy.sqlite'), path);
  await writeFile(mark, lastMark);
  await assert.rejects(open(), { code: 'state-older' });
  await copyFile(join(dir, 'copy.mark'), mark);
  await using restored = await open();
  assert.equal(restored.issued.use('RefreshToken', 'used'), false);
});

test('what was given under a key that was lost stays over when the key is put back', async (context) => {
  const { dir, open } = await install(context);
  const [key, copy] = [join(dir, 'keys', 'issued.key'), join(dir, 'issued.copy')];
  const access = await open();
  access.issued.put('RefreshToken', 'token', { payload: {}, untilMs: startMs + 3_600_000 });
  await access[Symbol.asyncDispose]();
  await copyFile(key, copy);
  await rm(key);
  const without = await open();
  assert.equal(without.issued.get('RefreshToken', 'token'), undefined);
  // Nobody can end it now: who signs somebody out doesn't find it.
  without.issued.drop('RefreshToken', 'token');
  await without[Symbol.asyncDispose]();
  await copyFile(copy, key);
  await using back = await open();
  assert.equal(back.issued.get('RefreshToken', 'token'), undefined);
});

test('people whose log is another one now, after a restore, have nothing of what they were given before', async (context) => {
  const { open } = await install(context);
  const wasThere: boolean[] = [];
  for (const log of ['example/clinic', 'example/clinic', 'example/2/clinic', 'example/2/clinic']) {
    await using opened = await open(log);
    wasThere.push(opened.issued.get('Grant', 'grant') !== undefined);
    opened.issued.put('Grant', 'grant', { payload: {}, untilMs: startMs + 3_600_000 });
  }
  assert.deepEqual(wasThere, [false, true, false, true]);
});
