/** What two workers count and judge as one: first uses of tokens, failures of an API and its probes, refusals without end, places of what lasts. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';

import type { Event } from '@watchglass/record';
import type { WebSocket } from 'ws';

import { answerPatient, endedAfterEach, isFirstUse } from './gateway.fixture.ts';
import { closedWith, openedOr, startWebSocketRoad } from './websocket.fixture.ts';
import { answerMsMax } from './workers/asking.ts';
import { type Pair, replace, startPair, tick } from './workers.fixture.ts';

const start = endedAfterEach(startPair);

const by = (operation: string, events: readonly Event[]): readonly Event[] =>
  events.filter((event) => event.operation === operation);

/** How many failed before: in turn at the two of them, by changes, since a read would be asked for twice. */
async function failUntilSpared(of: Pair): Promise<number> {
  for (let count = 0; ; count++) {
    const { status } = await of.ask(1 + (count % 2), { method: 'DELETE' });
    if (status === 503) return count;
    assert.equal(status, 502);
  }
}

/** From a thread of its own, which moves while the primary doesn't. */
const askWhenTold = `
const { parentPort, workerData: { url, token } } = require('node:worker_threads');
parentPort.once('message', async () => {
  const { status } = await fetch(url, { headers: { authorization: 'Bearer ' + token } });
  parentPort.postMessage(status);
});
parentPort.postMessage('ready');
`;

describe('two workers', () => {
  it('have the first use of a token on record once, also after one of them died', async () => {
    const of = await start();
    const token = await of.road.issuer.mint({ jti: 'token-2' });
    for (const slot of [1, 2, 1, 2]) assert.equal((await of.ask(slot, { token })).status, 200);
    await replace(of.road.gateway, 1);
    const answer = await of.ask(1, { token });
    assert.equal(answer.status, 200);
    await of.event(({ id }) => id === answer.headers['x-audit-id']);
    await of.road.gateway[Symbol.asyncDispose]();
    const uses = of.road.events.filter((event) => isFirstUse(event) && event.actor.tokenId === 'token-2');
    assert.equal(uses.length, 1);
  });

  it('spare an API by the failure that is one too many, whoever felt it, and have one trial out', async () => {
    const held: (() => void)[] = [];
    let state: 'down' | 'held' | 'up' = 'up';
    const of = await start({
      upstream: (request, response) => {
        if (state === 'down') request.socket.destroy();
        else if (state === 'up') answerPatient(request, response);
        else held.push(() => answerPatient(request, response));
      },
      api: { breaker: { failuresMax: 4, windowMs: 60_000, openMs: 300, openMsMax: 300 } },
    });
    for (const slot of [1, 2]) assert.equal((await of.ask(slot)).status, 200);
    // It opens where as many failed as went well, and no fewer than four.
    const failuresMax = Math.max(4, of.road.asked.length);
    state = 'down';
    const failedCount = await failUntilSpared(of);
    // The next one may come before the other worker has heard.
    assert.ok(failedCount - failuresMax <= 1, `${failedCount} failed instead of ${failuresMax}`);
    const spared = await of.event(({ operation }) => operation === 'upstream-spared');
    assert.equal(spared.emitter.id, 'test-gateway');
    const askedCount = of.road.asked.length;
    for (const slot of [1, 2]) assert.equal((await of.ask(slot, { method: 'DELETE' })).status, 503);
    assert.equal(of.road.asked.length, askedCount);
    state = 'held';
    const statuses: number[] = [];
    const asking = [1, 2].map(async (slot) => {
      while (held.length === 0) statuses.push((await of.ask(slot)).status);
    });
    while (held.length === 0) await tick();
    const tried = await Promise.all([of.road.fetch('/fhir/Patient/2'), of.road.fetch('/fhir/Patient/2')]);
    assert.deepEqual(
      tried.map(({ status }) => status),
      [503, 503],
    );
    assert.equal(held.length, 1);
    state = 'up';
    for (const answer of held) answer();
    await Promise.all(asking);
    assert.equal(statuses.filter((status) => status === 200).length, 1);
    await of.event(({ operation }) => operation === 'upstream-back');
    for (const slot of [1, 2]) while ((await of.ask(slot)).status !== 200) await tick();
    assert.equal(by('upstream-spared', of.road.events).length, 1);
    assert.equal(by('upstream-back', of.road.events).length, 1);
  });

  it('give a trial back when the one that had it died', async () => {
    const held: IncomingMessage[] = [];
    let state: 'down' | 'held' | 'up' = 'up';
    const of = await start({
      upstream: (request, response) => {
        if (state === 'down') request.socket.destroy();
        else if (state === 'up') answerPatient(request, response);
        else held.push(request);
      },
      api: { breaker: { failuresMax: 1, windowMs: 60_000, openMs: 100, openMsMax: 100 } },
    });
    for (const slot of [1, 2]) assert.equal((await of.ask(slot)).status, 200);
    state = 'down';
    await failUntilSpared(of);
    state = 'held';
    const asking = (async (): Promise<void> => {
      while (held.length === 0) await of.ask(1);
    })().catch(() => undefined);
    while (held.length === 0) await tick();
    state = 'up';
    await replace(of.road.gateway, 1);
    await asking;
    while ((await of.ask(2)).status !== 200) await tick();
    await of.event(({ operation }) => operation === 'upstream-back');
  });

  it('give a trial back that they heard of too late', async () => {
    let up = true;
    const of = await start({
      upstream: (request, response) => (up ? answerPatient(request, response) : void request.socket.destroy()),
      api: { breaker: { failuresMax: 1, windowMs: 60_000, openMs: 100, openMsMax: 100 } },
    });
    for (const slot of [1, 2]) assert.equal((await of.ask(slot)).status, 200);
    up = false;
    await failUntilSpared(of);
    up = true;
    await sleep(300);
    const { gateway, token } = of.road;
    const asker = new Worker(askWhenTold, { eval: true, workerData: { url: `${gateway.url}/fhir/Patient/1`, token } });
    await once(asker, 'message');
    const answered = once(asker, 'message');
    asker.postMessage('ask');
    // The primary does nothing for longer than a worker waits for it.
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, answerMsMax + 1_000);
    assert.deepEqual(await answered, [200]);
    for (const slot of [1, 2]) while ((await of.ask(slot)).status !== 200) await tick();
    await of.event(({ operation }) => operation === 'upstream-back');
  });

  it('ask an API by one probe, and have one opinion of it', async () => {
    let well = true;
    const probesMs: number[] = [];
    const of = await start({
      upstream: (request, response) => {
        if (request.url !== '/well') return answerPatient(request, response);
        probesMs.push(performance.now());
        response.writeHead(well ? 200 : 500).end();
      },
      api: { health: { path: '/well', everySeconds: 0.1, timeoutMs: 60_000, healthyAfter: 1, unhealthyAfter: 2 } },
    });
    while (probesMs.length < 2) await tick();
    for (const slot of [1, 2]) assert.equal((await of.ask(slot)).status, 200);
    well = false;
    const down = await of.event(({ operation }) => operation === 'upstream-down');
    assert.equal(down.emitter.id, 'test-gateway');
    for (const slot of [1, 2]) while ((await of.ask(slot)).status !== 503) await tick();
    // One that comes later begins with what is known.
    await replace(of.road.gateway, 2);
    assert.equal((await of.road.fetch('/fhir/Patient/1')).status, 503);
    well = true;
    await of.event(({ operation }) => operation === 'upstream-up');
    for (const slot of [1, 2]) while ((await of.ask(slot)).status !== 200) await tick();
    assert.equal(by('upstream-down', of.road.events).length, 1);
    assert.equal(by('upstream-up', of.road.events).length, 1);
    // Each begins so long after the one before was answered.
    const pausesMs = probesMs.slice(1).map((probeMs, before) => probeMs - (probesMs[before] ?? 0));
    assert.ok(Math.min(...pausesMs) > 90, `${pausesMs}`);
  });

  it('collapse refusals without end together', async () => {
    const of = await start();
    for (let n = 0; n < 30; n++)
      for (const slot of [1, 2]) assert.equal((await of.ask(slot, { token: 'no-token' })).status, 401);
    await of.road.gateway[Symbol.asyncDispose]();
    const refused = of.road.events.filter(({ kind, outcome }) => kind === 'auth' && outcome.status === 'denied');
    const [singles, counted] = [
      refused.filter(({ outcome }) => outcome.reason === 'token-malformed'),
      refused.filter(({ outcome }) => outcome.reason?.startsWith('repeated-') === true),
    ];
    const total = counted.reduce((sum, { outcome }) => sum + Number(/\d+/.exec(outcome.reason ?? '')?.[0]), 0);
    assert.equal(singles.length + total, 60);
    // A window may end meanwhile.
    assert.ok(singles.length === 20 || counted.length > 1, `${singles.length} one by one, ${counted.length} counts`);
    assert.ok(counted.every(({ emitter }) => emitter.id === 'test-gateway'));
  });
});

