/** The life of workers: one that is killed costs nothing that was acknowledged, an end loses no request, fewer of them leave nothing behind, and what can't start says why. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { access, readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { describe, it } from 'node:test';

import type { Event } from '@watchglass/record';
import { openSpool } from '@watchglass/sdk';
import { pino } from 'pino';
import { parse, stringify } from 'yaml';

import { readGatewayConfig } from './config/config.ts';
import type { GatewayError } from './errors.ts';
import { endedAfterEach, type Road, sendJson, startRoad } from './gateway.fixture.ts';
import { sendLeftovers } from './leftovers.ts';
import { startGateway } from './main.ts';
import type { RunningGateway } from './running-gateway.ts';
import type { ChannelError } from './workers/channel.ts';
import { replace, startPair, tick } from './workers.fixture.ts';

const start = endedAfterEach(startPair);

function ofEmitter(events: readonly Event[], emitter: string): readonly Event[] {
  return events.filter(({ emitter: { id } }) => id === emitter).sort((a, b) => a.emitter.seq - b.emitter.seq);
}

/** The same gateway again, with another number of workers. */
async function again(road: Road, workers: number, more: object = {}): Promise<RunningGateway> {
  const file = join(road.folder, 'gateway.yaml');
  const yaml = parse(await readFile(file, 'utf8')) as object;
  await writeFile(file, stringify({ ...yaml, ...more, workers }));
  return startGateway(readGatewayConfig(file), { logger: pino({ level: 'silent' }) });
}

describe('a worker that is killed', () => {
  it('is started again, and no answer that was given lacks its event', async () => {
    const of = await start();
    const { road } = of;
    const acknowledged: unknown[] = [];
    let stop = false;
    const traffic = Array.from({ length: 8 }, async () => {
      while (!stop) {
        const answer = await road.fetch('/fhir/Patient/1').catch(() => undefined);
        if (answer?.status === 200) acknowledged.push(answer.headers['x-audit-id']);
        else if (answer !== undefined) assert.fail(`expected 200 or none, got ${answer.status}`);
      }
    });
    while (acknowledged.length < 100) await tick();
    await replace(road.gateway, 1);
    await replace(road.gateway, 2);
    const before = acknowledged.length;
    while (acknowledged.length < before + 100) await tick();
    stop = true;
    await Promise.all(traffic);
    for (const slot of [1, 2]) assert.equal((await of.ask(slot)).status, 200);
    const ids = new Set(acknowledged);
    await of.event(({ id }) => {
      ids.delete(id);
      return ids.size === 0;
    });
    assert.equal(await of.metric('watchglass_gateway_workers'), 2);
    assert.equal(await of.metric('watchglass_gateway_worker_restarts'), 2);
    await of.road.gateway[Symbol.asyncDispose]();
    for (const slot of [1, 2]) {
      const own = ofEmitter(road.events, `test-gateway/${slot}`);
      assert.deepEqual(
        own.map(({ emitter }) => emitter.seq),
        own.map((_, position) => position + 1),
      );
      const life = own.map(({ operation }) => operation).filter((one) => one === 'start' || one === 'stop');
      assert.deepEqual(life, ['start', 'start', 'stop']);
    }
    assert.deepEqual(
      ofEmitter(road.events, 'test-gateway').map(({ operation }) => operation),
      ['start', 'stop'],
    );
  });

  it('is missed by readiness until another serves, and what it counted stays in the sum', async () => {
    const of = await start();
    const { gateway } = of.road;
    for (const slot of [1, 2, 2]) assert.equal((await of.ask(slot)).status, 200);
    const series = 'watchglass_gateway_requests_total{interaction="read",status="200"}';
    assert.equal(await of.metric(series), 3);
    const ready = async (): Promise<readonly unknown[]> => {
      const answer = await fetch(`${gateway.adminUrl}/readyz`);
      return [answer.status, ((await answer.json()) as { problems: unknown }).problems];
    };
    assert.deepEqual(await ready(), [200, []]);
    process.kill(gateway.workers[1]?.pid ?? 0, 'SIGKILL');
    while (gateway.workers[1]?.state === 'ready') await tick();
    assert.deepEqual(await ready(), [503, ['worker-down']]);
    while (gateway.workers.some(({ state }) => state !== 'ready')) await tick();
    assert.deepEqual(await ready(), [200, []]);
    assert.equal(await of.metric(series), 3);
    const health = (await (await fetch(`${gateway.adminUrl}/healthz`)).json()) as { workers: object[] };
    assert.deepEqual(
      health.workers.map((worker) => ({ ...worker, pid: 0 })),
      [
        { slot: 1, pid: 0, state: 'ready', restarts: 0 },
        { slot: 2, pid: 0, state: 'ready', restarts: 1 },
      ],
    );
  });

  it('counts as under way no longer', async () => {
    const of = await start({
      config: { concurrency: { userMax: 1 } },
      upstream: (request, response) => {
        if (!request.url?.endsWith('/slow')) sendJson(response, 200, { resourceType: 'Patient', id: '1' });
      },
    });
    const lost = of.ask(2, { path: '/fhir/Patient/slow' }).catch(() => 'lost');
    while (of.road.asked.length < 1) await tick();
    while (!of.road.asked.some(({ target }) => target.endsWith('/slow'))) await tick();
    assert.equal((await of.ask(1)).status, 429);
    await replace(of.road.gateway, 2);
    assert.equal(await lost, 'lost');
    assert.equal((await of.ask(1)).status, 200);
  });
});

