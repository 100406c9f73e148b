/** Several APIs, several origins of one, and what becomes of them, with real servers on 127.0.0.1. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { connect, type Socket } from 'node:net';
import { describe, it } from 'node:test';
import type { Event } from '@watchglass/record';

import {
  answerPatient,
  endedAfterEach,
  FaultyDisk,
  type Listening,
  type Road,
  sendJson,
  serve,
  startRoad,
  systemError,
} from './gateway.fixture.ts';

const start = endedAfterEach(startRoad);
const listen = endedAfterEach(serve);

/** A replica that says by a header that it was the one. */
async function replica(
  name: string,
  answer: (count: number) => 'ok' | 'hang-up' = () => 'ok',
): Promise<Listening & { readonly asked: string[] }> {
  const asked: string[] = [];
  const listening = await listen((request, response) => {
    asked.push(`${request.method} ${request.url}`);
    if (answer(asked.length) === 'hang-up') request.socket.destroy();
    else
      sendJson(
        response,
        200,
        { resourceType: 'Patient', id: '1' },
        { etag: `"${name}"`, location: `${listening.url}/fhir/Patient/1` },
      );
  });
  return { ...listening, asked };
}

async function until<T>(read: () => Promise<T | undefined> | T | undefined): Promise<T> {
  for (;;) {
    const found = await read();
    if (found !== undefined) return found;
    await new Promise((tick) => setImmediate(tick));
  }
}

const eventOf = (of: Road, operation: string): Promise<Event> =>
  until(async () => (await of.settled()).find((event) => event.operation === operation));

async function metricsOf(of: Road): Promise<string> {
  return (await fetch(`${of.gateway.adminUrl}/metrics`)).text();
}

const admin = { host: '127.0.0.1', port: 0 };
const slowBreaker = { failuresMax: 1, windowMs: 60_000, openMs: 60_000, openMsMax: 60_000 };

describe('an API at several origins', () => {
  it('is asked at each in turn, and its links lead back here from any', async () => {
    const second = await replica('second');
    const of = await start({
      config: { admin },
      adjust: (config) => ({ ...config, upstream: { ...config.upstream, replicas: [second.url] } }),
    });
    for (let n = 0; n < 4; n += 1) {
      const { status, headers } = await of.fetch('/fhir/Patient/1');
      assert.equal(status, 200);
      if (headers.etag === '"second"') assert.equal(headers.location, `${of.gateway.url}/fhir/Patient/1`);
    }
    assert.equal(of.asked.length, 2);
    assert.equal(second.asked.length, 2);
    const ready = (await (await fetch(`${of.gateway.adminUrl}/readyz`)).json()) as { upstreams: object[] };
    assert.equal(ready.upstreams.length, 2);
    assert.match(await metricsOf(of), new RegExp(`upstream_up\\{upstream="upstream",origin="${second.url}"\\} 1`));
  });

  it('a read is asked again at another where the connection was refused; the one that failed is spared, and on record', async () => {
    const gone = await serve(() => undefined);
    await gone.close();
    const of = await start({
      config: { admin },
      adjust: (config) => ({ ...config, upstream: { ...config.upstream, replicas: [gone.url], breaker: slowBreaker } }),
    });
    for (let n = 0; n < 4; n += 1) assert.equal((await of.fetch('/fhir/Patient/1')).status, 200);
    assert.equal(of.asked.length, 4);
    const event = await eventOf(of, 'upstream-spared');
    assert.deepEqual(event.targets, [{ type: 'Upstream', id: gone.url, role: 'object' }]);
    assert.match(await metricsOf(of), new RegExp(`upstream_up\\{upstream="upstream",origin="${gone.url}"\\} 0`));
    assert.equal((await fetch(`${of.gateway.adminUrl}/readyz`)).status, 200);
  });

  it('a change is sent once and to one, whatever becomes of it', async () => {
    const dying = await replica('dying', () => 'hang-up');
    const of = await start({
      adjust: (config) => ({
        ...config,
        upstream: { ...config.upstream, replicas: [dying.url], breaker: slowBreaker },
      }),
      upstream: (request) => request.socket.destroy(),
    });
    assert.equal((await of.fetch('/fhir/Patient/1', { method: 'DELETE' })).status, 502);
    assert.equal(of.asked.length + dying.asked.length, 1);
  });
});

