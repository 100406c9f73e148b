import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { test } from 'node:test';
import { isRecord, type Resource, textAt, valuesAt } from '../resource.ts';
import { createFhirHandler } from './handler.ts';
import type { FhirResponse } from './message.ts';
import { createdMax, Store, versionsMax } from './store.ts';

const base = 'http://hospital.example/fhir';

interface Api {
  readonly store: Store;
  (method: string, target: string, options?: { body?: unknown; headers?: Record<string, string> }): FhirResponse;
}

function api(resources: readonly Resource[] = people()): Api {
  let tick = 0;
  const now = (): Date => new Date(Date.UTC(2026, 2, 4, 12, 0, tick++));
  const store = new Store(now);
  for (const resource of resources) store.load(resource);
  const handler = createFhirHandler(store, now);
  const call = (
    method: string,
    target: string,
    options: { body?: unknown; headers?: Record<string, string> } = {},
  ): FhirResponse => {
    const [path = '', search = ''] = target.split('?', 2);
    const { body } = options;
    const isText = typeof body === 'string' || body instanceof Uint8Array;
    return handler.handle({
      method,
      path: `/${path}`,
      query: new URLSearchParams(search),
      headers: { 'content-type': 'application/fhir+json', ...options.headers },
      body: body === undefined ? new Uint8Array() : Buffer.from(isText ? body : JSON.stringify(body)),
      base,
    });
  };
  return Object.assign(call, { store });
}

function people(): Resource[] {
  return [
    {
      resourceType: 'Patient',
      id: 'p1',
      name: [{ family: 'Núñez', given: ['Ana', 'Ynés'] }],
      birthDate: '1980-05-17',
      gender: 'female',
      identifier: [{ system: 'urn:mrn', value: 'A1' }],
    },
    {
      resourceType: 'Patient',
      id: 'p2',
      name: [{ family: 'Nunn', given: ['Bo'] }],
      birthDate: '1980-06-01',
      gender: 'male',
      identifier: [{ system: 'urn:mrn', value: 'A2' }],
    },
    {
      resourceType: 'Patient',
      id: 'p3',
      name: [{ family: 'Zieliński', given: ['Ewa'] }],
      birthDate: '1975',
      gender: 'female',
      identifier: [{ system: 'urn:other', value: 'A1' }],
    },
    {
      resourceType: 'Encounter',
      id: 'e1',
      status: 'finished',
      subject: { reference: 'Patient/p1' },
      period: { start: '2026-01-01T10:00:00Z', end: '2026-01-03T10:00:00Z' },
    },
    {
      resourceType: 'Encounter',
      id: 'e2',
      status: 'in-progress',
      subject: { reference: 'Patient/p2' },
      period: { start: '2026-03-01T10:00:00Z' },
    },
    ...Array.from({ length: 7 }, (_, index) => ({
      resourceType: 'Observation',
      id: `o${index}`,
      status: 'final',
      subject: { reference: index < 5 ? 'Patient/p1' : 'Patient/p2' },
      encounter: { reference: index < 5 ? 'Encounter/e1' : 'Encounter/e2' },
      code: { coding: [{ system: 'http://loinc.org', code: index % 2 === 0 ? '8867-4' : '8310-5' }] },
      effectiveDateTime: `2026-01-0${index + 1}T09:00:00+02:00`,
    })),
  ];
}

function ids(response: FhirResponse): string[] {
  assert.equal(response.status, 200, JSON.stringify(response.body));
  return valuesAt(response.body, 'entry.resource.id') as string[];
}

function issue(response: FhirResponse): string | undefined {
  assert.ok(isRecord(response.body) && response.body.resourceType === 'OperationOutcome');
  return textAt(response.body, 'issue.code');
}

test('a read answers with the resource, its ETag and its date', () => {
  const response = api()('GET', 'Patient/p1');
  assert.equal(response.status, 200);
  assert.equal(textAt(response.body, 'id'), 'p1');
  assert.equal(response.headers.etag, 'W/"1"');
  assert.equal(response.headers['last-modified'], 'Wed, 04 Mar 2026 12:00:00 GMT');
});

test('what isn’t there is a 404, what isn’t served a 404 that says so, and nested paths lead nowhere', () => {
  const call = api();
  for (const target of [
    'Patient/none',
    'Patient/p1/_history/9',
    'Patient/p1/Observation',
    'Patient/p1/_history/1/x',
    `Patient/${'x'.repeat(65)}`,
    'patient/p1',
  ])
    assert.equal(call('GET', target).status, 404, target);
  assert.equal(issue(call('GET', 'Spaceship/1')), 'not-supported');
});

