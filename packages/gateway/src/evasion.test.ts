/** Ways to leave no trace, or to ask sideways, that were tried: each ends in an event that the server takes, or in a refusal. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { request } from 'node:http';
import { describe, it } from 'node:test';

import {
  endedAfterEach,
  eventsOf,
  eventsUpTo,
  FaultyDisk,
  type Fetched,
  observation,
  type Road,
  searchset,
  sendJson,
  startRoad,
} from './gateway.fixture.ts';

const start = endedAfterEach(startRoad);

const form = { method: 'POST', headers: { 'content-type': 'application/x-www-form-urlencoded' } };
const names = (prefix: string, count: number): string[] =>
  Array.from({ length: count }, (_, n) => `${prefix}${String.fromCharCode(97 + (n % 26), 97 + Math.floor(n / 26))}`);
const named = (prefix: string, count: number): string =>
  names(prefix, count)
    .map((name) => `${name}=1`)
    .join('&');

/** Nothing the server would not take may be made here: it would end in a folder instead of the ledger. */
async function nothingSetAside(of: Road): Promise<void> {
  await of.settled();
  assert.equal(of.gateway.spool.status.deadLetterCount, 0);
}

describe('an event', () => {
  it('is one that the server takes, however many parameters query and form have together', async () => {
    const of = await start({
      config: { audit: { parameters: [...names('q', 60), ...names('f', 60)] } },
      upstream: (_request, response) => sendJson(response, 200, searchset(observation('o', 'p-1'))),
    });
    const answer = await of.fetch(`/fhir/Observation/_search?${named('q', 60)}`, { ...form, body: named('f', 60) });
    assert.equal(answer.status, 400);
    assert.equal(
      (await of.fetch(`/fhir/Observation/_search?${named('q', 32)}`, { ...form, body: named('f', 32) })).status,
      200,
    );
    await nothingSetAside(of);
    assert.deepEqual(
      (await eventsOf(of)).map(({ outcome, request }) => [outcome.reason ?? outcome.code, request?.query?.length]),
      [
        ['target-query', 60],
        [200, 64],
      ],
    );
    assert.equal(of.asked.length, 1);
  });

  it('is one that the server takes, whatever stands in the claims of a token', async () => {
    const of = await start();
    const odd = { sid: '', jti: ' j', client_id: 'c ', acr: '', roles: ['physician', '', ' nurse'] };
    assert.equal((await of.fetch('/fhir/Patient/1', { token: await of.issuer.mint(odd) })).status, 200);
    for (const sub of [' person-1', 'person-1 ', '', 'a\nb'])
      assert.equal((await of.fetch('/fhir/Patient/1', { token: await of.issuer.mint({ sub }) })).status, 401);
    await nothingSetAside(of);
    const [event] = await eventsOf(of);
    assert.deepEqual(event?.actor.roles, ['physician']);
  });
});

describe('If-None-Exist', () => {
  const policy = `version: 1
roles:
  clerk:
    allow:
      - {interactions: [create, search], types: [Patient]}
      - {interactions: [batch]}`;
  const create = (of: Road, token: string, condition: string): Promise<Fetched> =>
    of.fetch('/fhir/Patient', {
      method: 'POST',
      token,
      headers: { 'content-type': 'application/fhir+json', 'if-none-exist': condition },
      body: '{"resourceType":"Patient"}',
    });

  it('is judged and recorded like the query that it is', async () => {
    const of = await start({
      policy,
      upstream: (_request, response) => sendJson(response, 201, { resourceType: 'Patient', id: 'n' }),
    });
    const token = await of.issuer.mint({ roles: ['clerk'] });
    assert.equal((await create(of, token, '_id=1&_has:Condition:subject:code=x')).status, 403);
    assert.equal((await create(of, token, 'organization.name=x')).status, 403);
    assert.equal((await create(of, token, 'name=a;b')).status, 400);
    assert.equal((await create(of, token, 'identifier=http://a.example/mrn|1')).status, 201);
    const batch = (ifNoneExist: string): Promise<Fetched> =>
      of.fetch('/fhir', {
        method: 'POST',
        token,
        headers: { 'content-type': 'application/fhir+json' },
        body: JSON.stringify({
          resourceType: 'Bundle',
          type: 'transaction',
          entry: [{ resource: { resourceType: 'Patient' }, request: { method: 'POST', url: 'Patient', ifNoneExist } }],
        }),
      });
    assert.equal((await batch('_has:Condition:subject:code=x')).status, 403);
    assert.equal((await batch('Patient?_has:Condition:subject:code=x')).status, 403);
    assert.equal((await batch('name=a;b')).status, 400);
    assert.equal((await batch('identifier=1')).status, 201);
    assert.equal(of.asked.length, 2);
    await nothingSetAside(of);
    const [conditional] = (await eventsOf(of)).filter(({ outcome }) => outcome.code === 201);
    assert.deepEqual(conditional?.request?.query, ['identifier']);
  });
});

