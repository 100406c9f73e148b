/**
 * What does not belong in the ledger is refused with a clear error that says what to do; nothing of it is stored, and nothing that was
 * acknowledged is lost.
 */
import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { makeFolder, spawnWatchglass, watchglass, watchglassJson } from './command.fixture.ts';
import { anEvent, type Installation, install, type Posted, post, type Serving, serve } from './server.fixture.ts';

let folder: Awaited<ReturnType<typeof makeFolder>>;
let here: Installation;
let server: Serving;

before(async () => {
  folder = await makeFolder('bad-input');
  here = await install(folder.path);
  server = await serve(here);
});

after(async () => {
  await server?.[Symbol.asyncDispose]();
  await folder?.[Symbol.asyncDispose]();
});

async function countStored(actor: string): Promise<number> {
  return (await watchglassJson<{ count: number }>(['search', '--data', here.dataDir, '--actor', actor])).count;
}

/** A problem document with this status and code, that says what to do. */
function assertProblem(answer: Posted, status: number, code: string): void {
  const said = JSON.stringify(answer.body);
  assert.equal(answer.status, status, said);
  assert.match(answer.headers.get('content-type') ?? '', /^application\/problem\+json/);
  assert.equal(answer.body.code, code, said);
  assert.ok((answer.body.title ?? '').length > 10 && (answer.body.detail ?? '').length > 10, said);
}

test('a body that is not JSON, or says a member twice, or is not UTF-8', async () => {
  assertProblem(await post(here, '{"v":1,'), 400, 'bad-request');
  const twice = JSON.stringify(anEvent()).replace('"kind":"api"', '"kind":"api","kind":"file"');
  assertProblem(await post(here, twice), 400, 'bad-request');
  const response = await fetch(`${here.url}/v1/events`, {
    method: 'POST',
    headers: { authorization: `Bearer ${here.writeKey}`, 'content-type': 'application/json' },
    body: Uint8Array.of(0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d),
  });
  assert.equal(response.status, 400);
  assert.match(await response.text(), /bad-request/);
  assertProblem(await post(here, anEvent(), { 'content-type': 'text/plain' }), 415, 'media-type');
});

test('an unknown version and an unknown field are named with their place', async () => {
  const version = await post(here, anEvent({ v: 2 }));
  assertProblem(version, 422, 'event-invalid');
  assert.deepEqual(
    version.body.errors?.map(({ at, path }) => [at, path]),
    [[0, '/v']],
  );
  const field = await post(here, anEvent({ url: 'https://ehr.example/Patient?name=Osei' }));
  assertProblem(field, 422, 'event-invalid');
  assert.equal(field.body.errors?.[0]?.path, '/url');
  assert.doesNotMatch(JSON.stringify(field.body), /Osei/, 'an error repeats what may be PHI');
});

test('a batch with one bad event stores nothing and says which it was', async () => {
  const actor = { id: 'batch-sender' };
  const batch = [anEvent({ actor }), anEvent({ actor }), anEvent({ actor, action: 'peek' }), anEvent({ actor })];
  const answer = await post(here, batch);
  assertProblem(answer, 422, 'event-invalid');
  const [{ at, path, expected, got } = assert.fail('no place')] = answer.body.errors ?? [];
  assert.deepEqual([at, path], [2, '/action']);
  assert.ok(expected.includes('read') && got.length > 0, 'each place says what was expected and what came');
  assert.match(
    answer.body.detail ?? '',
    /^event 2 \(counted from 0\), \/action: expected .*; nothing of it was stored\.$/,
  );
  const lines = batch.map((one) => JSON.stringify(one)).join('\n');
  const ndjson = await post(here, lines, { 'content-type': 'application/x-ndjson' });
  assertProblem(ndjson, 422, 'event-invalid');
  assert.equal([ndjson.body.errors?.[0]?.at, ndjson.body.errors?.[0]?.path].join(), '2,/action');
  assert.equal(await countStored('batch-sender'), 0);
});

test('events of the future and of long ago are refused', async () => {
  const future = new Date(Date.now() + 6 * 60_000).toISOString();
  assertProblem(await post(here, anEvent({ time: future })), 422, 'event-in-future');
  assertProblem(await post(here, anEvent({ time: '2010-01-01T00:00:00.000Z' })), 422, 'event-too-old');
  const nearly = new Date(Date.now() + 4 * 60_000).toISOString();
  assert.equal((await post(here, anEvent({ time: nearly }))).status, 201);
});

test('an event of another tenant than the key’s is refused', async () => {
  assertProblem(await post(here, anEvent({ tenant: 'elsewhere' })), 422, 'wrong-tenant');
  assert.equal((await post(here, anEvent({ tenant: 'clinic' }))).status, 201);
});

test('the same id again gets the same receipt, and a conflict where its bytes differ', async () => {
  const event = anEvent({ actor: { id: 'again' } });
  const first = await post(here, event);
  assert.equal(first.status, 201, JSON.stringify(first.body));
  const again = await post(here, event);
  assert.equal(again.status, 201);
  assert.deepEqual(again.body.receipts, first.body.receipts);
  assertProblem(await post(here, { ...event, action: 'delete' }), 409, 'id-conflict');
  assert.equal(await countStored('again'), 1);
});

