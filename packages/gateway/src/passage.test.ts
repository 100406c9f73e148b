/** The rest of the road: batches, responses that are large or compressed, upstreams that fail, the gateway's own start and end. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { describe, it } from 'node:test';
import { gzipSync } from 'node:zlib';

import type { Event } from '@watchglass/record';

import {
  endedAfterEach,
  eventsOf,
  eventsUpTo,
  observation,
  searchset,
  sendJson,
  startRoad,
} from './gateway.fixture.ts';

const start = endedAfterEach(startRoad);

describe('a batch', () => {
  const entry = (method: string, url: string, resource?: object): object => ({
    request: { method, url },
    ...(resource === undefined ? {} : { resource }),
  });
  const batch = (...entries: object[]): { method: string; headers: Record<string, string>; body: string } => ({
    method: 'POST',
    headers: { 'content-type': 'application/fhir+json' },
    body: JSON.stringify({ resourceType: 'Bundle', type: 'batch', entry: entries }),
  });

  it('is recorded as a whole and entry by entry', async () => {
    const of = await start({
      upstream: (_request, response) =>
        sendJson(response, 200, {
          resourceType: 'Bundle',
          type: 'batch-response',
          entry: [
            { response: { status: '200 OK' }, resource: { resourceType: 'Patient', id: 'p-1' } },
            { response: { status: '409 Conflict' } },
          ],
        }),
    });
    const answer = await of.fetch(
      '/fhir',
      batch(entry('GET', 'Patient/p-1'), entry('PUT', 'Observation/o-1', observation('o-1', 'p-1'))),
    );
    assert.equal(answer.status, 200);
    const events = await eventsOf(of);
    assert.deepEqual(
      events.map(({ operation, outcome }) => `${operation} ${outcome.reason ?? outcome.code}`),
      ['batch intent', 'read intent', 'update intent', 'batch 200', 'read 200', 'update 409'],
    );
    assert.equal(events[5]?.completes, events[2]?.id);
    assert.deepEqual(events[3]?.exposure?.patients, [{ id: 'p-1', classes: ['demographics'], count: 1 }]);
  });

  it('that only reads needs no intent', async () => {
    const of = await start({
      upstream: (_request, response) => sendJson(response, 200, { resourceType: 'Bundle', entry: [] }),
    });
    await of.fetch('/fhir', batch(entry('GET', 'Patient/p-1')));
    assert.equal(
      (await eventsOf(of)).some(({ outcome }) => outcome.reason === 'intent'),
      false,
    );
  });

  it('with an entry nobody can read is refused', async () => {
    const of = await start();
    for (const url of ['http://other/fhir/Patient/1', '../admin', 'patient/1', 'Patient/%2e%2e', '']) {
      assert.equal((await of.fetch('/fhir', batch(entry('POST', url)))).status, 400, url);
    }
    assert.equal((await of.fetch('/fhir', { ...batch(), body: '{' })).status, 400);
    assert.equal(of.asked.length, 0);
  });
});

describe('a response too large to hold', () => {
  it('is recorded as truncated before it streams, and once more at its end', async () => {
    const resources = Array.from({ length: 3_000 }, (_, n) => observation(`o-${n}`, `p-${n}`));
    const text = JSON.stringify(searchset(...resources));
    const of = await start({
      config: { exposure: { maxBytes: 65_536 } },
      upstream: (_request, response) => response.writeHead(200, { 'content-type': 'application/fhir+json' }).end(text),
    });
    const answer = await of.fetch('/fhir/Observation?_count=3000');
    assert.equal(answer.text, text);
    const events = await eventsUpTo(of, 5);
    const [event] = events as [Event, ...Event[]];
    const end = events.find(({ outcome }) => outcome.reason === 'streamed');
    assert.equal(event.exposure?.truncated, true);
    assert.ok((event.exposure?.patients?.length ?? 0) > 500);
    // The rest was read while it passed: nobody in it is missing, and it is not truncated.
    assert.equal(end?.completes, event.id);
    assert.deepEqual([end?.exposure?.bytes, end?.exposure?.truncated], [text.length, undefined]);
    const named = events.flatMap(({ exposure }) => (exposure?.patients ?? []).map(({ id }) => id));
    assert.equal(new Set(named).size, resources.length);
    // The one that was cut off by the bound is in both.
    const count = (event.exposure?.count ?? 0) + (end?.exposure?.count ?? 0);
    assert.ok(count - resources.length <= 1, String(count));
  });

  it('that is about more patients than are counted says so at its end', async () => {
    const text = JSON.stringify(searchset(...Array.from({ length: 6_000 }, (_, n) => observation('o', `p-${n}`))));
    const of = await start({
      config: { exposure: { maxBytes: 1_024 } },
      upstream: (_request, response) => response.writeHead(200, { 'content-type': 'application/fhir+json' }).end(text),
    });
    assert.equal((await of.fetch('/fhir/Observation')).text, text);
    const end = (await eventsUpTo(of, 4)).find(({ outcome }) => outcome.reason === 'streamed');
    assert.equal(end?.exposure?.truncated, true);
  });

  it('is recorded as cut off when the upstream breaks it off', async () => {
    const of = await start({
      config: { exposure: { maxBytes: 65_536 } },
      upstream: (_request, response) => {
        response.writeHead(200, { 'content-type': 'application/fhir+json', 'content-length': 500_000 });
        response.write('x'.repeat(200_000), () => response.destroy());
      },
    });
    await assert.rejects(of.fetch('/fhir/Observation?_count=3000'));
    const events = await eventsUpTo(of, 2);
    assert.equal(events[1]?.outcome.reason, 'stream-cut-off');
  });
});

describe('a response that is compressed anyway', () => {
  it('is read for the record and released as it came', async () => {
    const body = gzipSync(JSON.stringify({ resourceType: 'Patient', id: 'p-1' }));
    const of = await start({
      upstream: (_request, response) =>
        response
          .writeHead(200, {
            'content-type': 'application/fhir+json',
            'content-encoding': 'gzip',
            'content-length': body.length,
          })
          .end(body),
    });
    const answer = await of.fetch('/fhir/Patient/p-1');
    assert.equal(answer.headers['content-encoding'], 'gzip');
    const [event] = (await eventsOf(of)) as [Event];
    assert.equal(event.exposure?.patients?.[0]?.id, 'p-1');
    assert.equal(event.exposure?.truncated, undefined);
  });

  it('and opens to more than the bound is truncated', async () => {
    const body = gzipSync(Buffer.alloc(5_000_000, 0x20));
    const of = await start({
      upstream: (_request, response) =>
        response
          .writeHead(200, {
            'content-type': 'application/fhir+json',
            'content-encoding': 'gzip',
            'content-length': body.length,
          })
          .end(body),
    });
    assert.equal((await of.fetch('/fhir/Patient/p-1')).status, 200);
    assert.equal((await eventsOf(of))[0]?.exposure?.truncated, true);
  });
});

describe('an upstream that fails', () => {
  it('is 502 when it is down, and recorded', async () => {
    const of = await start({ config: { upstream: { url: 'http://127.0.0.1:9', timeoutMs: 2_000 } } });
    const answer = await of.fetch('/fhir/Patient/1');
    assert.equal(answer.status, 502);
    const [event] = (await eventsOf(of)) as [Event];
    assert.deepEqual(event.outcome, { status: 'error', code: 502, reason: 'upstream-unreachable' });
  });

  it('is 504 when it is slow, and the intent of a change stays with its outcome', async () => {
    const of = await start({
      upstream: () => undefined,
      adjust: (config) => ({ ...config, upstream: { ...config.upstream, timeoutMs: 100 } }),
    });
    assert.equal((await of.fetch('/fhir/Patient/1', { method: 'DELETE' })).status, 504);
    const [intent, outcome] = (await eventsOf(of)) as [Event, Event];
    assert.equal(outcome.completes, intent.id);
    assert.deepEqual(outcome.outcome, { status: 'error', code: 504, reason: 'upstream-timeout' });
  });

  it('and sends something that is no HTTP is 502', async () => {
    const of = await start({ upstream: (request) => void request.socket.end('nonsense\r\n\r\n') });
    assert.equal((await of.fetch('/fhir/Patient/1')).status, 502);
  });

  it('and says two content types is 502, by its fault and not by ours', async () => {
    const of = await start({
      upstream(_request, response) {
        response.writeHead(200, ['content-type', 'application/fhir+json', 'content-type', 'text/event-stream']);
        response.end('{"resourceType":"Patient","id":"1"}');
      },
    });
    for (const accept of ['*/*', 'text/event-stream']) {
      const answer = await of.fetch('/fhir/Patient/1', { headers: { accept } });
      assert.deepEqual([answer.status, answer.json.type], [502, 'urn:watchglass:error:upstream-invalid']);
    }
    // It is there, and answered: it isn't asked for a second time.
    assert.equal(of.asked.length, 2);
  });

  it('while the client leaves makes an event of it', async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const of = await start({ upstream: (request) => void once(request.socket, 'close').then(() => resolve()) });
    const { connect } = await import('node:net');
    const socket = connect(Number(new URL(of.gateway.url).port), '127.0.0.1');
    socket.write(`GET /fhir/Patient/1 HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${of.token}\r\n\r\n`);
    while (of.asked.length === 0) await new Promise((tick) => setImmediate(tick));
    socket.destroy();
    await promise;
    const events = await eventsUpTo(of, 1);
    assert.deepEqual(events[0]?.outcome, { status: 'failed', code: 408, reason: 'client-closed' });
  });
});

