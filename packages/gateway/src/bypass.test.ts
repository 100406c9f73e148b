/** Ways round the policy that were tried: what another party would understand differently, and what an answer would bring along. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { Event } from '@watchglass/record';

import {
  endedAfterEach,
  eventsOf,
  type Fetched,
  observation,
  type Road,
  searchset,
  sendJson,
  startRoad,
} from './gateway.fixture.ts';
import { upstreamHeaders } from './http/headers.ts';

const start = endedAfterEach(startRoad);

const json = { 'content-type': 'application/fhir+json' };
const condition = { resourceType: 'Condition', id: 'c-1', subject: { reference: 'Patient/p-1' } };

describe('a batch', () => {
  const post = (of: Road, body: unknown, token: string): Promise<Fetched> =>
    of.fetch('/fhir', {
      method: 'POST',
      headers: json,
      token,
      body: typeof body === 'string' ? body : JSON.stringify(body),
    });
  const entries = (...entry: object[]): object => ({ resourceType: 'Bundle', type: 'batch', entry });

  it('with a member twice, or in another case, is refused: the API could take the other one', async () => {
    const of = await start();
    const token = await of.issuer.mint({ roles: ['nurse'] });
    for (const body of [
      '{"resourceType":"Bundle","type":"batch","entry":[{"request":{"method":"DELETE","method":"GET","url":"Patient/1"}}]}',
      '{"resourceType":"Bundle","type":"batch","entry":[{"request":{"method":"DELETE","url":"Patient/1"},"request":{"method":"GET","url":"Patient/1"}}]}',
      '{"resourceType":"Bundle","type":"batch","entry":[{"request":{"method":"DELETE","url":"Patient/1"}}],"entry":[]}',
      '{"resourceType":"Bundle","type":"batch","entry":[],"Entry":[{"request":{"method":"DELETE","url":"Patient/1"}}]}',
      entries({ request: { method: 'GET', url: 'Patient/1' }, Request: { method: 'DELETE', url: 'Patient/1' } }),
      entries({ request: { method: 'GET', Method: 'DELETE', url: 'Patient/1' } }),
      entries({ request: { method: 'GET', url: 'Patient/1', URL: 'Condition/1' } }),
    ]) {
      assert.equal((await post(of, body, token)).status, 400, JSON.stringify(body));
    }
    assert.equal(of.asked.length, 0);
  });

  it('with a method that is a word of the language is unreadable, not a fault', async () => {
    const of = await start();
    for (const method of ['constructor', 'toString', '__proto__', 'hasOwnProperty', 'get'])
      assert.equal((await post(of, entries({ request: { method, url: 'Patient/1' } }), of.token)).status, 400, method);
    assert.deepEqual(new Set((await eventsOf(of)).map(({ outcome }) => outcome.reason)), new Set(['entry-unknown']));
  });

  it('cannot bring along what its entries may not be asked for', async () => {
    const of = await start({ upstream: (_request, response) => sendJson(response, 200, searchset(condition)) });
    const token = await of.issuer.mint({ roles: ['nurse'] });
    for (const url of [
      'Observation?_revinclude=Provenance:target',
      'Observation?_include=*',
      'Patient?_revinclude:iterate=Condition:subject',
      'Patient?_Include=x',
    ])
      assert.equal((await post(of, entries({ request: { method: 'GET', url } }), token)).status, 403, url);
    assert.equal(
      (await post(of, entries({ request: { method: 'GET', url: 'Observation?_count=1' } }), token)).status,
      200,
    );
    assert.equal(of.asked.length, 1);
  });

  it('with a conditional create needs the right to search', async () => {
    const of = await start({
      policy:
        'version: 1\nroles: {clerk: {allow: [{interactions: [create], types: [Observation]}, {interactions: [batch]}]}}',
    });
    const token = await of.issuer.mint({ roles: ['clerk'] });
    const entry = { resource: observation('1', '1'), request: { method: 'POST', url: 'Observation' } };
    assert.equal((await post(of, entries(entry), token)).status, 200);
    assert.equal(
      (await post(of, entries({ ...entry, request: { ...entry.request, ifNoneExist: 'identifier=1' } }), token)).status,
      403,
    );
  });
});

describe('a format', () => {
  it('other than JSON cannot be asked for, wherever it stands', async () => {
    const of = await start();
    for (const path of [
      '/fhir/Patient?_format=json&_format=xml',
      '/fhir/Patient?_format=xml&_format=json',
      '/fhir/Patient?_FORMAT=xml',
      '/fhir/Patient?_format=jsonxml',
      '/fhir/Patient?_format=json,xml',
    ])
      assert.equal((await of.fetch(path)).status, 406, path);
    const form = { method: 'POST', headers: { 'content-type': 'application/x-www-form-urlencoded' } };
    assert.equal((await of.fetch('/fhir/Patient/_search', { ...form, body: 'name=a&_format=xml' })).status, 406);
    assert.equal(
      (await of.fetch('/fhir/Patient/_search?_format=json', { ...form, body: '_format=application/fhir%2Bjson' }))
        .status,
      200,
    );
    assert.equal(of.asked.length, 1);
  });
});

describe('a search', () => {
  it('below a resource, and with a parameter twice, is recognised as what it is', async () => {
    const of = await start({
      upstream: (_request, response) => sendJson(response, 200, searchset(observation('o-1', 'p-2'))),
    });
    await of.fetch('/fhir/Patient/p-1/Observation?code=x');
    await of.fetch('/fhir/Observation?patient=p-1&patient=p-2');
    await of.fetch('/fhir/Patient/p-1/Observation/_search?date=1', {
      method: 'POST',
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
      body: 'b=1&status:not=x&MRN7=1',
    });
    const events = (await eventsOf(of)) as [Event, Event, Event];
    assert.deepEqual(
      events.map(({ operation }) => operation),
      ['search-compartment', 'search-type', 'search-compartment'],
    );
    assert.ok(events[0].targets?.some(({ patient, role }) => patient === 'p-1' && role === 'compartment'));
    assert.deepEqual(
      events.map(({ exposure }) => exposure?.patients?.[0]?.id),
      ['p-2', 'p-2', 'p-2'],
    );
    assert.deepEqual(
      events.map(({ request }) => request?.query),
      [['code'], ['patient'], ['date', 'other', 'status:not']],
    );
    // A token for one patient doesn't get the other out of it.
    const token = await of.issuer.mint({ scope: 'patient/*.rs', patient: 'p-1' });
    assert.equal((await of.fetch('/fhir/Observation?patient=p-1&patient=p-2', { token })).status, 403);
  });

  it('is judged by query and form together', async () => {
    const of = await start();
    const token = await of.issuer.mint({ roles: ['nurse'] });
    const form = { method: 'POST', headers: { 'content-type': 'application/x-www-form-urlencoded' }, token };
    assert.equal(
      (await of.fetch('/fhir/Observation/_search?_has:Condition:subject:code=x', { ...form, body: 'a=1' })).status,
      403,
    );
    assert.equal((await of.fetch('/fhir/Observation/_search?date=1', { ...form, body: 'subject.name=x' })).status, 403);
    assert.equal(
      (await of.fetch('/fhir/Observation/_search', { ...form, body: '_HAS:Condition:subject:code=x' })).status,
      403,
    );
    assert.equal(of.asked.length, 0);
  });

  it('whose scope names a condition is not a history without one', async () => {
    const of = await start({ upstream: (_request, response) => sendJson(response, 200, searchset()) });
    const token = await of.issuer.mint({ scope: 'user/Observation.rs?category=laboratory' });
    assert.equal((await of.fetch('/fhir/Observation?category=laboratory', { token })).status, 200);
    assert.equal((await of.fetch('/fhir/Observation/_history?category=laboratory', { token })).status, 403);
  });
});

describe('an operation', () => {
  const policy = `version: 1
roles:
  physician:
    allow:
      - {interactions: [read, search], types: [Patient]}
      - {operations: [$graphql, $document], types: ['*']}`;

  it('that reaches everything is for who may read everything', async () => {
    const of = await start({ policy });
    assert.equal((await of.fetch('/fhir/$graphql?query=x')).status, 403);
    assert.equal((await of.fetch('/fhir/Patient/1/$graphql?query=x')).status, 403);
    assert.equal(of.asked.length, 0);
  });

  it('that may change something has its intent on record, by GET as well', async () => {
    const of = await start({
      policy: policy.replace('types: [Patient]', "types: ['*']"),
      upstream: (_request, response) => sendJson(response, 200, { data: { Patient: { id: 'p-1' } } }),
    });
    assert.equal((await of.fetch('/fhir/$graphql?query=x')).status, 200);
    assert.equal((await of.fetch('/fhir/Composition/1/$document?persist=true')).status, 200);
    const events = await eventsOf(of);
    assert.deepEqual(
      events.map(({ outcome }) => outcome.reason ?? outcome.code),
      ['intent', 200, 'intent', 200],
    );
    // What a GraphQL query took out can't be read from its answer.
    assert.equal(events[1]?.exposure?.truncated, true);
  });
});

describe('a path', () => {
  it('that goes on behind a version, or spells a type or word otherwise, leads nowhere', async () => {
    const of = await start();
    for (const path of [
      '/fhir/Patient/1/_history/1/x',
      '/fhir/Patient/1/_history/',
      '/fhir/Patient/1/_History',
      '/fhir/Patient/_Search',
      '/fhir/Patient/1/$everything/x',
      '/fhir/Patient/1/$',
      '/fhir/PATIENT/1',
      '/Fhir/Patient/1',
      '/fhir/metadata/x',
      '/fhir/Metadata',
      '/fhir/.well-known/smart-configuration/x',
      '/fhir/Patient/1/Observation/1',
      '/fhir/Patient/a_b',
    ])
      assert.equal((await of.fetch(path)).status, 404, path);
    assert.equal(of.asked.length, 0);
  });
});

describe('headers that prove who is calling', () => {
  it('never reach the API, whatever the identity proxy that invented them', () => {
    const names = [
      'Remote-User',
      'X-MS-Client-Principal',
      'X-Goog-Authenticated-User-Email',
      'X-Amzn-Oidc-Identity',
      'X-WebAuth-User',
      'X-Consumer-Username',
      'Client-Ip',
      'X-Host',
      'X-Http-Method',
      'Range',
      'Cookie',
      'X_Forwarded_For',
      'X-Forwarded-For',
    ];
    const kept = ['If-Match', 'Prefer', 'Accept-Language', 'X-Tenant-Partition', 'User-Agent'];
    const out = upstreamHeaders(
      { rawHeaders: [...names, ...kept].flatMap((name) => [name, 'x']), headers: {} },
      {
        accept: 'a',
        requestId: 'r',
        traceparent: 't',
        clientAddress: undefined,
        publicUrl: new URL('https://gw.example'),
        forwardAuthorization: false,
        forwardHeaders: ['x-tenant-partition'],
      },
    );
    const sent = out.filter((_, position) => position % 2 === 0);
    assert.deepEqual(sent, [
      ...kept,
      'Accept',
      'Accept-Encoding',
      'X-Request-Id',
      'Traceparent',
      'X-Forwarded-Proto',
      'X-Forwarded-Host',
    ]);
  });
});