test('strings match beginnings, without case and accents; :exact and :contains do what they say', () => {
  const call = api();
  assert.deepEqual(ids(call('GET', 'Patient?family=nun')), ['p1', 'p2']);
  assert.deepEqual(ids(call('GET', 'Patient?name=yn')), ['p1']);
  assert.deepEqual(ids(call('GET', 'Patient?family=zielinski')), ['p3']);
  assert.deepEqual(ids(call('GET', 'Patient?family:exact=Nunn')), ['p2']);
  assert.deepEqual(ids(call('GET', 'Patient?family:exact=nunn')), []);
  assert.deepEqual(ids(call('GET', 'Patient?family:contains=unn')), ['p2']);
});

test('tokens match code, system|code and system|; :not turns them round', () => {
  const call = api();
  assert.deepEqual(ids(call('GET', 'Patient?identifier=A1')), ['p1', 'p3']);
  assert.deepEqual(ids(call('GET', 'Patient?identifier=urn:mrn|A1')), ['p1']);
  assert.deepEqual(ids(call('GET', 'Patient?identifier=urn:mrn|')), ['p1', 'p2']);
  assert.deepEqual(ids(call('GET', 'Patient?gender:not=female')), ['p2']);
  assert.deepEqual(ids(call('GET', 'Observation?patient=p1&code=http://loinc.org|8310-5')), ['o1', 'o3']);
  assert.deepEqual(ids(call('GET', 'Patient?birthdate:missing=true')), []);
});

test('dates are as wide as they are written, in either zone', () => {
  const call = api();
  assert.deepEqual(ids(call('GET', 'Patient?birthdate=1980')), ['p1', 'p2']);
  assert.deepEqual(ids(call('GET', 'Patient?birthdate=1980-05')), ['p1']);
  assert.deepEqual(ids(call('GET', 'Patient?birthdate=lt1980-06-01')), ['p1', 'p3']);
  assert.deepEqual(ids(call('GET', 'Patient?birthdate=ge1980-06-01')), ['p2']);
  assert.deepEqual(ids(call('GET', 'Observation?date=2026-01-01T07:00:00Z')), ['o0']);
  assert.deepEqual(ids(call('GET', 'Observation?date=gt2026-01-05&date=le2026-01-06')), ['o5']);
  assert.deepEqual(ids(call('GET', 'Encounter?date=ge2026-02-01')), ['e2']);
  assert.deepEqual(ids(call('GET', 'Encounter?date=eb2026-01-10')), ['e1']);
});

test('references match with or without their type, comma means or, and repeated parameters mean and', () => {
  const call = api();
  assert.deepEqual(ids(call('GET', 'Encounter?patient=p1')), ['e1']);
  assert.deepEqual(ids(call('GET', 'Encounter?subject=Patient/p1,Patient/p2')), ['e1', 'e2']);
  assert.deepEqual(ids(call('GET', 'Encounter?subject:Patient=p2')), ['e2']);
  assert.deepEqual(ids(call('GET', 'Encounter?subject=http://elsewhere.example/fhir/Patient/p2')), ['e2']);
  assert.deepEqual(ids(call('GET', 'Observation?encounter=e2&patient=p2')), ['o5', 'o6']);
  assert.deepEqual(ids(call('GET', 'Observation?encounter=e2&patient=p1')), []);
  assert.deepEqual(ids(call('GET', 'Patient?_id=p3,p1,none')), ['p3', 'p1']);
});

test('what can’t be honoured is refused, never ignored', () => {
  const call = api();
  for (const target of [
    'Patient?nme=x',
    'Patient?name.given=x',
    'Observation?_has:x:y:z=1',
    'Patient?birthdate=soon',
    'Patient?birthdate=ap2020',
    'Patient?family:phonetic=x',
    'Patient?_sort=shoe',
    'Patient?_include=Patient:shoe',
    'Patient?_count=many',
    'Patient?name=',
    'Patient?_summary=text',
  ]) {
    const response = call('GET', target);
    assert.equal(response.status, 400, target);
    assert.ok(!JSON.stringify(response.body).includes('soon'), 'no value is echoed');
  }
  assert.equal(call('GET', '?name=x').status, 501);
});

test('_sort orders by any parameter in both directions', () => {
  const call = api();
  assert.deepEqual(ids(call('GET', 'Observation?patient=p1&_sort=-date')), ['o4', 'o3', 'o2', 'o1', 'o0']);
  assert.deepEqual(ids(call('GET', 'Patient?_sort=gender,-birthdate')), ['p1', 'p3', 'p2']);
});

