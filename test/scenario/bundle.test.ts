/** `watchglass bundle` and `watchglass verify FILE` as processes, against a server that listens. */
import assert from 'node:assert/strict';
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import {
  clinic,
  indexed,
  post,
  startTestServer,
  type TestServer,
  testEvent,
} from '../../packages/server/src/api/server.fixture.ts';
import { makeFolder, type Ran, watchglass, watchglassJson } from './command.fixture.ts';

let server: TestServer;
let url: string;
let cwd: string;
let token: string;
const teardown = new AsyncDisposableStack();
const why = ['--purpose', 'HOPERAT', '--reason', 'Complaint 17'];

before(async () => {
  const folder = teardown.use(await makeFolder('bundle'));
  cwd = folder.path;
  server = teardown.use(await startTestServer());
  url = await server.api.listen({ host: '127.0.0.1', port: 0 });
  token = await server.token('privacy-officer');
  const events = Array.from({ length: 12 }, (_, i) => testEvent({ actor: { id: i % 2 === 0 ? 'nurse-1' : 'dr-ito' } }));
  assert.equal((await post(server, events)).statusCode, 201);
  await indexed(server);
});
after(() => teardown.disposeAsync());

function bundle(...args: readonly string[]): Promise<Ran> {
  return watchglass(['bundle', ...args, '--server', url, '--token', token], { cwd });
}

test('an actor’s whole history is made, kept for its maker alone, and verified by file', async () => {
  const made = await bundle('--actor', 'dr-ito', '--kind', 'api', ...why, '--out', 'ito.html');
  assert.equal(made.code, 0, made.err);
  assert.match(made.out, /6 events are in ito\.html/);
  assert.equal((await stat(join(cwd, 'ito.html'))).mode & 0o777, 0o600);
  const vkey = server.ledger.vkey(clinic).trim();
  const verified = await watchglassJson<{ intact: boolean; pinned: boolean; events: readonly unknown[] }>(
    ['verify', join(cwd, 'ito.html'), '--vkey', vkey],
    { cwd },
  );
  assert.deepEqual([verified.intact, verified.pinned, verified.events.length], [true, true, 6]);
  const again = await bundle('--actor', 'dr-ito', ...why, '--out', 'ito.html');
  assert.equal(again.code, 1, 'nothing is replaced');
});

test('chosen by index or by a scan, as JSON', async () => {
  const chosen = await bundle('2', '4-6', ...why, '--out', 'chosen.html', '--json');
  assert.deepEqual([chosen.code, JSON.parse(chosen.out).events], [0, 4]);
  const scanned = await bundle('--actor', 'nurse-1', '--scan', ...why, '--out', 'scan.html', '--json');
  assert.equal(JSON.parse(scanned.out).events, 6);
  assert.match(await readFile(join(cwd, 'scan.html'), 'utf8'), /"how":"scan"/);
});

test('what is not asked for rightly, or not allowed, makes no file', async () => {
  assert.equal((await bundle(...why)).code, 2, 'neither indexes nor filters');
  assert.equal((await bundle('1', '--actor', 'a', ...why)).code, 2, 'both');
  assert.equal((await bundle('6-4', ...why)).code, 2);
  assert.equal((await bundle('1', '--purpose', 'HOPERAT')).code, 2, 'no reason');
  const refused = await watchglass(['bundle', '1', ...why, '--server', url, '--token', server.operator], { cwd });
  assert.equal(refused.code, 1);
  assert.match(refused.err, /right "open"/);
  const withheld = await bundle('1', '--withhold', '/actor/id', ...why);
  assert.equal(withheld.code, 1);
  assert.match(withheld.err, /commit to whole records/);
});