describe('probes of health', () => {
  it('take an origin out and bring it back, each an event; a probe is none', async () => {
    let well = true;
    const second = await listen((request, response) => {
      if (request.url === '/health') response.writeHead(well ? 204 : 503).end();
      else sendJson(response, 200, { resourceType: 'Patient', id: '1' });
    });
    const probes: (string | undefined)[] = [];
    const of = await start({
      config: { admin },
      adjust: (config) => ({
        ...config,
        upstream: {
          ...config.upstream,
          replicas: [second.url],
          health: { path: '/health', everyMs: 5, timeoutMs: 60_000, healthyAfter: 2, unhealthyAfter: 2 },
        },
      }),
      upstream(request, response) {
        if (request.url === '/health') probes.push(request.headers.authorization);
        answerPatient(request, response);
      },
    });
    well = false;
    const down = await eventOf(of, 'upstream-down');
    assert.equal(down.kind, 'system');
    assert.deepEqual(down.targets, [{ type: 'Upstream', id: second.url, role: 'object' }]);
    const before = of.asked.filter(({ target }) => target !== '/health').length;
    for (let n = 0; n < 3; n += 1) assert.equal((await of.fetch('/fhir/Patient/1')).status, 200);
    assert.equal(of.asked.filter(({ target }) => target !== '/health').length, before + 3);
    well = true;
    await eventOf(of, 'upstream-up');
    assert.ok(probes.length > 0 && probes.every((authorization) => authorization === undefined));
    const events = await of.settled();
    assert.equal(events.filter(({ operation }) => operation?.startsWith('upstream-')).length, 2);
    assert.match(
      await metricsOf(of),
      /upstream_probes_total\{upstream="upstream",origin="[^"]+",result="failure"\} \d/,
    );
  });

  it('that find nobody well have requests refused before the API is asked', async () => {
    const of = await start({
      config: { admin },
      adjust: (config) => ({
        ...config,
        upstream: {
          ...config.upstream,
          health: { path: '/health', everyMs: 5, timeoutMs: 60_000, healthyAfter: 1_000, unhealthyAfter: 1 },
        },
      }),
      upstream: (_request, response) => void response.writeHead(500).end(),
    });
    await eventOf(of, 'upstream-down');
    const answer = await of.fetch('/fhir/Patient/1');
    assert.deepEqual([answer.status, answer.json.code], [503, 'upstream-unavailable']);
    const ready = await (await fetch(`${of.gateway.adminUrl}/readyz`)).json();
    assert.deepEqual((ready as { problems: string[] }).problems, ['upstream-unavailable']);
    assert.ok(of.asked.every(({ target }) => target === '/health'));
  });
});

describe('several APIs', () => {
  it('are each asked by their routes, and one that is down leaves the others be', async () => {
    const scheduling = await replica('scheduling', (count) => (count > 1 ? 'hang-up' : 'ok'));
    const of = await start({
      config: {
        admin,
        upstreams: { scheduling: { url: scheduling.url, breaker: { failuresMax: 1 } } },
        routes: [
          { prefix: '/fhir', kind: 'fhir' },
          { prefix: '/fhir/scheduling', kind: 'fhir', upstream: 'scheduling' },
        ],
      },
    });
    assert.equal((await of.fetch('/fhir/scheduling/Patient/1')).headers.etag, '"scheduling"');
    assert.equal((await of.fetch('/fhir/Patient/1')).headers.etag, undefined);
    assert.deepEqual(scheduling.asked, ['GET /fhir/scheduling/Patient/1']);
    assert.equal((await of.fetch('/fhir/scheduling/Patient/1')).status, 502);
    assert.equal((await of.fetch('/fhir/scheduling/Patient/1')).status, 503);
    assert.equal((await of.fetch('/fhir/Patient/1')).status, 200);
    assert.equal((await fetch(`${of.gateway.adminUrl}/readyz`)).status, 200);
  });
});

