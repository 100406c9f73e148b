/** Limits through a whole gateway: who is refused, with which answer and which event, and what the API never hears of. */
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';

import type { Event } from '@watchglass/record';
import { pino } from 'pino';

import { readGatewayConfig } from './config/config.ts';
import { answerPatient, endedAfterEach, type Road, sendJson, startRoad } from './gateway.fixture.ts';
import { startGateway } from './main.ts';

const start = endedAfterEach(startRoad);

/** Once there is one: what is recorded beside a request takes a moment longer. */
async function eventBy(of: Road, is: (event: Event) => boolean): Promise<Event> {
  for (;;) {
    const found = (await of.settled()).find(is);
    if (found !== undefined) return found;
    await new Promise((resolve) => setImmediate(resolve));
  }
}

const from = (address: string): { headers: Record<string, string> } => ({ headers: { 'x-forwarded-for': address } });

describe('rates', () => {
  it('refuse by address before the token is looked at, with 429, one event and when to come again', async () => {
    const of = await start({
      config: {
        trustedProxies: ['127.0.0.1'],
        rates: { rules: [{ name: 'door', by: 'address', limit: 2, windowMs: 3_600_000 }] },
      },
    });
    for (const _ of [1, 2]) assert.equal((await of.fetch('/fhir/Patient/1', from('2001:db8::1'))).status, 200);
    for (const last of [2, 3, 4]) {
      const answer = await of.fetch('/fhir/Patient/1', { token: 'no-token', ...from(`2001:db8::${last}`) });
      assert.equal(answer.status, 429);
      assert.equal(answer.json.code, 'rate-limited');
      assert.equal(answer.headers.ratelimit, `"door";r=0;t=${answer.headers['retry-after']}`);
      assert.equal(answer.headers['ratelimit-policy'], '"door";q=2;w=3600');
      assert.ok(Number(answer.headers['retry-after']) > 1_000);
    }
    assert.equal((await of.fetch('/fhir/Patient/1', from('2001:db8:0:1::1'))).status, 200);
    assert.equal(of.asked.length, 3);
    const limited = (await of.settled()).filter(({ operation }) => operation === 'rate-limited');
    assert.equal(limited.length, 1);
    assert.deepEqual(limited[0]?.outcome, { status: 'denied', code: 429, reason: 'rate-address' });
    assert.deepEqual(limited[0]?.targets, [{ type: 'Rule', id: 'door', role: 'rule' }]);
    assert.equal(limited[0]?.actor.id, 'anonymous');
  });

  it('refuse by user and interaction once it is known who it is, recorded with the person', async () => {
    const of = await start({
      config: {
        rates: { rules: [{ name: 'reads', by: 'user', limit: 1, windowMs: 3_600_000, interactions: ['read'] }] },
      },
    });
    assert.equal((await of.fetch('/fhir/Patient/1')).status, 200);
    assert.equal((await of.fetch('/fhir/Patient/1')).status, 429);
    assert.equal((await of.fetch('/fhir/Patient?name=a')).status, 200);
    assert.equal((await of.fetch('/fhir/Patient/1', { token: await of.issuer.mint({ sub: 'b' }) })).status, 200);
    const event = await eventBy(of, ({ outcome }) => outcome.reason === 'rate-user');
    assert.equal(event.actor.id, 'person-1');
    assert.equal(event.operation, 'read');
    assert.equal(event.outcome.code, 429);
    assert.equal(of.asked.length, 3);
  });
});

