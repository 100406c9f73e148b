/** Cedar as a second opinion, with the real package: both have to allow, and what can't be judged is denied. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { GatewayError } from '../errors.ts';
import { authorise } from './authorise.ts';
import { loadCedar } from './cedar.ts';
import { eveningMs, policyOf, question } from './policy.fixture.ts';
import type { Policy } from './tables.ts';

const tables = policyOf(`
version: 1
engine: cedar
cedar: {policies: ward.cedar}
roles:
  nurse: {allow: [{interactions: [read, search], types: ['*']}]}
`);

const cedar = `
@id("nurses-read")
permit(principal in Watchglass::Role::"nurse", action in [Watchglass::Action::"read", Watchglass::Action::"search"], resource);

@id("not-this-patient")
forbid(principal, action, resource in Watchglass::Patient::"p-9");

@id("only-in-the-house")
forbid(principal, action, resource)
when { resource has resourceType && resource.resourceType == "Condition" }
unless { context has address && context.address.isInRange(ip("10.0.0.0/8")) };
`;

function withCedar(text: string): Policy {
  return { ...tables, engine: loadCedar(text, 'ward.cedar') };
}

function said(policy: Policy, target: string, change: Parameters<typeof question>[2] = {}): string {
  const decision = authorise(question(policy, target, change));
  return decision.kind === 'allowed' ? 'allowed' : `${decision.reason} ${decision.rule}`;
}

describe('Cedar policies', () => {
  it('have to allow what the tables allow', () => {
    const policy = withCedar(cedar);
    assert.equal(said(policy, '/fhir/Patient/p-1'), 'allowed');
    assert.equal(said(policy, '/fhir/Patient/p-9'), 'policy-cedar not-this-patient');
    assert.equal(said(policy, '/fhir/Observation?patient=p-9'), 'policy-cedar not-this-patient');
    assert.equal(said(policy, '/fhir/Condition/c-1'), 'allowed');
    assert.equal(
      said(policy, '/fhir/Condition/c-1', { circumstances: { address: '192.0.2.1' } }),
      'policy-cedar only-in-the-house',
    );
    assert.equal(
      said(policy, '/fhir/Condition/c-1', { circumstances: { address: undefined } }),
      'policy-cedar only-in-the-house',
    );
  });

  it('give nothing that the tables do not', () => {
    const policy = withCedar('permit(principal, action, resource);');
    assert.equal(said(policy, '/fhir/Patient/p-1', { method: 'DELETE' }), 'policy undefined');
  });

  it('that permit nothing deny everything, and so does a policy whose Cedar was never loaded', () => {
    assert.equal(said(withCedar(''), '/fhir/Patient/p-1'), 'policy-cedar undefined');
    assert.equal(said(tables, '/fhir/Patient/p-1'), 'policy-cedar undefined');
  });

  it('see how surely somebody is known', () => {
    const policy = withCedar(
      '@id("fresh") permit(principal, action, resource) when { context.mfa && context has signedInSecondsAgo && context.signedInSecondsAgo < 60 };',
    );
    assert.equal(
      said(policy, '/fhir/Patient/p-1', { circumstances: { mfa: true, authenticatedMs: eveningMs - 5_000 } }),
      'allowed',
    );
    assert.equal(said(policy, '/fhir/Patient/p-1', { circumstances: { mfa: true } }), 'policy-cedar undefined');
  });

  it('that fail while they are asked deny, a forbid that fails included', () => {
    const policy = withCedar(
      '@id("all") permit(principal, action, resource); @id("overflows") forbid(principal, action, resource) when { context.unixSeconds * 9223372036854775807 == 1 };',
    );
    assert.equal(said(policy, '/fhir/Patient/p-1'), 'policy-cedar overflows');
  });

  it('that are wrong are refused with the line', () => {
    for (const [text, expected] of [
      ['permit(principal, action, resource)\nwhen {', /ward\.cedar: line \d: expected a Cedar policy/],
      ['permit(principal, action, resource) when { context.nosuch };', /ward\.cedar: .*nosuch/],
      ['permit(principal == Other::User::"1", action, resource);', /ward\.cedar: .*Other/],
      ['permit(principal == ?principal, action, resource);', /without slots/],
      ['@id("a") permit(principal, action, resource); @id("a") forbid(principal, action, resource);', /different @id/],
    ] as const)
      assert.throws(
        () => loadCedar(text, 'ward.cedar'),
        (error) => error instanceof GatewayError && error.code === 'policy-invalid' && expected.test(error.message),
        text,
      );
  });
});
