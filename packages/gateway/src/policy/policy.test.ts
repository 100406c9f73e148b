import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';

import { GatewayError } from '../errors.ts';
import { nowhere } from './policy.fixture.ts';
import { parsePolicy } from './policy.ts';
import { samplePolicyPath } from './sample-policy.ts';
import { type Asked, judge, type Policy, receivable } from './tables.ts';

const policy = parsePolicy(
  `
version: 1
roles:
  nurse:
    allow:
      - {interactions: [read, search], types: [Patient, Observation]}
      - {interactions: [update], types: [Observation]}
      - {operations: [$everything], types: [Patient]}
  clerk:
    allow:
      - {interactions: [read], types: ['*']}
      - {interactions: [update], types: [Patient]}
      - {interactions: [batch, capabilities]}
`,
  'test.yaml',
);

function allows(of: Policy, roles: readonly string[], asked: Asked): boolean {
  return judge(of, roles, asked, nowhere).kind === 'allowed';
}

function mayReceive(of: Policy, roles: readonly string[], type: string): boolean {
  return receivable(of, roles, type, nowhere) !== 0;
}

function allowed(roles: string[], name: Asked['name'], type?: string, operation: string = name): boolean {
  return allows(policy, roles, { name, operation, type });
}

describe('a policy', () => {
  it('allows what a rule of one of the roles allows, and nothing else', () => {
    assert.equal(allowed(['nurse'], 'read', 'Patient'), true);
    assert.equal(allowed(['nurse'], 'read', 'Condition'), false);
    assert.equal(allowed(['nurse'], 'delete', 'Patient'), false);
    assert.equal(allowed(['nurse', 'clerk'], 'read', 'Condition'), true);
    assert.equal(allowed(['unknown'], 'read', 'Patient'), false);
    assert.equal(allowed([], 'capabilities'), false);
    assert.equal(allowed(['clerk'], 'capabilities'), true);
    assert.equal(allowed(['clerk'], 'batch'), true);
    assert.equal(allowed(['__proto__', 'constructor'], 'read', 'Patient'), false);
  });

  it('asks for every type where an interaction names none', () => {
    assert.equal(allowed(['nurse'], 'search'), false);
    assert.equal(allowed(['clerk'], 'read'), true);
  });

  it('allows operations by name only', () => {
    assert.equal(allowed(['nurse'], 'operation', 'Patient', '$everything'), true);
    assert.equal(allowed(['nurse'], 'operation', 'Patient', '$export'), false);
    assert.equal(allowed(['clerk'], 'operation', 'Patient', '$everything'), false);
  });

  it('takes a condition for the search that it is', () => {
    assert.equal(allowed(['nurse'], 'update', 'Observation', 'conditional-update'), true);
    assert.equal(allowed(['clerk'], 'update', 'Patient', 'conditional-update'), false);
    assert.equal(mayReceive(policy, ['nurse'], 'Observation'), true);
    assert.equal(mayReceive(policy, ['nurse'], 'Condition'), false);
  });

  it('that is wrong is refused, with the place and what was meant', () => {
    const cases: readonly (readonly [string, RegExp])[] = [
      ['version: 2\nroles: {}', /version: expected version: 1/],
      ['version: 1\nrole: {}', /unknown key role; did you mean roles\?/],
      ['version: 1\nroles: {nurse: {alow: []}}', /unknown key roles\.nurse\.alow; did you mean allow\?/],
      [
        'version: 1\nroles: {nurse: {allow: [{interactons: [read]}]}}',
        /unknown key roles\.nurse\.allow\.0\.interactons; did you mean interactions\?/,
      ],
      [
        'version: 1\nroles: {nurse: {allow: [{interactions: [raed], types: [Patient]}]}}',
        /roles\.nurse\.allow\.0\.interactions\.0: expected one of read/,
      ],
      [
        'version: 1\nroles: {nurse: {allow: [{interactions: [read], types: [patient]}]}}',
        /expected a FHIR R4 resource type/,
      ],
      ['version: 1\nroles: {nurse: {allow: [{types: [Patient]}]}}', /expected interactions or operations/],
      ['version: 1\nroles: {a: {allow: []}, a: {allow: []}}', /expected YAML/],
      ['version: 1\nroles: [', /expected YAML/],
    ];
    for (const [text, message] of cases) {
      assert.throws(
        () => parsePolicy(text, 'test.yaml'),
        (error) => error instanceof GatewayError && error.code === 'policy-invalid' && message.test(error.message),
        text,
      );
    }
  });

  it('comes with a sample for a hospital', () => {
    const sample = parsePolicy(readFileSync(samplePolicyPath(), 'utf8'), 'hospital.yaml');
    assert.deepEqual([...sample.roles.keys()], ['physician', 'nurse', 'billing', 'registration']);
    assert.equal(allows(sample, ['physician'], { name: 'operation', operation: '$everything', type: 'Patient' }), true);
    assert.equal(allows(sample, ['billing'], { name: 'read', operation: 'read', type: 'Observation' }), false);
    assert.equal(allows(sample, ['auditor'], { name: 'read', operation: 'read', type: 'Patient' }), false);
  });
});
