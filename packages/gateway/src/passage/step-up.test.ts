/** Who is known, allowed, and not known surely enough: told how to sign in, and recorded (RFC 9470). */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';

import type { Event } from '@watchglass/record';

import { eventsOf, type Road, startRoad } from '../gateway.fixture.ts';

const policy = `
version: 1
assurance:
  strong: {acr: ['urn:example:gold', 'urn:example:platinum'], maxAgeSeconds: 300}
roles:
  physician:
    allow:
      - {interactions: [read], types: ['*']}
      - {name: delete-surely, interactions: [delete], types: [Patient], assurance: strong}
      - {interactions: [batch]}
`;

let road: Road;

before(async () => {
  road = await startRoad({ policy });
});
after(() => road.close());

async function lastEvent(): Promise<Event> {
  return (await eventsOf(road)).at(-1) as Event;
}

describe('a request that is allowed to whoever signed in better', () => {
  it('is answered with what is missing, and is an event that names the rule', async () => {
    const answer = await road.fetch('/fhir/Patient/p-1', { method: 'DELETE' });
    assert.equal(answer.status, 401);
    assert.equal(answer.json.code, 'step-up-required');
    assert.equal(
      answer.headers['www-authenticate'],
      'Bearer realm="watchglass", error="insufficient_user_authentication", acr_values="urn:example:gold urn:example:platinum", max_age="300"',
    );
    const event = await lastEvent();
    assert.deepEqual(event.outcome, { status: 'denied', code: 401, reason: 'assurance' });
    assert.equal(event.actor.id, 'person-1');
    assert.deepEqual(
      event.targets?.map(({ type, id, role }) => [type, id, role]),
      [
        ['Patient', 'p-1', 'object'],
        ['Rule', 'delete-surely', 'rule'],
      ],
    );
    assert.match(event.targets?.[1]?.version ?? '', /^[0-9a-f]{16}$/);
    assert.equal(road.asked.length, 0);
  });

  it('passes with a token that brings it', async () => {
    const token = await road.issuer.mint({ acr: 'urn:example:gold', auth_time: Math.floor(Date.now() / 1_000) - 10 });
    assert.equal((await road.fetch('/fhir/Patient/p-1', { method: 'DELETE', token })).status, 200);
  });

  it('in a batch denies the batch, and each entry is recorded', async () => {
    const before = (await eventsOf(road)).length;
    const entry = [
      { request: { method: 'GET', url: 'Patient/p-1' } },
      { request: { method: 'DELETE', url: 'Patient/p-1' } },
    ];
    const answer = await road.fetch('/fhir', {
      method: 'POST',
      headers: { 'content-type': 'application/fhir+json' },
      body: JSON.stringify({ resourceType: 'Bundle', type: 'batch', entry }),
    });
    assert.equal(answer.status, 401);
    assert.match(String(answer.headers['www-authenticate']), /insufficient_user_authentication/);
    assert.deepEqual(
      (await eventsOf(road)).slice(before).map(({ operation, outcome }) => [operation, outcome.reason]),
      [
        ['batch', 'assurance'],
        ['read', 'batch-denied'],
        ['delete', 'assurance'],
      ],
    );
  });
});
