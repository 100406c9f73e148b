/** Bytes between the gateway and its neighbours: pipelining, interim and bodyless responses, upstreams that break off or babble, clients that leave. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { describe, it } from 'node:test';

import type { Event } from '@watchglass/record';

import {
  endedAfterEach,
  eventsOf,
  eventsUpTo,
  observation,
  type Road,
  type RoadOptions,
  sendJson,
  startRoad,
  statusesOf,
} from './gateway.fixture.ts';

const start = endedAfterEach(startRoad);
const listenRaw = endedAfterEach(async (onConnection: (socket: Socket) => void) => {
  const server = createServer(onConnection).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return server;
});

/** An upstream that answers each request with these bytes, in turn; the last ones for ever. */
async function startRaw(
  answers: readonly (string | ((socket: Socket) => void))[],
  options: RoadOptions = {},
): Promise<Road> {
  let asked = 0;
  const upstream = await listenRaw((socket) => {
    socket.on('error', () => undefined);
    socket.on('data', () => {
      const answer = answers[Math.min(asked, answers.length - 1)] as string | ((socket: Socket) => void);
      asked += 1;
      if (typeof answer === 'string') socket.write(answer, 'latin1');
      else answer(socket);
    });
  });
  const { port } = upstream.address() as AddressInfo;
  return start({
    ...options,
    config: { upstream: { url: `http://127.0.0.1:${port}`, timeoutMs: 1_000 }, ...options.config },
  });
}

const patient = '{"resourceType":"Patient","id":"p-1"}';
const json = 'Content-Type: application/fhir+json';
const ok = `HTTP/1.1 200 OK\r\n${json}\r\nContent-Length: ${patient.length}\r\n\r\n${patient}`;

function get(of: Road, target: string, ...extra: string[]): string {
  return [`GET ${target} HTTP/1.1`, 'Host: localhost', `Authorization: Bearer ${of.token}`, ...extra, '', ''].join(
    '\r\n',
  );
}

const close = 'Connection: close';

describe('requests in one packet', () => {
  it('are answered one after the other, in order', async () => {
    let open = 0;
    let openMax = 0;
    const of = await start({
      upstream: (request, response) => {
        open += 1;
        openMax = Math.max(openMax, open);
        setImmediate(() => {
          open -= 1;
          sendJson(response, 200, { resourceType: 'Patient', id: request.url?.split('/').at(-1) });
        });
      },
    });
    const answer = await of.raw(
      get(of, '/fhir/Patient/1') + get(of, '/fhir/Patient/2') + get(of, '/fhir/Patient/3', close),
    );
    assert.deepEqual(statusesOf(answer), [200, 200, 200]);
    assert.deepEqual(
      [...answer.matchAll(/"id":"(\d)"/g)].map((match) => match[1]),
      ['1', '2', '3'],
    );
    assert.equal(openMax, 1);
  });

  it('end with the first that is not sound: what comes behind it is not served', async () => {
    const of = await start();
    await of.fetch('/fhir/Patient/1');
    const smuggled = get(of, '/fhir/Patient/2', close).replace('GET', 'DELETE');
    const answer = await of.raw(get(of, '/fhir/../admin') + smuggled);
    assert.deepEqual(statusesOf(answer), [400]);
    assert.equal(of.asked.length, 1);
    assert.deepEqual(
      (await eventsOf(of)).map(({ operation }) => operation),
      ['read', 'protocol-violation'],
    );
  });

  it('behind one that asked to close are not served', async () => {
    const of = await start();
    const answer = await of.raw(get(of, '/fhir/Patient/1', close) + get(of, '/fhir/Patient/2'));
    assert.deepEqual(statusesOf(answer), [200]);
    assert.deepEqual(
      of.asked.map(({ target }) => target),
      ['/fhir/Patient/1'],
    );
  });

  it('are bounded in number', async () => {
    const of = await start({ upstream: () => undefined });
    const answer = await of.raw(get(of, '/fhir/Patient/1').repeat(200));
    assert.deepEqual(statusesOf(answer), []);
    assert.ok(of.asked.length <= 1);
    assert.ok((await eventsUpTo(of, 1)).some(({ outcome }) => outcome.reason === 'pipelined-too-many'));
  });
});

