/** A bulk export through a whole gateway, by an upstream that keeps its files where nobody else may ask. */
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { gzipSync } from 'node:zlib';

import type { Event } from '@watchglass/record';
import { pino } from 'pino';

import { readGatewayConfig } from './config/config.ts';
import {
  answerPatient,
  eventsOf,
  eventsUpTo,
  type Listening,
  type Road,
  sendJson,
  serve,
  startRoad,
} from './gateway.fixture.ts';
import { startGateway } from './main.ts';
import type { RunningGateway } from './running-gateway.ts';

const policy = `
version: 1
roles:
  physician:
    allow:
      - {interactions: [read, search], types: ['*']}
      - {operations: [$export], types: ['*']}
`;
const patientsCount = 300;
const lines = Array.from(
  { length: patientsCount },
  (_, n) => `${JSON.stringify({ resourceType: 'Patient', id: `p-${n}`, name: [{ family: 'Tester' }] })}\n`,
).join('');

const ofTheStore = {
  'content-type': 'application/octet-stream',
  'cache-control': 'public, max-age=600',
  'x-bucket': 'b',
};

let road: Road;
let files: Listening;
const askedForFiles: (string | undefined)[][] = [];
let manifestFile: string | undefined;

before(async () => {
  files = await serve((request, response) => {
    askedForFiles.push([request.url, request.headers.authorization, request.headers['x-forwarded-for']?.toString()]);
    if (request.url?.startsWith('/gone') === true)
      response.writeHead(403, { 'content-type': 'application/xml' }).end(`<Error>${request.url}</Error>`);
    else response.writeHead(200, ofTheStore).end(gzipSync(lines));
  });
  road = await startRoad({
    policy,
    config: { exposure: { maxBytes: 4_096 }, exports: { origins: [files.url] } },
    upstream(request, response) {
      const path = request.url ?? '';
      const host = `http://${request.headers.host}`;
      if (request.method === 'DELETE') response.writeHead(202).end();
      else if (path.includes('$export'))
        response.writeHead(202, { 'content-location': `${host}/jobs/7?key=secret` }).end();
      else if (path === '/jobs/7?key=secret') {
        const output = [
          { type: 'Patient', url: `${host}/files/patients`, count: patientsCount },
          { type: 'Patient', url: manifestFile ?? `${files.url}/bucket/a?signature=s` },
        ];
        sendJson(
          response,
          200,
          { transactionTime: 't', request: host, requiresAccessToken: false, output },
          {
            'content-type': 'application/json',
          },
        );
      } else if (path === '/files/patients')
        response.writeHead(200, { 'content-type': 'application/fhir+ndjson' }).end(lines);
      else response.writeHead(404).end();
    },
  });
});
after(async () => {
  await road.close();
  await files.close();
});

const below = (url: string): string => url.slice(road.gateway.url.length);

async function kickOff(): Promise<string> {
  const answer = await road.fetch('/fhir/Patient/$export', { headers: { prefer: 'respond-async' } });
  assert.equal(answer.status, 202);
  const location = String(answer.headers['content-location']);
  assert.ok(location.startsWith(`${road.gateway.url}/fhir/_export/`), location);
  return below(location);
}

async function outputOf(): Promise<string[]> {
  const { json, text } = await road.fetch(await kickOff());
  assert.equal(json.requiresAccessToken, true);
  assert.equal(json.request, undefined);
  for (const secret of ['signature', 'secret', files.url, '/files/patients'])
    assert.equal(text.includes(secret), false);
  return (json.output as { url: string }[]).map(({ url }) => below(url));
}

function patientsIn(events: readonly Event[]): string[] {
  return events.flatMap(({ exposure }) => (exposure?.patients ?? []).map(({ id }) => id));
}

