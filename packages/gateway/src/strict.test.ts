/** Row 28 of the table of attacks: what the guard does when the record itself fails. */
import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeEach, describe, it } from 'node:test';
import { setTimeout } from 'node:timers/promises';

import { countersOf } from '@watchglass/record';
import { pino } from 'pino';

import { attack, type Mark, own, read } from './attack.fixture.ts';
import { requestEventsBytesMax } from './capture/recorder.ts';
import { readGatewayConfig } from './config/config.ts';
import {
  endedAfterEach,
  FaultyDisk,
  type Road,
  type RoadOptions,
  sendJson,
  startRoad,
  systemError,
} from './gateway.fixture.ts';
import { startGateway } from './main.ts';

/** More than a busy disk takes for what is to be recorded. */
const strict = { audit: { mode: 'strict', deadlineMs: 20_000 } };
/** For a disk that hangs, since that is waited for. */
const hasty = { audit: { mode: 'strict', deadlineMs: 2_000 } };
const lapsed = (reason: string): Mark => own('record-failed', 'error', { reason });
const resumed = own('record-resumed', 'success');

const start = endedAfterEach((options: RoadOptions = {}) => startRoad({ config: strict, ...options }));
let faulty: FaultyDisk;

beforeEach(() => {
  faulty = new FaultyDisk();
});

const change = {
  method: 'POST',
  headers: { 'content-type': 'application/fhir+json' },
  body: '{"resourceType":"Observation"}',
};

/** 503 with Retry-After, nothing of an answer, and the API not asked but for what came before. */
async function unavailable(of: Road, options: { readonly method?: string } = {}): Promise<void> {
  const startedMs = performance.now();
  const answer = await of.fetch(
    options.method === 'POST' ? '/fhir/Observation' : '/fhir/Patient/1',
    options.method === 'POST' ? change : {},
  );
  assert.equal(answer.status, 503);
  assert.equal(answer.json.code, 'audit-unavailable');
  assert.equal(answer.headers['retry-after'], '2');
  assert.equal(answer.text.includes('Tester'), false);
  assert.ok(performance.now() - startedMs < 15_000);
}

/** Whether a request would have its room now. */
function takes({ gateway }: Road): boolean {
  try {
    gateway.spool.reserve(requestEventsBytesMax).release();
    return true;
  } catch {
    return false;
  }
}

/** Once the record works again, it says of how many requests it says nothing. */
async function counted(of: Road, unrecordedCount: number): Promise<void> {
  await of.gateway[Symbol.asyncDispose]();
  const counters = of.events.map(countersOf).filter((one) => one !== undefined);
  assert.equal(counters.at(-1)?.unrecorded, unrecordedCount);
}

attack(28, 'a record that fails', {
  'is 503 with Retry-After where the spool is full, and heals once there is room': {
    at: () => startRoad({ config: strict }),
    asksCount: 2,
    leaves: [lapsed('spool-full'), resumed, own('request-counters', 'success'), read()],
    async strike(of) {
      assert.equal((await of.fetch('/fhir/Patient/1')).status, 200);
      const { maxBytes, usedBytes } = of.gateway.spool.status;
      const taken = of.gateway.spool.reserve(maxBytes - usedBytes - 20_000);
      await unavailable(of);
      await unavailable(of, { method: 'POST' });
      taken.release();
      assert.equal((await of.fetch('/fhir/Patient/1')).status, 200);
      await counted(of, 2);
    },
  },
  'is 503 where the disk is full, a change before the API is asked, and heals': {
    at: () => startRoad({ config: strict, disk: faulty.disk }),
    asksCount: 1,
    leaves: [lapsed('spool-full'), resumed, own('request-counters', 'success'), read()],
    async strike(of) {
      faulty.writeError = systemError('ENOSPC');
      await unavailable(of, { method: 'POST' });
      await unavailable(of);
      faulty.writeError = undefined;
      while (!takes(of)) await setTimeout(20);
      assert.equal((await of.fetch('/fhir/Patient/1')).status, 200);
      await counted(of, 2);
    },
  },
  'is 503 within the deadline where the disk hangs, also for who comes after, and heals': {
    at: () => startRoad({ config: hasty, disk: faulty.disk }),
    asksCount: 1,
    leaves: [lapsed('deadline'), resumed, own('request-counters', 'success'), read()],
    async strike(of) {
      const { promise, resolve } = Promise.withResolvers<void>();
      faulty.hang = promise;
      await unavailable(of, { method: 'POST' });
      await unavailable(of);
      faulty.hang = undefined;
      resolve();
      while (!takes(of)) await setTimeout(20);
      assert.equal((await of.fetch('/fhir/Patient/1')).status, 200);
      await counted(of, 2);
    },
  },
  'is 503 for good where a datasync fails: nothing gets out or in, until a restart, which is on record without a stop before it':
    {
      at: () => startRoad({ config: strict, disk: faulty.disk }),
      leaves: [own('start', 'success')],
      async strike(of) {
        faulty.datasyncError = systemError('EIO');
        await unavailable(of, { method: 'POST' });
        await unavailable(of);
        await unavailable(of, { method: 'POST' });
        await startedAgain(of);
      },
    },
  'is 503 for good where the file of the spool was removed: what was written to it is nowhere': {
    at: () => startRoad({ config: strict }),
    leaves: [own('start', 'success')],
    async strike(of) {
      await rm(join(of.folder, 'spool/segments'), { recursive: true });
      await unavailable(of);
      await unavailable(of, { method: 'POST' });
      await startedAgain(of);
    },
  },
  'withholds what the API answered where it fails under a read': {
    at: () =>
      startRoad({
        config: strict,
        disk: faulty.disk,
        upstream: (_request, response) => {
          faulty.datasyncError = systemError('EIO');
          sendJson(response, 200, { resourceType: 'Patient', id: '1', name: [{ family: 'Tester' }] });
        },
      }),
    asksCount: 1,
    leaves: [own('start', 'success')],
    async strike(of) {
      await unavailable(of);
      await unavailable(of);
      await startedAgain(of);
    },
  },
  'leaves the intent where it fails before the outcome, and says that the change may have been made': {
    at: () =>
      startRoad({
        config: strict,
        disk: faulty.disk,
        upstream: (_request, response) => {
          faulty.datasyncError = systemError('EIO');
          sendJson(response, 201, { resourceType: 'Observation', id: 'o-1' });
        },
      }),
    asksCount: 1,
    leaves: [read({ action: 'create', operation: 'create', code: undefined, reason: 'intent' })],
    async strike(of) {
      const answer = await of.fetch('/fhir/Observation', change);
      assert.equal(answer.status, 503);
      assert.equal(answer.json.code, 'outcome-unrecorded');
      assert.equal(answer.headers['retry-after'], undefined);
      assert.equal(answer.text.includes('o-1'), false);
      await startedAgain(of);
    },
  },
});