describe('a gateway', () => {
  it('records its start and its stop', async () => {
    const of = await start();
    await of.gateway[Symbol.asyncDispose]();
    assert.deepEqual(
      of.events.map(({ operation }) => operation),
      ['start', 'request-counters', 'stop'],
    );
    assert.deepEqual(
      of.events.map(({ emitter }) => emitter.seq),
      [1, 2, 3],
    );
  });

  it('lets what is under way finish when it is stopped', async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const of = await start({
      upstream: (_request, response) =>
        void promise.then(() => sendJson(response, 200, { resourceType: 'Patient', id: '1' })),
    });
    const fetching = of.fetch('/fhir/Patient/1');
    while (of.asked.length === 0) await new Promise((tick) => setImmediate(tick));
    const stopping = of.gateway[Symbol.asyncDispose]();
    resolve();
    assert.equal((await fetching).status, 200);
    await stopping;
    assert.deepEqual(
      of.events.map(({ operation }) => operation),
      ['start', 'authenticate', 'read', 'request-counters', 'stop'],
    );
  });

  it('counts a flood instead of recording every drop of it', async () => {
    const of = await start();
    for (let n = 0; n < 50; n++) await of.fetch('/fhir/Patient/1', { token: null });
    await of.gateway[Symbol.asyncDispose]();
    const events = of.events.filter(({ kind }) => kind === 'auth');
    assert.equal(events.length, 21);
    assert.equal(events.at(-1)?.outcome.reason, 'repeated-30-times');
  });

  it('says how it is on its admin listener', async () => {
    const of = await start({ config: { admin: { host: '127.0.0.1', port: 0 } } });
    const admin = of.gateway.adminUrl ?? '';
    const health = await fetch(`${admin}/healthz`);
    assert.equal(health.status, 200);
    const { status, receipts } = (await health.json()) as { status: string; receipts: { failures: unknown[] } };
    assert.deepEqual([status, receipts.failures], ['ok', []]);
    assert.deepEqual(await (await fetch(`${admin}/readyz`)).json(), { ready: true, problems: [] });
    await of.fetch('/fhir/Patient/secret-patient-id');
    const metrics = await (await fetch(`${admin}/metrics`)).text();
    assert.match(metrics, /watchglass_gateway_requests_total\{interaction="read",status="200"\} 1/);
    assert.match(metrics, /watchglass_gateway_receipt_failures 0/);
    assert.equal(metrics.includes('secret-patient-id'), false);
    assert.equal((await fetch(`${admin}/other`)).status, 404);
  });
});
