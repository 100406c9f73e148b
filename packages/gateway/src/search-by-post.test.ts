/** A route that wants searches by POST: what is searched for stands in no URL. */
import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';

import { parse, stringify } from 'yaml';

import { readGatewayConfig } from './config/config.ts';
import { eventsOf, observation, type Road, searchset, sendJson, startRoad } from './gateway.fixture.ts';

const form = { 'content-type': 'application/x-www-form-urlencoded' };
const resource = { 'content-type': 'application/fhir+json' };
let road: Road;

before(async () => {
  road = await startRoad({
    config: {
      routes: [
        { prefix: '/fhir', kind: 'fhir', search: 'post', urlParameters: ['patient', '_id'] },
        { prefix: '/open', kind: 'fhir' },
      ],
    },
    upstream: (request, response) =>
      request.url?.includes('/Observation/o-1') === true
        ? sendJson(response, 200, observation('o-1', 'p-1'))
        : sendJson(response, 200, {
            ...searchset(observation('o-1', 'p-1')),
            link: [{ relation: 'self', url: '/fhir/Patient?name=Zeffirelli' }],
          }),
  });
});
after(() => road.close());

describe('a route with search: post', () => {
  it('refuses what is searched for in a URL, says what to do instead, and has it on record without the value', async () => {
    const asked = road.asked.length;
    for (const query of [
      'Patient?name=Zeffirelli',
      'Patient?identifier=urn:mrn|Zeffirelli&_count=10',
      'Observation?subject.name=Zeffirelli',
      'Observation?patient.name=Zeffirelli',
      'Observation?patient:Patient.name=Zeffirelli',
      'Observation?patient:identifier=urn:mrn|Zeffirelli',
      'Observation?_id:text=Zeffirelli',
      'Observation?_sort:x.name=Zeffirelli',
      'Observation?category=Zeffirelli',
      'Practitioner?_has:Encounter:practitioner:subject.name=Zeffirelli',
      'Patient/p-1/Observation?date=Zeffirelli',
      '?_content=Zeffirelli',
    ]) {
      const answer = await road.fetch(`/fhir${query.startsWith('?') ? '' : '/'}${query}`, {
        headers: { accept: 'application/fhir+json' },
      });
      assert.equal(answer.status, 400, query);
      assert.equal(answer.json.resourceType, 'OperationOutcome');
      assert.match(answer.text, /search-by-post.*POST/);
      assert.equal(answer.text.includes('Zeffirelli'), false);
      const event = (await eventsOf(road)).at(-1);
      assert.equal(event?.outcome.reason, 'search-by-post');
      assert.equal(JSON.stringify(event).includes('Zeffirelli'), false);
    }
    const conditional = { method: 'PUT', headers: resource, body: '{"resourceType":"Patient"}' };
    assert.equal((await road.fetch('/fhir/Patient?identifier=Zeffirelli', conditional)).status, 400);
    assert.equal(road.asked.length, asked);
  });

  it('lets through what says nothing about anybody, and what the configuration names', async () => {
    for (const path of [
      '/fhir/Observation?_count=10&_sort=-date&_include:iterate=Observation:subject&_lastUpdated=gt2026-01-01',
      '/fhir/Observation?patient=p-1',
      '/fhir/Observation?patient:Patient=p-1&_id=o-1',
      '/fhir/Observation?patient:missing=true',
      '/fhir/Practitioner?name=Tester',
      '/fhir/Patient/p-1/Observation',
      '/fhir/Observation/o-1',
      '/fhir/Patient/p-1/$everything?start=2026-01-01',
      '/open/Patient?name=Tester',
    ])
      assert.equal((await road.fetch(path)).status, 200, path);
    const create = { method: 'POST', body: JSON.stringify(observation('o-1', 'p-1')) };
    const headers = { ...resource, 'if-none-exist': 'identifier=1' };
    assert.equal((await road.fetch('/fhir/Observation', { ...create, headers })).status, 200);
  });

  it('answers a form, with links that say nothing of it', async () => {
    const answer = await road.fetch('/fhir/Patient/_search', {
      method: 'POST',
      headers: form,
      body: 'name=Zeffirelli',
    });
    assert.deepEqual([answer.status, answer.text.includes('Zeffirelli')], [200, false]);
    const [self] = answer.json.link as { url: string }[];
    assert.equal((await road.fetch(String(self?.url).slice(road.gateway.url.length))).status, 200);
    assert.equal(road.asked.at(-1)?.target, '/fhir/Patient?name=Zeffirelli');
  });
});

describe('the configuration', () => {
  it('has it for FHIR only, and names nothing that would not be looked at', async () => {
    const good = parse(await readFile(join(road.folder, 'gateway.yaml'), 'utf8')) as object;
    const file = join(road.folder, 'other.yaml');
    for (const route of [
      { prefix: '/fhir', kind: 'fhir', urlParameters: ['patient'] },
      { prefix: '/fhir', kind: 'fhir', search: 'get' },
      { prefix: '/fhir', kind: 'fhir', search: 'post', urlParameters: ['a b'] },
      { prefix: '/api', kind: 'json', map: 'map.yaml', search: 'post' },
    ]) {
      await writeFile(file, stringify({ ...good, routes: [route] }));
      assert.throws(() => readGatewayConfig(file), { code: 'config-invalid' });
    }
  });
});
