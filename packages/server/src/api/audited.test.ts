import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Event } from '@watchglass/record';
import type { PersonPrincipal } from '../access/access.ts';
import { sessionCookie } from './authenticate.ts';
import { ask, clinic, indexed, post, startTestServer, type TestServer, testEvent } from './server.fixture.ts';

const password = 'correct horse battery';

async function eventsFrom(server: TestServer, from: number): Promise<readonly Event[]> {
  const entries = await server.ledger.read(clinic, from, 100);
  return entries.map(({ m }) => (JSON.parse(new TextDecoder().decode(m)) as { event: Event }).event);
}

async function sessionOf(server: TestServer, role: string): Promise<string> {
  const name = `${role}.test`;
  const { id } = await server.access.people.add(
    { username: name, name, tenant: clinic, roles: [role], password },
    'server',
  );
  const principal: PersonPrincipal = {
    kind: 'person',
    id,
    username: name,
    name,
    roles: [role],
    tenant: clinic,
    authentication: { method: 'password' },
  };
  return (await server.access.sessions.create(principal)).cookie;
}

test('asking for the tenant of somebody else is refused and on record', async () => {
  await using server = await startTestServer({ tenants: ['clinic', 'other'] });
  const officer = await server.token('privacy-officer');
  for (const [url, body] of [
    ['/v1/events?tenant=other', undefined],
    ['/v1/events/search', { tenant: 'other' }],
    ['/v1/events/0?tenant=other', undefined],
    ['/v1/events/tail?tenant=other', undefined],
  ] as const) {
    const from = server.ledger.head(clinic).size;
    assert.equal((await ask(server, officer, url, body)).statusCode, 403, url);
    const [event] = await eventsFrom(server, from);
    assert.deepEqual([event?.outcome.status, event?.actor.id], ['denied', 'person-privacy-officer'], url);
  }
  assert.equal((await ask(server, server.operator, '/v1/events')).statusCode, 400, 'the operator has to name one');
  assert.equal((await ask(server, server.operator, '/v1/events?tenant=nowhere')).statusCode, 404);
  assert.equal((await ask(server, server.operator, '/v1/events?tenant=other')).statusCode, 200);
});

test('events of one tenant are not found, read or proven by people of another', async () => {
  await using server = await startTestServer({ tenants: ['clinic', 'other'] });
  const { secret } = await server.access.writeKeys.create(
    { tenant: server.access.tenants.list()[1] ?? clinic, emitter: 'app-2', name: 'other' },
    'server',
  );
  const stored = await post(server, testEvent({ operation: 'elsewhere' }), { authorization: `Bearer ${secret}` });
  assert.equal(stored.statusCode, 201);
  await indexed(server);
  const officer = await server.token('privacy-officer');
  const found = await ask(server, officer, '/v1/events/search', { operation: 'elsewhere' });
  assert.equal((found.json() as { count: number }).count, 0);
});

test('a link on another site reads nothing in the name of who follows it', async () => {
  await using server = await startTestServer();
  await post(server, testEvent());
  await indexed(server);
  const cookie = `${sessionCookie}=${await sessionOf(server, 'privacy-officer')}`;
  const size = server.ledger.head(clinic).size;
  const follow = async (site: string | undefined): Promise<number> =>
    (
      await server.api.fastify.inject({
        url: '/v1/events/0/proof',
        headers: { cookie, ...(site === undefined ? {} : { 'sec-fetch-site': site }) },
      })
    ).statusCode;
  assert.deepEqual([await follow('cross-site'), await follow('same-site')], [403, 403]);
  assert.equal(server.ledger.head(clinic).size, size, 'nobody is on record for what another site did');
  assert.deepEqual([await follow('same-origin'), await follow('none'), await follow(undefined)], [200, 200, 200]);
});

test('nobody becomes the operator by a role', async () => {
  await using server = await startTestServer();
  const claimed = await server.token('operator');
  for (const url of ['/v1/status', '/v1/events', '/v1/write-keys'])
    assert.equal((await ask(server, claimed, url)).statusCode, 403, url);
  const person = { username: 'o', name: 'O', tenant: clinic, roles: ['operator'], password };
  await assert.rejects(server.access.people.add(person, 'server'), { code: 'input-invalid' });
  const { id } = await server.access.people.add({ ...person, roles: [] }, 'server');
  await assert.rejects(server.access.people.grantRole(id, 'operator', 'server'), { code: 'input-invalid' });
});

test('a write key cannot be made for the emitter of our own events', async () => {
  await using server = await startTestServer();
  const administrator = await server.token('administrator');
  for (const emitter of ['server', 'ledger'])
    assert.equal((await ask(server, administrator, '/v1/write-keys', { name: 'x', emitter })).statusCode, 422);
});

