import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isSmartScope, narrowScopes } from './smart-scopes.ts';

const nurse = ['user/*.rs', 'user/Observation.cruds'];

test('a scope that is held is given as it was written, in the words of v1 and of v2', () => {
  for (const scope of [
    'user/Patient.rs',
    'user/Patient.read',
    'user/*.read',
    'user/Observation.*',
    'patient/*.rs',
    'user/Observation.cu',
  ])
    assert.deepEqual(narrowScopes([scope], nurse), [scope]);
});

test('of a scope beyond what is held the part is given that is held', () => {
  assert.deepEqual(narrowScopes(['user/*.cruds'], nurse), ['user/*.rs', 'user/Observation.cruds']);
  assert.deepEqual(narrowScopes(['user/Patient.*'], nurse), ['user/Patient.rs']);
  assert.deepEqual(narrowScopes(['patient/Observation.cruds'], ['user/Observation.rs', 'user/*.u']), [
    'patient/Observation.rus',
  ]);
  assert.deepEqual(narrowScopes(['user/Patient.write'], nurse), []);
});

test('nothing is given across contexts, and a patient’s own scope opens nobody else’s record', () => {
  assert.deepEqual(narrowScopes(['system/*.rs'], nurse), []);
  assert.deepEqual(narrowScopes(['user/*.rs'], ['patient/*.rs']), []);
  assert.deepEqual(narrowScopes(['patient/*.rs', 'patient/*.cruds'], ['patient/*.rs']), ['patient/*.rs']);
});

test('a restriction stays, on whichever side it stands, and two of them are not mixed', () => {
  const vital = 'patient/Observation.rs?category=vital-signs';
  assert.deepEqual(narrowScopes([vital], nurse), [vital]);
  assert.deepEqual(narrowScopes(['system/Observation.rs'], ['system/Observation.rs?category=laboratory']), [
    'system/Observation.rs?category=laboratory',
  ]);
  assert.deepEqual(narrowScopes(['system/Observation.rs?category=a'], ['system/Observation.rs?category=b']), []);
});

test('what is no SMART scope is none', () => {
  for (const scope of [
    'user/*.',
    'user/*.sr',
    'user/patient.rs',
    'user/*',
    'admin/*.rs',
    'user/*.rs?',
    'USER/*.rs',
    'openid',
    'user/*.rs"',
  ])
    assert.equal(isSmartScope(scope), false, scope);
});
