/** Who may not: without a token, by role, by scope, by what an answer would bring along; each recorded with the person. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { Event } from '@watchglass/record';

import { endedAfterEach, eventsOf, observation, searchset, sendJson, startRoad } from './gateway.fixture.ts';

const start = endedAfterEach(startRoad);

describe('who may not', () => {
  it('gets 401 without a token, with a challenge', async () => {
    const of = await start();
    const answer = await of.fetch('/fhir/Patient/1', { token: null });
    assert.equal(answer.status, 401);
    assert.equal(answer.headers['www-authenticate'], 'Bearer realm="watchglass"');
    assert.equal(answer.headers['content-type'], 'application/problem+json');
    assert.equal(answer.json.type, 'urn:watchglass:error:token-missing');
    const [event] = (await eventsOf(of)) as [Event];
    assert.equal(event.kind, 'auth');
    assert.equal(event.outcome.reason, 'token-missing');
    assert.equal(of.asked.length, 0);
  });

  it('gets 403 by role, and by scope, each recorded with the person', async () => {
    const of = await start();
    const cases = [
      [{ roles: ['nurse'] }, 'forbidden', 'policy'],
      [{ roles: [] }, 'forbidden', 'policy'],
      [{ scope: 'user/Patient.rs' }, 'insufficient-scope', 'scope'],
      [{ scope: 'openid' }, 'insufficient-scope', 'scope'],
      [{ scope: 'patient/*.cruds' }, 'insufficient-scope', 'scope'],
    ] as const;
    for (const [claims, code, reason] of cases) {
      const answer = await of.fetch('/fhir/Condition/c-1', { token: await of.issuer.mint(claims) });
      assert.equal(answer.status, 403);
      assert.equal(answer.json.code, code);
      const event = (await eventsOf(of)).at(-1) as Event;
      assert.deepEqual(event.outcome, { status: 'denied', code: 403, reason });
      assert.equal(event.actor.id, 'person-1');
      assert.deepEqual(event.targets, [{ type: 'Condition', id: 'c-1', role: 'object' }]);
    }
    assert.equal(of.asked.length, 0);
  });

  it('gets an OperationOutcome where FHIR was asked for', async () => {
    const of = await start();
    const answer = await of.fetch('/fhir/Patient/1', { token: null, headers: { accept: 'application/fhir+json' } });
    assert.equal(answer.json.resourceType, 'OperationOutcome');
    assert.equal(answer.headers['content-type'], 'application/fhir+json; charset=utf-8');
  });

  it('is not asked for the capability statement', async () => {
    const of = await start({
      upstream: (_request, response) => sendJson(response, 200, { resourceType: 'CapabilityStatement' }),
    });
    assert.equal((await of.fetch('/fhir/metadata', { token: null })).status, 200);
    const [event] = (await eventsOf(of)) as [Event];
    assert.equal(event.actor.id, 'anonymous');
    assert.equal(event.operation, 'capabilities');
  });

  it('cannot take out another patient with a patient scope', async () => {
    const of = await start({
      upstream: (request, response) =>
        sendJson(
          response,
          200,
          request.url?.includes('mixed')
            ? searchset(observation('o-1', 'p-1'), observation('o-2', 'p-2'))
            : searchset(observation('o-1', 'p-1')),
        ),
    });
    const token = await of.issuer.mint({ roles: ['physician'], scope: 'patient/*.rs', patient: 'p-1' });
    assert.equal((await of.fetch('/fhir/Observation?patient=p-1', { token })).status, 200);
    const mixed = await of.fetch('/fhir/Observation?patient=p-1&code=mixed', { token });
    assert.equal(mixed.status, 403);
    assert.equal((await eventsOf(of)).at(-1)?.outcome.reason, 'response-other-patient');
    assert.equal((await of.fetch('/fhir/Observation?patient=p-1&_include=Observation:subject', { token })).status, 403);
    assert.equal((await of.fetch('/fhir/Observation/o-1', { token, method: 'DELETE' })).status, 403);
  });

  it('asks for XML, or names a purpose the policy does not know', async () => {
    const of = await start();
    assert.equal((await of.fetch('/fhir/Patient/1', { headers: { accept: 'application/fhir+xml' } })).status, 406);
    assert.equal((await of.fetch('/fhir/Patient/1?_format=xml')).status, 406);
    assert.equal((await of.fetch('/fhir/Patient/1?_format=application%2Ffhir%2Bjson')).status, 200);
    assert.equal((await of.fetch('/fhir/Patient/1', { headers: { 'x-purpose-of-use': 'CURIOUS' } })).status, 403);
    assert.equal(of.asked.length, 1);
  });
});
