/** Ends and full stores: what is under way when the gateway stops, a server that stays away, a spool that two want, an answer about thousands. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { json } from 'node:stream/consumers';
import { describe, it } from 'node:test';
import { connect as connectTls } from 'node:tls';
import type { Event } from '@watchglass/record';
import { readGatewayConfig } from './config/config.ts';
import {
  endedAfterEach,
  eventsOf,
  eventsUpTo,
  observation,
  type Road,
  samplePolicy,
  searchset,
  sendJson,
  serve,
  startRoad,
} from './gateway.fixture.ts';
import { startGateway } from './main.ts';
import type { ConsentQuestion } from './policy/consent.ts';

const start = endedAfterEach(startRoad);

async function asked(of: Road, count = 1): Promise<void> {
  while (of.asked.length < count) await new Promise((tick) => setImmediate(tick));
}

describe('a gateway that is stopped', () => {
  it('does not wait for connections that are merely kept', async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const of = await start({
      config: { limits: { drainMs: 60_000 } },
      upstream: (_request, response) =>
        void promise.then(() => sendJson(response, 200, { resourceType: 'Patient', id: '1' })),
    });
    const fetching = of.fetch('/fhir/Patient/1');
    await asked(of);
    const startedMs = performance.now();
    const stopping = of.gateway[Symbol.asyncDispose]();
    resolve();
    assert.equal((await fetching).status, 200);
    await stopping;
    assert.ok(performance.now() - startedMs < 30_000);
  });

  it('has one patience, not one for connections and another for what they asked', async () => {
    const of = await start({
      upstream: () => undefined,
      config: { limits: { drainMs: 4_000 } },
      adjust: (config) => ({ ...config, upstream: { ...config.upstream, timeoutMs: 60_000 } }),
    });
    const change = of.fetch('/fhir/Patient/1', { method: 'DELETE' }).catch(() => undefined);
    await asked(of, 1);
    const startedMs = performance.now();
    await of.gateway[Symbol.asyncDispose]();
    const tookMs = performance.now() - startedMs;
    assert.ok(tookMs >= 3_900 && tookMs < 7_900, `${tookMs} ms`);
    await change;
  });

  it('past its patience cuts off what is under way, and has the outcome of every intent on record', async () => {
    const of = await start({
      upstream: () => undefined,
      config: { limits: { drainMs: 200 } },
    });
    const changes = Array.from({ length: 5 }, () =>
      of.fetch('/fhir/Patient/1', { method: 'DELETE' }).catch(() => undefined),
    );
    const reads = Array.from({ length: 5 }, () => of.fetch('/fhir/Patient/1').catch(() => undefined));
    await asked(of, 10);
    await of.gateway[Symbol.asyncDispose]();
    await Promise.all([...changes, ...reads]);
    const intents = of.events.filter(({ outcome }) => outcome.reason === 'intent');
    assert.equal(intents.length, 5);
    for (const { id } of intents)
      assert.ok(
        of.events.some(({ completes }) => completes === id),
        'an intent without outcome',
      );
    assert.equal(of.events.filter(({ operation }) => operation === 'read').length, 5);
    assert.equal(of.events.at(-1)?.operation, 'stop');
    assert.deepEqual(
      of.events.map(({ emitter }) => emitter.seq),
      of.events.map((_, position) => position + 1),
    );
  });
});

describe('a gateway that is stopped while a consent is asked for', () => {
  it('hears the answer, though nobody waits for it any more', async (test) => {
    const late = Promise.withResolvers<void>();
    const cut = Promise.withResolvers<void>();
    const service = await serve((request, response) => {
      const answer = async (): Promise<void> => {
        const { patient } = (await json(request)) as ConsentQuestion;
        if (patient === 'p-9') await late.promise;
        response.end(JSON.stringify({ permit: patient !== 'p-9' }));
      };
      answer().catch(() => response.destroy());
    });
    test.after(() => service.close());
    const of = await start({
      config: { limits: { drainMs: 50 } },
      policy: `${samplePolicy}\nconsent: {url: '${service.url}', timeoutMs: 10000, onFailure: allow-and-flag}\n`,
      upstream: (request) => void request.socket.once('close', () => cut.resolve()),
    });
    const change = of.fetch('/fhir/Patient/p-1', { method: 'DELETE' }).catch(() => undefined);
    const read = of.fetch('/fhir/Patient/p-9').catch(() => undefined);
    await asked(of);
    const stopping = of.gateway[Symbol.asyncDispose]();
    // A change is cut off from the API last of all.
    await cut.promise;
    late.resolve();
    await Promise.all([stopping, change, read]);
    const ended = of.events.find(({ operation }) => operation === 'read');
    assert.deepEqual(ended?.outcome, { status: 'denied', code: 403, reason: 'consent' });
    assert.equal(of.asked.length, 1);
  });
});

describe('a server that stays away', () => {
  it('stops the gateway when the spool is full: 503, not ready, and nothing before it is lost', async () => {
    const of = await start({
      serverDown: true,
      config: { admin: { host: '127.0.0.1', port: 0 }, spool: { dir: 'spool', maxBytes: 8 * 1024 * 1024 } },
    });
    const { maxBytes, usedBytes } = of.gateway.spool.status;
    const taken = of.gateway.spool.reserve(maxBytes - usedBytes - 150_000);
    assert.equal((await of.fetch('/fhir/Patient/1')).status, 200);
    const rest = of.gateway.spool.reserve(100_000);
    const answer = await of.fetch('/fhir/Patient/1');
    assert.deepEqual([answer.status, answer.json.code], [503, 'audit-unavailable']);
    const ready = await fetch(`${of.gateway.adminUrl}/readyz`);
    assert.deepEqual([ready.status, await ready.json()], [503, { ready: false, problems: ['spool-full'] }]);
    const metrics = await (await fetch(`${of.gateway.adminUrl}/metrics`)).text();
    assert.match(metrics, /watchglass_gateway_spool_open 0/);
    assert.match(metrics, /watchglass_gateway_spool_waiting_events 3/);
    taken.release();
    rest.release();
    assert.equal((await of.fetch('/fhir/Patient/1')).status, 200);
  });
});

describe('a spool directory', () => {
  it('has one gateway', async () => {
    const of = await start();
    const config = readGatewayConfig(`${of.folder}/gateway.yaml`);
    await assert.rejects(startGateway(config), {
      code: 'spool-locked',
      message: /stop that one, or give this one a spool directory/,
    });
    assert.equal((await of.fetch('/fhir/Patient/1')).status, 200);
  });
});

describe('an answer about thousands', () => {
  it('is on record to the last patient, in events below their bound', async () => {
    const ids = Array.from({ length: 2_500 }, (_, n) => `7b1e1a3c-0000-4000-8000-${String(n).padStart(12, '0')}`);
    const bundle = searchset(...ids.map((id, n) => observation(`o-${n}`, id)));
    const of = await start({ upstream: (_request, response) => sendJson(response, 200, bundle) });
    const answer = await of.fetch('/fhir/Observation?_count=2500');
    assert.equal(answer.status, 200);
    const [event, ...more] = (await eventsOf(of)) as [Event, ...Event[]];
    assert.equal(event.exposure?.count, 2_500);
    assert.equal(event.exposure?.truncated, undefined);
    assert.ok(more.length >= 2);
    for (const { completes, outcome, exposure } of more) {
      assert.equal(completes, event.id);
      assert.equal(outcome.reason, 'exposure-continued');
      assert.equal(exposure?.count, undefined);
    }
    assert.deepEqual(
      [event, ...more].flatMap(({ exposure }) => exposure?.patients?.map(({ id }) => id) ?? []),
      ids,
    );
  });
});

describe('a connection that never gets to a request', () => {
  it('is counted by what was wrong with it', async () => {
    const of = await start({ tls: true, config: { admin: { host: '127.0.0.1', port: 0 } } });
    const port = Number(new URL(of.gateway.url).port);
    for (let n = 0; n < 3; n++) {
      const plain = connect(port, '127.0.0.1');
      plain.on('error', () => undefined);
      plain.write('GET / HTTP/1.1\r\n\r\n');
      await once(plain, 'close');
    }
    const old = connectTls({
      port,
      host: '127.0.0.1',
      ca: of.tls.cert,
      servername: 'localhost',
      maxVersion: 'TLSv1.1',
      minVersion: 'TLSv1',
    });
    await once(old, 'error');
    const metrics = await (await fetch(`${of.gateway.adminUrl}/metrics`)).text();
    const count = Number(
      /watchglass_gateway_connection_faults_total\{reason="tls-handshake"\} (\d+)/.exec(metrics)?.[1],
    );
    assert.ok(count >= 3, String(count));
    assert.equal((await of.fetch('/fhir/Patient/1')).status, 200);
    assert.equal((await eventsUpTo(of, 1)).length, 1);
  });
});
