import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseTenantId } from '@watchglass/record';
import { peopleOf, type Staff } from './people-of.ts';

const clinic = parseTenantId('clinic');
const people = new Map<string, ReturnType<Staff['get']>>([
  ['dr-ito', { tenant: clinic, name: 'Dana Ito', department: 'Ward 4', roles: ['physician'] }],
  ['n-abara', { tenant: clinic, name: 'N. Abara', roles: ['nurse'] }],
  ['pt-1', { tenant: clinic, name: 'Pat Ient', roles: ['patient'] }],
  ['elsewhere', { tenant: parseTenantId('other'), name: 'El Sewhere', roles: ['nurse'] }],
]);
const namesIn = (...actors: readonly object[]): object =>
  peopleOf(
    clinic,
    actors.map((actor, index) => ({ index, received: '', submitter: '', actor })),
    people,
  );

test('staff are named, with their department where it is known, and whom they act for', () => {
  assert.deepEqual(namesIn({ id: 'dr-ito', type: 'human' }, { id: 'dr-ito' }, { id: 'nobody' }), {
    'dr-ito': { name: 'Dana Ito', department: 'Ward 4' },
  });
  assert.deepEqual(namesIn({ id: 'scribe', type: 'agent', onBehalfOf: [{ id: 'n-abara', type: 'human' }] }), {
    'n-abara': { name: 'N. Abara' },
  });
});

test('no patient is named, nobody of another tenant, and no service that took a person’s id', () => {
  assert.deepEqual(
    namesIn(
      { id: 'pt-1', type: 'patient' },
      { id: 'pt-1' },
      { id: 'dr-ito', type: 'patient' },
      { id: 'dr-ito', type: 'service' },
      { id: 'elsewhere' },
      { id: '__proto__' },
    ),
    {},
  );
});
