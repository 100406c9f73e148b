import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { test } from 'node:test';
import { sessionCookie } from './authenticate.ts';
import { clinic, post, startTestServer, type TestServer, testEvent } from './server.fixture.ts';

const address = async (server: TestServer): Promise<{ url: string; port: number }> => {
  const url = await server.api.listen({ host: '127.0.0.1', port: 0 });
  return { url, port: Number(new URL(url).port) };
};

/** Writes to a connection and resolves to what came back until it closed. */
function exchange(port: number, parts: readonly string[], end: 'end' | 'destroy' | 'wait'): Promise<string> {
  return new Promise((resolve, reject) => {
    let answer = '';
    const socket = connect(port, '127.0.0.1', () => {
      for (const part of parts) socket.write(part);
      if (end === 'end') socket.end();
      if (end === 'destroy') socket.destroy();
    });
    socket.on('data', (chunk) => {
      answer += String(chunk);
    });
    socket.on('close', () => resolve(answer));
    socket.on('error', reject);
  });
}

test('a body that is cut off stores nothing, however it is cut off', async () => {
  await using server = await startTestServer();
  const { port, url } = await address(server);
  const size = server.ledger.head(clinic).size;
  const body = JSON.stringify([testEvent(), testEvent()]);
  const head = (framing: string): string =>
    `POST /v1/events HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${server.writeKey}\r\ncontent-type: application/json\r\nconnection: close\r\n${framing}\r\n\r\n`;
  const lines = testEvent();
  const cut: readonly (readonly [string, string, 'end' | 'destroy'])[] = [
    [head(`content-length: ${body.length}`), body.slice(0, -10), 'end'],
    [head(`content-length: ${body.length}`), body.slice(0, -10), 'destroy'],
    [head('transfer-encoding: chunked'), `${body.length.toString(16)}\r\n${body}\r\n`, 'end'],
    // Whole lines have arrived, but not the last chunk: nobody knows whether more was to come.
    [
      head('transfer-encoding: chunked').replace('json', 'x-ndjson'),
      `${(JSON.stringify(lines).length + 1).toString(16)}\r\n${JSON.stringify(lines)}\n\r\n`,
      'destroy',
    ],
  ];
  for (const [start, part, how] of cut) {
    const answer = await exchange(port, [start, part], how);
    assert.ok(!answer.startsWith('HTTP/1.1 201'), answer);
  }
  // The server goes on, and what it was sent in part can be sent whole.
  const whole = await fetch(`${url}/v1/events`, {
    method: 'POST',
    body,
    headers: { authorization: `Bearer ${server.writeKey}`, 'content-type': 'application/json' },
  });
  assert.equal(whole.status, 201);
  assert.equal(server.ledger.head(clinic).size, size + 2);
});

test('what is refused before its body is read is answered at once, and the connection closed', async () => {
  await using server = await startTestServer();
  const { port } = await address(server);
  const head =
    'POST /v1/events HTTP/1.1\r\nhost: x\r\nauthorization: Bearer wgk_wrong\r\ncontent-type: application/json\r\ncontent-length: 1000000\r\n\r\n[';
  const answer = await exchange(port, [head], 'wait');
  assert.match(answer, /^HTTP\/1\.1 401 /);
  assert.match(answer, /connection: close/i);
});

test('a live tail gives events as they become durable, and is on record when it opens and closes', async () => {
  await using server = await startTestServer();
  const { url } = await address(server);
  const officer = await server.token('privacy-officer');
  const stop = new AbortController();
  const from = server.ledger.head(clinic).size;
  const tail = await fetch(`${url}/v1/events/tail`, {
    headers: { authorization: `Bearer ${officer}` },
    signal: stop.signal,
  });
  assert.match(tail.headers.get('content-type') ?? '', /^text\/event-stream/);
  const event = testEvent({ targets: [{ type: 'Patient', id: 'wg-pt-canary' }] });
  await fetch(`${url}/v1/events`, {
    method: 'POST',
    body: JSON.stringify(event),
    headers: { authorization: `Bearer ${server.writeKey}`, 'content-type': 'application/json' },
  });
  let text = '';
  for await (const chunk of (tail.body as ReadableStream<Uint8Array>).pipeThrough(
    new TextDecoderStream() as unknown as ReadableWritablePair<string, Uint8Array>,
  )) {
    text += chunk;
    if (text.includes(event.id)) break;
  }
  stop.abort();
  assert.match(text, /^id: \d+$/m);
  assert.ok(!text.includes('wg-pt-canary'));
  const operations = async (): Promise<string[]> => {
    const entries = await server.ledger.read(clinic, from, 100);
    return entries.map(
      ({ m }) => (JSON.parse(new TextDecoder().decode(m)) as { event: { operation: string } }).event.operation,
    );
  };
  const limit = AbortSignal.timeout(60_000);
  while (!(await operations()).includes('tail-close'))
    await server.ledger.grown(clinic, server.ledger.head(clinic).size, limit);
  assert.deepEqual(
    (await operations()).filter((one) => one.startsWith('tail')),
    ['tail-open', 'tail-close'],
  );
});

