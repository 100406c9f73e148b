/** WebSockets through the gateway: real ones, of the package `ws`, at both ends. */
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import type { Event } from '@watchglass/record';
import { WebSocket } from 'ws';

import { endedAfterEach, FaultyDisk, systemError } from './gateway.fixture.ts';
import { acceptOf } from './http/websocket.ts';
import {
  closedWith,
  eventsOf,
  handshake,
  nextMessage,
  openedOr,
  startWebSocketRoad,
  summary,
  type WebSocketRoad,
} from './websocket.fixture.ts';

const start = endedAfterEach(startWebSocketRoad);

async function opened(of: WebSocketRoad, options?: Parameters<WebSocketRoad['open']>[0]): Promise<WebSocket> {
  const socket = of.open(options);
  assert.equal(await openedOr(socket), 'open');
  return socket;
}

async function endOf(of: WebSocketRoad): Promise<Event> {
  const [, , end] = await eventsOf(of, 3);
  return end as Event;
}

describe('a WebSocket', () => {
  it('passes messages both ways, and is on record before, at its beginning and at its end', async () => {
    const of = await start();
    const socket = await opened(of);
    socket.send('hello');
    assert.equal(await nextMessage(socket), 'hello');
    const large = 'x'.repeat(300_000);
    socket.send(large);
    assert.equal(await nextMessage(socket), large);
    const closed = closedWith(socket);
    socket.close(4_001, 'done');
    assert.equal(await closed, 4_001);
    const [intent, begin, end] = (await eventsOf(of, 3)) as [Event, Event, Event];
    assert.deepEqual([intent, begin, end].map(summary), [
      ['subscribe', 'success', undefined, 'intent'],
      ['subscribe', 'success', 101, 'opened'],
      ['subscribe', 'success', 4_001, 'closed-by-client'],
    ]);
    assert.equal(begin.completes, intent.id);
    assert.equal(end.completes, begin.id);
    assert.deepEqual(begin.exposure, { truncated: true });
    assert.equal(end.exposure?.truncated, true);
    assert.ok((end.exposure?.bytes ?? 0) > 300_000 && (end.request?.requestBytes ?? 0) > 300_000);
    assert.ok((end.request?.durationMs ?? 0) > 0);
    assert.equal(end.actor.id, 'person-1');
    assert.equal(end.request?.route, '/fhir/websocket');
    assert.equal(JSON.stringify([intent, begin, end]).includes('hello'), false);
  });

  it('shows the API a handshake of the gateway: no extension, another key, no token', async () => {
    const of = await start();
    const socket = await opened(of, {
      client: { perMessageDeflate: true, headers: { cookie: 'a=b', 'x-auth-user': 'x' } },
    });
    assert.equal(socket.extensions, '');
    const { headers } = of.handshakes[0] as { headers: Record<string, string> };
    assert.equal(headers['sec-websocket-extensions'], undefined);
    assert.equal(headers.authorization, undefined);
    assert.equal(headers.cookie, undefined);
    assert.equal(headers['x-auth-user'], undefined);
    assert.match(headers['x-request-id'] ?? '', /^[0-9a-f-]{36}$/);
  });

  it('takes the token of a browser from a subprotocol, which the API never sees', async () => {
    const of = await start({ protocols: (offered) => (offered.has('fhir-events') ? 'fhir-events' : false) });
    const token = `watchglass.bearer.${of.token}`;
    const chosen = await opened(of, { token: null, protocols: ['watchglass', token, 'fhir-events'] });
    assert.equal(chosen.protocol, 'fhir-events');
    assert.equal(of.handshakes[0]?.headers['sec-websocket-protocol'], 'fhir-events');
    const none = await opened(of, { token: null, protocols: ['watchglass', token] });
    assert.equal(none.protocol, 'watchglass');
    assert.equal(of.handshakes[1]?.headers['sec-websocket-protocol'], undefined);
    assert.equal(of.handshakes[1]?.rawHeaders.join().includes(of.token), false);
    assert.equal(JSON.stringify(await of.settled()).includes(of.token), false);
    assert.equal(await openedOr(of.open({ protocols: [token] })), 400);
    assert.equal(await openedOr(of.open({ token: null, protocols: ['watchglass.bearer.nonsense'] })), 401);
  });

  it('goes over TLS like any request', async () => {
    const of = await start({ tls: true });
    const socket = new WebSocket(`wss://localhost:${of.gateway.port}/fhir/websocket`, {
      ca: of.tls.cert,
      headers: { authorization: `Bearer ${of.token}` },
    });
    assert.equal(await openedOr(socket), 'open');
    socket.send('sealed');
    assert.equal(await nextMessage(socket), 'sealed');
    const closed = closedWith(socket);
    await of.gateway[Symbol.asyncDispose]();
    assert.equal(await closed, 1_001);
  });

  it('of another JSON API is what its map says it is', async () => {
    const of = await start({
      prepare: async (folder) => {
        const map =
          'version: 1\nroutes:\n  GET /patients/{id}/vitals: {interaction: subscribe, type: Observation, patient: path id}\n';
        await writeFile(`${folder}/map.yaml`, map);
      },
      config: { routes: [{ prefix: '/api', kind: 'json', map: 'map.yaml', websocket: true }] },
    });
    await opened(of, { path: '/api/patients/p-17/vitals' });
    const [, begin] = (await eventsOf(of, 2)) as [Event, Event];
    assert.equal(begin.request?.route, '/api/patients/{id}/vitals');
    assert.equal(begin.targets?.[0]?.patient, 'p-17');
    assert.equal(of.handshakes[0]?.url, '/api/patients/p-17/vitals');
  });
});

