/** Decisions for the gateways: who may make them, what is on record of it, and how a gateway hears of them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseTenantId } from '@watchglass/record';
import { clinic, indexed, startTestServer, type TestServer } from './server.fixture.ts';

interface Shown {
  readonly id: string;
  readonly effect: string;
  readonly value: string;
  readonly by: string;
}

const tomorrow = (): string => new Date(Date.now() + 86_400_000).toISOString();
const block = (over: object = {}): object => ({
  effect: 'block',
  subject: 'address',
  value: '192.0.2.0/24',
  reason: 'probing',
  expires: tomorrow(),
  ...over,
});

async function ask(
  server: TestServer,
  method: 'GET' | 'POST' | 'DELETE',
  url: string,
  options: { readonly body?: object; readonly token?: string } = {},
): Promise<{ readonly status: number; readonly json: Record<string, unknown> }> {
  const answer = await server.api.fastify.inject({
    method,
    url,
    headers: { authorization: `Bearer ${options.token ?? server.operator}` },
    ...(options.body === undefined ? {} : { payload: options.body }),
  });
  return { status: answer.statusCode, json: answer.body === '' ? {} : answer.json<Record<string, unknown>>() };
}

const feed = (server: TestServer, after?: unknown): ReturnType<typeof ask> =>
  ask(server, 'GET', `/v1/gateway/decisions${after === undefined ? '' : `?after=${String(after)}`}`, {
    token: server.writeKey,
  });

async function recorded(server: TestServer, operation: string): Promise<readonly Record<string, unknown>[]> {
  await indexed(server);
  const found = await ask(server, 'POST', '/v1/events/search', { body: { operation } });
  assert.equal(found.status, 200, JSON.stringify(found.json));
  return found.json.events as Record<string, unknown>[];
}

test('a decision is made, listed and lifted by whoever may, and each change is an event with the value', async () => {
  await using server = await startTestServer();
  const token = await server.token('security-analyst');
  const made = await ask(server, 'POST', '/v1/decisions', { body: block(), token });
  assert.equal(made.status, 201, JSON.stringify(made.json));
  const { id, by } = made.json as unknown as Shown;
  assert.equal(by, 'person-security-analyst');
  const listed = await ask(server, 'GET', '/v1/decisions', { token });
  assert.deepEqual(
    (listed.json.decisions as Shown[]).map((one) => [one.id, one.value]),
    [[id, '192.0.2.0/24']],
  );
  assert.equal((await ask(server, 'DELETE', `/v1/decisions/${id}`, { token })).status, 200);
  assert.equal((await ask(server, 'DELETE', `/v1/decisions/${id}`, { token })).status, 404);
  assert.deepEqual((await ask(server, 'GET', '/v1/decisions')).json.decisions, []);
  for (const [operation, count] of [
    ['decision-made', 5],
    ['decision-withdrawn', 1],
  ] as const) {
    const [event] = await recorded(server, operation);
    assert.equal(event?.kind, 'access-change', operation);
    assert.deepEqual(event?.targets, [{ type: 'Decision', id, role: 'object' }]);
    assert.equal((event?.changes as unknown[] | undefined)?.length, count);
  }
});

test('nobody without the right makes, sees or lifts one, and none that makes no sense is taken', async () => {
  await using server = await startTestServer();
  for (const role of ['auditor', 'nurse']) {
    const token = await server.token(role);
    assert.equal((await ask(server, 'POST', '/v1/decisions', { body: block(), token })).status, 403, role);
    assert.equal((await ask(server, 'GET', '/v1/decisions', { token })).status, 403, role);
    assert.equal((await ask(server, 'DELETE', '/v1/decisions/d-1', { token })).status, 403, role);
  }
  const wrong = [
    block({ value: '0.0.0.0/0' }),
    block({ value: '10.0.0.0/7' }),
    block({ value: '2000::/3' }),
    block({ value: 'everybody' }),
    block({ effect: 'step-up' }),
    block({ effect: 'step-up', subject: 'client', value: 'app' }),
    block({ expires: '2020-01-01T00:00:00Z' }),
    block({ expires: '2999-01-01T00:00:00Z' }),
    block({ expires: 'soon' }),
    block({ reason: '' }),
    block({ subject: 'house' }),
    block({ more: 1 }),
  ];
  for (const body of wrong)
    assert.equal((await ask(server, 'POST', '/v1/decisions', { body })).status, 422, JSON.stringify(body));
  assert.deepEqual((await ask(server, 'GET', '/v1/decisions')).json.decisions, []);
});

test('a gateway that waits hears of a decision when it is made, and of what it missed when it asks', async () => {
  await using server = await startTestServer();
  const first = await feed(server);
  assert.equal(first.status, 200);
  assert.deepEqual(first.json.decisions, []);
  const waiting = feed(server, first.json.version);
  const made = await ask(server, 'POST', '/v1/decisions', { body: block() });
  const heard = await waiting;
  assert.deepEqual(heard.json.decisions, [made.json]);
  assert.notEqual(heard.json.version, first.json.version);
  const late = feed(server, heard.json.version);
  await ask(server, 'DELETE', `/v1/decisions/${(made.json as unknown as Shown).id}`);
  assert.deepEqual((await late).json.decisions, []);
  assert.equal((await ask(server, 'GET', '/v1/gateway/decisions', { token: server.operator })).status, 401);
  assert.equal((await ask(server, 'GET', '/v1/gateway/decisions', { token: 'wgk_x' })).status, 401);
});

test('a decision outlives the process, is for its tenant only, and a restart is another version', async () => {
  const before = await startTestServer({ tenants: [clinic, 'other'] });
  const made = await ask(before, 'POST', '/v1/decisions', { body: block({ tenant: 'clinic' }) });
  await ask(before, 'POST', '/v1/decisions', { body: block({ tenant: 'other', value: '198.51.100.1' }) });
  const { version } = (await feed(before)).json;
  await using server = await before.restart();
  const { secret } = await server.access.writeKeys.create({ tenant: clinic, emitter: 'gw-2', name: 'again' }, 'server');
  const again = await ask(server, 'GET', `/v1/gateway/decisions?after=${String(version)}`, { token: secret });
  assert.deepEqual(again.json.decisions, [made.json]);
  const others = await server.access.writeKeys.create(
    { tenant: parseTenantId('other'), emitter: 'gw-3', name: 'other' },
    'server',
  );
  const theirs = await ask(server, 'GET', '/v1/gateway/decisions', { token: others.secret });
  assert.deepEqual(
    (theirs.json.decisions as Shown[]).map(({ value }) => value),
    ['198.51.100.1'],
  );
});
