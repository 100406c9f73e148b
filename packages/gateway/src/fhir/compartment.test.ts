import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { compartmentTypes, isInCompartment, narrows } from './compartment.ts';
import { isAboutPatients, isResourceType, resourceTypes } from './fhir-types.ts';

describe('the patient compartment', () => {
  it('has the 66 types of R4 that are about patients, and Task', () => {
    const types = compartmentTypes();
    assert.equal(types.length, new Set(types).size);
    assert.deepEqual(
      types.filter((type) => !isResourceType(type)),
      [],
    );
    assert.deepEqual(types.filter((type) => !isAboutPatients(type)).sort(), ['Task']);
    assert.deepEqual(
      resourceTypes().filter((type) => isAboutPatients(type) && !isInCompartment(type)),
      [],
    );
  });

  it('knows by which parameters a type says whose it is', () => {
    for (const [type, parameter] of [
      ['Observation', 'patient'],
      ['Observation', 'performer'],
      ['Appointment', 'actor'],
      ['Schedule', 'actor'],
      ['AdverseEvent', 'subject'],
      ['Coverage', 'beneficiary'],
    ] as const)
      assert.equal(narrows(type, parameter), true, `${type}.${parameter}`);
    for (const [type, parameter] of [
      ['Schedule', 'patient'],
      ['AdverseEvent', 'patient'],
      ['Observation', 'encounter'],
      ['Practitioner', 'patient'],
      ['__proto__', 'patient'],
    ] as const)
      assert.equal(narrows(type, parameter), false, `${type}.${parameter}`);
  });
});