test('_include brings what is referred to once, marked as included', () => {
  const response = api()('GET', 'Observation?encounter=e1&_include=Observation:patient&_include=Observation:encounter');
  assert.deepEqual(ids(response).slice(5), ['p1', 'e1']);
  assert.deepEqual((valuesAt(response.body, 'entry.search.mode') as string[]).slice(4), [
    'match',
    'include',
    'include',
  ]);
  assert.equal(isRecord(response.body) ? response.body.total : undefined, 5);
});

test('pages follow next links without repeats or gaps, even when records come and go in between', () => {
  const call = api();
  const seen: string[] = [];
  let target: string | undefined = 'Observation?_count=3';
  for (let page = 0; target !== undefined; page++) {
    const response: FhirResponse = call('GET', target);
    seen.push(...ids(response));
    assert.equal(isRecord(response.body) ? response.body.total : 0, 7);
    if (page === 0) {
      call('DELETE', 'Observation/o5');
      call('PUT', 'Observation/o99', { body: { resourceType: 'Observation', id: 'o99', status: 'final' } });
    }
    const next = textAt(response.body, 'link.url');
    assert.ok(
      next === undefined || /^http:\/\/hospital\.example\/fhir\/Observation\?_cursor=[\w-]{16}\.\d$/.test(next),
      `${next}`,
    );
    target = next?.slice(base.length + 1);
  }
  assert.deepEqual(seen, ['o0', 'o1', 'o2', 'o3', 'o4', 'o6']);
  assert.equal(call('GET', 'Observation?_cursor=AAAAAAAAAAAAAAAA.3').status, 410);
});

test('_summary=count and _elements answer less', () => {
  const call = api();
  const count = call('GET', 'Patient?_summary=count').body;
  assert.ok(isRecord(count) && count.total === 3 && Array.isArray(count.entry) && count.entry.length === 0);
  const [first] = valuesAt(call('GET', 'Patient?_elements=gender').body, 'entry.resource');
  assert.ok(isRecord(first));
  assert.deepEqual(Object.keys(first).sort(), ['gender', 'id', 'meta', 'resourceType']);
});

test('POST _search finds the same, and wants a form', () => {
  const call = api();
  const form = { 'content-type': 'application/x-www-form-urlencoded' };
  assert.deepEqual(ids(call('POST', 'Patient/_search', { body: 'family=nunn', headers: form })), ['p2']);
  assert.equal(call('POST', 'Patient/_search', { body: '{}' }).status, 415);
  assert.equal(call('GET', 'Patient/_search').status, 405);
});

test('create gives an id, a location and version 1; If-None-Exist finds instead', () => {
  const call = api();
  const body = { resourceType: 'Patient', identifier: [{ system: 'urn:mrn', value: 'NEW' }] };
  const created = call('POST', 'Patient', { body });
  assert.equal(created.status, 201);
  assert.equal(created.headers.location, `${base}/Patient/wg-pt-n000001/_history/1`);
  const again = call('POST', 'Patient', { body, headers: { 'if-none-exist': 'identifier=urn:mrn|NEW' } });
  assert.equal(again.status, 200);
  assert.equal(textAt(again.body, 'id'), 'wg-pt-n000001');
  assert.equal(call('POST', 'Patient', { body, headers: { 'if-none-exist': 'identifier=A1' } }).status, 412);
});

test('updates make versions; If-Match keeps them from overwriting each other', () => {
  const call = api();
  const body = { resourceType: 'Patient', id: 'p1', birthDate: '1980-05-18' };
  const updated = call('PUT', 'Patient/p1', { body, headers: { 'if-match': 'W/"1"' } });
  assert.equal(updated.status, 200);
  assert.equal(updated.headers.etag, 'W/"2"');
  assert.equal(issue(call('PUT', 'Patient/p1', { body, headers: { 'if-match': 'W/"1"' } })), 'conflict');
  assert.equal(textAt(call('GET', 'Patient/p1/_history/1').body, 'birthDate'), '1980-05-17');
  assert.equal(textAt(call('GET', 'Patient/p1').body, 'birthDate'), '1980-05-18');
  assert.equal(call('GET', 'Patient/p1', { headers: { 'if-none-match': 'W/"2"' } }).status, 304);
  assert.deepEqual(valuesAt(call('GET', 'Patient/p1/_history').body, 'entry.resource.meta.versionId'), ['2', '1']);
  assert.equal(call('PUT', 'Patient/new-one', { body: { ...body, id: 'new-one' } }).status, 201);
  assert.deepEqual(ids(call('GET', 'Patient?birthdate=1980-05-17')), []);
});

