import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { WitnessReport } from '../ledger/witness/witness-report.ts';
import { ask, clinic, post, startTestServer, testEvent } from './server.fixture.ts';

const log = (state: 'witnessed' | 'old' | 'none'): WitnessReport['logs'][number] => ({
  tenant: clinic,
  state,
  size: 3,
  behind: 1,
  cosignatures: 2,
  ...(state === 'none' ? {} : { time: '2026-03-01T08:30:00.000Z', ageSeconds: 70 }),
  witnesses: [
    { name: 'w1', size: 3, failures: 0 },
    { name: 'w2', size: 0, failures: 4, fault: 'witness-deadline', reason: 'the deadline passed' },
  ],
});

test('health and metrics say how a log stands with its witnesses; only a strict server is not ready by it', async () => {
  let report: WitnessReport = { strict: false, logs: [], timestamps: [] };
  await using server = await startTestServer({ witnesses: () => report });
  const get = async (url: string): Promise<{ status: number; body: string }> => {
    const answer = await server.api.fastify.inject({ url });
    return { status: answer.statusCode, body: answer.body };
  };
  assert.deepEqual(JSON.parse((await get('/healthz')).body), { status: 'alive' });
  for (const state of ['witnessed', 'old', 'none'] as const) {
    report = { strict: false, logs: [log(state)], timestamps: [] };
    const ready = await get('/readyz');
    assert.equal(ready.status, 200);
    const [said] = (JSON.parse(ready.body) as { witnesses: { state: string; witnesses: { fault?: string }[] }[] })
      .witnesses;
    assert.equal(said?.state, state);
    assert.equal(said?.witnesses[1]?.fault, 'witness-deadline');
    // Why it fails is for who may see the status.
    assert.ok(!ready.body.includes('the deadline passed'));
    report = { ...report, strict: true };
    assert.equal((await get('/readyz')).status, state === 'witnessed' ? 200 : 503);
    assert.equal((await get('/healthz')).status, 200);
  }
  report = { strict: true, logs: [log('old')], timestamps: [{ tenant: clinic, size: 2, timeMs: 5_000 }] };
  const { body: metrics } = await get('/metrics');
  for (const line of [
    'watchglass_witnessed_size{tenant="clinic"} 3',
    'watchglass_witnessed_age_seconds{tenant="clinic"} 70',
    'watchglass_witness_failures{tenant="clinic",witness="w2"} 4',
    'watchglass_timestamped_size{tenant="clinic"} 2',
    'watchglass_timestamped_time_seconds{tenant="clinic"} 5',
  ])
    assert.ok(metrics.includes(line), line);
  const status = (await ask(server, server.operator, '/v1/status')).json() as { witnesses: { witnesses: object[] } };
  assert.deepEqual(status.witnesses.witnesses[1], log('old').witnesses[1]);
});

test('a log without cosignatures says so, and an event says by how many it is witnessed', async () => {
  await using server = await startTestServer();
  const missing = await server.api.fastify.inject({ url: '/log/clinic/cosigned' });
  assert.equal(missing.statusCode, 404);
  assert.equal(missing.json().code, 'not-found');
  const { receipts } = (await post(server, [testEvent()])).json() as { receipts: { index: number }[] };
  const index = receipts[0]?.index ?? -1;
  const shown = (await ask(server, await server.token('auditor'), `/v1/events/${index}`)).json() as {
    witnessed: number;
  };
  assert.equal(shown.witnessed, 0);
});
