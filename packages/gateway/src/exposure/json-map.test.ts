/** A map of an API that is no FHIR: what it may say, which request is which operation, and who is found in the answers. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { type Parameter, parseParameters } from '../http/canonical.ts';
import { learnMapped } from './json-exposure.ts';
import {
  compileJsonMap,
  isMapped,
  type JsonMapDocument,
  jsonMapSchema,
  type MappedInteraction,
  recogniseMapped,
} from './json-map.ts';

const document = {
  version: 1,
  routes: {
    'GET /patients/{id}': { type: 'Patient', patient: 'path id' },
    'PUT /patients/{id}': { type: 'Patient', patient: 'path id' },
    'GET /patients/count': { interaction: 'search', type: 'Patient', patient: 'nobody' },
    'GET /patients/{id}/visits': {
      type: 'Encounter',
      patient: ['path id', 'response $.visits[*].patient'],
      count: '$.visits[*]',
    },
    'GET /visits': { type: 'Encounter', patient: 'response $.visits[*].patient', count: '$.visits[*]' },
    'POST /visits': { type: 'Encounter', patient: 'request $.patient', classes: ['encounters', 'notes'] },
    'POST /merge': {
      interaction: 'operation',
      operation: '$merge',
      type: 'Patient',
      patient: ['request $.from', 'request $.into'],
    },
    'POST /visits/find': { interaction: 'search', type: 'Encounter', patient: 'query patient' },
  },
} satisfies Record<string, unknown>;
const map = compileJsonMap(jsonMapSchema.parse(document));

function recognise(method: string, path: string): ReturnType<typeof recogniseMapped> {
  const [below = '', query = ''] = path.slice(1).split('?');
  const parameters = parseParameters(query) as readonly Parameter[];
  return recogniseMapped(map, { method, prefix: '/api', segments: below.split('/'), parameters });
}

function interactionOf(method: string, path: string): MappedInteraction {
  const recognition = recognise(method, path);
  assert.ok(recognition.kind === 'interaction' && isMapped(recognition.interaction), path);
  return recognition.interaction;
}

function learn(
  interaction: MappedInteraction,
  value: unknown,
  more: { contentType?: string; complete?: boolean; failed?: boolean; of?: 'request' } = {},
): ReturnType<typeof learnMapped> {
  const bytes = Buffer.from(typeof value === 'string' ? value : JSON.stringify(value));
  return learnMapped(bytes, { interaction, of: 'response', contentType: 'application/json', complete: true, ...more });
}

describe('a request', () => {
  it('is the operation whose method and path it has', () => {
    const read = interactionOf('GET', '/patients/p-1');
    assert.deepEqual(
      [read.name, read.operation, read.action, read.type, read.id, read.route, read.safe, read.patients],
      ['read', 'read', 'read', 'Patient', 'p-1', '/api/patients/{id}', true, ['p-1']],
    );
    const count = interactionOf('HEAD', '/patients/count');
    assert.deepEqual([count.name, count.operation, count.id, count.patients], ['search', 'search-type', undefined, []]);
    const merge = interactionOf('POST', '/merge');
    assert.deepEqual(
      [merge.name, merge.operation, merge.action, merge.safe],
      ['operation', '$merge', 'execute', false],
    );
    const find = interactionOf('POST', '/visits/find?patient=p-1&patient=p-2&patient=J%20D');
    assert.deepEqual([find.safe, find.patients, find.nameless], [true, ['p-1', 'p-2'], true]);
    assert.equal(interactionOf('PUT', '/patients/p-1').action, 'update');
  });

  it('that the map does not name has no route, and never becomes a wider one', () => {
    for (const path of [
      '/',
      '/patients',
      '/patients/',
      '/patients/p-1/notes',
      '/Patients/p-1',
      '/patients/p-1/visits/1',
    ])
      assert.equal(recognise('GET', path).kind, 'no-route', path);
    assert.deepEqual(recognise('DELETE', '/patients/p-1'), { kind: 'method-not-allowed', allow: 'GET, PUT, HEAD' });
    assert.deepEqual(recognise('PUT', '/patients/count'), { kind: 'method-not-allowed', allow: 'GET, HEAD' });
  });
});

describe('an answer', () => {
  it('is about whom path and places name', () => {
    const { exposure, types } = learn(interactionOf('GET', '/visits'), {
      visits: [{ patient: 'a' }, { patient: 7 }, { patient: 'a' }],
    });
    assert.deepEqual(exposure.patients, [
      { id: 'a', classes: ['encounters'], count: 2 },
      { id: '7', classes: ['encounters'], count: 1 },
    ]);
    assert.equal(exposure.count, 3);
    assert.equal(exposure.truncated, undefined);
    assert.deepEqual([...types], ['Encounter']);
    const one = learn(interactionOf('GET', '/patients/p-1'), 'a picture', { contentType: 'image/png' });
    assert.deepEqual(one.exposure.patients, [{ id: 'p-1', classes: ['demographics'], count: 1 }]);
    assert.equal(one.exposure.truncated, undefined);
    assert.deepEqual(one.targets, [
      { type: 'Patient', id: 'p-1', patient: 'p-1', classes: ['demographics'], role: 'object' },
    ]);
  });

  it('without a patient where one belongs says so; an empty list does not', () => {
    const visits = interactionOf('GET', '/visits');
    assert.equal(learn(visits, { visits: [] }).exposure.truncated, undefined);
    assert.equal(learn(visits, { visits: [] }).unattributed, false);
    for (const value of [
      { visits: [{}] },
      { visits: [{ patient: 'John Doe' }] },
      {},
      [],
      { error: 'x' },
      '{',
      '{"visits":[],"visits":[]}',
    ]) {
      const learned = learn(visits, value);
      assert.equal(learned.exposure.truncated, true, JSON.stringify(value));
      assert.equal(learned.unattributed || learned.unread, true);
      assert.equal(JSON.stringify([...(learned.exposure.patients ?? []), ...learned.targets]).includes('John'), false);
    }
    assert.equal(learn(visits, { visits: [{ patient: 'a' }] }, { contentType: 'text/html' }).unread, true);
  });

  it('that was cut off tells what its beginning tells', () => {
    const text = JSON.stringify({ visits: Array.from({ length: 50 }, (_, n) => ({ patient: `p-${n}` })) });
    const { exposure, unread } = learn(interactionOf('GET', '/visits'), text.slice(0, 200), { complete: false });
    assert.ok((exposure.patients?.length ?? 0) > 5);
    assert.deepEqual([exposure.truncated, unread], [true, true]);
  });

  it('that refuses exposes nobody of the path', () => {
    const { exposure, types } = learn(interactionOf('GET', '/patients/p-1'), { error: 'no' }, { failed: true });
    assert.deepEqual([exposure.patients, exposure.truncated, types.size], [undefined, undefined, 0]);
  });

  it('is not looked into for whom a request names', () => {
    const post = interactionOf('POST', '/visits');
    assert.equal(learn(post, { patient: 'a' }).exposure.patients, undefined);
    assert.deepEqual(learn(post, { patient: 'a' }, { of: 'request' }).exposure.patients, [
      { id: 'a', classes: ['encounters', 'notes'], count: 1 },
    ]);
  });
});

describe('a map', () => {
  it('that cannot mean one thing is refused', () => {
    const good = { type: 'Patient', patient: 'nobody' };
    const bad: Record<string, unknown>[] = [
      {},
      { 'GET patients': good },
      { 'TRACE /patients': good },
      { 'GET /patients/{a}/{a}': good },
      { 'GET /patients/{a}': good, 'GET /patients/{b}': good },
      { 'GET /patients/../x': { ...good, extra: 1 } },
      { 'GET /x': { type: 'Visit', patient: 'nobody' } },
      { 'GET /x': { type: 'Patient' } },
      { 'GET /x': { type: 'Patient', patient: 'path id' } },
      { 'GET /x': { type: 'Patient', patient: 'request $.a' } },
      { 'GET /x': { type: 'Patient', patient: 'response $..a' } },
      { 'GET /x': { type: 'Patient', patient: [] } },
      { 'GET /x': { ...good, interaction: 'batch' } },
      { 'GET /x': { ...good, interaction: 'operation' } },
      { 'GET /x': { ...good, operation: '$x' } },
      { 'GET /x/{id}': { ...good, interaction: 'capabilities', patient: 'path id' } },
    ];
    for (const routes of bad)
      assert.equal(jsonMapSchema.safeParse({ version: 1, routes }).success, false, JSON.stringify(routes));
    const fine: JsonMapDocument = { version: 1, routes: { 'GET /x': good } };
    assert.equal(jsonMapSchema.safeParse(fine).success, true);
  });
});