describe('a batch', () => {
  it('counts as often as it has entries, each by its own interaction and route, and is refused as a whole', async () => {
    const of = await start({
      config: {
        rates: {
          rules: [
            { name: 'all', by: 'user', limit: 12, windowMs: 3_600_000 },
            { name: 'reads', by: 'client', limit: 6, windowMs: 3_600_000, interactions: ['read'] },
          ],
        },
      },
      upstream: (_request, response) => sendJson(response, 200, { resourceType: 'Bundle', entry: [] }),
    });
    const batch = (count: number, url = 'Patient/1'): Parameters<Road['fetch']>[1] => ({
      method: 'POST',
      headers: { 'content-type': 'application/fhir+json' },
      body: JSON.stringify({
        resourceType: 'Bundle',
        type: 'batch',
        entry: Array.from({ length: count }, () => ({ request: { method: 'GET', url } })),
      }),
    });
    assert.equal((await of.fetch('/fhir', batch(4))).status, 200);
    const refused = await of.fetch('/fhir', batch(4));
    assert.deepEqual([refused.status, refused.headers['ratelimit-policy']], [429, '"reads";q=6;w=3600']);
    const event = await eventBy(of, ({ outcome }) => outcome.reason === 'rate-client');
    assert.deepEqual([event.operation, event.targets?.[0]?.id], ['batch', 'reads']);
    // Of twelve, the first took five, the refused one five before its reads were looked at.
    assert.equal((await of.fetch('/fhir', batch(2, 'Patient?name=a'))).status, 429);
    assert.equal((await of.fetch('/fhir', batch(0))).status, 200);
    assert.equal(of.asked.length, 2);
  });
});

describe('address filters', () => {
  it('refuse before anything else, also a request that is no sound one', async () => {
    const of = await start({ config: { trustedProxies: ['127.0.0.1'], filters: { deny: ['192.0.2.0/24'] } } });
    const answer = await of.fetch('/nowhere', { ...from('::ffff:192.0.2.7'), token: null });
    assert.equal(answer.status, 403);
    assert.equal(answer.json.code, 'address-refused');
    assert.equal((await of.fetch('/fhir/Patient/1', from('192.0.3.7'))).status, 200);
    const event = await eventBy(of, ({ operation }) => operation === 'address-refused');
    assert.deepEqual(event.outcome, { status: 'denied', code: 403, reason: 'address-denied' });
    assert.equal(event.source?.address, '192.0.2.7');
  });

  it('take another file without a restart, and refuse a bad one with an event', async () => {
    const of = await start({
      config: { filters: { allow: ['127.0.0.0/8'], denyFile: 'gateway.yaml.deny', reloadEveryMs: 10 } },
      prepare: (folder) => writeFile(join(folder, 'gateway.yaml.deny'), '192.0.2.1\n'),
    });
    assert.equal((await of.fetch('/fhir/Patient/1')).status, 200);
    await writeFile(join(of.folder, 'gateway.yaml.deny'), '127.0.0.1/33\n');
    await eventBy(of, ({ operation, outcome }) => operation === 'filter-refused' && outcome.reason === 'bad-line');
    assert.equal((await of.fetch('/fhir/Patient/1')).status, 200);
    await writeFile(join(of.folder, 'gateway.yaml.deny'), '127.0.0.1\n');
    const event = await eventBy(of, ({ operation }) => operation === 'filter-replaced');
    assert.deepEqual(event.targets, [{ type: 'AddressList', id: 'deny', role: 'object' }]);
    assert.equal((await of.fetch('/fhir/Patient/1')).status, 403);
  });
});