describe('a WebSocket is refused, and the API not asked,', () => {
  for (const [what, status, reason, open] of [
    ['without a token', 401, 'token-missing', { token: null }],
    ['with its token in the URL', 401, 'token-missing', { token: null, path: '/fhir/websocket?access_token=secret' }],
    ['from a page of another origin', 403, 'origin', { client: { origin: 'https://evil.example' } }],
    ['from a page without an origin', 403, 'origin', { client: { origin: 'null' } }],
  ] as const) {
    it(what, async () => {
      const of = await start({ websockets: { origins: ['https://app.example'] } });
      assert.equal(await openedOr(of.open(open)), status);
      const [event] = (await eventsOf(of, 1)) as [Event];
      assert.deepEqual([event.outcome.status, event.outcome.reason], ['denied', reason]);
      assert.equal(of.handshakes.length, 0);
      await opened(of, { client: { origin: 'https://app.example' } });
    });
  }

  it('to whom no role allows it, whose scopes are for one patient, or who may have only some classes', async () => {
    const of = await start({
      policy: `
version: 1
roles:
  physician: {allow: [{interactions: [subscribe], types: ['*']}]}
  nurse: {allow: [{interactions: [read], types: ['*']}]}
  clerk: {allow: [{interactions: [subscribe], types: ['*'], classes: [notes]}]}
`,
    });
    for (const claims of [
      { roles: ['nurse'] },
      { roles: ['clerk'] },
      { scope: 'patient/*.rs', patient: 'p-1' },
      { scope: 'user/Observation.rs' },
    ])
      assert.equal(await openedOr(of.open({ token: await of.issuer.mint(claims) })), 403, JSON.stringify(claims));
    assert.equal(of.handshakes.length, 0);
  });

  it('where a route has none, and where it has one but none was asked for', async () => {
    const of = await start();
    assert.equal((await of.fetch('/fhir/websocket')).status, 426);
    assert.equal((await of.fetch('/fhir/websocket', { method: 'POST' })).status, 405);
    // As before: the Upgrade is left out of account.
    assert.equal(await openedOr(of.open({ path: '/fhir/Patient/1' })), 404);
    assert.equal(of.handshakes.length, 0);
  });

  it('above the number of one person, and of all', async () => {
    const of = await start({ websockets: { perPersonMax: 1, connectionsMax: 2 } });
    const first = await opened(of);
    assert.equal(await openedOr(of.open()), 429);
    await opened(of, { token: await of.issuer.mint({ sub: 'person-2' }) });
    const third = await of.issuer.mint({ sub: 'person-3' });
    assert.equal(await openedOr(of.open({ token: third })), 503);
    first.terminate();
    let status: unknown = 503;
    while (status === 503) status = await openedOr(of.open({ token: third }));
    assert.equal(status, 'open');
  });

  it('above that number when many are asked for at once', async () => {
    const of = await start({ websockets: { perPersonMax: 2 } });
    const all = await Promise.all(Array.from({ length: 12 }, () => openedOr(of.open())));
    assert.equal(all.filter((one) => one === 'open').length, 2);
    assert.deepEqual(new Set(all), new Set(['open', 429]));
    assert.ok(of.handshakes.length <= 2);
  });

  it('while the record fails', async () => {
    const faulty = new FaultyDisk();
    const of = await start({ disk: faulty.disk });
    await of.fetch('/fhir/Patient/1');
    faulty.writeError = systemError('ENOSPC');
    assert.equal(await openedOr(of.open()), 503);
    assert.equal(of.handshakes.length, 0);
  });
});