test('a sender who uses the name of our own emitter stores nothing and uses up nothing', async () => {
  const server = await startTestServer();
  const spoofed = testEvent({ emitter: { id: 'server', seq: Number.MAX_SAFE_INTEGER } });
  const size = server.ledger.head(clinic).size;
  const refused = await post(server, [testEvent(), spoofed]);
  assert.equal(refused.statusCode, 422, refused.body);
  assert.deepEqual(
    (refused.json() as { errors: { at: number; path: string }[] }).errors.map(({ at, path }) => [at, path]),
    [[1, '/emitter/id']],
  );
  assert.equal((await post(server, testEvent({ emitter: { id: 'ledger', seq: 1 } }))).statusCode, 422);
  assert.equal(server.ledger.head(clinic).size, size);
  await using again = await server.restart();
  assert.equal((await ask(again, again.operator, '/v1/events')).statusCode, 200);
});

test('staff are named beside the events of a page, and beside an event', async () => {
  await using server = await startTestServer();
  const person = { id: 'dr-ito', username: 'd.ito', name: 'Dana Ito', tenant: clinic, roles: ['nurse'], password };
  await server.access.people.add({ ...person, department: 'Ward 4' }, 'server');
  await post(server, [
    testEvent({ actor: { id: 'dr-ito', type: 'human' }, operation: 'named' }),
    testEvent({ actor: { id: 'dr-ito', type: 'patient' }, operation: 'unnamed' }),
  ]);
  await indexed(server);
  const officer = await server.token('privacy-officer');
  const people = { 'dr-ito': { name: 'Dana Ito', department: 'Ward 4' } };
  const page = (await ask(server, officer, '/v1/events/search', { operation: 'named' })).json() as {
    events: { index: number }[];
    people: object;
  };
  assert.deepEqual(page.people, people);
  const one = (await ask(server, officer, `/v1/events/${page.events[0]?.index}`)).json() as { people: object };
  assert.deepEqual(one.people, people);
  const counted = (await ask(server, officer, '/v1/events/summary', { operation: 'named' })).json() as {
    people: object;
  };
  assert.deepEqual(counted.people, people, 'whoever is counted is named as well');
  const unnamed = (await ask(server, officer, '/v1/events/search', { operation: 'unnamed' })).json();
  assert.deepEqual((unnamed as { people: object }).people, {});
});

test('behind a proxy that was named an event has the address of its client, and otherwise of the peer', async () => {
  await using server = await startTestServer({ trustedProxies: ['10.0.0.0/8'] });
  const ask = async (remoteAddress: string, forwarded: string): Promise<string | undefined> => {
    const from = server.ledger.head(clinic).size;
    const { statusCode } = await server.api.fastify.inject({
      url: '/v1/people',
      remoteAddress,
      headers: { authorization: `Bearer ${server.operator}`, 'x-forwarded-for': forwarded },
    });
    assert.equal(statusCode, 200);
    return (await eventsFrom(server, from))[0]?.source?.address;
  };
  assert.equal(await ask('10.0.0.1', '198.51.100.7'), '198.51.100.7');
  assert.equal(await ask('::ffff:10.0.0.1', '6.6.6.6, 2001:db8::7, 10.0.0.2'), '2001:db8::7');
  assert.equal(await ask('10.0.0.1', '6.6.6.6, garbage'), '10.0.0.1');
  assert.equal(await ask('203.0.113.9', '198.51.100.7'), '203.0.113.9');
  // A session that is opened and closed, too.
  const from = server.ledger.head(clinic).size;
  const cookie = await sessionOf(server, 'auditor');
  const out = await server.api.fastify.inject({
    method: 'POST',
    url: '/auth/logout',
    remoteAddress: '10.0.0.1',
    headers: { cookie: `${sessionCookie}=${cookie}`, origin: 'http://localhost:9440', 'x-forwarded-for': '192.0.2.5' },
  });
  assert.equal(out.statusCode, 204);
  assert.equal((await eventsFrom(server, from)).at(-1)?.source?.address, '192.0.2.5');
});

test('refusals at the door are counted for the client behind a proxy, not for the proxy', async () => {
  await using server = await startTestServer({ trustedProxies: ['10.0.0.1'] });
  const from = server.ledger.head(clinic).size;
  for (const forwarded of ['198.51.100.7', '198.51.100.7', '198.51.100.8'])
    await server.api.fastify.inject({
      url: '/v1/people',
      remoteAddress: '10.0.0.1',
      headers: { authorization: 'Bearer wrong', 'x-forwarded-for': forwarded },
    });
  await server.api[Symbol.asyncDispose]();
  const addresses = (await eventsFrom(server, from)).map(({ source }) => source?.address);
  assert.deepEqual(addresses.sort(), ['198.51.100.7', '198.51.100.8']);
});