for (const [what, end] of [
  ['the right', (server: TestServer, id: string) => server.access.people.revokeRole(id, 'security-analyst', 'server')],
  ['the session', (server: TestServer, _id: string, cookie: string) => server.access.sessions.end(cookie)],
  ['the person', (server: TestServer, id: string) => server.access.people.disable(id, 'server')],
] as const) {
  test(`a live tail ends with ${what}, before another event goes out`, async () => {
    await using server = await startTestServer();
    const { url } = await address(server);
    const person = { username: 'ana', name: 'Ana', tenant: clinic, roles: ['security-analyst'] };
    const { id } = await server.access.people.add({ ...person, password: 'correct horse battery' }, 'server');
    const { cookie } = await server.access.sessions.create({
      ...person,
      kind: 'person',
      id,
      authentication: { method: 'password' },
    });
    const tail = await fetch(`${url}/v1/events/tail`, { headers: { cookie: `${sessionCookie}=${cookie}` } });
    assert.equal(tail.status, 200);
    await end(server, id, cookie);
    const event = testEvent();
    assert.equal((await post(server, event)).statusCode, 201);
    const text = await tail.text();
    assert.ok(!text.includes(event.id), 'it ended, without the event');
  });
}

test('tails that were given up before they began take no place', async () => {
  await using server = await startTestServer();
  const { url, port } = await address(server);
  const officer = await server.token('privacy-officer');
  const request = `GET /v1/events/tail HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${officer}\r\n\r\n`;
  for (let n = 0; n < 80; n++) await exchange(port, [request], 'destroy');
  const stop = new AbortController();
  const tail = await fetch(`${url}/v1/events/tail`, {
    headers: { authorization: `Bearer ${officer}` },
    signal: stop.signal,
  });
  assert.equal(tail.status, 200);
  stop.abort();
});

test('a path that leads out of the console is a plain 404', async () => {
  await using server = await startTestServer({ consoleFiles: { 'index.html': '<title>console</title>' } });
  const { port } = await address(server);
  for (const path of [
    '/../../etc/passwd',
    '/..%2f..%2fetc/passwd',
    '/%2e%2e/%2e%2e/etc/passwd',
    '/..%5c..%5cx',
    '/%00',
    '/log/clinic/tile/../../../keys/kek',
  ]) {
    const answer = await exchange(port, [`GET ${path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n`], 'wait');
    assert.match(answer, /^HTTP\/1\.1 404 /, path);
  }
});

test('stopping ends live tails instead of waiting for them', async () => {
  const server = await startTestServer();
  const { url } = await address(server);
  const tail = await fetch(`${url}/v1/events/tail`, { headers: { authorization: `Bearer ${server.operator}` } });
  assert.equal(tail.status, 200);
  const ended = (async () => {
    for await (const _ of tail.body as ReadableStream<Uint8Array>);
  })().catch(() => undefined);
  await server[Symbol.asyncDispose]();
  await ended;
});

test('what comes in steadily is indexed as it comes', async (t) => {
  await using server = await startTestServer();
  const { url } = await address(server);
  const headers = { authorization: `Bearer ${server.writeKey}`, 'content-type': 'application/json' };
  let worstMs = 0;
  for (let batch = 0; batch < 20; batch++) {
    const begun = performance.now();
    const answer = await fetch(`${url}/v1/events`, {
      method: 'POST',
      headers,
      body: JSON.stringify(Array.from({ length: 50 }, () => testEvent())),
    });
    assert.equal(answer.status, 201);
    await server.indexes.reached(clinic, server.ledger.head(clinic).size, AbortSignal.timeout(60_000));
    worstMs = Math.max(worstMs, performance.now() - begun);
  }
  t.diagnostic(`sent, stored and indexed after at most ${worstMs.toFixed(0)} ms`);
  assert.equal(server.indexes.status()[0]?.failure, undefined);
  assert.equal(server.indexes.status()[0]?.lagMs, 0);
});
