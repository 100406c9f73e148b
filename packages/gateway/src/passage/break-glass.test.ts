/** Access beyond the rules for every day: with a reason, for one patient, for a while, and never silently. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';

import type { Event } from '@watchglass/record';

import { eventsOf, type Fetched, observation, type Road, searchset, sendJson, startRoad } from '../gateway.fixture.ts';

const policy = `
version: 1
purposeOfUse: {header: X-Purpose-Of-Use, allow: [TREAT, BTG]}
breakGlass:
  reasons: [emergency, covering-colleague]
  minutes: 30
  patientsMax: 2
roles:
  nurse:
    allow:
      - {interactions: [read], types: [Appointment]}
      - {interactions: [batch]}
    breakGlass:
      - {name: nurse-emergency, interactions: [read, search], types: ['*']}
      - {operations: [$everything, $summary], types: [Patient]}
  clerk:
    allow:
      - {interactions: [read], types: [Appointment]}
`;

let road: Road;
let token: string;

beforeEach(async () => {
  road = await startRoad({
    policy,
    upstream: (request, response) => {
      const { url = '' } = request;
      response.setHeader('x-break-glass', 'open; reason=emergency');
      if (/Observation(?:\?|\/_search)/.test(url)) return sendJson(response, 200, searchset(observation('o-1', 'p-1')));
      if (url.includes('Observation/')) return sendJson(response, 200, observation('o-2', 'p-2'));
      if (url.includes('Appointment/')) return sendJson(response, 200, { resourceType: 'Appointment', id: 'a-1' });
      return sendJson(response, 200, { resourceType: 'Patient', id: /Patient\/([^?]+)/.exec(url)?.[1] });
    },
  });
  token = await road.issuer.mint({ roles: ['nurse'], sub: 'nurse-1' });
});
afterEach(() => road.close());

function fetch(path: string, headers: Record<string, string> = {}): Promise<Fetched> {
  return road.fetch(path, { token, headers: { 'x-purpose-of-use': 'BTG', ...headers } });
}

const emergency = { 'x-break-glass-reason': 'emergency' };

describe('broken glass', () => {
  it('lets through what the rules refuse, tells the client, and is an event of its own before the API is asked', async () => {
    assert.equal((await road.fetch('/fhir/Patient/p-1', { token })).status, 403);
    const answer = await fetch('/fhir/Patient/p-1', emergency);
    assert.equal(answer.status, 200);
    assert.match(String(answer.headers['x-break-glass']), /^open; reason=emergency; until=\d{4}-\d\d-\d\dT[\d:.]+Z$/);
    const [refused, opened, read] = (await eventsOf(road)) as [Event, Event, Event];
    assert.equal(refused.outcome.reason, 'policy');
    assert.deepEqual(
      [opened.kind, opened.operation, opened.outcome.status, opened.actor.id],
      ['access-change', 'break-glass-opened', 'success', 'nurse-1'],
    );
    assert.deepEqual(opened.purpose, { code: 'BTG', justification: 'emergency' });
    assert.deepEqual(
      opened.targets?.map(({ type, id, patient, role }) => [type, id, patient, role]),
      [
        ['Patient', 'p-1', 'p-1', 'object'],
        ['Rule', 'nurse-emergency', undefined, 'rule'],
      ],
    );
    assert.deepEqual(read.purpose, { code: 'BTG', justification: 'emergency' });
    assert.equal(read.request?.id, opened.request?.id);
    assert.equal(road.asked.length, 1);
    assert.equal(road.asked[0]?.headers['x-break-glass-reason'], undefined);
  });

  it('stays broken for this person and patient without another event', async () => {
    await fetch('/fhir/Patient/p-1', emergency);
    assert.equal((await fetch('/fhir/Observation?patient=p-1')).status, 200);
    assert.equal((await fetch('/fhir/Patient/p-2')).json.code, 'break-glass-refused');
    const other = await road.issuer.mint({ roles: ['nurse'], sub: 'nurse-2' });
    assert.equal(
      (await road.fetch('/fhir/Patient/p-1', { token: other, headers: { 'x-purpose-of-use': 'BTG' } })).status,
      403,
    );
    const events = await eventsOf(road);
    assert.equal(events.filter(({ operation }) => operation === 'break-glass-opened').length, 1);
    assert.deepEqual(
      events.map(({ outcome }) => outcome.reason).filter((reason) => reason !== undefined),
      ['break-glass-reason', 'break-glass-reason'],
    );
  });

  it('needs a reason that the policy knows; what was typed is kept nowhere', async () => {
    for (const headers of [{}, { 'x-break-glass-reason': 'Mrs SECRET fell' }]) {
      const answer = await fetch('/fhir/Patient/p-1', headers);
      assert.equal(answer.status, 403);
      assert.equal(answer.json.code, 'break-glass-refused');
      assert.equal(answer.text.includes('SECRET'), false);
    }
    const events = await eventsOf(road);
    assert.deepEqual(
      events.map(({ outcome }) => outcome.reason),
      ['break-glass-reason', 'break-glass-reason'],
    );
    assert.equal(JSON.stringify(events).includes('SECRET'), false);
    assert.equal(road.asked.length, 0);
  });

  it('needs a role that may', async () => {
    token = await road.issuer.mint({ roles: ['clerk'], sub: 'clerk-1' });
    assert.equal((await fetch('/fhir/Patient/p-1', emergency)).json.code, 'forbidden');
    assert.equal((await eventsOf(road)).at(-1)?.outcome.reason, 'break-glass-not-allowed');
  });

  it('still is held to the scopes of the token', async () => {
    token = await road.issuer.mint({ roles: ['nurse'], scope: 'user/Observation.rs' });
    assert.equal((await fetch('/fhir/Patient/p-1', emergency)).json.code, 'insufficient-scope');
  });

  it('lets through one patient, whom the request names, and nothing about anybody else', async () => {
    for (const [path, reason] of [
      ['/fhir/Observation', 'break-glass-patient'],
      ['/fhir/Observation/o-2', 'break-glass-patient'],
      ['/fhir/Observation?patient=p-1&_include=Observation:performer', 'break-glass-parameter'],
      ['/fhir/Observation?patient=p-1&subject.name=x', 'break-glass-parameter'],
    ] as const) {
      assert.equal((await fetch(path, emergency)).json.code, 'break-glass-refused', path);
      assert.equal((await eventsOf(road)).at(-1)?.outcome.reason, reason, path);
    }
    assert.equal(road.asked.length, 0);
    const named = { ...emergency, 'x-break-glass-patient': 'p-1' };
    assert.equal((await fetch('/fhir/Observation?code=1', named)).json.code, 'break-glass-refused');
    // It turns out to be about somebody else.
    assert.equal((await fetch('/fhir/Observation/o-2', named)).json.code, 'response-withheld');
    assert.equal((await fetch('/fhir/Observation/o-2', { ...emergency, 'x-break-glass-patient': 'p-2' })).status, 200);
  });

  it('is not broken where every day’s rules allow it, nor in a batch', async () => {
    // Nor can the API say so in our place.
    const answer = await fetch('/fhir/Appointment/a-1', emergency);
    assert.equal(answer.status, 200);
    assert.equal(answer.headers['x-break-glass'], undefined);
    const batch = await road.fetch('/fhir', {
      token,
      method: 'POST',
      headers: { 'x-purpose-of-use': 'BTG', ...emergency, 'content-type': 'application/json' },
      body: JSON.stringify({
        resourceType: 'Bundle',
        type: 'batch',
        entry: [{ request: { method: 'GET', url: 'Patient/p-1' } }],
      }),
    });
    assert.equal(batch.json.code, 'break-glass-refused');
    assert.equal(
      (await eventsOf(road)).some(({ operation }) => operation === 'break-glass-opened'),
      false,
    );
  });

  it('is for reading: the answer to what may change something is not held to the one patient', async () => {
    const headers = { 'x-purpose-of-use': 'BTG', ...emergency };
    const answer = await road.fetch('/fhir/Patient/p-1/$summary', { method: 'POST', token, headers });
    assert.equal(answer.status, 403);
    assert.equal((await eventsOf(road)).at(-1)?.outcome.reason, 'break-glass-not-allowed');
    assert.equal(road.asked.length, 0);
  });

  it('works for a search by POST, whose patient stands in the form', async () => {
    const post = (body: string): Promise<Fetched> =>
      road.fetch('/fhir/Observation/_search', {
        token,
        method: 'POST',
        headers: { 'x-purpose-of-use': 'BTG', ...emergency, 'content-type': 'application/x-www-form-urlencoded' },
        body,
      });
    assert.equal((await post('code=1')).json.code, 'break-glass-refused');
    assert.equal((await post('patient=p-1')).status, 200);
  });

  it('is on disk without the names of anybody', async () => {
    await fetch('/fhir/Patient/p-1', emergency);
    await road.gateway[Symbol.asyncDispose]();
    const text = await readFile(join(road.folder, 'spool', 'break-glass.json'), 'utf8');
    assert.match(text, /"reason":"emergency"/);
    assert.equal(/p-1|nurse/.test(text), false);
  });
});