describe('the body of a change', () => {
  it('that names two patients in one place, or is no sound JSON, is refused', async () => {
    const of = await start();
    const put = (body: string): Promise<Fetched> =>
      of.fetch('/fhir/Observation/1', { method: 'PUT', headers: { 'content-type': 'application/json' }, body });
    for (const body of [
      '{"resourceType":"Observation","subject":{"reference":"Patient/a"},"subject":{"reference":"Patient/b"}}',
      '{"resourceType":"Observation","subject":{"reference":"Patient/a","reference":"Patient/b"}}',
      '{"resourceType":"Observation","subject":{"reference":"Patient/a"},}',
      '{"resourceType":"Observation"} {"resourceType":"Observation"}',
      '[{"op":"add","path":"/subject","value":"a","value":"b"}]',
    ])
      assert.equal((await put(body)).status, 400, body);
    assert.equal(of.asked.length, 0);
    assert.deepEqual(new Set((await eventsOf(of)).map(({ outcome }) => outcome.reason)), new Set(['not-json']));
    assert.equal((await put('\ufeff{"resourceType":"Observation","subject":{"reference":"Patient/a"}}')).status, 200);
    const patch = { method: 'PATCH', headers: { 'content-type': 'application/json-patch+json' } };
    assert.equal(
      (await of.fetch('/fhir/Observation/1', { ...patch, body: '[{"op":"test","path":"/id","value":"1"}]' })).status,
      200,
    );
  });
});

describe('a body in another character set', () => {
  const utf8Only = [
    '; charset=gbk',
    ';charset="Shift_JIS"',
    '; charset=utf-16',
    '; charset=utf-8; charset=gbk',
    '; CHARSET=ibm037',
    '; x=y, z',
  ];

  it('is refused, since the API could read it as something else', async () => {
    const of = await start();
    // In GBK the last byte of the character and the backslash are one character, and the quote ends the text.
    const body =
      '{"resourceType":"Bundle","type":"batch","entry":[{"fullUrl":"你\\",\\"x\\":\\"","request":{"method":"GET","url":"Patient/1"}}]}';
    for (const parameter of utf8Only) {
      const headers = { 'content-type': `application/fhir+json${parameter}` };
      assert.equal((await of.fetch('/fhir', { method: 'POST', headers, body })).status, 415, parameter);
      assert.equal((await of.fetch('/fhir/Patient/1', { method: 'PUT', headers, body: '{}' })).status, 415, parameter);
      const search = { ...form, headers: { 'content-type': `application/x-www-form-urlencoded${parameter}` } };
      assert.equal((await of.fetch('/fhir/Patient/_search', { ...search, body: 'name=a' })).status, 415, parameter);
    }
    assert.equal(of.asked.length, 0);
    for (const parameter of [
      '',
      '; charset=utf-8',
      ';charset="UTF-8"',
      '; fhirVersion=4.0; charset=utf-8',
      '; charset=us-ascii',
    ]) {
      const headers = { 'content-type': `application/fhir+json${parameter}` };
      assert.equal((await of.fetch('/fhir/Patient/1', { method: 'PUT', headers, body: '{}' })).status, 200, parameter);
    }
  });

  it('that comes back is never whole', async () => {
    let parameter = '';
    const of = await start({
      upstream: (_request, response) =>
        sendJson(
          response,
          200,
          { resourceType: 'Patient', id: 'p-1' },
          { 'content-type': `application/fhir+json${parameter}` },
        ),
    });
    parameter = '; charset=gbk';
    await of.fetch('/fhir/Patient/p-1');
    parameter = '; charset=UTF-8';
    await of.fetch('/fhir/Patient/p-1');
    assert.deepEqual(
      (await eventsOf(of)).map(({ exposure }) => exposure?.truncated),
      [true, undefined],
    );
  });
});

