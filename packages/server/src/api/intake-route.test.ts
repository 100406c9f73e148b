import assert from 'node:assert/strict';
import { test } from 'node:test';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { clinic, post, startTestServer, testEvent } from './server.fixture.ts';

const canary = 'wg-pt-canary-4b1d';

test('the same id gives the same receipt, and other bytes under it a conflict', async () => {
  await using server = await startTestServer();
  const event = testEvent();
  const first = (await post(server, event)).json() as { receipts: { index: number }[] };
  const before = server.ledger.head(clinic).size;
  const again = await post(server, event);
  assert.equal(again.statusCode, 201);
  assert.deepEqual((again.json() as typeof first).receipts, first.receipts);
  const other = await post(server, [testEvent(), { ...event, operation: 'vread' }]);
  assert.equal(other.statusCode, 409);
  const problem = other.json() as { code: string; errors: { at: number; path: string }[] };
  assert.deepEqual([problem.code, problem.errors[0]?.at, problem.errors[0]?.path], ['id-conflict', 1, '/id']);
  assert.equal(server.ledger.head(clinic).size, before, 'nothing of the batch was stored');
});

test('a first event needs five fields, and numbers given at the door have no gap', async () => {
  await using server = await startTestServer();
  const small = { kind: 'api', action: 'read', outcome: { status: 'success' }, actor: { id: 'u' } };
  const repeated = { ...small, id: testEvent().id };
  for (const events of [small, [small, small], repeated, repeated, small])
    assert.equal((await post(server, events)).statusCode, 201);
  const emitter = server.ledger.emitters(clinic).find(({ id }) => id === 'app-1');
  assert.deepEqual([emitter?.lastSeq, emitter?.gaps], [5, []]);
});

test('one bad event refuses the whole batch and is named', async () => {
  await using server = await startTestServer();
  const size = server.ledger.head(clinic).size;
  const inMinutes = (minutes: number): string => new Date(Date.now() + minutes * 60_000).toISOString();
  const cases: readonly [
    what: string,
    body: unknown,
    status: number,
    code: string,
    place: readonly [at: number, path: string] | undefined,
    headers?: Record<string, string>,
  ][] = [
    ['a missing member', [testEvent(), { ...testEvent(), actor: {} }], 422, 'event-invalid', [1, '/actor/id']],
    ['one event alone', { ...testEvent(), actor: {} }, 422, 'event-invalid', [0, '/actor/id']],
    ['an unknown version', { ...testEvent(), v: 2 }, 422, 'event-invalid', [0, '/v']],
    ['an unknown member', [{ ...testEvent(), [canary]: canary }], 422, 'event-invalid', undefined],
    ['a future time', [testEvent({ time: inMinutes(6) })], 422, 'event-in-future', [0, '/time']],
    ['an ancient time', testEvent({ time: '2001-01-01T00:00:00Z' }), 422, 'event-too-old', [0, '/time']],
    ['another tenant', testEvent({ tenant: 'elsewhere' }), 422, 'wrong-tenant', [0, '/tenant']],
    ['broken JSON', `{"v":1,"x":"${canary}`, 400, 'bad-request', [0, '']],
    ['a broken array', `[{"v":1}`, 400, 'bad-request', undefined],
    ['a broken item', `[${JSON.stringify(testEvent())},{"v":1,"v":1}]`, 422, 'event-invalid', [1, '/kind']],
    ['a member twice', JSON.stringify(testEvent()).replace('"v":1', '"v":1,"v":1'), 400, 'bad-request', [0, '']],
    [
      'an oversized event',
      [testEvent(), { ...testEvent(), site: canary.repeat(5_000) }],
      422,
      'event-invalid',
      [1, ''],
    ],
    ['an empty body', '', 400, 'bad-request', undefined],
    ['an empty batch', [], 400, 'bad-request', undefined],
    ['too many events', `[${Array.from({ length: 10_001 }, () => '{}').join(',')}]`, 413, 'body-too-large', undefined],
    ['an oversized body', ' '.repeat(8 * 1024 * 1024 + 1), 413, 'body-too-large', undefined],
    ['another type', '<x/>', 415, 'media-type', undefined, { 'content-type': 'application/xml' }],
    ['no key', testEvent(), 401, 'unauthenticated', undefined, { authorization: '' }],
    ['a wrong key', testEvent(), 401, 'write-key-invalid', undefined, { authorization: 'Bearer wgk_wrong' }],
    ['bytes that are no UTF-8', '\u00ff', 400, 'bad-request', undefined],
  ];
  for (const [what, body, status, code, place, headers] of cases) {
    const answer = await post(server, body, headers);
    assert.equal(answer.statusCode, status, `${what}: ${answer.body}`);
    const problem = answer.json() as {
      type: string;
      code: string;
      status: number;
      detail: string;
      errors?: { at: number; path: string }[];
    };
    assert.deepEqual([problem.type, problem.status], [`urn:watchglass:error:${code}`, status], what);
    assert.match(answer.headers['content-type'] as string, /^application\/problem\+json/);
    if (place !== undefined) assert.deepEqual([problem.errors?.[0]?.at, problem.errors?.[0]?.path], place, what);
    assert.ok(problem.detail.length > 20, `${what}: says what to do`);
    assert.doesNotMatch(problem.detail, /(expected|got) expected|got got/, `${what}: reads aloud`);
    assert.ok(!answer.body.includes('canary'), `${what}: repeats nothing that was sent`);
  }
  const manyBad = await post(
    server,
    Array.from({ length: 200 }, () => ({ actor: {} })),
  );
  assert.equal((manyBad.json() as { errors: unknown[] }).errors.length, 50);
  assert.equal(server.ledger.head(clinic).size, size, 'nothing was stored');
  assert.ok(!server.log().includes('canary'));
});

test('NDJSON and compressed bodies are taken', async () => {
  await using server = await startTestServer();
  const lines = [testEvent(), testEvent()].map((event) => JSON.stringify(event)).join('\n');
  assert.equal((await post(server, lines, { 'content-type': 'application/x-ndjson' })).statusCode, 201);
  for (const [encoding, payload] of [
    ['gzip', gzipSync(JSON.stringify(testEvent()))],
    ['zstd', zstdCompressSync(JSON.stringify(testEvent()))],
  ] as const) {
    const answer = await server.api.fastify.inject({
      method: 'POST',
      url: '/v1/events',
      headers: {
        authorization: `Bearer ${server.writeKey}`,
        'content-type': 'application/json',
        'content-encoding': encoding,
      },
      payload,
    });
    assert.equal(answer.statusCode, 201, answer.body);
  }
});
