import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eventWith, sampleEvent } from './event.fixture.ts';
import { toFhir, toFhirAll } from './to-fhir.ts';

const balp = 'https://profiles.ihe.net/ITI/BALP/StructureDefinition/IHE.BasicAudit.';

test('a read of a patient is a PatientRead', () => {
  const resource = toFhir(sampleEvent);
  assert.deepEqual(resource.meta.profile, [`${balp}PatientRead`]);
  assert.equal(resource.id, sampleEvent.id);
  assert.equal(resource.recorded, sampleEvent.time);
  assert.equal(resource.action, 'R');
  assert.equal(resource.outcome, '0');
  assert.deepEqual(
    resource.entity?.map(({ what }) => what?.reference),
    ['Patient/wg-pt-000417', 'Patient/wg-pt-000417', undefined],
  );
});

test('a search gives one resource for each patient, each under its own id', () => {
  const patients = [{ id: 'p-1' }, { id: 'p-2' }, { id: 'p-1' }];
  const targets = [{ type: 'Observation', role: 'query' }];
  const event = eventWith({ operation: 'search-type', exposure: { patients }, targets });
  const resources = toFhirAll(event);
  assert.deepEqual(
    resources.map(({ id }) => id),
    [event.id, `${event.id}.1`],
  );
  assert.ok(resources.every(({ meta }) => meta.profile[0] === `${balp}PatientQuery`));
  assert.deepEqual(toFhir(event), resources[0]);
});

test('a query is written as its route and the names of its parameters', () => {
  const event = eventWith({
    operation: 'search-type',
    request: { method: 'GET', route: '/fhir/Observation', query: ['patient', 'code'] },
  });
  const query = toFhir(event).entity?.find((entity) => entity.query !== undefined)?.query;
  assert.equal(Buffer.from(query ?? '', 'base64').toString(), 'GET /fhir/Observation?patient&code');
});

test('outcomes map to 0, 4, 8 and 12, and what failed claims no BALP profile', () => {
  const outcomes = (['success', 'denied', 'failed', 'error'] as const).map((status) =>
    toFhir(eventWith({ outcome: { status, code: 403, reason: 'policy-denied' } })),
  );
  assert.deepEqual(
    outcomes.map(({ outcome }) => outcome),
    ['0', '4', '8', '12'],
  );
  for (const resource of outcomes.slice(1)) {
    assert.deepEqual(resource.meta.profile, ['http://hl7.org/fhir/StructureDefinition/AuditEvent']);
    assert.equal(resource.contained?.[0]?.issue[0]?.details?.text, '403 policy-denied');
    assert.ok(resource.entity?.some(({ what }) => what?.reference === '#outcome'));
  }
});

test('a service acts for itself: the client is the requestor, and there is no user', () => {
  const { agent } = toFhir(eventWith({ actor: { id: 'nightly-job', type: 'service' } }));
  assert.equal(agent.length, 2);
  assert.deepEqual(agent[0]?.who, { identifier: { value: 'nightly-job' } });
  assert.deepEqual(
    agent.map(({ requestor }) => requestor),
    [true, false],
  );
});

test('those on whose behalf it happened are agents too', () => {
  const onBehalfOf = [{ id: 'agent-3', type: 'agent' as const }, { id: 'person-18' }];
  const { agent } = toFhir(eventWith({ actor: { id: 'person-17', onBehalfOf } }));
  assert.deepEqual(
    agent.slice(3).map(({ who }) => who.identifier?.value),
    ['agent-3', 'person-18'],
  );
});

test('break-glass and its justification are the purpose of the event', () => {
  const { purposeOfEvent } = toFhir(eventWith({ purpose: { code: 'BTG', justification: 'ticket-7' } }));
  assert.equal(purposeOfEvent?.[0]?.coding?.[0]?.code, 'BTG');
  assert.equal(purposeOfEvent?.[0]?.text, 'ticket-7');
});