describe('a token for one patient', () => {
  it('searches for that patient only: a count, or nothing found, tells about others too', async () => {
    const of = await start({
      upstream: (_request, response) =>
        sendJson(response, 200, { resourceType: 'Bundle', type: 'searchset', total: 3 }),
    });
    const token = await of.issuer.mint({ scope: 'patient/*.rs', patient: 'p-1' });
    for (const path of [
      'Observation?patient=p-2&code=x&_summary=count',
      'Observation?patient=p-2&code=x',
      'Observation?code=x',
      'Observation',
      'Observation?patient=p-1,p-2',
      'Observation?patient=p-1&patient=p-2',
      'Observation?patient=p-1&patient:Patient=p-2',
      'Observation?patient=p-1&Patient=p-2',
      'Observation?patient:not=p-1',
      'Observation?subject=Group/p-1',
      'Patient?name=Tester',
      'Patient?_id=p-2',
      'Patient?patient=p-1',
      'Patient/p-2/Observation?code=x',
      'Patient/p-2/Observation?patient=p-1',
      'Encounter/p-1/Observation',
    ])
      assert.equal((await of.fetch(`/fhir/${path}`, { token })).status, 403, path);
    assert.equal(
      (await of.fetch('/fhir/Observation/_search', { ...form, token, body: 'patient=p-2&_summary=count' })).status,
      403,
    );
    assert.equal(
      (await of.fetch('/fhir/Observation/_search?patient=p-1', { ...form, token, body: 'patient=p-2' })).status,
      403,
    );
    assert.equal(of.asked.length, 0);
    for (const path of [
      'Observation?patient=p-1&_summary=count',
      'Observation?patient=Patient%2Fp-1',
      'Observation?subject=Patient/p-1',
      'Observation?subject:Patient=p-1',
      'Patient?_id=p-1',
      'Patient/p-1/Observation?code=x',
      'Practitioner?name=x',
    ])
      assert.equal((await of.fetch(`/fhir/${path}`, { token })).status, 200, path);
    assert.equal((await of.fetch('/fhir/Observation/_search', { ...form, token, body: 'patient=p-1' })).status, 200);
  });
});

describe('a format that cannot be read', () => {
  it('is not asked for beside a file either', async () => {
    const of = await start();
    await of.fetch('/fhir/Binary/1', { headers: { accept: 'application/fhir+xml, application/pdf;q=0.5, text/html' } });
    await of.fetch('/fhir/Patient/1', { headers: { accept: 'application/ndjson;q=0.1, application/fhir+xml' } });
    assert.deepEqual(
      of.asked.map(({ headers }) => headers.accept),
      ['application/pdf;q=0.5', 'application/ndjson;q=0.1'],
    );
  });
});

describe('an answer nobody waits for any more', () => {
  it('has its end on record, when it was to be streamed', async () => {
    const faulty = new FaultyDisk();
    const held = Promise.withResolvers<void>();
    const left = new AbortController();
    const of = await start({
      disk: faulty.disk,
      config: { exposure: { maxBytes: 1_024 } },
      upstream: (_request, response) => {
        faulty.hang = held.promise;
        faulty.onHang = () => left.abort();
        sendJson(response, 200, searchset(...Array.from({ length: 100 }, (_, n) => observation(`o-${n}`, 'p-1'))));
      },
    });
    const client = request(`${of.gateway.url}/fhir/Observation?code=x`, { signal: left.signal });
    client.setHeader('authorization', `Bearer ${of.token}`);
    client.end();
    await once(client, 'error');
    // The gateway is in this process, and hears that its client left no later than this hears two answers from elsewhere.
    for (let turn = 0; turn < 2; turn++)
      await (await fetch(`${of.issuer.issuer}/.well-known/openid-configuration`)).arrayBuffer();
    faulty.hang = undefined;
    held.resolve();
    const events = await eventsUpTo(of, 2);
    assert.deepEqual(
      events.map(({ outcome }) => outcome.reason ?? outcome.code),
      [200, 'stream-cut-off'],
    );
    assert.deepEqual([events[1]?.completes, events[1]?.exposure?.bytes], [events[0]?.id, 0]);
  });
});

describe('an operation that may change something', () => {
  it('is not asked for twice when its connection breaks, by GET either', async () => {
    const of = await start({
      policy: "version: 1\nroles: {physician: {allow: [{operations: [$document], types: ['*']}]}}",
      upstream: (_request, response) => response.destroy(),
    });
    assert.equal((await of.fetch('/fhir/Composition/1/$document?persist=true')).status, 502);
    assert.equal(of.asked.length, 1);
  });
});
