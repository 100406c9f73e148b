import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { recognise } from '../fhir/fhir-interaction.ts';
import { recordedNames } from './parameter-names.ts';

const found = recognise({ method: 'GET', prefix: '/fhir', segments: ['Observation'], parameters: [] });
assert.equal(found.kind, 'interaction');
const recorded = (names: readonly string[], configured: readonly string[] = []): readonly string[] =>
  recordedNames(names, found.interaction, new Set(configured));

describe('the name of a parameter', () => {
  it('is recorded where it is FHIR’s, with its modifier, as a chain, and of what refers to it', () => {
    const names = [
      'patient',
      '_count',
      '_lastUpdated',
      'value-quantity',
      'family:exact',
      'subject:Patient',
      'subject:Patient.name',
      'patient.organization.name:contains',
      '_has:Observation:patient:code',
      '_has:Observation:patient:_has:AuditEvent:entity:agent',
      '_include:iterate',
      '_getpages',
      '_sealed-page',
      '_typeFilter',
      'race',
    ];
    assert.deepEqual(recorded(names), names);
  });

  it('is not where it may be anything, in whatever part', () => {
    for (const name of [
      'Smith',
      'smith',
      'MRN12345',
      'name:Smith',
      'Smith.name',
      'subject:Smith.name',
      'subject:Patient.Smith',
      'subject:Patient:exact',
      '_has:Smith:patient:code',
      '_has:Observation:Smith:code',
      '_has:Observation:patient:Smith',
      '_has:Observation:patient',
      '_has',
      'patient.',
      '.patient',
      'patient:',
      '-Smith',
      '_Smith',
      'constructor',
      Array.from({ length: 9 }, () => 'patient').join('.'),
    ])
      assert.deepEqual(recorded([name]), ['other'], name);
  });

  it('is recorded once, and so is that there were others', () => {
    assert.deepEqual(recorded(['code', 'Smith', 'Jones', 'code']), ['code', 'other']);
    assert.deepEqual(recorded(['mrn-kind', 'Smith'], ['mrn-kind']), ['mrn-kind', 'other']);
  });
});
