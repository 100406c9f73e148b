import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseTenantId } from '@watchglass/record';
import type { CompletenessReport } from '../review/completeness/report.ts';
import { ask, clinic, indexed, post, startTestServer, testEvent } from './server.fixture.ts';

const system = { kind: 'system', action: 'execute', actor: { id: 'gateway:edge', type: 'service' } } as const;

test('the report is for whoever may see the status, of their own tenant, and each look is on record', async () => {
  await using server = await startTestServer({ tenants: [clinic, 'research'] });
  const auditor = await server.token('auditor');
  // What the indexes don't have yet is not examined.
  await indexed(server);
  const answer = await ask(server, auditor, '/v1/completeness');
  assert.equal(answer.statusCode, 200);
  const report = answer.json<CompletenessReport>();
  assert.deepEqual([report.tenant, report.verdict, report.red], ['clinic', 'clear', []]);
  for (const role of ['privacy-officer', 'security-analyst', 'administrator'])
    assert.equal((await ask(server, await server.token(role), '/v1/completeness')).statusCode, 200, role);
  for (const role of ['nurse', 'patient'])
    assert.equal((await ask(server, await server.token(role), '/v1/completeness')).statusCode, 403, role);
  assert.equal((await ask(server, 'nobody', '/v1/completeness')).statusCode, 401);
  assert.equal((await ask(server, auditor, '/v1/completeness?tenant=research')).statusCode, 403);
  assert.equal((await ask(server, server.operator, '/v1/completeness?tenant=nowhere')).statusCode, 404);
  assert.equal((await ask(server, server.operator, '/v1/completeness')).statusCode, 400);
  const other = await ask(server, server.operator, '/v1/completeness?tenant=research');
  assert.equal(other.json<CompletenessReport>().tenant, 'research');
  await indexed(server);
  const looked = await ask(server, auditor, '/v1/events/search', { operation: 'completeness' });
  assert.deepEqual(
    looked
      .json<{ events: { outcome: { status: string } }[] }>()
      .events.map(({ outcome }) => outcome.status)
      .sort(),
    ['denied', 'denied', 'denied', 'failed', 'failed', 'success', 'success', 'success', 'success'],
  );
});

test('times that make no sense are named, and nothing is examined', async () => {
  await using server = await startTestServer();
  const auditor = await server.token('auditor');
  for (const query of [
    'from=2026-03-02&to=2026-03-01',
    'from=2999-01-01',
    'from=1970-01-01',
    'from=soon',
    'since=2026-03-01',
    'from=2026-03-01&from=2026-03-02',
  ]) {
    const answer = await ask(server, auditor, `/v1/completeness?${query}`);
    assert.equal(answer.statusCode, 400, query);
    assert.equal(answer.json<{ code: string }>().code, 'query-invalid', query);
  }
});

test('what a gateway sends is held against itself, and nobody speaks as the ledger', async () => {
  await using server = await startTestServer();
  const auditor = await server.token('auditor');
  const changes = Object.entries({
    since: Date.now() - 60_000,
    received: 10,
    recorded: 4,
    flooded: 0,
    faulted: 0,
    unrecorded: 2,
    inFlight: 0,
    answered: 4,
    refused: 0,
    connectionFaults: 0,
    eventsRecorded: 1,
    eventsPending: 0,
    eventsUnrecorded: 0,
  }).map(([name, after]) => ({ path: `/${name}`, op: 'replace' as const, after: String(after) }));
  const emitter = (seq: number): { emitter: { id: string; seq: number } } => ({ emitter: { id: 'edge', seq } });
  const sent = await post(server, [
    testEvent({ ...system, operation: 'start', ...emitter(1) }),
    testEvent({ ...system, operation: 'request-counters', changes, ...emitter(2) }),
  ]);
  assert.equal(sent.statusCode, 201);
  const forged = await post(
    server,
    testEvent({ ...system, operation: 'sequence-gap-closed', emitter: { id: 'ledger', seq: 1 } }),
  );
  assert.equal(forged.statusCode, 422);
  await indexed(server);
  const report = (await ask(server, auditor, '/v1/completeness')).json<CompletenessReport>();
  assert.equal(report.verdict, 'red');
  assert.deepEqual(
    report.red.map(({ kind, emitter: id, words }) => [kind, id, words]),
    [
      ['counts-differ', 'edge', 'edge saw 10 requests and accounts for 6: its counters don’t add up.'],
      ['counts-differ', 'edge', '2 requests of edge ended with nothing on record.'],
    ],
  );
  assert.deepEqual(
    report.emitters.map(({ id, counts }) => [id, counts]),
    [['edge', true]],
  );
  const [edge] = server.ledger.emitters(parseTenantId('clinic')).filter(({ id }) => id === 'edge');
  assert.equal(edge?.lastSeq, 2);
});
