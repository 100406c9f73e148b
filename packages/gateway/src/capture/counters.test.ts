/** The gateway's counts of its own requests: that they add up under mixed traffic, and reach the server as they are. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type Counters, countersOf, countersToChanges, minimise } from '@watchglass/record';
import { endedAfterEach, type Road, sendJson, startRoad } from '../gateway.fixture.ts';
import { type Counted, RequestCounters } from './counters.ts';

const start = endedAfterEach(startRoad);

function addsUp({ received, recorded, flooded, faulted, unrecorded, inFlight }: Counters): void {
  assert.equal(received, recorded + flooded + faulted + unrecorded + inFlight);
}

const countersIn = (of: Road): Counters[] => of.events.map(countersOf).filter((one) => one !== undefined);

describe('request counters', () => {
  it('are on record at the end, add up, and agree with what was asked and with the events', async () => {
    const of = await start();
    for (let n = 0; n < 10; n++) await of.fetch('/fhir/Patient/1');
    await of.fetch('/fhir/Patient/1', { method: 'DELETE' });
    for (let n = 0; n < 40; n++) await of.fetch('/fhir/Patient/1', { token: 'nonsense' });
    await of.fetch('/fhir/Patient/1', { method: 'POST', body: '{' });
    await of.gateway[Symbol.asyncDispose]();
    const [counters, ...more] = countersIn(of);
    assert.ok(counters !== undefined && more.length === 0);
    addsUp(counters);
    const { received, recorded, flooded, unrecorded, inFlight, answered, refused } = counters;
    assert.deepEqual(
      { received, recorded, flooded, unrecorded, inFlight, answered, refused },
      { received: 52, recorded: 32, flooded: 20, unrecorded: 0, inFlight: 0, answered: 11, refused: 41 },
    );
    const position = of.events.findIndex((event) => countersOf(event) !== undefined);
    assert.equal(counters.eventsRecorded + counters.eventsPending, position, 'every event before it was counted');
  });

  it('take a request for recorded whose token is on record, though its refusal is only counted', async () => {
    const rule = { name: 'reads', by: 'user', limit: 1, windowMs: 3_600_000 };
    const of = await start({ config: { rates: { rules: [rule] } } });
    for (const status of [200, 429, 429]) assert.equal((await of.fetch('/fhir/Patient/1')).status, status);
    const token = await of.issuer.mint({ jti: 'token-2' });
    assert.equal((await of.fetch('/fhir/Patient/1', { token })).status, 429);
    await of.gateway[Symbol.asyncDispose]();
    const [counters] = countersIn(of);
    assert.ok(counters !== undefined);
    addsUp(counters);
    assert.deepEqual([counters.recorded, counters.flooded], [3, 1]);
    const ids = of.events.flatMap(({ request }) => request?.id ?? []);
    assert.equal(new Set(ids).size, counters.recorded);
  });

  it('come while the gateway runs, with what is under way, and never go back', async () => {
    const waiting = Promise.withResolvers<void>();
    const of = await start({
      config: { audit: { countersEveryMs: 100 } },
      upstream: (_request, response) =>
        void waiting.promise.then(() => sendJson(response, 200, { resourceType: 'Patient', id: '1' })),
    });
    const fetching = of.fetch('/fhir/Patient/1');
    while (!countersIn(of).some(({ inFlight }) => inFlight === 1)) await new Promise((tick) => setImmediate(tick));
    waiting.resolve();
    await fetching;
    while (!countersIn(of).some(({ recorded }) => recorded === 1)) await new Promise((tick) => setImmediate(tick));
    const all = countersIn(of);
    for (const [at, counters] of all.entries()) {
      addsUp(counters);
      const before = all[at - 1] ?? counters;
      assert.equal(counters.since, before.since);
      assert.ok(counters.received >= before.received && counters.eventsRecorded >= before.eventsRecorded);
    }
  });

  it('count what nothing was recorded of, and keep what was', () => {
    const counters = new RequestCounters(1);
    const request = (): { counted: Counted } => ({ counted: { fate: undefined } });
    const [first, second, third, fourth, last] = [request(), request(), request(), request(), request()];
    for (const begun of [first, second, third, fourth, last]) counters.begin(begun);
    counters.mark(first, 'recorded');
    counters.mark(first, 'flooded');
    counters.mark(second, 'flooded');
    counters.mark(third, 'faulted');
    for (const ended of [first, second, third, fourth]) counters.end(ended);
    counters.end(first);
    const read = counters.read({ recordedCount: 0, pendingCount: 0, unrecordedCount: 0 });
    addsUp(read);
    const { recorded, flooded, faulted, unrecorded, inFlight } = read;
    assert.deepEqual([recorded, flooded, faulted, unrecorded, inFlight], [1, 1, 1, 1, 1]);
  });

  it('are kept by minimisation, and nothing else that calls itself so', () => {
    const changes = countersToChanges(
      new RequestCounters(7).read({ recordedCount: 3, pendingCount: 0, unrecordedCount: 0 }),
    );
    const event: Parameters<typeof minimise>[0] = {
      v: 1,
      id: '0197b3a0-0000-7000-8000-000000000001',
      time: '2026-03-12T08:00:00.000Z',
      tenant: 'clinic',
      emitter: { id: 'gateway', seq: 1 },
      kind: 'system',
      action: 'execute',
      operation: 'request-counters',
      outcome: { status: 'success' },
      actor: { id: 'gateway:gateway', type: 'service' },
      changes: [
        ...changes,
        { op: 'replace', path: '/received', after: 'Maria' },
        { op: 'replace', path: '/mrn', after: '4711' },
      ],
    };
    const small = minimise(event);
    assert.deepEqual(small.changes?.slice(0, changes.length), changes);
    assert.deepEqual(
      small.changes?.slice(changes.length).map(({ after }) => after),
      [undefined, undefined],
    );
    assert.ok(minimise({ ...event, operation: 'update' }).changes?.every(({ after }) => after === undefined));
  });
});