describe('the lock-out', () => {
  const lockout = { failuresMax: 3, windowMs: 60_000, blockMs: 60_000 };

  it('shuts out an address that brings invalid tokens, its good ones too, and nobody else', async () => {
    const of = await start({ config: { trustedProxies: ['127.0.0.1'], lockout } });
    for (const _ of [1, 2, 3])
      assert.equal((await of.fetch('/fhir/Patient/1', { token: 'bad', ...from('192.0.2.1') })).status, 401);
    const answer = await of.fetch('/fhir/Patient/1', from('192.0.2.1'));
    assert.equal(answer.status, 429);
    assert.equal(answer.json.code, 'locked-out');
    assert.equal(answer.headers['retry-after'], '60');
    assert.equal((await of.fetch('/fhir/Patient/1', from('192.0.2.2'))).status, 200);
    const begun = await eventBy(of, ({ operation }) => operation === 'lockout-begun');
    assert.deepEqual(begun.targets, [{ type: 'Address', id: '192.0.2.1', role: 'object' }]);
    await eventBy(of, ({ outcome }) => outcome.reason === 'locked-out-address');
  });

  it('never shuts out a trusted proxy, nor an address for tokens that merely expired', async () => {
    const of = await start({ config: { trustedProxies: ['127.0.0.1'], lockout } });
    const expired = await of.issuer.mint({ iat: 1_000, exp: 2_000 });
    for (const _ of [1, 2, 3, 4]) {
      assert.equal((await of.fetch('/fhir/Patient/1', { token: 'bad' })).status, 401);
      assert.equal((await of.fetch('/fhir/Patient/1', { token: expired, ...from('192.0.2.1') })).status, 401);
    }
    assert.equal((await of.fetch('/fhir/Patient/1')).status, 200);
    assert.equal((await of.fetch('/fhir/Patient/1', from('192.0.2.1'))).status, 200);
  });

  it('shuts out a client that acts for itself and is denied again and again, not its address, and ends', async () => {
    const of = await start({ config: { lockout: { ...lockout, blockMs: 50 } } });
    const token = await of.issuer.mint({ sub: 'prober', client_id: 'prober', roles: [] });
    for (const _ of [1, 2, 3]) assert.equal((await of.fetch('/fhir/Patient/1', { token })).status, 403);
    const begun = await eventBy(of, ({ operation }) => operation === 'lockout-begun');
    assert.equal(begun.outcome.reason, 'lockout-client');
    assert.deepEqual(begun.targets, [{ type: 'Client', id: 'prober', role: 'object' }]);
    assert.equal((await of.fetch('/fhir/Patient/1')).status, 200);
    await eventBy(of, ({ operation }) => operation === 'lockout-ended');
    assert.equal((await of.fetch('/fhir/Patient/1', { token })).status, 403);
  });

  it('shuts out a person, in one client: not who shares it, and not the person in another', async () => {
    const of = await start({ config: { lockout } });
    const token = await of.issuer.mint({ sub: 'prober', client_id: 'shared app', roles: [] });
    for (const _ of [1, 2, 3]) assert.equal((await of.fetch('/fhir/Patient/1', { token })).status, 403);
    const answer = await of.fetch('/fhir/Patient/1', { token });
    assert.deepEqual([answer.status, answer.json.code], [429, 'locked-out']);
    const others = [
      { sub: 'colleague', client_id: 'shared app' },
      { sub: 'prober', client_id: 'another-app' },
    ];
    for (const claims of others)
      assert.equal((await of.fetch('/fhir/Patient/1', { token: await of.issuer.mint(claims) })).status, 200);
    const begun = await eventBy(of, ({ operation }) => operation === 'lockout-begun');
    assert.equal(begun.outcome.reason, 'lockout-person');
    // The name of that client can't stand in an event.
    assert.deepEqual(begun.targets, [{ type: 'Actor', id: 'prober', role: 'object' }]);
    const refused = await eventBy(of, ({ outcome }) => outcome.reason === 'locked-out-person');
    assert.equal(refused.actor.id, 'prober');
  });

  it('names the client in which a person is shut out', async () => {
    const of = await start({ config: { lockout } });
    const token = await of.issuer.mint({ sub: 'prober', client_id: 'app', roles: [] });
    for (const _ of [1, 2, 3]) assert.equal((await of.fetch('/fhir/Patient/1', { token })).status, 403);
    const begun = await eventBy(of, ({ operation }) => operation === 'lockout-begun');
    assert.deepEqual(
      begun.targets?.map(({ type, id }) => `${type} ${id}`),
      ['Actor prober', 'Client app'],
    );
  });
});