describe('the request that tries an API again', () => {
  it('and comes to nothing at the record lets the next one try', async () => {
    const faulty = new FaultyDisk();
    let down = true;
    const of = await start({
      disk: faulty.disk,
      adjust: (config) => ({
        ...config,
        upstream: { ...config.upstream, breaker: { failuresMax: 1, windowMs: 60_000, openMs: 300, openMsMax: 300 } },
      }),
      upstream: (request, response) => (down ? request.socket.destroy() : answerPatient(request, response)),
    });
    assert.equal((await of.fetch('/fhir/Patient/1', { method: 'DELETE' })).status, 502);
    down = false;
    const begun = of.asked.length;
    faulty.writeError = systemError('ENOSPC');
    const failed = await until(async () => {
      const { json } = await of.fetch('/fhir/Patient/1', { method: 'DELETE' });
      return json.code === 'audit-unavailable' ? json : undefined;
    });
    assert.equal(failed.code, 'audit-unavailable');
    assert.equal(of.asked.length, begun);
    faulty.writeError = undefined;
    await until(async () => {
      const { status, json } = await of.fetch('/fhir/Patient/1');
      assert.notEqual(
        json.code,
        'upstream-unavailable',
        'nobody may try while a request that came to nothing is waited for',
      );
      return status === 200 ? status : undefined;
    });
  });

  for (const [words, verdict] of [
    ['closes it once it is answered', 'answered'],
    ['leaves it open once it fails', 'broken'],
  ] as const)
    it(`is seen to its end though its client left, is the only one meanwhile, and ${words}`, async () => {
      const held: (readonly [IncomingMessage, ServerResponse])[] = [];
      let state: 'down' | 'held' | 'up' = 'down';
      const of = await start({
        api: { breaker: { failuresMax: 1, windowMs: 60_000, openMs: 100, openMsMax: 100 } },
        upstream: (request, response) => {
          if (state === 'down') request.socket.destroy();
          else if (state === 'up') answerPatient(request, response);
          else held.push([request, response]);
        },
      });
      assert.equal((await of.fetch('/fhir/Patient/1', { method: 'DELETE' })).status, 502);
      state = 'held';
      const bytes = `GET /fhir/Patient/9 HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${of.token}\r\n\r\n`;
      const clients: Socket[] = [];
      // Who comes and leaves again and again gets one trial by it.
      while (held.length === 0) {
        const client = connect({ port: of.gateway.port, host: '127.0.0.1' });
        clients.push(client);
        client.on('error', () => undefined).write(bytes);
        await new Promise((resolve) => setImmediate(resolve));
      }
      for (const client of clients) client.destroy();
      const askedCount = of.asked.length;
      for (let n = 0; n < 20; n++) {
        const client = connect({ port: of.gateway.port, host: '127.0.0.1' });
        client.on('error', () => undefined).write(bytes);
        await once(client, 'data');
        client.destroy();
        assert.equal((await of.fetch('/fhir/Patient/1')).json.code, 'upstream-unavailable');
      }
      assert.equal(of.asked.length, askedCount);
      state = 'up';
      const [[request, response] = assert.fail()] = held;
      if (verdict === 'answered') {
        answerPatient(request, response);
        await until(async () => ((await of.fetch('/fhir/Patient/1')).status === 200 ? true : undefined));
        const left = (await of.settled()).filter(({ outcome }) => outcome.reason === 'client-closed');
        // One whose answer was held: it did not leave.
        assert.ok(left.some(({ exposure }) => exposure === undefined));
      } else {
        // By then a GET would be asked for once more.
        state = 'down';
        request.socket.destroy();
        await until(async () => (of.asked.length > askedCount ? true : undefined));
        assert.notEqual((await of.fetch('/fhir/Patient/1')).status, 200);
        assert.ok((await of.settled()).every(({ operation }) => operation !== 'upstream-back'));
      }
    });
});
