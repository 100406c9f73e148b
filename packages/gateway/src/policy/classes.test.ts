/** Which classes of data a rule lets through: judged by the type before the API is asked, and by what really came before it leaves. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { learnExposure } from '../exposure/exposure.ts';
import { authorise, authoriseEntry, withholdReason } from './authorise.ts';
import { policyOf, question } from './policy.fixture.ts';

const policy = policyOf(`
version: 1
roles:
  nurse:
    allow:
      - {interactions: [read, search], types: ['*'], classes: [results, demographics, documents]}
      - {interactions: [update], types: [Observation], classes: [results]}
      - {operations: [$everything, $summary], types: [Patient], classes: [demographics, results]}
  physician:
    allow:
      - {interactions: [read, search], types: ['*']}
`);

const psychiatric = { security: [{ system: 'http://terminology.hl7.org/CodeSystem/v3-ActCode', code: 'PSY' }] };

function withheld(
  target: string,
  body: object,
  roles: readonly string[] = ['nurse'],
  complete = true,
): string | undefined {
  const asked = question(policy, target, { principal: { roles } });
  const decision = authorise(asked);
  assert.equal(decision.kind, 'allowed', target);
  if (decision.kind !== 'allowed') return undefined;
  const learned = learnExposure(Buffer.from(JSON.stringify(body)), { contentType: 'application/fhir+json', complete });
  return withholdReason({ ...asked, decision, learned });
}

function observation(meta?: object): object {
  return {
    resourceType: 'Observation',
    id: 'o-1',
    subject: { reference: 'Patient/p-1' },
    ...(meta === undefined ? {} : { meta }),
  };
}

describe('classes of data', () => {
  it('of the type itself decide before anything is asked', () => {
    assert.equal(authorise(question(policy, '/fhir/Observation/o-1')).kind, 'allowed');
    const decision = authorise(question(policy, '/fhir/Condition/c-1'));
    assert.equal(decision.kind === 'denied' && decision.reason, 'policy');
    assert.equal(
      authorise(question(policy, '/fhir/Condition/c-1', { principal: { roles: ['nurse', 'physician'] } })).kind,
      'allowed',
    );
  });

  it('that a response holds and the role may not receive keep it from leaving', () => {
    assert.equal(withheld('/fhir/Observation/o-1', observation()), undefined);
    assert.equal(withheld('/fhir/Observation/o-1', observation(psychiatric)), 'response-class-policy');
    assert.equal(withheld('/fhir/Observation/o-1', observation(psychiatric), ['physician']), undefined);
    assert.equal(withheld('/fhir/Observation/o-1', observation(psychiatric), ['nurse', 'physician']), undefined);
  });

  it('count for what a search brings along and for what an operation collects', () => {
    const bundle = (...resources: object[]): object => ({
      resourceType: 'Bundle',
      type: 'searchset',
      entry: resources.map((resource) => ({ resource })),
    });
    const condition = { resourceType: 'Condition', id: 'c-1', subject: { reference: 'Patient/p-1' } };
    assert.equal(
      withheld(
        '/fhir/Observation?_include=Observation:subject',
        bundle(observation(), { resourceType: 'Patient', id: 'p-1' }),
      ),
      undefined,
    );
    assert.equal(
      withheld('/fhir/Observation?_include=Observation:subject', bundle(observation(), condition)),
      'response-class-policy',
    );
    assert.equal(
      withheld('/fhir/Patient/p-1/$everything', bundle(observation(), { resourceType: 'Patient', id: 'p-1' })),
      undefined,
    );
    assert.equal(withheld('/fhir/Patient/p-1/$everything', bundle(observation(), condition)), 'response-class-policy');
  });

  it('can not be checked in the answer to an operation that may change something', () => {
    const by = (method: string): ReturnType<typeof authorise> =>
      authorise(question(policy, '/fhir/Patient/p-1/$summary', { method }));
    assert.equal(by('GET').kind, 'allowed');
    const decision = by('POST');
    assert.equal(decision.kind === 'denied' && decision.reason, 'response-class-policy');
    assert.equal(authorise(question(policy, '/fhir/Patient/p-1/$everything', { method: 'POST' })).kind, 'allowed');
  });

  it('of an answer too large to read are nobody knows what', () => {
    assert.equal(withheld('/fhir/Observation/o-1', observation(), ['nurse'], false), 'response-too-large-to-check');
    assert.equal(withheld('/fhir/Observation/o-1', observation(), ['physician'], false), undefined);
  });

  it('can not be checked in the answer to a batch, so whoever is limited reads one by one', () => {
    const decision = authoriseEntry(question(policy, '/fhir/Observation/o-1'));
    assert.equal(decision.kind === 'denied' && decision.reason, 'class-in-batch');
    assert.equal(authoriseEntry(question(policy, '/fhir/Observation/o-1', { method: 'PUT' })).kind, 'allowed');
    assert.equal(
      authoriseEntry(question(policy, '/fhir/Observation/o-1', { principal: { roles: ['physician'] } })).kind,
      'allowed',
    );
  });
});