describe('a WebSocket ends', () => {
  it('with 1014 for the client when the API dies, in the midst of a message only by its end', async () => {
    const of = await start();
    const socket = await opened(of);
    const closed = closedWith(socket);
    of.sockets[0]?.terminate();
    assert.equal(await closed, 1_014);
    assert.deepEqual(summary(await endOf(of)), ['subscribe', 'failed', undefined, 'upstream-gone']);
    await of.close();
    const half = await start({
      onUpgrade(request, api) {
        const head = `HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${acceptOf(request.headers['sec-websocket-key'] ?? '')}\r\n\r\n`;
        api.write(head);
        api.write(Buffer.from([0x81, 100, 0x61]), () => api.destroy());
      },
    });
    const cut = await opened(half);
    assert.equal(await closedWith(cut), 1_006);
  });

  it('when the client is gone, and the API is told', async () => {
    const of = await start();
    const socket = await opened(of);
    const closed = closedWith(of.sockets[0] as WebSocket);
    socket.terminate();
    assert.equal(await closed, 1_001);
    assert.deepEqual(summary(await endOf(of)), ['subscribe', 'failed', undefined, 'client-gone']);
  });

  it('when the client had said its last before it was opened', async () => {
    const of = await start();
    const raw = connect(of.gateway.port, '127.0.0.1');
    raw.resume();
    raw.end(handshake(of));
    await new Promise<void>((resolve) => raw.once('close', () => resolve()));
    assert.deepEqual(summary(await endOf(of)), ['subscribe', 'failed', undefined, 'client-gone']);
  });

  it('when the API closes it, with its code', async () => {
    const of = await start({ onSocket: (api) => api.close(4_123, 'over') });
    const socket = of.open();
    assert.equal(await closedWith(socket), 4_123);
    assert.deepEqual(summary(await endOf(of)), ['subscribe', 'success', 4_123, 'closed-by-upstream']);
  });

  it('when the token ends', async () => {
    const of = await start();
    const exp = Math.floor(Date.now() / 1_000) + 4;
    const socket = await opened(of, { token: await of.issuer.mint({ exp }) });
    assert.equal(await closedWith(socket), 1_008);
    assert.ok(Date.now() >= exp * 1_000);
    assert.deepEqual(summary(await endOf(of)), ['subscribe', 'denied', undefined, 'token-expired']);
  });

  it('when the person is let in no longer', async () => {
    const of = await start();
    const socket = await opened(of);
    const other = await opened(of, { token: await of.issuer.mint({ sub: 'person-2' }) });
    await of.gateway.revoke({ sub: 'person-1' });
    assert.equal(await closedWith(socket), 1_008);
    const ended = (await eventsOf(of, 6)).filter(({ operation }) => operation === 'subscribe').at(-1);
    assert.deepEqual(summary(ended as Event), ['subscribe', 'denied', undefined, 'token-revoked']);
    other.send('still');
    assert.equal(await nextMessage(other), 'still');
  });

  it('when a decision of the server blocks them', async () => {
    const decided = Promise.withResolvers<object>();
    const of = await start({
      decisions: async (again) => (again ? await decided.promise : { version: 'v1', decisions: [] }),
    });
    const socket = await opened(of);
    const [made, expires] = [0, 60_000].map((ms) => new Date(Date.now() + ms).toISOString());
    const who = { subject: 'actor', value: 'person-1', by: 'officer', reason: 'probing' };
    decided.resolve({ version: 'v2', decisions: [{ id: 'd-1', effect: 'block', ...who, made, expires }] });
    assert.equal(await closedWith(socket), 1_008);
    assert.deepEqual(summary(await endOf(of)), ['subscribe', 'denied', undefined, 'blocked-actor']);
  });

  it('when another policy comes into force that does not allow it', async () => {
    const of = await start();
    const socket = await opened(of);
    await writeFile(
      join(of.folder, 'policy.yaml'),
      'version: 1\nroles: {physician: {allow: [{interactions: [read]}]}}\n',
    );
    await of.gateway.reloadPolicy();
    assert.equal(await closedWith(socket), 1_008);
    assert.deepEqual(summary(await endOf(of)), ['subscribe', 'denied', undefined, 'policy']);
  });

  it('when nothing moves, and when it has lasted long enough', async () => {
    const idle = await start({ websockets: { idleTimeoutMs: 100 } });
    assert.equal(await closedWith(await opened(idle)), 1_001);
    assert.deepEqual(summary(await endOf(idle)), ['subscribe', 'success', undefined, 'idle']);
    await idle.close();
    const brief = await start({ websockets: { lifetimeMs: 300 } });
    const socket = await opened(brief);
    const talking = setInterval(() => socket.send('x'), 20);
    assert.equal(await closedWith(socket), 1_001);
    clearInterval(talking);
    assert.deepEqual(summary(await endOf(brief)), ['subscribe', 'success', undefined, 'lifetime']);
  });

  it('when nothing moves, however long other connections may be still', async () => {
    const of = await start({
      websockets: { idleTimeoutMs: 3_000 },
      adjust: (config) => ({ ...config, limits: { ...config.limits, stallTimeoutMs: 1_500 } }),
    });
    assert.equal(await closedWith(await opened(of)), 1_001);
    assert.equal((await endOf(of)).outcome.reason, 'idle');
  });

  it('when the gateway stops, with 1001 for both, and its end is on record before the stop', async () => {
    const of = await start({ config: { limits: { drainMs: 60_000 } } });
    const socket = await opened(of);
    const [client, api] = [closedWith(socket), closedWith(of.sockets[0] as WebSocket)];
    const startedMs = performance.now();
    await of.gateway[Symbol.asyncDispose]();
    assert.ok(performance.now() - startedMs < 30_000);
    assert.deepEqual([await client, await api], [1_001, 1_001]);
    const operations = of.events.map(({ operation, outcome }) => `${operation} ${outcome.reason ?? ''}`.trim());
    assert.ok(operations.indexOf('subscribe going-away') > 0);
    assert.equal(operations.at(-1), 'stop');
  });

  it('at a frame that is not sound, which the other end never gets', async () => {
    const got: Buffer[] = [];
    const over = Promise.withResolvers<void>();
    const of = await start({
      onUpgrade(request, api) {
        const accept = acceptOf(request.headers['sec-websocket-key'] ?? '');
        api.write(
          `HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`,
        );
        api.on('data', (chunk: Buffer) => got.push(chunk));
        api.on('end', () => api.end());
        api.on('close', () => over.resolve());
      },
    });
    const raw = connect(of.gateway.port, '127.0.0.1');
    raw.write(handshake(of));
    await new Promise<void>((resolve) => raw.once('data', () => resolve()));
    const answer = new Promise<Buffer>((resolve) => raw.once('data', resolve));
    raw.write('DELETE /fhir/Patient/1 HTTP/1.1\r\nHost: x\r\n\r\n');
    assert.deepEqual(await answer, Buffer.from([0x88, 2, 0x03, 0xea]));
    raw.end();
    await over.promise;
    const bytes = Buffer.concat(got);
    assert.equal(bytes.includes('DELETE'), false);
    assert.equal(bytes[0], 0x88);
    assert.equal((await endOf(of)).outcome.reason, 'client-frame-reserved');
  });

  it('at a message that is too large', async () => {
    const of = await start({ websockets: { messageBytesMax: 1_000 } });
    const socket = await opened(of);
    socket.send('x'.repeat(1_001));
    assert.equal(await closedWith(socket), 1_009);
    assert.deepEqual(summary(await endOf(of)), ['subscribe', 'failed', undefined, 'message-too-large']);
  });
});

