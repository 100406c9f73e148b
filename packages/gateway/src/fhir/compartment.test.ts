import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { isInCompartment, narrows } from './compartment.ts';
import { isAboutPatients, resourceTypes } from './fhir-types.ts';

describe('the patient compartment', () => {
  it('has the 66 types of R4 that are about patients, and Task', () => {
    const about = [...resourceTypes].filter(isAboutPatients);
    assert.equal(about.length, 66);
    assert.deepEqual([...resourceTypes].filter(isInCompartment), [...about, 'Task'].sort());
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
