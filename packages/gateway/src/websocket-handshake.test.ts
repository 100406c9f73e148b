/** The handshake of a WebSocket, byte by byte: what a client may send, what an API may answer, and that nothing else comes of either. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Event } from '@watchglass/record';
import { endedAfterEach } from './gateway.fixture.ts';
import { acceptOf } from './http/websocket.ts';
import { eventsOf, handshake, startWebSocketRoad } from './websocket.fixture.ts';

const start = endedAfterEach(startWebSocketRoad);

describe('a WebSocket is refused, and the API not asked,', () => {
  it('with a handshake that is not sound, and the connection ends', async () => {
    const of = await start();
    for (const [change, status] of [
      [{ 'Sec-WebSocket-Version': '8' }, 426],
      [{ 'Sec-WebSocket-Version': '13, 13' }, 426],
      [{ 'Sec-WebSocket-Key': undefined }, 400],
      [{ 'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ' }, 400],
      [{ 'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZR==' }, 400],
      [{ 'Sec-WebSocket-Protocol': 'a, a' }, 400],
    ] as const) {
      const raw = await of.raw(handshake(of, change));
      assert.match(raw, new RegExp(`^HTTP/1\\.1 ${status} `), JSON.stringify(change));
      assert.match(raw, /connection: close/i);
      if (status === 426) assert.match(raw, /sec-websocket-version: 13/i);
    }
    assert.equal(of.handshakes.length, 0);
    assert.ok((await eventsOf(of, 6)).every(({ operation }) => operation === 'protocol-violation'));
  });

  it('with anything behind the handshake, which is never read as another request', async () => {
    const of = await start();
    const smuggled = 'GET /fhir/Patient/2 HTTP/1.1\r\nHost: gw.example\r\n\r\n';
    const raw = await of.raw(handshake(of) + smuggled);
    assert.deepEqual(
      [...raw.matchAll(/HTTP\/1\.1 (\d+)/g)].map(([, status]) => status),
      ['400'],
    );
    const second = await of.raw(handshake(of, { 'Sec-WebSocket-Version': '777' }) + smuggled);
    assert.deepEqual(
      [...second.matchAll(/HTTP\/1\.1 (\d+)/g)].map(([, status]) => status),
      ['426'],
    );
    for (const length of ['0', String(smuggled.length)]) {
      const third = await of.raw(handshake(of, { 'Content-Length': length, Connection: 'Upgrade, close' }) + smuggled);
      assert.deepEqual(
        [...third.matchAll(/HTTP\/1\.1 (\d+)/g)].map(([, status]) => status),
        [length === '0' ? '426' : '400'],
      );
    }
    assert.equal(of.handshakes.length + of.asked.length, 0);
  });
});

describe('an API that does not agree', () => {
  const agreed = (key: string | undefined, more = ''): string =>
    `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${acceptOf(key ?? '')}\r\n${more}\r\n`;

  for (const [what, answer] of [
    ['says no', () => 'HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n'],
    ['answers as if it were a request like any other', () => 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'],
    ['upgrades with another status', (key) => agreed(key).replace('101 Switching Protocols', '200 OK')],
    ['answers to another key', () => agreed('x')],
    ['answers to no key', (key) => agreed(key).replace(/Sec-WebSocket-Accept.*\r\n/, '')],
    ['changes to another protocol', (key) => agreed(key).replace('Upgrade: websocket', 'Upgrade: h2c')],
    ['adds an extension', (key) => agreed(key, 'Sec-WebSocket-Extensions: permessage-deflate\r\n')],
    ['chooses a subprotocol that nobody offered', (key) => agreed(key, 'Sec-WebSocket-Protocol: other\r\n')],
    ['hangs up', () => undefined],
  ] as readonly (readonly [string, (key: string | undefined) => string | undefined])[]) {
    it(`and ${what} is 502, and its connection over`, async () => {
      const over = Promise.withResolvers<void>();
      const seen: Buffer[] = [];
      const of = await start({
        onUpgrade(request, socket) {
          socket.on('close', () => over.resolve());
          socket.on('end', () => socket.end());
          socket.on('data', (chunk: Buffer) => seen.push(chunk));
          const text = answer(request.headers['sec-websocket-key']);
          if (text === undefined) socket.destroy();
          else socket.write(text);
        },
      });
      const raw = await of.raw(handshake(of));
      assert.match(raw, /^HTTP\/1\.1 502 /);
      await over.promise;
      assert.equal(seen.length, 0);
      const [intent, outcome] = (await eventsOf(of, 2)) as [Event, Event];
      assert.equal(intent.outcome.reason, 'intent');
      assert.equal(outcome.completes, intent.id);
      assert.equal(outcome.outcome.status, 'error');
    });
  }

  it('in time is 504', async () => {
    const of = await start({ onUpgrade: () => undefined, websockets: { handshakeTimeoutMs: 50 } });
    assert.match(await of.raw(handshake(of)), /^HTTP\/1\.1 504 /);
  });
});

describe('a connection', () => {
  it('whose first request was refused at its head is not turned into one', async () => {
    const of = await start();
    const expecting = 'GET /fhir/Patient/1 HTTP/1.1\r\nHost: gw.example\r\nExpect: 200-ok\r\n\r\n';
    const raw = await of.raw(expecting + handshake(of));
    assert.match(raw, /^HTTP\/1\.1 417 /);
    assert.equal(of.handshakes.length, 0);
  });

  it('is turned into a WebSocket only when nothing else is under way on it', async () => {
    const of = await start();
    const read = `GET /fhir/Patient/1 HTTP/1.1\r\nHost: gw.example\r\nAuthorization: Bearer ${of.token}\r\n\r\n`;
    const raw = await of.raw(read + handshake(of, { Connection: 'Upgrade, close' }));
    assert.deepEqual(
      [...raw.matchAll(/HTTP\/1\.1 (\d+)/g)].map(([, status]) => status),
      ['404', '426'],
    );
    assert.equal(of.handshakes.length, 0);
  });
});