describe('places of what lasts', () => {
  const startRoad = endedAfterEach(startWebSocketRoad);

  it('are counted for all workers, and free again when the one that had them died', async () => {
    const of = await startRoad({ websockets: { perPersonMax: 6 }, config: { workers: 2 } });
    const auditIds: unknown[] = [];
    const open = async (): Promise<WebSocket | number> => {
      const socket = of.open();
      const upgraded = once(socket, 'upgrade').then(([response]) => {
        auditIds.push((response as IncomingMessage).headers['x-audit-id']);
      });
      const opened = await openedOr(socket);
      if (opened === 'open') await upgraded;
      else upgraded.catch(() => undefined);
      return opened === 'open' ? socket : opened;
    };
    const together = await Promise.all(Array.from({ length: 14 }, open));
    const sockets = together.filter((one): one is WebSocket => typeof one === 'object');
    assert.equal(sockets.length, 6);
    assert.deepEqual([...new Set(together.filter((one) => typeof one === 'number'))], [429]);
    const slotOf = async (auditId: unknown): Promise<number> => {
      for (;;) {
        const event = of.events.find(({ id }) => id === auditId);
        if (event !== undefined) return Number(event.emitter.id.split('/')[1]);
        await tick();
      }
    };
    const slot = await slotOf(auditIds[0]);
    let closedCount = 0;
    const closing = sockets.map((socket) => closedWith(socket).then(() => (closedCount += 1)));
    await replace(of.gateway, slot);
    assert.ok(closedCount > 0);
    const again = await Promise.all(Array.from({ length: 14 }, open));
    assert.equal(again.filter((one) => typeof one === 'object').length, closedCount);
    for (const socket of [...sockets, ...again]) if (typeof socket === 'object') socket.close();
    await Promise.all(closing);
    while (typeof (await open()) === 'number') await tick();
  });
});
