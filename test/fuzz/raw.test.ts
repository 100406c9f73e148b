/** Raw requests against a gateway and its upstream for a few seconds, what was found before, and that a disagreement would be found. `npm run fuzz` goes on for longer. */
import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { describe, test } from 'node:test';

import { disagreement, type Seen } from './raw/agreement.ts';
import { connectionOf } from './raw/generate.ts';
import { kept } from './raw/kept.ts';
import { replayRaw, runRaw } from './raw/run.ts';

const seconds = 5;

describe('raw requests', () => {
  test('reach the upstream as they were judged and recorded, whatever their bytes', async () => {
    const seed = randomInt(2 ** 31);
    const { passed, connections, failures } = await runRaw({ seconds, seed, failuresMax: 1 });
    assert.deepEqual(failures, [], `seed ${seed}`);
    assert.ok(passed > 20 && connections > passed, `${passed} of ${connections} came through`);
  });

  for (const [name, pieces] of Object.entries(kept)) {
    test(`${name} has one reading`, async () => {
      assert.deepEqual(await replayRaw((token) => pieces.map((piece) => piece.replace('{token}', token))), []);
    });
  }

  test('are the same for the same seed', () => {
    assert.deepEqual(connectionOf(7, 'token'), connectionOf(7, 'token'));
    assert.notDeepEqual(connectionOf(7, 'token'), connectionOf(8, 'token'));
  });
});

type Events = Parameters<typeof disagreement>[1];

const ours = {
  host: 'upstream',
  'x-forwarded-for': '127.0.0.1',
  'x-forwarded-host': 'localhost',
  'x-forwarded-proto': 'http',
  traceparent: '00',
  accept: 'application/fhir+json',
  'x-request-id': 'r-1',
};

function seenWith(changes: Partial<Seen> = {}, headers: Readonly<Record<string, string>> = {}): Seen {
  return {
    method: 'GET',
    target: '/fhir/Patient/p-1?_format=json',
    rawHeaders: Object.entries({ ...ours, ...headers }).flat(),
    body: Buffer.alloc(0),
    complete: true,
    trailers: [],
    ...changes,
  };
}

function eventsWith(request: object = {}, event: object = {}): Events {
  const said = {
    id: 'r-1',
    method: 'GET',
    route: '/fhir/Patient/{id}',
    query: ['_format'],
    requestBytes: 0,
    ...request,
  };
  const targets = [{ type: 'Patient', id: 'p-1', role: 'object' }];
  return [{ kind: 'api', outcome: { status: 'success' }, targets, request: said, ...event }] as unknown as Events;
}

describe('a disagreement', () => {
  test('is not where both say the same', () => assert.equal(disagreement([seenWith()], eventsWith()), undefined));

  const found: Readonly<Record<string, readonly [readonly Seen[], Events]>> = {
    'is a request without an event': [[seenWith()], []],
    'is an answer that nobody gave': [[], eventsWith()],
    'is a request that was sent twice': [[seenWith(), seenWith()], eventsWith()],
    'is another method': [[seenWith({ method: 'DELETE' })], eventsWith()],
    'is another path': [[seenWith({ target: '/fhir/Observation/p-1' })], eventsWith()],
    'is another id': [[seenWith({ target: '/fhir/Patient/p-9?_format=json' })], eventsWith()],
    'is a parameter more': [[seenWith({ target: '/fhir/Patient/p-1?_format=json&_id=2' })], eventsWith()],
    'is a parameter less': [[seenWith({ target: '/fhir/Patient/p-1' })], eventsWith()],
    'is a body that was not there': [[seenWith({ body: Buffer.from('x') })], eventsWith()],
    'is a request that was denied': [[seenWith()], eventsWith({}, { outcome: { status: 'denied', reason: 'policy' } })],
    'is a field that speaks for the gateway': [[seenWith({}, { 'x-auth-subject': 'me' })], eventsWith()],
    'is a length said twice': [[seenWith({}, { 'content-length': '0', 'transfer-encoding': 'chunked' })], eventsWith()],
    'is a trailer': [[seenWith({ trailers: ['a', 'b'] })], eventsWith()],
  };
  for (const [name, [seen, events]] of Object.entries(found))
    test(name, () => assert.notEqual(disagreement(seen, events), undefined));
});