test('without a good key nothing is taken', async () => {
  assertProblem(await post({ ...here, writeKey: `wgk_${'A'.repeat(43)}` }, anEvent()), 401, 'write-key-invalid');
  assertProblem(await post({ ...here, writeKey: '' }, anEvent()), 401, 'write-key-invalid');
  // A write key writes and does nothing else.
  const read = await fetch(`${here.url}/v1/events`, { headers: { authorization: `Bearer ${here.writeKey}` } });
  assert.equal(read.status, 401);
  await read.arrayBuffer();
});

test('a body over the limit is refused', async () => {
  assertProblem(await post(here, ' '.repeat(8 * 1024 * 1024 + 1)), 413, 'body-too-large');
  const many = Array.from({ length: 10_001 }, () => ({}));
  assertProblem(await post(here, many), 413, 'body-too-large');
  const large = anEvent({
    actor: { id: 'large' },
    request: { query: Array.from({ length: 20_000 }, (_, at) => `name-${at}`) },
  });
  const answer = await post(here, large);
  assert.ok([400, 413, 422].includes(answer.status), JSON.stringify(answer.body).slice(0, 300));
  assert.equal(await countStored('large'), 0);
});

test('a body cut off half-way stores nothing, and the door stays open', async () => {
  const body = JSON.stringify([anEvent({ actor: { id: 'cut' } }), anEvent({ actor: { id: 'cut' } })]);
  const { hostname, port } = new URL(here.url);
  await new Promise<void>((resolve, reject) => {
    const socket = connect({ host: hostname, port: Number(port) }, () => {
      socket.write(
        `POST /v1/events HTTP/1.1\r\nHost: ${hostname}\r\nAuthorization: Bearer ${here.writeKey}\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body.slice(0, body.length / 2)}`,
        () => socket.destroy(),
      );
    });
    socket.on('close', () => resolve());
    socket.on('error', reject);
  });
  assert.equal((await post(here, anEvent({ actor: { id: 'after-the-cut' } }))).status, 201);
  assert.equal(await countStored('cut'), 0);
});

test('a second server on the same data directory is refused by name, and the first goes on', async () => {
  const config = join(folder.path, 'second.yaml');
  const text = await readFile(here.config, 'utf8');
  await writeFile(
    config,
    text.replaceAll(/port: (\d+)/g, (_, port) => `port: ${Number(port) + 7_000}`),
  );
  const { code, err } = await watchglass(['serve', '--config', config]);
  assert.equal(code, 1, err);
  assert.match(err, /data/);
  assert.match(err, /another|in use|already|locked/i);
  assert.equal((await post(here, anEvent())).status, 201);
});

test('a configuration with an unknown key, or without a secret, is refused with what to do', async () => {
  const good = await watchglass(['config', 'check', here.config, join(folder.path, 'gateway.yaml')]);
  assert.equal(good.code, 0, good.out + good.err);

  const misspelt = join(folder.path, 'misspelt.yaml');
  await writeFile(misspelt, (await readFile(here.config, 'utf8')).replace('tenants:', 'tennants:'));
  const unknown = await watchglass(['config', 'check', misspelt]);
  assert.equal(unknown.code, 1);
  assert.match(unknown.out, /tennants: unknown key; did you mean `tenants`\?/);

  const secretless = join(folder.path, 'secretless.yaml');
  const issuer = 'issuer:\n  url: https://login.example\n  clientId: watchglass\n';
  await writeFile(secretless, (await readFile(here.config, 'utf8')).replace(/^issuer:\n( .*\n)+/m, issuer));
  const missing = await watchglass(['config', 'check', secretless]);
  assert.equal(missing.code, 1, missing.out);
  assert.match(missing.out, /issuer\.clientSecretFile: missing; put the client secret/);

  const gateway = join(folder.path, 'gateway-misspelt.yaml');
  await writeFile(gateway, (await readFile(join(folder.path, 'gateway.yaml'), 'utf8')).replace('policy:', 'polcy:'));
  const wrong = await watchglass(['config', 'check', gateway]);
  assert.equal(wrong.code, 1);
  assert.match(wrong.out, /polcy/);
});

test('a gateway without its write key does not start, and says where it belongs', async () => {
  const config = join(folder.path, 'keyless.yaml');
  await writeFile(
    config,
    (await readFile(join(folder.path, 'gateway.yaml'), 'utf8')).replace('gateway.key', 'nowhere.key'),
  );
  const spawned = spawnWatchglass(['gateway', '--config', config]);
  const code = await new Promise((resolve) => spawned.process.on('close', resolve));
  assert.equal(code, 1);
  assert.match(spawned.err(), /nowhere\.key/);
});

test('after all of it everything is intact', async () => {
  const report = await watchglassJson<{ intact: boolean }>(['verify', here.dataDir, '--vkey', here.vkey]);
  assert.equal(report.intact, true);
});
