import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Event } from '@watchglass/record';
import { Pseudonyms } from '../indexes/tokens.ts';
import { patientsListedMax, renderRecord } from './render.ts';

const names = new Pseudonyms(new Uint8Array(32).fill(1));
const canary = 'canary-4b1d';

function rendered(event: Partial<Event>, whole = true): Record<string, unknown> {
  const full = {
    v: 1,
    id: 'x',
    time: 't',
    tenant: 'clinic',
    kind: 'api',
    action: 'read',
    outcome: { status: 'success' },
    actor: { id: 'u-1' },
    ...event,
  };
  const m = Buffer.from(
    JSON.stringify({ received: 'r', submitter: 'key:1', intake: 'http', digest: 'd', event: full }),
  );
  return renderRecord(3, m, { names, whole });
}

test('no identifier of a patient or a clinical resource is shown', () => {
  const shown = rendered({
    actor: { id: canary, type: 'patient', onBehalfOf: [{ id: canary, type: 'patient' }] },
    targets: [
      { type: 'Patient', id: canary },
      { type: 'Observation', id: canary, patient: canary },
    ],
    exposure: { patients: [{ id: canary, count: 2 }] },
    changes: [{ path: '/name', op: 'replace', before: canary, after: canary }],
    request: { route: '/fhir/Patient/{id}' },
  });
  assert.ok(!JSON.stringify(shown).includes(canary));
  const pseudonym = names.patient(canary);
  assert.deepEqual(shown.targets, [
    { type: 'Patient', id: pseudonym },
    { type: 'Observation', id: names.resource('Observation', canary), patient: pseudonym },
  ]);
  assert.deepEqual(shown.actor, { id: pseudonym, type: 'patient', onBehalfOf: [{ id: pseudonym, type: 'patient' }] });
  assert.deepEqual(shown.exposure, { patients: [{ id: pseudonym, count: 2 }], patientCount: 1 });
  assert.deepEqual(shown.request, { route: '/fhir/Patient/{id}' });
});

test('staff and what belongs to Watchglass stay as they are', () => {
  const shown = rendered({
    kind: 'review',
    actor: { id: 'u-7', type: 'human' },
    targets: [{ type: 'Event', id: '42' }],
  });
  assert.deepEqual(
    [shown.index, shown.received, shown.submitter, shown.actor, shown.targets],
    [3, 'r', 'key:1', { id: 'u-7', type: 'human' }, [{ type: 'Event', id: '42' }]],
  );
});

test('a page lists some of many exposed patients and says how many there are', () => {
  const exposure = { patients: Array.from({ length: 300 }, (_, i) => ({ id: `p-${i}` })) };
  const onPage = rendered({ exposure }, false).exposure as { patients: unknown[]; patientCount: number };
  assert.deepEqual([onPage.patients.length, onPage.patientCount], [patientsListedMax, 300]);
  assert.equal((rendered({ exposure }).exposure as { patients: unknown[] }).patients.length, 300);
});
