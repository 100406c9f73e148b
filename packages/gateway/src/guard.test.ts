/** What passes the guard and what does not, and what is recorded about it. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { Event } from '@watchglass/record';
import { parseEvent } from '@watchglass/record';

import { endedAfterEach, eventsOf, observation, type Road, searchset, sendJson, startRoad } from './gateway.fixture.ts';

const start = endedAfterEach(startRoad);

describe('a read', () => {
  it('is answered as the upstream answered, and recorded with who, what, and what left', async () => {
    const { fetch, ...rest } = await start({ tls: true });
    const answer = await fetch('/fhir/Patient/wg-pt-000417', {
      headers: { 'user-agent': 'ward-app/1.2', 'x-purpose-of-use': 'TREAT' },
    });
    assert.equal(answer.status, 200);
    assert.equal(answer.json.id, 'wg-pt-000417');
    assert.equal(answer.headers['cache-control'], 'no-store');
    const [event] = (await eventsOf({ fetch, ...rest })) as [Event];
    assert.equal(event.id, answer.headers['x-audit-id']);
    assert.equal(event.request?.id, answer.headers['x-request-id']);
    assert.deepEqual(event.outcome, { status: 'success', code: 200 });
    assert.deepEqual(event.purpose, { code: 'TREAT' });
    assert.equal(event.actor.id, 'person-1');
    assert.deepEqual(event.actor.roles, ['physician']);
    assert.equal(event.actor.tokenId, 'token-1');
    assert.equal(event.actor.client, 'demo-cli');
    assert.equal(event.actor.authentication?.method, 'bearer');
    assert.equal(event.actor.authentication?.mfa, true);
    assert.equal(event.actor.authentication?.assurance, 'urn:test:acr');
    assert.equal(event.source?.userAgent, 'ward-app/1.2');
    assert.equal(event.site, 'test-hospital');
    assert.deepEqual(event.targets, [
      { type: 'Patient', id: 'wg-pt-000417', patient: 'wg-pt-000417', classes: ['demographics'], role: 'object' },
    ]);
    assert.deepEqual(event.exposure?.patients, [{ id: 'wg-pt-000417', classes: ['demographics'], count: 1 }]);
    assert.equal(event.request?.route, '/fhir/Patient/{id}');
    assert.equal(event.emitter.id, 'test-gateway');
    parseEvent({ ...event, tenant: 'clinic' });
  });

  it('asks the upstream once, with the target as it came and without the token', async () => {
    const { fetch, asked } = await start();
    await fetch('/fhir/Observation?patient=p-1&date=ge2026-01-01&_count=5');
    assert.equal(asked.length, 1);
    assert.equal(asked[0]?.target, '/fhir/Observation?patient=p-1&date=ge2026-01-01&_count=5');
    assert.equal(asked[0]?.headers.authorization, undefined);
    assert.equal(asked[0]?.headers['accept-encoding'], 'identity');
    assert.match(String(asked[0]?.headers.traceparent), /^00-[0-9a-f]{32}-[0-9a-f]{16}-00$/);
  });

  it('continues the trace of the caller', async () => {
    const of = await start();
    const traceparent = `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`;
    await of.fetch('/fhir/Patient/1', { headers: { traceparent } });
    const [event] = (await eventsOf(of)) as [Event];
    assert.match(event.request?.traceparent ?? '', new RegExp(`^00-${'a'.repeat(32)}-[0-9a-f]{16}-01$`));
    assert.notEqual(event.request?.traceparent, traceparent);
    assert.equal(of.asked[0]?.headers.traceparent, event.request?.traceparent);
  });

  it('by HEAD says what GET would, and lets nothing leave', async () => {
    const of = await start();
    const answer = await of.fetch('/fhir/Patient/1', { method: 'HEAD' });
    assert.equal(answer.status, 200);
    assert.equal(answer.text, '');
    assert.ok(Number(answer.headers['content-length']) > 10);
    const [event] = (await eventsOf(of)) as [Event];
    assert.equal(event.request?.method, 'HEAD');
    assert.equal(event.exposure, undefined);
  });

  it('that finds nothing is recorded as failed', async () => {
    const of = await start({
      upstream: (_request, response) => sendJson(response, 404, { resourceType: 'OperationOutcome' }),
    });
    assert.equal((await of.fetch('/fhir/Patient/none')).status, 404);
    const [event] = (await eventsOf(of)) as [Event];
    assert.deepEqual(event.outcome, { status: 'failed', code: 404 });
    assert.deepEqual(event.targets, [{ type: 'Patient', id: 'none', patient: 'none', role: 'object' }]);
  });
});

describe('a search', () => {
  it('is recorded with every patient it returned, the names of its parameters, and none of their values', async () => {
    const bundle = searchset(observation('o-1', 'p-1'), observation('o-2', 'p-2'), observation('o-3', 'p-2'));
    const of = await start({ upstream: (_request, response) => sendJson(response, 200, bundle) });
    assert.equal((await of.fetch('/fhir/Observation?code=SECRET-CODE&subject%3APatient=p-1')).status, 200);
    const [event] = (await eventsOf(of)) as [Event];
    assert.equal(event.operation, 'search-type');
    assert.equal(event.action, 'execute');
    assert.deepEqual(event.request?.query, ['code', 'subject:Patient']);
    assert.deepEqual(event.exposure?.patients, [
      { id: 'p-1', classes: ['results'], count: 1 },
      { id: 'p-2', classes: ['results'], count: 2 },
    ]);
    assert.deepEqual(
      event.targets?.map(({ type, id, role }) => [type, id, role]),
      [
        ['Observation', undefined, 'query'],
        ['Observation', 'o-1', 'object'],
        ['Observation', 'o-2', 'object'],
        ['Observation', 'o-3', 'object'],
      ],
    );
    assert.equal(JSON.stringify(of.events).includes('SECRET-CODE'), false);
  });

  it('by POST is a read: the form goes through, its names are recorded', async () => {
    const of = await start();
    const answer = await of.fetch('/fhir/Patient/_search', {
      method: 'POST',
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
      body: 'family=Tester&birthdate=1970-01-01',
    });
    assert.equal(answer.status, 200);
    assert.equal(of.asked[0]?.body, 'family=Tester&birthdate=1970-01-01');
    const events = await eventsOf(of);
    assert.equal(events.length, 1);
    assert.deepEqual(events[0]?.request?.query, ['family', 'birthdate']);
    const wrong = await of.fetch('/fhir/Patient/_search', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: '{}',
    });
    assert.equal(wrong.status, 415);
  });

  it('that brings along what the role may not read is withheld, and recorded', async () => {
    const bundle = searchset(observation('o-1', 'p-1'), {
      resourceType: 'Condition',
      id: 'c-1',
      subject: { reference: 'Patient/p-1' },
    });
    const of = await start({ upstream: (_request, response) => sendJson(response, 200, bundle) });
    const token = await of.issuer.mint({ roles: ['nurse'], sub: 'nurse-1' });
    const answer = await of.fetch('/fhir/Observation?patient=p-1', { token });
    assert.equal(answer.status, 403);
    assert.equal(answer.json.code, 'response-withheld');
    assert.equal(answer.text.includes('Condition'), false);
    const [event] = (await eventsOf(of)) as [Event];
    assert.deepEqual(event.outcome, { status: 'denied', code: 403, reason: 'response-type-policy' });
    assert.equal(event.exposure, undefined);
  });

  it('that is withheld at its beginning is let go of at the API as well', async () => {
    const left = Promise.withResolvers<void>();
    const condition = { resourceType: 'Condition', id: 'c-1', subject: { reference: 'Patient/p-1' } };
    const beginning = JSON.stringify(searchset(condition, ...Array(200).fill(observation('o-1', 'p-1')))).slice(0, -2);
    const of = await start({
      config: { exposure: { maxBytes: 4_096 } },
      upstream: (_request, response) => {
        response.on('close', left.resolve);
        // It goes on for as long as somebody listens.
        response.writeHead(200, { 'content-type': 'application/fhir+json' }).write(beginning);
      },
    });
    const token = await of.issuer.mint({ roles: ['nurse'], sub: 'nurse-1' });
    const answer = await of.fetch('/fhir/Observation?patient=p-1', { token });
    assert.deepEqual([answer.status, answer.json.code], [403, 'response-withheld']);
    await left.promise;
  });
});

describe('a change', () => {
  it('has a durable intent before the upstream is asked, and an outcome that names it', async () => {
    let intentsWhenAsked = -1;
    const of: Road = await start({
      upstream: (_request, response, body) => {
        intentsWhenAsked = of.gateway.spool.status.lastSeq;
        sendJson(
          response,
          201,
          { ...(JSON.parse(body) as object), id: 'o-9' },
          { location: 'http://127.0.0.1/fhir/Observation/o-9' },
        );
      },
    });
    const before = of.gateway.spool.status.lastSeq;
    const answer = await of.fetch('/fhir/Observation', {
      method: 'POST',
      headers: { 'content-type': 'application/fhir+json' },
      body: JSON.stringify({ resourceType: 'Observation', subject: { reference: 'Patient/p-5' } }),
    });
    assert.equal(answer.status, 201);
    // The first use of the token, and the intent.
    assert.equal(intentsWhenAsked, before + 2);
    const [intent, outcome] = (await eventsOf(of)) as [Event, Event];
    assert.deepEqual(intent.outcome, { status: 'success', reason: 'intent' });
    assert.deepEqual(intent.targets, [{ type: 'Observation', role: 'object', patient: 'p-5', classes: ['results'] }]);
    assert.equal(outcome.completes, intent.id);
    assert.deepEqual(outcome.outcome, { status: 'success', code: 201 });
    assert.deepEqual(outcome.targets, [
      { type: 'Observation', id: 'o-9', role: 'object', patient: 'p-5', classes: ['results'] },
    ]);
    assert.equal(outcome.action, 'create');
  });

  it('of any kind has both events', async () => {
    const of = await start({ upstream: (_request, response) => response.writeHead(204).end() });
    for (const method of ['PUT', 'PATCH', 'DELETE']) {
      const body =
        method === 'DELETE'
          ? {}
          : { body: '{"resourceType":"Patient","id":"p-1"}', headers: { 'content-type': 'application/json' } };
      assert.equal((await of.fetch('/fhir/Patient/p-1', { method, ...body })).status, 204);
    }
    const events = await eventsOf(of);
    assert.deepEqual(
      events.map(({ operation, outcome }) => `${operation} ${outcome.reason ?? outcome.code}`),
      ['update intent', 'update 204', 'patch intent', 'patch 204', 'delete intent', 'delete 204'],
    );
  });

  it('with a body of several megabytes is streamed through', async () => {
    let received = 0;
    const of = await start({
      upstream: (_request, response, body) => {
        received = body.length;
        response.writeHead(201).end();
      },
    });
    const body = JSON.stringify({ resourceType: 'Binary', data: 'A'.repeat(3_000_000) });
    const answer = await of.fetch('/fhir/Binary', {
      method: 'POST',
      headers: { 'content-type': 'application/fhir+json' },
      body,
    });
    assert.equal(answer.status, 201);
    assert.equal(received, body.length);
    assert.equal((await eventsOf(of)).at(-1)?.request?.requestBytes, body.length);
  });

  it('with a body past the bound is refused before the upstream is asked', async () => {
    const of = await start({ config: { limits: { requestBytesMax: 2_000_000 } } });
    const body = 'x'.repeat(2_000_001);
    const answer = await of.fetch('/fhir/Binary', {
      method: 'POST',
      headers: { 'content-type': 'application/fhir+json' },
      body,
    });
    assert.equal(answer.status, 413);
    assert.equal(of.asked.length, 0);
  });
});

it('an operation is recorded by its name where the policy speaks of it, and as another one where anybody made it up', async () => {
  const of = await start({
    policy: `
version: 1
purposeOfUse: {header: X-Purpose-Of-Use, allow: [BTG]}
breakGlass: {reasons: [emergency]}
roles:
  physician:
    allow:
      - {operations: [$our-own], types: [Patient]}
    breakGlass:
      - {operations: [$in-need], types: [Patient]}
`,
  });
  const recorded = async (name: string): Promise<unknown> => {
    const headers = { 'content-type': 'application/fhir+json' };
    const body = '{"resourceType":"Parameters"}';
    const { status } = await of.fetch(`/fhir/Patient/p-1/${name}`, { method: 'POST', headers, body });
    const event = (await eventsOf(of)).at(-1);
    return [status, event?.operation, event?.request?.route];
  };
  assert.deepEqual(await recorded('$our-own'), [200, '$our-own', '/fhir/Patient/{id}/$our-own']);
  assert.deepEqual(await recorded('$in-need'), [403, '$in-need', '/fhir/Patient/{id}/$in-need']);
  assert.deepEqual(await recorded('$summary'), [403, '$summary', '/fhir/Patient/{id}/$summary']);
  assert.deepEqual(await recorded('$smith'), [403, 'other', '/fhir/Patient/{id}/{operation}']);
});