describe('who is locked out', () => {
  it('stays so when the gateway starts again', async () => {
    const lockout = { failuresMax: 3, blockMs: 3_600_000, blockMsMax: 3_600_000 };
    const of = await start({ config: { lockout } });
    for (const _ of [1, 2, 3]) assert.equal((await of.fetch('/fhir/Patient/1', { token: 'no-token' })).status, 401);
    assert.equal((await of.fetch('/fhir/Patient/1')).status, 429);
    await of.gateway[Symbol.asyncDispose]();
    await using again = await startGateway(readGatewayConfig(join(of.folder, 'gateway.yaml')), {
      logger: pino({ level: 'silent' }),
    });
    const answer = await fetch(`${again.url}/fhir/Patient/1`, { headers: { authorization: `Bearer ${of.token}` } });
    assert.equal(answer.status, 429);
    assert.ok(Number(answer.headers.get('retry-after')) > 3_000);
  });
});

describe('an API that is down', () => {
  it('is spared after so many failures, tried again, and both are on record and in readiness', async () => {
    let down = true;
    let nowMs = 0;
    const of = await start({
      now: () => nowMs,
      config: {
        admin: { host: '127.0.0.1', port: 0 },
      },
      adjust: (config) => ({
        ...config,
        upstream: { ...config.upstream, breaker: { failuresMax: 3, windowMs: 60_000, openMs: 50, openMsMax: 50 } },
      }),
      upstream: (request, response) => {
        if (down) response.destroy();
        else answerPatient(request, response);
      },
    });
    const readiness = async (): Promise<unknown> => (await fetch(`${of.gateway.adminUrl}/readyz`)).json();
    for (const _ of [1, 2, 3]) assert.equal((await of.fetch('/fhir/Patient/1')).status, 502);
    const askedCount = of.asked.length;
    const spared = await of.fetch('/fhir/Patient/1');
    assert.equal(spared.status, 503);
    assert.equal(spared.json.code, 'upstream-unavailable');
    assert.equal(spared.headers['retry-after'], '1');
    assert.equal(of.asked.length, askedCount);
    assert.deepEqual(await readiness(), { ready: false, problems: ['upstream-unavailable'] });
    await eventBy(of, ({ operation }) => operation === 'upstream-spared');
    await eventBy(of, ({ outcome }) => outcome.reason === 'upstream-unavailable');
    down = false;
    nowMs += 50;
    assert.equal((await of.fetch('/fhir/Patient/1')).status, 200);
    await eventBy(of, ({ operation }) => operation === 'upstream-back');
    assert.deepEqual(await readiness(), { ready: true, problems: [] });
  });
});

describe('bounds of one caller', () => {
  it('are so many requests at once by user, given back when they end', async () => {
    const holding = Promise.withResolvers<void>();
    const asked = Promise.withResolvers<void>();
    const of = await start({
      config: { concurrency: { userMax: 1 } },
      upstream: (request, response) => {
        asked.resolve();
        void holding.promise.then(() => answerPatient(request, response));
      },
    });
    const first = of.fetch('/fhir/Patient/1');
    await asked.promise;
    const second = await of.fetch('/fhir/Patient/1');
    assert.equal(second.status, 429);
    assert.equal(second.json.code, 'concurrency-exceeded');
    assert.equal(second.headers['retry-after'], '1');
    holding.resolve();
    assert.equal((await first).status, 200);
    assert.equal((await of.fetch('/fhir/Patient/1')).status, 200);
    await eventBy(of, ({ outcome }) => outcome.reason === 'concurrency-user');
  });

  it('are bodies by route and interaction', async () => {
    const of = await start({ config: { limits: { bodies: [{ interactions: ['create'], bytesMax: 40 }] } } });
    const options = { headers: { 'content-type': 'application/fhir+json' } };
    const body = JSON.stringify({ resourceType: 'Patient', id: '1', language: 'en-GB' });
    assert.equal((await of.fetch('/fhir/Patient', { ...options, method: 'POST', body })).status, 413);
    assert.equal((await of.fetch('/fhir/Patient/1', { ...options, method: 'PUT', body })).status, 200);
  });
});
