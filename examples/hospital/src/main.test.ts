import assert from 'node:assert/strict';
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { request } from 'undici';
import type { Roster } from './roster.ts';

const bin = fileURLToPath(new URL('../bin/hospital.mjs', import.meta.url));
const small = ['--seed', 'test', '--today', '2026-03-04', '--patients', '30', '--staff', '10'];

function start(t: TestContext, args: readonly string[], environment: Record<string, string> = {}): ChildProcess {
  const child = fork(bin, args, { silent: true, env: { ...process.env, ...environment } });
  t.after(() => child.kill('SIGKILL'));
  return child;
}

async function output(child: ChildProcess): Promise<{ code: number | null; stdout: string; stderr: string }> {
  assert.ok(child.stdout !== null && child.stderr !== null);
  // Not 'close': Node doesn't emit it after the parent disconnected.
  const [[code], stdout, stderr] = await Promise.all([
    once(child, 'exit') as Promise<[number | null]>,
    text(child.stdout),
    text(child.stderr),
  ]);
  return { code, stdout, stderr };
}

async function readyUrl(child: ChildProcess): Promise<string> {
  const [message] = (await once(child, 'message')) as [{ ready: boolean; url: string }];
  assert.equal(message.ready, true);
  return message.url;
}

test('a supervised hospital says when it is ready, ignores the terminal, and leaves when told', async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'hospital-main-'));
  t.after(() => rm(directory, { recursive: true, force: true }));
  const rosterFile = join(directory, 'roster.json');
  const child = start(t, ['serve', '--port', '0', ...small, '--roster-out', rosterFile], {
    WATCHGLASS_SUPERVISED: '1',
  });
  const ended = output(child);
  const url = await readyUrl(child);
  child.kill('SIGINT');
  const { statusCode, body } = await request(`${url}/fhir/Patient/wg-pt-000007`);
  assert.equal(statusCode, 200);
  await body.dump();
  const roster = JSON.parse(await readFile(rosterFile, 'utf8')) as Roster;
  assert.equal(roster.patients.length, 30);
  assert.equal((await stat(rosterFile)).mode & 0o777, 0o600);
  child.send({ stop: true });
  const { code, stdout, stderr } = await ended;
  assert.equal(code, 0, stderr);
  assert.match(stdout, /^listening http:\/\/127\.0\.0\.1:\d+\n$/);
});

test('a hospital whose supervisor goes away goes too, and one in a terminal obeys Ctrl-C', async (t) => {
  const orphan = start(t, ['serve', '--port', '0', ...small], { WATCHGLASS_SUPERVISED: '1' });
  const orphanEnded = output(orphan);
  await readyUrl(orphan);
  orphan.disconnect();
  assert.equal((await orphanEnded).code, 0);
  const interrupted = start(t, ['serve', '--port', '0', ...small]);
  const interruptedEnded = output(interrupted);
  await readyUrl(interrupted);
  interrupted.kill('SIGINT');
  assert.equal((await interruptedEnded).code, 0);
});

test('the printed roster is the same each time', async (t) => {
  const [one, other] = await Promise.all([
    output(start(t, ['roster', ...small])),
    output(start(t, ['roster', ...small])),
  ]);
  assert.equal(one.code, 0, one.stderr);
  assert.equal(one.stdout, other.stdout);
  const [person] = (JSON.parse(one.stdout) as Roster).staff;
  assert.deepEqual(Object.keys(person ?? {}), ['id', 'username', 'name', 'role', 'department', 'address']);
});

test('wrong usage exits with 2, a failure with 1, and both say what was expected', async (t) => {
  const wrong = await output(start(t, ['serve', '--today', 'tomorrow']));
  assert.equal(wrong.code, 2);
  assert.match(wrong.stderr, /expected a day such as/);
  const missing = await output(
    start(t, ['traffic', '--gateway', 'http://127.0.0.1:9', '--tokens', 'none.json', '--roster', 'none.json']),
  );
  assert.equal(missing.code, 1);
  assert.match(missing.stderr, /expected a roster at none\.json/);
});