describe('odd but sound requests', () => {
  it('of HTTP/1.0 that want to be kept alive are answered one by one', async () => {
    const of = await start();
    const old = get(of, '/fhir/Patient/1', 'Connection: keep-alive').replace('HTTP/1.1', 'HTTP/1.0');
    const answer = await of.raw(old + old.replace('Connection: keep-alive', close));
    assert.deepEqual(statusesOf(answer), [200, 200]);
    assert.equal(of.asked.length, 2);
  });

  it('with trailers lose them', async () => {
    const of = await start({ upstream: (_request, response) => response.writeHead(201).end() });
    const head = get(of, '/fhir/Observation', json, 'Transfer-Encoding: chunked', 'Trailer: Authorization', close);
    const answer = await of.raw(
      `${head.replace('GET', 'POST')}2\r\n{}\r\n0\r\nAuthorization: Bearer other\r\nX-Auth-Subject: admin\r\n\r\n`,
    );
    assert.deepEqual(statusesOf(answer), [201]);
    assert.equal(of.asked[0]?.headers['x-auth-subject'], undefined);
    assert.equal(of.asked[0]?.headers.trailer, undefined);
    assert.equal(of.asked[0]?.body, '{}');
  });

  it('that wait for 100 Continue get it only when they may go on', async () => {
    const of = await start({ upstream: (_request, response) => response.writeHead(201).end() });
    const head = get(of, '/fhir/Observation', json, 'Content-Length: 2', 'Expect: 100-continue', close).replace(
      'GET',
      'POST',
    );
    assert.deepEqual(statusesOf(await of.raw([head, '{}'])), [100, 201]);
    const denied = head.replace(of.token, await of.issuer.mint({ roles: [] }));
    assert.deepEqual(statusesOf(await of.raw(denied)), [403]);
    assert.deepEqual(statusesOf(await of.raw(head.replace('100-continue', 'something'))), [417]);
    assert.equal(of.asked.length, 1);
  });

  it('for part of a resource get all of it: a part could not be read', async () => {
    const of = await start();
    assert.equal(
      (await of.fetch('/fhir/Patient/1', { headers: { range: 'bytes=0-10', 'if-range': '"x"' } })).status,
      200,
    );
    assert.equal(of.asked[0]?.headers.range, undefined);
    assert.equal(of.asked[0]?.headers['if-range'], undefined);
  });

  it('that override the method in some way are refused', async () => {
    const of = await start();
    for (const name of ['X-HTTP-Method-Override', 'X-HTTP-Method', 'X-Method-Override', 'X-Method', 'Method-Override'])
      assert.equal((await of.fetch('/fhir/Patient/1', { headers: { [name]: 'DELETE' } })).status, 400, name);
    assert.equal((await of.fetch('/fhir/Patient/1?_method=DELETE')).status, 400);
    const form = {
      method: 'POST',
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
      body: '_method=DELETE',
    };
    assert.equal((await of.fetch('/fhir/Patient/_search', form)).status, 400);
    assert.equal(of.asked.length, 0);
  });
});