test('a deleted resource is gone, says so, and keeps its history', () => {
  const call = api();
  assert.equal(call('DELETE', 'Observation/o1').status, 204);
  assert.equal(call('DELETE', 'Observation/o1').status, 204);
  assert.equal(issue(call('GET', 'Observation/o1')), 'deleted');
  assert.equal(call('GET', 'Observation/o1/_history/1').status, 200);
  assert.equal(call('GET', 'Observation/o1/_history/2').status, 410);
  assert.deepEqual(ids(call('GET', 'Observation?patient=p1&code=8310-5')), ['o3']);
});

test('a JSON Patch applies whole or not at all', () => {
  const call = api();
  const headers = { 'content-type': 'application/json-patch+json' };
  const good = [
    { op: 'test', path: '/gender', value: 'male' },
    { op: 'replace', path: '/name/0/family', value: 'Nunnery' },
    { op: 'add', path: '/name/0/given/-', value: 'Max' },
    { op: 'move', from: '/gender', path: '/was' },
    { op: 'copy', from: '/birthDate', path: '/copied' },
    { op: 'remove', path: '/name/0/given/0' },
  ];
  const patched = call('PATCH', 'Patient/p2', { body: good, headers }).body;
  assert.deepEqual(valuesAt(patched, 'name'), [{ family: 'Nunnery', given: ['Max'] }]);
  assert.equal(textAt(patched, 'was'), 'male');
  assert.equal(textAt(patched, 'copied'), '1980-06-01');
  const bad = [
    { op: 'remove', path: '/birthDate' },
    { op: 'test', path: '/was', value: 'female' },
  ];
  assert.equal(call('PATCH', 'Patient/p2', { body: bad, headers }).status, 422);
  assert.equal(textAt(call('GET', 'Patient/p2').body, 'birthDate'), '1980-06-01');
  for (const path of ['/__proto__/polluted', '/constructor/prototype/polluted', '/name/7', 'name', '/name/00'])
    assert.ok(call('PATCH', 'Patient/p2', { body: [{ op: 'add', path, value: 1 }], headers }).status >= 400, path);
  assert.equal(({} as Record<string, unknown>).polluted, undefined);
  assert.equal(
    call('PATCH', 'Patient/p2', { body: [{ op: 'replace', path: '/id', value: 'p1' }], headers }).status,
    400,
  );
  assert.equal(call('PATCH', 'Patient/p2', { body: good }).status, 415);
});

test('methods a place doesn’t have are a 405 that lists those it has', () => {
  const call = api();
  for (const [method, target, allowed] of [
    ['PUT', 'Patient', 'GET, HEAD, POST'],
    ['POST', 'Patient/p1', 'GET, HEAD, PUT, PATCH, DELETE'],
    ['DELETE', 'metadata', 'GET'],
    ['PUT', '', 'POST'],
  ] as const) {
    const response = call(method, target, { body: {} });
    assert.equal(response.status, 405, target);
    assert.equal(response.headers.allow, allowed);
  }
});

test('bad bodies are refused: not JSON, not UTF-8, too deep, the wrong type or id, a reference to nowhere', () => {
  const call = api();
  const put = (body: unknown): number => call('PUT', 'Observation/o1', { body }).status;
  assert.equal(put(''), 400);
  assert.equal(put('{"resourceType"'), 400);
  assert.equal(put(new Uint8Array([0x22, 0xff, 0x22])), 400);
  assert.equal(put('['.repeat(100_000)), 400);
  assert.equal(put([]), 400);
  assert.equal(put({ resourceType: 'Patient', id: 'o1' }), 400);
  assert.equal(put({ resourceType: 'Observation', id: 'o2' }), 400);
  assert.equal(put({ resourceType: 'Observation', id: 'o1', meta: 'x' }), 400);
  assert.equal(put({ resourceType: 'Observation', id: 'o1', subject: { reference: 'Patient/none' } }), 422);
  assert.equal(call('GET', 'Observation/o1', { headers: { accept: 'application/fhir+xml' } }).status, 406);
});

test('$everything brings the patient’s compartment and nobody else’s', () => {
  const call = api();
  const found = ids(call('GET', 'Patient/p1/$everything'));
  assert.deepEqual(found.sort(), ['e1', 'o0', 'o1', 'o2', 'o3', 'o4', 'p1']);
  assert.deepEqual(ids(call('GET', 'Patient/p1/$everything?_type=Encounter')), ['e1']);
  const page = call('GET', 'Patient/p1/$everything?_count=4');
  const next = textAt(page.body, 'link.url')?.slice(base.length + 1) ?? '';
  assert.match(next, /^Patient\/p1\/\$everything\?_cursor=/);
  assert.equal(ids(page).length + ids(call('GET', next)).length, 7);
  assert.equal(call('GET', 'Patient/none/$everything').status, 404);
  assert.equal(call('GET', 'Patient/p1/$everything?since=1').status, 400);
});