/** Nothing more can be recorded by that process; the next one says that it began, and nobody that the other one ended. */
async function startedAgain(of: Road): Promise<void> {
  await of.gateway[Symbol.asyncDispose]();
  const again = await startGateway(readGatewayConfig(join(of.folder, 'gateway.yaml')), {
    logger: pino({ level: 'silent' }),
  });
  await again.sender.drain(AbortSignal.timeout(60_000));
  const turns = of.events.map(({ operation }) => operation).filter((one) => one === 'start' || one === 'stop');
  assert.deepEqual(turns, ['start', 'start']);
  await again[Symbol.asyncDispose]();
}

describe('an event that comes to be too late', () => {
  it('is followed by one that says that nothing left, and what was not being written yet does not come to be', async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const hangs = Promise.withResolvers<void>();
    const of = await start({
      config: hasty,
      disk: faulty.disk,
      upstream: (request, response) => {
        const id = request.url?.slice(-1);
        if (id !== '0') faulty.hang = promise;
        sendJson(response, 200, { resourceType: 'Patient', id });
      },
    });
    faulty.onHang = () => hangs.resolve();
    // The first use of a token has an event of its own.
    assert.equal((await of.fetch('/fhir/Patient/0')).status, 200);
    const first = of.fetch('/fhir/Patient/1');
    await hangs.promise;
    const [late, waiting] = await Promise.all([first, of.fetch('/fhir/Patient/2')]);
    assert.deepEqual([late.status, waiting.status], [503, 503]);
    faulty.hang = undefined;
    resolve();
    while (!takes(of)) await setTimeout(20);
    await of.gateway[Symbol.asyncDispose]();
    const reads = of.events.filter(({ operation }) => operation === 'read');
    assert.deepEqual(
      reads.map(({ targets, outcome, request }) => [targets?.[0]?.id, outcome.status, outcome.reason, request?.status]),
      [
        ['0', 'success', undefined, 200],
        ['1', 'success', undefined, 200],
        ['1', 'error', 'audit-unavailable', 503],
      ],
    );
    const [, claim, correction] = reads;
    assert.equal(correction?.completes, claim?.id);
    assert.equal(correction?.exposure, undefined);
  });
});

describe('a full spool', () => {
  it('still says 401 to who has no token', async () => {
    const of = await start();
    const { maxBytes, usedBytes } = of.gateway.spool.status;
    of.gateway.spool.reserve(maxBytes - usedBytes);
    assert.equal((await of.fetch('/fhir/Patient/1', { token: null })).status, 401);
  });
});

describe('a server that is away', () => {
  it('stops nothing while the spool has room', async () => {
    const of = await start({ serverDown: true });
    for (let n = 0; n < 5; n++) assert.equal((await of.fetch('/fhir/Patient/1')).status, 200);
    assert.equal(of.gateway.spool.status.waitingCount, 7);
  });
});

describe('the available mode', () => {
  it('lets go without waiting, and counts what was not recorded', async () => {
    const faulty = new FaultyDisk();
    const of = await start({
      disk: faulty.disk,
      config: { audit: { mode: 'available', deadlineMs: 20_000 }, admin: { host: '127.0.0.1', port: 0 } },
    });
    faulty.datasyncError = systemError('EIO');
    assert.equal((await of.fetch('/fhir/Patient/1')).status, 200);
    assert.equal((await of.fetch('/fhir/Patient/1')).status, 200);
    const metrics = await (await fetch(`${of.gateway.adminUrl}/metrics`)).text();
    assert.match(metrics, /watchglass_gateway_events_unrecorded 3/);
    assert.equal((await fetch(`${of.gateway.adminUrl}/readyz`)).status, 503);
  });
});
