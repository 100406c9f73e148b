/** The ten lines of the README before an API that is no FHIR, through a whole gateway. */
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';

import type { Event } from '@watchglass/record';
import { parse } from 'yaml';

import { eventsOf, type Road, sendJson, startRoad } from './gateway.fixture.ts';

const policy = `
version: 1
roles:
  physician:
    allow:
      - {interactions: [read, search, create], types: [Patient, Encounter]}
      - {interactions: [search], types: [Medication]}
  clerk:
    allow:
      - {interactions: [search], types: [Encounter]}
  scribe:
    allow:
      - {interactions: [create], types: [Encounter]}
`;
const json = { 'content-type': 'application/json' };
const visits = [
  { patientId: 'p-1', reason: 'cough' },
  { patientId: 417, reason: 'fall' },
];

let road: Road;
let folder: string;

before(async () => {
  const readme = await readFile(new URL('../../../README.md', import.meta.url), 'utf8');
  const blocks = [...readme.matchAll(/```yaml\n([^`]+)```/g)].map((match) => match[1] ?? '');
  const gateway = blocks.find((text) => text.includes('kind: json')) ?? '';
  const map = blocks.find((text) => text.includes('GET /patients/{id}')) ?? '';
  assert.equal(gateway.trim().split('\n').length + map.trim().split('\n').length, 10);
  folder = await mkdtemp(join(tmpdir(), 'watchglass-json-api-'));
  await writeFile(join(folder, 'api.yaml'), map);
  const { routes } = parse(gateway) as { routes: { map: string }[] };
  road = await startRoad({
    policy,
    config: {
      audit: { parameters: ['ward'] },
      routes: routes.map((route) => ({ ...route, map: join(folder, route.map) })),
    },
    upstream(request, response) {
      const path = request.url ?? '';
      if (request.method === 'POST')
        sendJson(response, request.headers['if-match'] === undefined ? 201 : 200, { ok: true }, json);
      else if (path.startsWith('/api/visits')) sendJson(response, 200, { visits }, json);
      else if (path === '/api/patients/gone') sendJson(response, 404, { error: 'gone' }, json);
      else sendJson(response, 200, { name: 'Tester' }, json);
    },
  });
});
after(async () => {
  await road.close();
  await rm(folder, { recursive: true, force: true });
});

async function lastEvent(): Promise<Event> {
  return (await eventsOf(road)).at(-1) as Event;
}

describe('an API that is no FHIR', () => {
  it('is read through the gateway, and the record says whom it was about', async () => {
    const answer = await road.fetch('/api/patients/p-1');
    assert.deepEqual([answer.status, answer.json], [200, { name: 'Tester' }]);
    const event = await lastEvent();
    assert.deepEqual([event.operation, event.action, event.request?.route], ['read', 'read', '/api/patients/{id}']);
    assert.deepEqual(event.exposure?.patients, [{ id: 'p-1', classes: ['demographics'], count: 1 }]);
    assert.deepEqual(
      event.targets?.map(({ type, id, patient }) => [type, id, patient]),
      [['Patient', 'p-1', 'p-1']],
    );
    assert.equal(road.asked.at(-1)?.headers.accept, 'application/json');
  });

  it('is searched, and its answer says who is in it', async () => {
    assert.equal((await road.fetch('/api/visits?ward=3&bed=4')).status, 200);
    const event = await lastEvent();
    assert.deepEqual(
      event.exposure?.patients?.map(({ id, count }) => [id, count]),
      [
        ['p-1', 1],
        ['417', 1],
      ],
    );
    assert.deepEqual(
      [event.exposure?.count, event.exposure?.truncated, event.request?.query],
      [2, undefined, ['ward', 'other']],
    );
  });

  it('is changed with an intent before, about whom the body names', async () => {
    const seen = (await eventsOf(road)).length;
    const body = JSON.stringify({ patientId: 'p-9', reason: 'cough' });
    assert.equal((await road.fetch('/api/visits', { method: 'POST', headers: json, body })).status, 201);
    const events = (await eventsOf(road)).slice(seen);
    assert.deepEqual(
      events.map(({ operation, outcome }) => [operation, outcome.reason ?? outcome.code]),
      [
        ['create', 'intent'],
        ['create', 201],
      ],
    );
    for (const { targets } of events) assert.equal(targets?.[0]?.patient, 'p-9');
    assert.equal(JSON.stringify(events).includes('cough'), false);
  });

  it('may say 200 of what it made, to who may only make it: no condition found it', async () => {
    const token = await road.issuer.mint({ roles: ['scribe'] });
    const body = JSON.stringify({ patientId: 'p-9' });
    const headers = { ...json, 'if-match': '*' };
    const answer = await road.fetch('/api/visits', { method: 'POST', token, headers, body });
    assert.deepEqual([answer.status, answer.json], [200, { ok: true }]);
  });

  it('has no route that its map does not name', async () => {
    const asked = road.asked.length;
    for (const [method, path, status] of [
      ['GET', '/api/patients', 404],
      ['GET', '/api/admin', 404],
      ['GET', '/other', 404],
      ['DELETE', '/api/patients/p-1', 405],
    ] as const)
      assert.equal((await road.fetch(path, { method })).status, status, path);
    assert.equal(road.asked.length, asked);
  });

  it('is held to the policy by the types of its map', async () => {
    const nurse = await road.issuer.mint({ roles: ['nurse'] });
    assert.equal((await road.fetch('/api/patients/p-1', { token: nurse })).status, 403);
    const clerk = await road.issuer.mint({ roles: ['clerk'] });
    assert.equal((await road.fetch('/api/visits', { token: clerk })).status, 200);
    assert.equal((await road.fetch('/api/drugs', { token: clerk })).status, 403);
    assert.equal((await road.fetch('/api/drugs')).status, 200);
  });

  it('lets out to a patient only what is about that patient', async () => {
    const token = await road.issuer.mint({ sub: 'u', scope: 'patient/*.rs', patient: 'p-1' });
    assert.equal((await road.fetch('/api/patients/p-1', { token })).status, 200);
    assert.equal((await road.fetch('/api/patients/p-1/visits', { token })).status, 200);
    assert.equal((await road.fetch('/api/patients/p-2', { token })).status, 403);
    assert.equal((await road.fetch('/api/patients/p-2/visits', { token })).status, 403);
    assert.equal((await road.fetch('/api/visits', { token })).status, 403);
  });

  it('that finds nobody exposes nobody', async () => {
    assert.equal((await road.fetch('/api/patients/gone')).status, 404);
    assert.equal((await lastEvent()).exposure?.patients, undefined);
  });
});
