import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Event, encode } from '@watchglass/record';
import { eventWith, sampleRecord } from '../../../record/src/event.fixture.ts';
import { isHeld } from './hold-criteria.ts';
import type { HoldCriteria } from './shred.ts';

function held(criteria: HoldCriteria, facts: Partial<Event>): boolean {
  const m = encode({ ...sampleRecord, event: eventWith({ targets: [], exposure: { count: 0 }, ...facts }) });
  return isHeld(criteria, { index: 7, m, retentionClass: 'access' });
}

test('a hold on a patient keeps what names the patient, wherever it does', () => {
  const criteria = { patient: 'wg-pt-7' };
  assert.equal(held(criteria, {}), false);
  assert.ok(held(criteria, { targets: [{ type: 'Observation', id: 'o-1', patient: 'wg-pt-7' }] }));
  assert.ok(held(criteria, { targets: [{ type: 'Patient', id: 'wg-pt-7' }] }));
  assert.ok(held(criteria, { exposure: { count: 1, patients: [{ id: 'wg-pt-7' }] } }));
  assert.ok(held(criteria, { actor: { id: 'wg-pt-7', type: 'patient' } }));
  assert.equal(held(criteria, { targets: [{ type: 'Patient', id: 'wg-pt-70' }] }), false);
});

test('an event that names only some of the patients is kept: the one in question may be among the others', () => {
  const cut: Partial<Event> = { exposure: { count: 5_000, patients: [{ id: 'wg-pt-1' }], truncated: true } };
  assert.ok(held({ patient: 'wg-pt-7' }, cut));
  assert.equal(held({ patient: 'wg-pt-7', retentionClass: 'security' }, cut), false);
  assert.equal(held({ patient: 'wg-pt-7', operation: 'delete' }, cut), false);
});