describe('a bulk export', () => {
  it('is begun, asked about and fetched through the gateway, and every patient in a large file is on record', async () => {
    const [plain = '', packed = ''] = await outputOf();
    for (const path of [plain, packed]) {
      const seen = (await eventsOf(road)).length;
      const answer = await road.fetch(path);
      assert.equal(answer.status, 200);
      if (path === plain) assert.equal(answer.text, lines);
      const events = (await eventsUpTo(road, seen + (path === plain ? 2 : 1))).slice(seen);
      assert.deepEqual(new Set(events.map(({ operation }) => operation)), new Set(['export-file']));
      const patients = patientsIn(events);
      assert.equal(new Set(patients).size, patientsCount);
      assert.equal(patients.length, patientsCount);
      // The end of it says whether all of it was read.
      assert.equal(events.at(-1)?.exposure?.truncated, undefined);
      assert.equal(events.at(-1)?.outcome.status, 'success');
    }
    assert.deepEqual(askedForFiles, [['/bucket/a?signature=s', undefined, undefined]]);
    const operations = (await eventsOf(road)).map(({ operation }) => operation);
    assert.deepEqual(operations.slice(0, 2), ['$export', 'export-status']);
  });

  it('belongs to who began it', async () => {
    const [file = ''] = await outputOf();
    const other = await road.issuer.mint({ sub: 'person-2' });
    assert.equal((await road.fetch(file, { token: other })).status, 403);
    assert.equal((await eventsOf(road)).at(-1)?.outcome.reason, 'export-of-another');
    const narrow = await road.issuer.mint({ scope: 'user/Observation.rs' });
    assert.equal((await road.fetch(file, { token: narrow })).status, 403);
    assert.equal((await road.fetch(file, { token: null })).status, 401);
  });

  it('is cancelled with an intent before', async () => {
    const status = await kickOff();
    const seen = (await eventsOf(road)).length;
    assert.equal((await road.fetch(status, { method: 'DELETE' })).status, 202);
    const events = (await eventsOf(road)).slice(seen);
    assert.deepEqual(
      events.map(({ operation, outcome }) => [operation, outcome.reason]),
      [
        ['export-cancel', 'intent'],
        ['export-cancel', undefined],
      ],
    );
  });

  it('leads nowhere that was not handed out', async () => {
    const [file = ''] = await outputOf();
    const asked = road.asked.length;
    const changed = file.slice(0, -3) + (file.endsWith('AAA') ? 'BBB' : 'AAA');
    for (const path of [changed, `${file}A`, '/fhir/_export/x', '/fhir/_export/', `${file}/x`])
      assert.equal((await road.fetch(path)).status, 404, path);
    assert.equal((await road.fetch(file, { method: 'DELETE' })).status, 405);
    // It would be judged, and then not be sent.
    assert.equal((await road.fetch(`${file}?_format=json`)).status, 400);
    assert.equal((await eventsOf(road)).at(-1)?.outcome.reason, 'export-query');
    assert.equal(road.asked.length, asked);
  });

  it('whose files lie where nobody configured is not passed on', async () => {
    manifestFile = 'https://elsewhere.example/file';
    const answer = await road.fetch(await kickOff());
    manifestFile = undefined;
    assert.equal(answer.status, 502);
    assert.equal(answer.text.includes('elsewhere'), false);
  });

  it('gets from the store of its files the file alone', async () => {
    const [, packed = ''] = await outputOf();
    const { headers } = await road.fetch(packed);
    assert.equal(headers['content-type'], 'application/octet-stream');
    assert.equal(headers['cache-control'], 'no-store');
    assert.equal(headers['x-bucket'], undefined);
    manifestFile = `${files.url}/gone?signature=s`;
    const [, gone = ''] = await outputOf();
    manifestFile = undefined;
    const answer = await road.fetch(gone);
    assert.deepEqual([answer.status, answer.text], [403, '']);
  });
});

describe('the key of export links', () => {
  it('is there and long enough, or the gateway does not start and says why', async () => {
    const config = readGatewayConfig(join(road.folder, 'gateway.yaml'));
    const directory = join(road.folder, 'other-spool');
    const spool = { ...config.spool, dir: directory, keyFile: join(directory, 'spool.key') };
    const keyFile = join(road.folder, 'export.key');
    const logger = pino({ level: 'silent' });
    const start = (): Promise<RunningGateway> =>
      startGateway({ ...config, spool, exports: { ...config.exports, keyFile } }, { logger });
    await assert.rejects(start(), { name: 'GatewayError', code: 'config-unreadable' });
    await writeFile(keyFile, 'short');
    await assert.rejects(start(), { name: 'GatewayError', code: 'config-invalid' });
    await writeFile(keyFile, 'k'.repeat(32));
    await (await start())[Symbol.asyncDispose]();
  });
});

describe('a place of files that is down', () => {
  it('does not have the API spared', async () => {
    await using down = await serve((request) => request.socket.destroy());
    await using of = await startRoad({
      policy,
      config: { exports: { origins: [down.url] } },
      adjust: (config) => ({
        ...config,
        upstream: { ...config.upstream, breaker: { failuresMax: 2, windowMs: 9_000, openMs: 9_000, openMsMax: 9_000 } },
      }),
      upstream(request, response) {
        if (request.url?.includes('$export') === true)
          response.writeHead(202, { 'content-location': `http://${request.headers.host}/jobs/7` }).end();
        else if (request.url === '/jobs/7')
          sendJson(response, 200, { output: [{ type: 'Patient', url: `${down.url}/a` }] });
        else answerPatient(request, response);
      },
    });
    const begun = await of.fetch('/fhir/Patient/$export', { headers: { prefer: 'respond-async' } });
    const path = (url: unknown): string => String(url).slice(of.gateway.url.length);
    const { json } = await of.fetch(path(begun.headers['content-location']));
    const [file] = json.output as { url: string }[];
    for (const _ of [1, 2, 3]) assert.equal((await of.fetch(path(file?.url))).status, 502);
    assert.equal((await of.fetch('/fhir/Patient/p-1')).status, 200);
  });
});
