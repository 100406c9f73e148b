/** Row 28 of the table of attacks: what the guard does when the record itself fails. */
import assert from 'node:assert/strict';
import { afterEach, describe, it } from 'node:test';

import { FaultyDisk, type Road, type RoadOptions, sendJson, startRoad, systemError } from './gateway.fixture.ts';

let road: Road | undefined;

afterEach(async () => {
  await road?.close();
  road = undefined;
});

async function start(options: RoadOptions = {}): Promise<Road> {
  road = await startRoad({ config: { audit: { mode: 'strict', deadlineMs: 150 } }, ...options });
  return road;
}

const change = {
  method: 'POST',
  headers: { 'content-type': 'application/fhir+json' },
  body: '{"resourceType":"Observation"}',
};

async function unavailable(of: Road, options: { readonly method?: string } = {}, askedCount = 0): Promise<void> {
  const answer = await of.fetch(
    options.method === 'POST' ? '/fhir/Observation' : '/fhir/Patient/1',
    options.method === 'POST' ? change : {},
  );
  assert.equal(answer.status, 503);
  assert.equal(answer.json.code, 'audit-unavailable');
  assert.equal(answer.headers['retry-after'], '2');
  assert.equal(answer.text.includes('Tester'), false);
  assert.equal(of.asked.length, askedCount);
}

describe('row 28: a full spool', () => {
  it('is 503 with Retry-After, the upstream is never asked, and it heals once there is room', async () => {
    const of = await start();
    const { maxBytes, usedBytes } = of.gateway.spool.status;
    const taken = of.gateway.spool.reserve(maxBytes - usedBytes - 20_000);
    await unavailable(of);
    await unavailable(of, { method: 'POST' });
    taken.release();
    assert.equal((await of.fetch('/fhir/Patient/1')).status, 200);
  });

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

describe('row 28: a failing disk', () => {
  it('whose datasync fails lets nothing out, and from then on nothing in', async () => {
    const faulty = new FaultyDisk();
    const of = await start({ disk: faulty.disk });
    faulty.datasyncError = systemError('EIO');
    await unavailable(of, { method: 'POST' });
    await unavailable(of);
    await unavailable(of, { method: 'POST' });
  });

  it('that fails under a read withholds what the upstream answered', async () => {
    const faulty = new FaultyDisk();
    const of = await start({
      disk: faulty.disk,
      upstream: (_request, response) => {
        faulty.datasyncError = systemError('EIO');
        sendJson(response, 200, { resourceType: 'Patient', id: '1', name: [{ family: 'Tester' }] });
      },
    });
    await unavailable(of, {}, 1);
    await unavailable(of, {}, 1);
  });

  it('that is full refuses a change before the upstream is asked, and heals', async () => {
    const faulty = new FaultyDisk();
    const of = await start({ disk: faulty.disk });
    faulty.writeError = systemError('ENOSPC');
    await unavailable(of, { method: 'POST' });
    await unavailable(of);
    faulty.writeError = undefined;
    while (of.gateway.spool.status.state.kind !== 'open') await new Promise((resolve) => setTimeout(resolve, 20));
    assert.equal((await of.fetch('/fhir/Patient/1')).status, 200);
  });

  it('that hangs is 503 within the deadline, also for who comes after', async () => {
    const faulty = new FaultyDisk();
    const of = await start({ disk: faulty.disk });
    const { promise, resolve } = Promise.withResolvers<void>();
    faulty.hang = promise;
    const startedMs = performance.now();
    await unavailable(of, { method: 'POST' });
    await unavailable(of);
    assert.ok(performance.now() - startedMs < 2_000);
    resolve();
    faulty.hang = undefined;
  });

  it('between intent and outcome says that the change may have been made', async () => {
    const faulty = new FaultyDisk();
    const of = await start({
      disk: faulty.disk,
      upstream: (_request, response) => {
        faulty.datasyncError = systemError('EIO');
        sendJson(response, 201, { resourceType: 'Observation', id: 'o-1' });
      },
    });
    const answer = await of.fetch('/fhir/Observation', change);
    assert.equal(answer.status, 503);
    assert.equal(answer.json.code, 'outcome-unrecorded');
    assert.equal(answer.headers['retry-after'], undefined);
    assert.equal(answer.text.includes('o-1'), false);
  });
});

describe('the available mode', () => {
  it('lets go without waiting, and counts what was not recorded', async () => {
    const faulty = new FaultyDisk();
    const of = await start({
      disk: faulty.disk,
      config: { audit: { mode: 'available', deadlineMs: 150 }, admin: { host: '127.0.0.1', port: 0 } },
    });
    faulty.datasyncError = systemError('EIO');
    assert.equal((await of.fetch('/fhir/Patient/1')).status, 200);
    assert.equal((await of.fetch('/fhir/Patient/1')).status, 200);
    const metrics = await (await fetch(`${of.gateway.adminUrl}/metrics`)).text();
    assert.match(metrics, /watchglass_gateway_events_unrecorded 3/);
    assert.equal((await fetch(`${of.gateway.adminUrl}/readyz`)).status, 503);
  });
});
