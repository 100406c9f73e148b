import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { type Interaction, recognise } from '../fhir/fhir-interaction.ts';
import { recordedNamesOf } from './operation-names.ts';

function asked(method: string, ...segments: readonly string[]): Interaction {
  const found = recognise({ method, prefix: '/fhir', segments, parameters: [] });
  assert.equal(found.kind, 'interaction');
  return found.interaction;
}

const none: ReadonlySet<string> = new Set();

describe('the name of an operation', () => {
  it('is recorded where everybody knows it, or the policy speaks of it', () => {
    assert.deepEqual(recordedNamesOf(asked('GET', 'Patient', '1', '$everything'), none), {
      operation: '$everything',
      route: '/fhir/Patient/{id}/$everything',
    });
    assert.deepEqual(recordedNamesOf(asked('POST', '$our-own'), new Set(['$our-own'])), {
      operation: '$our-own',
      route: '/fhir/$our-own',
    });
    assert.deepEqual(recordedNamesOf(asked('GET', 'Patient', '1'), none), {
      operation: 'read',
      route: '/fhir/Patient/{id}',
    });
  });

  it('is not where it may be anything, in its route neither', () => {
    const other = { operation: 'other' };
    assert.deepEqual(recordedNamesOf(asked('POST', '$smith'), none), { ...other, route: '/fhir/{operation}' });
    assert.deepEqual(recordedNamesOf(asked('GET', 'Patient', '$smith'), none), {
      ...other,
      route: '/fhir/Patient/{operation}',
    });
    assert.deepEqual(recordedNamesOf(asked('GET', 'Patient', '1', '$jane-smith'), new Set(['$our-own'])), {
      ...other,
      route: '/fhir/Patient/{id}/{operation}',
    });
  });
});