describe('an upstream', () => {
  const good = async (of: Road): Promise<void> => {
    const answer = await of.fetch('/fhir/Patient/p-1');
    assert.deepEqual([answer.status, answer.text], [200, patient]);
  };

  it('that says 103 first is heard to its end', async () => {
    const of = await startRaw([`HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n${ok}`]);
    await good(of);
  });

  it('that sends a body with 204 or 304 does not get it into the next answer', async () => {
    for (const status of ['204 No Content', '304 Not Modified']) {
      const of = await startRaw([`HTTP/1.1 ${status}\r\nContent-Length: 5\r\n\r\nSTALE`, ok]);
      const first = await of.fetch('/fhir/Patient/p-1');
      assert.equal(first.text, '');
      await good(of);
    }
  });

  it('that answers HEAD with a body does not get it into the next answer', async () => {
    const of = await startRaw([ok, ok]);
    const head = await of.fetch('/fhir/Patient/p-1', { method: 'HEAD' });
    assert.deepEqual([head.status, head.text, head.headers['content-length']], [200, '', String(patient.length)]);
    await good(of);
  });

  it('that answers twice does not get the second answer to anybody', async () => {
    const stale = ok.replaceAll('p-1', 'p-2');
    const of = await startRaw([ok + stale, ok]);
    await good(of);
    await good(of);
  });

  for (const [what, answer] of [
    ['two lengths', `HTTP/1.1 200 OK\r\n${json}\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello`],
    ['a length and chunks', `HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`],
    ['a status below 200 as its last', 'HTTP/1.1 099 Odd\r\nContent-Length: 0\r\n\r\n'],
    ['a switch of protocols', 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n'],
    ['status 999', 'HTTP/1.1 999 Odd\r\nContent-Length: 0\r\n\r\n'],
    ['a folded header', `HTTP/1.1 200 OK\r\nX-A: 1\r\n 2\r\nContent-Length: 0\r\n\r\n`],
    ['a header of 100 KB', `HTTP/1.1 200 OK\r\nX-A: ${'a'.repeat(100_000)}\r\nContent-Length: 0\r\n\r\n`],
  ] as const) {
    it(`that sends ${what} is 502, and it is recorded`, async () => {
      const of = await startRaw([answer]);
      assert.equal((await of.fetch('/fhir/Patient/p-1')).status, 502);
      const [event] = (await eventsOf(of)) as [Event];
      assert.equal(event.outcome.status, 'error');
      assert.equal(event.exposure, undefined);
    });
  }

  it('that breaks off half-way is 502 and nothing of it leaves', async () => {
    const of = await startRaw([
      (socket) => socket.end(`HTTP/1.1 200 OK\r\n${json}\r\nContent-Length: 500\r\n\r\n${patient}`),
    ]);
    const answer = await of.fetch('/fhir/Patient/p-1');
    assert.equal(answer.status, 502);
    assert.equal(answer.text.includes('p-1'), false);
  });

  it('that trickles is 504 at the deadline', async () => {
    const of = await startRaw([
      (socket) => {
        socket.write(`HTTP/1.1 200 OK\r\n${json}\r\nContent-Length: 500\r\n\r\n`);
        const timer = setInterval(() => socket.write('{'), 60);
        socket.on('close', () => clearInterval(timer));
      },
    ]);
    const startedMs = performance.now();
    assert.equal((await of.fetch('/fhir/Patient/p-1')).status, 504);
    // All of it would take half a minute.
    assert.ok(performance.now() - startedMs < 20_000);
  });

  it('whose header values are not ASCII, or stand twice, is still answered for', async () => {
    const bytes = Buffer.from('M\u00fcller \u20ac', 'utf8').toString('latin1');
    const of = await startRaw([
      ok.replace(
        json,
        `${json}\r\nWarning: 299 - "${bytes}"\r\nConnection: keep-alive\r\nConnection: x-inner\r\nX-Inner: 1\r\nETag: "1"`,
      ),
    ]);
    const answer = await of.fetch('/fhir/Patient/p-1');
    assert.equal(answer.status, 200);
    assert.equal(answer.headers.etag, '"1"');
    assert.equal(answer.headers['x-inner'], undefined);
  });
});

/** Far more than the buffers of a connection hold. */
function longSearchset(): string {
  const one = JSON.stringify(observation('o-1', 'p-1'));
  return `{"resourceType":"Bundle","entry":[${`{"resource":${one}},`.repeat(300_000)}{}]}`;
}

describe('a fault of the gateway itself', () => {
  it('is 500 without a word about the request, and recorded', async () => {
    const anonymous = {
      has: () => {
        throw new Error('made by a test');
      },
    } as unknown as ReadonlySet<never>;
    const of = await start({ adjust: (config) => ({ ...config, policy: { ...config.policy, anonymous } }) });
    const answer = await of.fetch('/fhir/Patient/1');
    assert.deepEqual([answer.status, answer.text], [500, '']);
    const [event] = (await of.settled()).slice(-1) as [Event];
    assert.deepEqual([event.operation, event.outcome.code], ['gateway-fault', 500]);
  });
});

describe('a client that leaves', () => {
  async function leaveWhenAsked(of: Road, bytes: string): Promise<void> {
    const socket = connect(Number(new URL(of.gateway.url).port), '127.0.0.1');
    socket.write(bytes);
    while (of.asked.length === 0) await new Promise((tick) => setImmediate(tick));
    socket.destroy();
    await once(socket, 'close');
  }

  it('does not hide how its change ended', async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const of = await start({
      upstream: (_request, response) => void promise.then(() => response.writeHead(204).end()),
    });
    await leaveWhenAsked(of, get(of, '/fhir/Patient/p-1').replace('GET', 'DELETE'));
    resolve();
    const [intent, outcome] = (await eventsUpTo(of, 2)) as [Event, Event];
    assert.equal(outcome.completes, intent.id);
    assert.deepEqual(outcome.outcome, { status: 'success', code: 204 });
  });

  it('in the middle of a stream is recorded with what left', async () => {
    const text = longSearchset();
    const of = await start({
      config: { exposure: { maxBytes: 65_536 } },
      upstream: (_request, response) => response.writeHead(200, { 'content-type': 'application/fhir+json' }).end(text),
    });
    const socket = connect(Number(new URL(of.gateway.url).port), '127.0.0.1');
    socket.write(get(of, '/fhir/Observation?_count=200000'));
    await once(socket, 'data');
    socket.destroy();
    const [event, end] = (await eventsUpTo(of, 2)) as [Event, Event];
    assert.equal(event.exposure?.truncated, true);
    assert.equal(end.completes, event.id);
    assert.deepEqual([end.outcome.status, end.outcome.reason], ['failed', 'stream-cut-off']);
    assert.ok((end.exposure?.bytes ?? 0) < text.length);
  });

  it('or stops reading a stream is hung up on', async () => {
    const text = longSearchset();
    const of = await start({
      config: { exposure: { maxBytes: 65_536 }, limits: { stallTimeoutMs: 1_500 } },
      upstream: (_request, response) => response.writeHead(200, { 'content-type': 'application/fhir+json' }).end(text),
    });
    const socket = connect(Number(new URL(of.gateway.url).port), '127.0.0.1');
    socket.on('error', () => undefined);
    socket.pause();
    socket.write(get(of, '/fhir/Observation?_count=200000'));
    const [, end] = (await eventsUpTo(of, 2)) as [Event, Event];
    assert.equal(end.outcome.reason, 'stream-cut-off');
    socket.destroy();
  });
});