describe('a slow end', () => {
  it('slows the other, and keeps nothing in memory here', async () => {
    let sentBytes = 0;
    let api: WebSocket | undefined;
    const chunk = Buffer.alloc(64 * 1_024);
    const of = await start({
      onSocket(made) {
        api = made;
        const send = (): void => {
          // As fast as it is taken, 64 MB in all.
          made.send(chunk, () => {
            sentBytes += chunk.length;
            if (sentBytes < 64 * 1_024 * 1_024) send();
          });
        };
        send();
      },
    });
    const raw: Socket = connect(of.gateway.port, '127.0.0.1');
    raw.write(handshake(of));
    await new Promise<void>((resolve) => raw.once('data', () => resolve()));
    raw.pause();
    // Once what the kernel takes is full, nothing moves any more.
    let before = -1;
    while (sentBytes !== before) {
      before = sentBytes;
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
    assert.ok(sentBytes < 32 * 1_024 * 1_024, String(sentBytes));
    let taken = 0;
    raw.on('data', (bytes: Buffer) => {
      taken += bytes.length;
    });
    raw.resume();
    while (taken < 40 * 1_024 * 1_024) await new Promise((tick) => setImmediate(tick));
    assert.ok(api !== undefined);
    raw.destroy();
    assert.equal((await endOf(of)).outcome.reason, 'client-gone');
  });
});