test('a transaction resolves references between its entries, in any order', () => {
  const call = api();
  const response = call('POST', '', {
    body: {
      resourceType: 'Bundle',
      type: 'transaction',
      entry: [
        { request: { method: 'GET', url: 'Patient?family=Brandnew' } },
        {
          request: { method: 'POST', url: 'Observation' },
          resource: { resourceType: 'Observation', status: 'final', subject: { reference: 'urn:uuid:1' } },
        },
        {
          fullUrl: 'urn:uuid:1',
          request: { method: 'POST', url: 'Patient' },
          resource: { resourceType: 'Patient', name: [{ family: 'Brandnew' }] },
        },
        { request: { method: 'DELETE', url: 'Observation/o0' } },
      ],
    },
  });
  assert.equal(response.status, 200, JSON.stringify(response.body));
  assert.deepEqual(valuesAt(response.body, 'entry.response.status'), ['200', '201', '201', '204']);
  const [, observation, patient] = valuesAt(response.body, 'entry.resource');
  assert.equal(textAt(observation, 'subject.reference'), `Patient/${textAt(patient, 'id')}`);
  assert.equal(valuesAt(response.body, 'entry.resource.entry.resource.id').length, 1);
});

test('a transaction with a bad entry changes nothing; a batch does what it can', () => {
  const entry = [
    { request: { method: 'DELETE', url: 'Observation/o0' } },
    {
      request: { method: 'POST', url: 'Patient' },
      resource: { resourceType: 'Patient', name: [{ family: 'Halfway' }] },
    },
    {
      request: { method: 'PUT', url: 'Patient/p1', ifMatch: 'W/"7"' },
      resource: { resourceType: 'Patient', id: 'p1' },
    },
  ];
  const call = api();
  assert.equal(call('POST', '', { body: { resourceType: 'Bundle', type: 'transaction', entry } }).status, 412);
  assert.equal(call('GET', 'Observation/o0').status, 200);
  assert.deepEqual(ids(call('GET', 'Patient?family=Halfway')), []);
  assert.deepEqual(ids(call('GET', 'Observation?patient=p1')).length, 5);
  const batch = call('POST', '', { body: { resourceType: 'Bundle', type: 'batch', entry } });
  assert.deepEqual(valuesAt(batch.body, 'entry.response.status'), ['204', '201', '412']);
  assert.equal(call('GET', 'Observation/o0').status, 410);
  assert.equal(call('POST', '', { body: { resourceType: 'Bundle', type: 'document' } }).status, 400);
  assert.equal(call('POST', '', { body: { resourceType: 'Bundle', type: 'batch', entry: [{}] } }).status, 400);
  assert.equal(
    call('POST', '', { body: { resourceType: 'Bundle', type: 'batch', entry: new Array(501).fill(entry[0]) } }).status,
    413,
  );
});

test('memory stays bounded: versions per resource, and resources created over the API', () => {
  const { store } = api();
  for (let version = 0; version < versionsMax + 5; version++) store.write('PUT', { resourceType: 'Patient', id: 'p1' });
  assert.equal(store.entry('Patient', 'p1')?.versions.length, versionsMax);
  assert.equal(store.entry('Patient', 'p1')?.versions.at(-1)?.versionId, String(versionsMax + 6));
  for (let index = 0; index < createdMax + 10; index++)
    store.write('POST', {
      resourceType: 'Observation',
      id: store.freeId('Observation'),
      subject: { reference: 'Patient/p3' },
    });
  assert.equal(store.count('Observation'), 7 + createdMax);
  assert.equal([...store.ofPatient('p3', 'Observation')].length, createdMax);
  assert.ok(store.current('Observation', 'o0') !== undefined, 'what was loaded stays');
});

test('the capability statement lists the types, their parameters and $everything', () => {
  const { body } = api()('GET', 'metadata');
  assert.equal(textAt(body, 'fhirVersion'), '4.0.1');
  const types = valuesAt(body, 'rest.resource.type');
  for (const type of ['Patient', 'Observation', 'Claim']) assert.ok(types.includes(type));
  assert.ok(valuesAt(body, 'rest.resource.operation.name').includes('everything'));
  assert.ok(valuesAt(body, 'rest.resource.searchParam.name').includes('birthdate'));
});