describe('a body that breaks', () => {
  it('makes one event, and gives its place back', async () => {
    const of = await start({ config: { limits: { inFlightMax: 2 } } });
    const head = get(of, '/fhir/Observation', json, 'Transfer-Encoding: chunked').replace('GET', 'POST');
    for (let n = 1; n <= 4; n++) {
      assert.deepEqual(statusesOf(await of.raw(`${head}2\r\n{}XX`)), [400]);
      assert.equal((await eventsOf(of)).length, n);
    }
    assert.equal((await of.fetch('/fhir/Patient/1')).status, 200);
    const events = await eventsOf(of);
    assert.deepEqual(
      events.slice(0, 4).map(({ operation, outcome }) => `${operation} ${outcome.code}`),
      Array(4).fill('protocol-violation 400'),
    );
  });

  it('because the client left makes one event, of the person', async () => {
    const of = await start();
    const socket = connect(Number(new URL(of.gateway.url).port), '127.0.0.1');
    const head = get(of, '/fhir/Observation', json, 'Content-Length: 100', 'Expect: 100-continue');
    socket.write(head.replace('GET', 'POST'));
    // It is told to go on once it is known who asks.
    await once(socket, 'data');
    socket.destroy();
    const [event] = (await eventsUpTo(of, 1)) as [Event];
    assert.deepEqual(event.outcome, { status: 'failed', code: 400, reason: 'client-closed' });
    assert.equal(event.actor.id, 'person-1');
    assert.equal(of.asked.length, 0);
  });
});
