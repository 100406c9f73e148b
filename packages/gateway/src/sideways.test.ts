/** Ways around what was judged, that a hostile reading of the guard found: each is closed, and leaves its event. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import {
  endedAfterEach,
  eventsOf,
  type Fetched,
  observation,
  type Road,
  type RoadOptions,
  sendJson,
  startRoad,
} from './gateway.fixture.ts';

const start = endedAfterEach(startRoad);

const json = (body: unknown, method: string): { method: string; headers: Record<string, string>; body: string } => ({
  method,
  headers: { 'content-type': 'application/fhir+json' },
  body: JSON.stringify(body),
});

async function lastReason(of: Road): Promise<string | undefined> {
  return (await eventsOf(of)).at(-1)?.outcome.reason;
}

describe('a resource that is sent', () => {
  it('is the one that the path names, or the API never hears of it', async () => {
    const of = await start();
    const cases: readonly (readonly [string, string, unknown])[] = [
      ['POST', 'Observation', { resourceType: 'Patient' }],
      ['POST', 'Observation', { ResourceType: 'Patient', resourceType: 'Observation' }],
      ['POST', 'Observation', [{ resourceType: 'Patient' }]],
      ['PUT', 'Observation/o-1', { resourceType: 'Observation', id: 'o-2' }],
      ['PUT', 'Observation/o-1', { resourceType: 'Observation', ID: 'o-2' }],
      ['PUT', 'Observation?code=x', { resourceType: 'Patient' }],
    ];
    for (const [method, path, body] of cases) {
      assert.equal((await of.fetch(`/fhir/${path}`, json(body, method))).status, 400, `${method} ${path}`);
      assert.equal(await lastReason(of), 'resource-mismatch');
    }
    const entry = { request: { method: 'POST', url: 'Observation' }, resource: { resourceType: 'Patient' } };
    const bundle = { resourceType: 'Bundle', type: 'transaction', entry: [entry] };
    assert.equal((await of.fetch('/fhir', json(bundle, 'POST'))).status, 400);
    assert.equal(await lastReason(of), 'entry-unknown');
    assert.equal(of.asked.length, 0);
    const sound = json({ resourceType: 'Observation', id: 'o-1' }, 'PUT');
    assert.equal((await of.fetch('/fhir/Observation/o-1', sound)).status, 200);
  });
});

describe('an answer without a body', () => {
  const upstream: RoadOptions['upstream'] = (request, response) => {
    if (request.headers['if-none-match'] !== undefined) response.writeHead(304, { etag: 'W/"7"' }).end();
    else sendJson(response, 200, observation('o-1', 'p-1'), { etag: 'W/"7"' });
  };

  it('tells nobody with a token for one patient about others', async () => {
    const of = await start({ upstream });
    const token = await of.issuer.mint({ scope: 'patient/*.rs', patient: 'p-1' });
    const head = (path: string): Promise<Fetched> => of.fetch(`/fhir/${path}`, { token, method: 'HEAD' });
    for (const path of ['Patient/p-2', 'Observation/o-1', 'Observation/o-1/_history', 'Binary/b-1']) {
      const answer = await head(path);
      assert.deepEqual([answer.status, answer.headers.etag], [403, undefined], path);
      assert.equal(await lastReason(of), 'response-without-patient');
    }
    for (const path of ['Patient/p-1', 'Observation?patient=p-1', 'Practitioner/x'])
      assert.equal((await head(path)).status, 200, path);
  });

  it('is not asked for where somebody has to be seen in it, and is where nobody has', async () => {
    const of = await start({ upstream });
    const condition = { headers: { 'if-none-match': 'W/"7"', 'if-modified-since': 'Thu, 01 Jan 2026 00:00:00 GMT' } };
    const token = await of.issuer.mint({ scope: 'patient/*.rs', patient: 'p-1' });
    assert.equal((await of.fetch('/fhir/Observation/o-1', { ...condition, token })).status, 200);
    assert.equal(of.asked.at(-1)?.headers['if-modified-since'], undefined);
    assert.equal((await of.fetch('/fhir/Observation/o-1', condition)).status, 304);
  });
});

describe('a patch', () => {
  const policy = `
version: 1
roles:
  physician: {allow: [{interactions: [patch, update, batch], types: [Observation, Patient]}]}
`;
  const patch = { ...json([], 'PATCH'), headers: { 'content-type': 'application/json-patch+json' } };

  it('shows nothing to who may not read what it changes', async () => {
    const of = await start({
      policy,
      upstream: (_request, response) => sendJson(response, 200, observation('o-1', 'p-1')),
    });
    const answer = await of.fetch('/fhir/Observation/o-1', patch);
    assert.deepEqual([answer.status, answer.text, answer.headers['content-type']], [200, '', undefined]);
    const outcome = (await eventsOf(of)).at(-1);
    assert.equal(outcome?.operation, 'patch');
    assert.equal(outcome?.exposure, undefined);
    const scoped = await of.issuer.mint({ scope: 'user/*.u', jti: 'writer' });
    assert.equal((await of.fetch('/fhir/Observation/o-1', { ...patch, token: scoped })).text, '');
  });

  it('shows nothing to who may read only some of its classes', async () => {
    const limited = `
version: 1
roles:
  physician:
    allow:
      - {interactions: [patch], types: [Observation]}
      - {interactions: [read], types: [Observation], classes: [results]}
`;
    const labelled = {
      ...observation('o-1', 'p-1'),
      meta: { security: [{ system: 'http://terminology.hl7.org/CodeSystem/v3-ActCode', code: 'PSY' }] },
    };
    const of = await start({ policy: limited, upstream: (_request, response) => sendJson(response, 200, labelled) });
    assert.equal((await of.fetch('/fhir/Observation/o-1')).status, 403);
    const answer = await of.fetch('/fhir/Observation/o-1', patch);
    assert.deepEqual([answer.status, answer.text], [200, '']);
  });

  it('shows what it made to who may read it', async () => {
    const of = await start({ upstream: (_request, response) => sendJson(response, 200, observation('o-1', 'p-1')) });
    assert.match((await of.fetch('/fhir/Observation/o-1', patch)).text, /o-1/);
  });

  it('does not do so in a batch either', async () => {
    const of = await start({ policy });
    const entry = { request: { method: 'PATCH', url: 'Observation/o-1' }, resource: { resourceType: 'Binary' } };
    const answer = await of.fetch('/fhir', json({ resourceType: 'Bundle', type: 'batch', entry: [entry] }, 'POST'));
    assert.equal(answer.status, 403);
    assert.ok((await eventsOf(of)).some(({ outcome }) => outcome.reason === 'patch-in-batch'));
    assert.equal(of.asked.length, 0);
  });
});

describe('a create that made nothing', () => {
  const policy = `
version: 1
roles:
  physician: {allow: [{interactions: [create, search, batch], types: [Observation]}]}
  clerk: {allow: [{interactions: [create, batch], types: [Observation]}, {interactions: [search], types: [Observation], classes: [results]}]}
`;
  const sent = json(observation('new', 'p-1'), 'POST');
  const conditional = { ...sent, headers: { ...sent.headers, 'if-none-exist': 'code=1' } };
  const upstream: RoadOptions['upstream'] = (request, response) =>
    sendJson(response, request.headers['if-none-exist'] === undefined ? 201 : 200, observation('old', 'p-2'));

  it('shows what is there already to who may read it, and to nobody else', async () => {
    const of = await start({ policy, upstream });
    assert.match((await of.fetch('/fhir/Observation', conditional)).text, /old/);
    const token = await of.issuer.mint({ roles: ['clerk'], scope: 'user/*.cs' });
    const answer = await of.fetch('/fhir/Observation', { ...conditional, token });
    assert.deepEqual([answer.status, answer.text, answer.headers['content-type']], [200, '', undefined]);
    assert.deepEqual((await eventsOf(of)).at(-1)?.exposure, undefined);
    // What it made itself it may see.
    assert.match((await of.fetch('/fhir/Observation', { ...sent, token })).text, /old/);
  });

  it('does not do so in a batch either', async () => {
    const of = await start({ policy, upstream });
    const entry = {
      request: { method: 'POST', url: 'Observation', ifNoneExist: 'code=1' },
      resource: observation('o', 'p-1'),
    };
    const token = await of.issuer.mint({ roles: ['clerk'] });
    const body = json({ resourceType: 'Bundle', type: 'transaction', entry: [entry] }, 'POST');
    assert.equal((await of.fetch('/fhir', { ...body, token })).status, 403);
    assert.ok((await eventsOf(of)).some(({ outcome }) => outcome.reason === 'conditional-in-batch'));
    assert.equal(of.asked.length, 0);
    assert.equal((await of.fetch('/fhir', body)).status, 201);
  });
});

describe('X-Provenance', () => {
  const sent = json({ resourceType: 'Observation' }, 'POST');
  const withProvenance = { ...sent, headers: { ...sent.headers, 'x-provenance': '{"resourceType":"Provenance"}' } };

  it('is a second create, for who may do that', async () => {
    const policy = `
version: 1
roles:
  physician: {allow: [{interactions: [create], types: [Observation]}]}
`;
    const of = await start({ policy });
    assert.equal((await of.fetch('/fhir/Observation', withProvenance)).status, 403);
    assert.equal(await lastReason(of), 'provenance');
    assert.equal(of.asked.length, 0);
  });

  it('is in the event of the change that it came with', async () => {
    const of = await start();
    assert.equal((await of.fetch('/fhir/Observation', withProvenance)).status, 200);
    const targets = (await eventsOf(of)).at(-1)?.targets ?? [];
    assert.ok(targets.some(({ type, role }) => type === 'Provenance' && role === 'header'));
  });
});

describe('If-None-Exist', () => {
  it('on what is no create is refused: nobody has judged it', async () => {
    const of = await start();
    const condition = { 'if-none-exist': 'identifier=1' };
    assert.equal((await of.fetch('/fhir/Patient/1', { headers: condition })).status, 400);
    assert.equal(await lastReason(of), 'if-none-exist');
    const change = json({ resourceType: 'Observation' }, 'PUT');
    const sent = { ...change, headers: { ...change.headers, ...condition } };
    assert.equal((await of.fetch('/fhir/Observation/o-1', sent)).status, 400);
    const entry = { request: { method: 'PUT', url: 'Observation/o-1', ifNoneExist: 'identifier=1' } };
    const bundle = { resourceType: 'Bundle', type: 'batch', entry: [entry] };
    assert.equal((await of.fetch('/fhir', json(bundle, 'POST'))).status, 400);
    assert.equal(of.asked.length, 0);
  });
});
