/** The demo as processes: kept running, started again, stopped without a trace. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { freePorts } from '../../packages/server/src/free-ports.fixture.ts';
import { isAlive, makeFolder, until, watchglass, watchglassBin, watchglassJson } from './command.fixture.ts';
import { type Demo, startDemo } from './demo.fixture.ts';

interface Found {
  readonly events: readonly { readonly index: number }[];
  readonly count: number;
}

async function assertGone(pids: Readonly<Record<string, number>>): Promise<void> {
  for (const [name, pid] of Object.entries(pids)) {
    await until(() => (isAlive(pid) ? undefined : true), `the ${name} (${pid}) is gone`);
  }
}

async function aPatient({ dataDir }: Demo): Promise<string> {
  const roster = JSON.parse(await readFile(join(dataDir, 'demo/roster.json'), 'utf8')) as { patients: string[] };
  return roster.patients[0]!;
}

test('Ctrl-C stops everything with exit code 0, and the next start goes on with the same data', async () => {
  await using folder = await makeFolder('life');
  const dataDir = join(folder.path, 'data');
  const portBase = await freePorts(4);
  await using first = await startDemo({ dataDir, portBase });
  const patient = await aPatient(first);
  assert.equal((await first.throughGateway(`/fhir/Patient/${patient}`, first.person('physician').token)).status, 200);
  const search = ['search', '--data', dataDir, '--patient', patient, '--operation', 'read'];
  const before = await until(async () => {
    const page = await watchglassJson<Found>(search);
    return page.count > 0 ? page : undefined;
  }, 'the read');
  const { pids } = await first.readFile();
  assert.deepEqual(Object.keys(pids).sort(), ['gateway', 'hospital', 'server', 'supervisor']);
  assert.equal(await first.stop(), 0, first.spawned.err());
  await assertGone(pids);

  await using second = await startDemo({ dataDir, portBase });
  const again = await watchglassJson<Found>(search);
  assert.deepEqual(
    again.events.map(({ index }) => index),
    before.events.map(({ index }) => index),
  );
  assert.equal(second.person('physician').password, first.person('physician').password);
  assert.equal(second.file.writeKey, first.file.writeKey);
  assert.equal((await second.throughGateway(`/fhir/Patient/${patient}`, second.person('physician').token)).status, 200);
  const report = await watchglassJson<{ intact: boolean }>(['verify', dataDir]);
  assert.equal(report.intact, true, 'a verification beside the running server');
  assert.equal(await second.stop(), 0);
});

test('a child that is killed comes back, and demo.json has its new pid', async () => {
  await using folder = await makeFolder('killed');
  await using demo = await startDemo({ dataDir: join(folder.path, 'data'), args: [] });
  const patient = await aPatient(demo);
  const { pids } = await demo.readFile();
  assert.deepEqual(Object.keys(pids).sort(), ['gateway', 'hospital', 'server', 'supervisor', 'traffic']);
  for (const name of ['gateway', 'hospital', 'traffic', 'server']) {
    const pid = (await demo.readFile()).pids[name]!;
    process.kill(pid, 'SIGKILL');
    await until(async () => ((await demo.readFile()).pids[name] === pid ? undefined : true), `another ${name}`);
  }
  const physician = demo.person('physician').token;
  const answer = await until(async () => {
    const one = await demo.throughGateway(`/fhir/Patient/${patient}`, physician).catch(() => undefined);
    return one?.status === 200 ? one : undefined;
  }, 'the road after everything was killed once');
  assert.equal((JSON.parse(answer.text) as { id: string }).id, patient);
  const now = (await demo.readFile()).pids;
  assert.equal(await demo.stop(), 0);
  await assertGone(now);
  const report = await watchglassJson<{ intact: boolean }>(['verify', demo.dataDir]);
  assert.equal(report.intact, true);
});

test('when the supervisor is killed its children leave, and a new demo can start at once', async () => {
  await using folder = await makeFolder('orphans');
  const dataDir = join(folder.path, 'data');
  const portBase = await freePorts(4);
  await using first = await startDemo({ dataDir, portBase });
  const { pids } = await first.readFile();
  first.spawned.process.kill('SIGKILL');
  await using second = await startDemo({ dataDir, portBase });
  await assertGone(pids);
  assert.equal(await second.stop(), 0);
});

test('a second demo on the same data directory is refused, and the first stays as it was', async () => {
  await using folder = await makeFolder('twice');
  await using demo = await startDemo({ dataDir: join(folder.path, 'data') });
  const before = await readFile(join(demo.dataDir, 'demo.json'), 'utf8');
  const { code, err } = await watchglass(['demo', '--data', demo.dataDir, '--port-base', String(await freePorts(4))]);
  assert.equal(code, 1);
  assert.match(err, /running on .*data already\n.*--data DIR --port-base/);
  assert.equal(await readFile(join(demo.dataDir, 'demo.json'), 'utf8'), before);
  assert.equal(await demo.stop(), 0);
});

test('a port in use is named, with what to do', async () => {
  await using folder = await makeFolder('port');
  const base = await freePorts(4);
  const taken = createServer().listen(base + 2, '127.0.0.1');
  await once(taken, 'listening');
  try {
    const { code, err } = await watchglass(['demo', '--data', join(folder.path, 'data'), '--port-base', String(base)]);
    assert.equal(code, 1);
    assert.match(err, new RegExp(`port ${base + 2} \\(issuer\\) is in use\\n.*--port-base`));
  } finally {
    taken.close();
  }
});

test('demo --once walks the road, says so, and leaves nothing running', async () => {
  await using folder = await makeFolder('once');
  const dataDir = join(folder.path, 'data');
  const { code, out, err } = await watchglass([
    'demo',
    '--once',
    '--json',
    '--data',
    dataDir,
    '--port-base',
    String(await freePorts(4)),
  ]);
  assert.equal(code, 0, err);
  const road = JSON.parse(out) as { proven: boolean; foundAfterMs: number };
  assert.equal(road.proven, true);
  // That it takes less than a second `npm run bench intake` measures; a machine that runs other tests meanwhile may need more.
  assert.ok(road.foundAfterMs < 10_000, `found after ${road.foundAfterMs} ms`);
  const { pids } = JSON.parse(await readFile(join(dataDir, 'demo.json'), 'utf8')) as { pids: Record<string, number> };
  for (const pid of Object.values(pids)) assert.equal(isAlive(pid), false);
});

test('Ctrl-C of a terminal, which reaches every process of the group, stops everything cleanly', async () => {
  await using folder = await makeFolder('group');
  const dataDir = join(folder.path, 'data');
  const args = [watchglassBin, 'demo', '--no-traffic', '--data', dataDir, '--port-base', String(await freePorts(4))];
  const child = spawn(process.execPath, args, { detached: true, stdio: 'ignore' });
  const ended = once(child, 'close');
  const path = join(dataDir, 'demo.json');
  const file = await until(() => readFile(path, 'utf8').catch(() => undefined), 'demo.json');
  const { pids } = JSON.parse(file) as { pids: Record<string, number> };
  process.kill(-child.pid!, 'SIGINT');
  assert.deepEqual(await ended, [0, null]);
  await assertGone(pids);
  const log = await readFile(join(dataDir, 'demo/server.log'), 'utf8');
  assert.doesNotMatch(log, /"level":(50|60)/, 'the server had an error while stopping');
});