describe('a gateway of many workers', () => {
  it('ends without losing a request, and says goodbye for each', async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const of = await start({
      upstream: (request, response) => {
        const answer = (): void => sendJson(response, 200, { resourceType: 'Patient', id: '1' });
        if (request.url?.endsWith('/slow') === true) void promise.then(answer);
        else answer();
      },
    });
    const { road } = of;
    for (const slot of [1, 2]) assert.equal((await of.ask(slot)).status, 200);
    const slow = Array.from({ length: 20 }, () => road.fetch('/fhir/Patient/slow'));
    const change = [1, 2].map((slot) => of.ask(slot, { method: 'DELETE', path: '/fhir/Patient/slow' }));
    while (road.asked.filter(({ target }) => target.endsWith('/slow')).length < 22) await tick();
    const stopping = road.gateway[Symbol.asyncDispose]();
    resolve();
    for (const answer of await Promise.all([...slow, ...change])) assert.equal(answer.status, 200);
    await stopping;
    assert.equal(road.events.filter(({ operation }) => operation === 'read').length, 22);
    for (const emitter of ['test-gateway', 'test-gateway/1', 'test-gateway/2'])
      assert.equal(ofEmitter(road.events, emitter).at(-1)?.operation, 'stop', emitter);
  });

  it('sends what workers left that are there no longer, and they go on where they ended when they come back', async () => {
    await using road = await startRoad();
    await road.gateway[Symbol.asyncDispose]();
    assert.deepEqual(
      ofEmitter(road.events, 'test-gateway').map(({ operation }) => operation),
      ['start', 'request-counters', 'stop'],
    );
    const three = await again(road, 3);
    process.kill(three.workers[2]?.pid ?? 0, 'SIGKILL');
    await three[Symbol.asyncDispose]();
    const one = await again(road, 1);
    while (ofEmitter(road.events, 'test-gateway/3').at(-1)?.outcome.reason !== 'slot-retired') await tick();
    while (
      await access(join(road.folder, 'spool', 'worker-3', 'retired')).then(
        () => false,
        () => true,
      )
    )
      await tick();
    await one[Symbol.asyncDispose]();
    const back = await again(road, 3);
    await back[Symbol.asyncDispose]();
    for (const emitter of ['test-gateway', 'test-gateway/1', 'test-gateway/2', 'test-gateway/3']) {
      const own = ofEmitter(road.events, emitter);
      assert.deepEqual(
        own.map(({ emitter: { seq } }) => seq),
        own.map((_, position) => position + 1),
        emitter,
      );
      assert.equal(own.at(-1)?.operation, 'stop');
    }
  });

  it('sends what a worker left also if that is still leaving when they begin', async () => {
    await using road = await startRoad();
    await road.gateway[Symbol.asyncDispose]();
    const two = await again(road, 2);
    await two[Symbol.asyncDispose]();
    const config = readGatewayConfig(join(road.folder, 'gateway.yaml'));
    const { keyFile, maxBytes, dir } = config.spool;
    const leaving = await openSpool({ dir: join(dir, 'worker-1'), keyFile, maxBytes, emitterId: 'test-gateway/1' });
    const said = Promise.withResolvers<void>();
    await using leftovers = sendLeftovers(config, 0, { logger: pino({}, { write: () => said.resolve() }) });
    await said.promise;
    await leaving[Symbol.asyncDispose]();
    await leftovers.done;
    for (const slot of [1, 2])
      assert.equal(ofEmitter(road.events, `test-gateway/${slot}`).at(-1)?.outcome.reason, 'slot-retired');
  });

  it('does not share its port with a stranger, and lets go of everything when it can’t start', async () => {
    const stranger = createServer().listen({ port: 0, host: '127.0.0.1', reusePort: process.platform === 'linux' });
    await once(stranger, 'listening');
    const { port } = stranger.address() as { port: number };
    await using road = await startRoad();
    await road.gateway[Symbol.asyncDispose]();
    const listen = { host: '127.0.0.1', port };
    await assert.rejects(again(road, 2, { listen }), { code: 'listen-failed' });
    await new Promise((resolve) => stranger.close(resolve));
    await using gateway = await again(road, 2, { listen });
    assert.equal(gateway.port, port);
  });

  it('says what a worker says that can’t start', async () => {
    await using road = await startRoad();
    await road.gateway[Symbol.asyncDispose]();
    const file = join(road.folder, 'spool', 'worker-2');
    await writeFile(file, 'where a folder should be');
    await assert.rejects(again(road, 2), (error: GatewayError) => {
      assert.equal(error.code, 'worker-failed');
      assert.equal(((error.cause as ChannelError).said as { code: string }).code, 'ENOTDIR');
      return true;
    });
  });
});
