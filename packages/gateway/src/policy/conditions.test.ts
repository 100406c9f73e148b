/** For which purpose, when, from where, how surely: each alone, and which of several things that lack is said. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { authorise, type Decision } from './authorise.ts';
import type { Circumstances } from './conditions.ts';
import { Hours } from './hours.ts';
import { isRange, Networks } from './networks.ts';
import { eveningMs, policyOf, question } from './policy.fixture.ts';

const policy = policyOf(`
version: 1
purposeOfUse: {header: X-Purpose-Of-Use, allow: [TREAT, HPAYMT]}
networks:
  ward: [10.1.0.0/16, '2001:db8:1::/48']
hours:
  day: [{zone: Europe/Berlin, days: [mon, tue, wed, thu, fri], from: '07:00', to: '19:00'}]
  night: [{zone: Europe/Berlin, from: '21:00', to: '06:00'}]
assurance:
  strong: {acr: ['urn:example:gold', 'urn:example:platinum'], maxAgeSeconds: 300}
  passkey: {amr: [hwk, fpt], mfa: true}
require:
  - {name: sensitive-needs-strong, interactions: ['*'], types: [Composition], assurance: strong}
roles:
  nurse:
    allow:
      - {name: for-treatment, interactions: [read], types: [Observation], purposes: [TREAT]}
      - {name: by-day, interactions: [search], types: [Observation], hours: [day]}
      - {name: at-night, interactions: [history], types: [Observation], hours: [night]}
      - {name: in-the-ward, interactions: [read], types: [Condition], networks: [ward]}
      - {name: surely, interactions: [read], types: [MedicationRequest], assurance: strong}
      - {name: by-passkey, interactions: [read], types: [Media], assurance: passkey}
      - {interactions: [read], types: [Composition]}
      - {name: all-of-it, interactions: [read], types: [Patient], purposes: [TREAT], networks: [ward], assurance: strong}
`);

function decide(target: string, circumstances: Partial<Circumstances> = {}): Decision {
  return authorise(question(policy, target, { circumstances }));
}

function said(decision: Decision): string {
  return decision.kind === 'allowed' ? 'allowed' : `${decision.code} ${decision.reason} ${decision.rule}`;
}

describe('conditions of a rule', () => {
  it('hold for its purposes only', () => {
    assert.equal(said(decide('/fhir/Observation/1', { purpose: 'TREAT' })), 'allowed');
    for (const purpose of ['HPAYMT', undefined])
      assert.equal(said(decide('/fhir/Observation/1', { purpose })), 'forbidden policy-purpose for-treatment');
  });

  it('hold in its hours only', () => {
    // 18:30 in London is 19:30 in Berlin.
    assert.equal(said(decide('/fhir/Observation')), 'forbidden policy-time by-day');
    assert.equal(said(decide('/fhir/Observation', { timeMs: eveningMs - 3_600_000 })), 'allowed');
    assert.equal(said(decide('/fhir/Observation/1/_history')), 'forbidden policy-time at-night');
    assert.equal(said(decide('/fhir/Observation/1/_history', { timeMs: eveningMs + 3 * 3_600_000 })), 'allowed');
  });

  it('hold from its networks only, and never from an address that nobody knows', () => {
    assert.equal(said(decide('/fhir/Condition/1')), 'allowed');
    assert.equal(said(decide('/fhir/Condition/1', { address: '2001:db8:1::5' })), 'allowed');
    for (const address of ['10.2.0.1', '::1', undefined, 'garbage', '10.1.0.1%eth0'])
      assert.equal(said(decide('/fhir/Condition/1', { address })), 'forbidden policy-network in-the-ward');
  });

  it('ask for a better sign-in where nothing else is missing', () => {
    const fresh = { acr: 'urn:example:platinum', authenticatedMs: eveningMs - 299_000 };
    assert.equal(said(decide('/fhir/MedicationRequest/1', fresh)), 'allowed');
    for (const lacking of [
      {},
      { ...fresh, acr: 'urn:example:bronze' },
      { ...fresh, authenticatedMs: eveningMs - 301_000 },
      { ...fresh, authenticatedMs: undefined },
      // Signed in tomorrow.
      { ...fresh, authenticatedMs: eveningMs + 86_400_000 },
    ]) {
      const decision = decide('/fhir/MedicationRequest/1', lacking);
      assert.equal(said(decision), 'step-up-required assurance surely');
      assert.deepEqual(decision.kind === 'denied' ? decision.assurance : undefined, {
        acr: ['urn:example:gold', 'urn:example:platinum'],
        maxAgeSeconds: 300,
      });
    }
    assert.equal(said(decide('/fhir/Media/1', { amr: ['pwd', 'fpt'], mfa: true })), 'allowed');
    assert.equal(said(decide('/fhir/Media/1', { amr: ['fpt'], mfa: false })), 'step-up-required assurance by-passkey');
    assert.equal(
      said(decide('/fhir/Media/1', { amr: ['pwd', 'otp'], mfa: true })),
      'step-up-required assurance by-passkey',
    );
  });

  it('are told by what came nearest: signing in again is asked only of who would get in then', () => {
    assert.equal(said(decide('/fhir/Patient/1')), 'forbidden policy-purpose all-of-it');
    assert.equal(
      said(decide('/fhir/Patient/1', { purpose: 'TREAT', address: '192.0.2.1' })),
      'forbidden policy-network all-of-it',
    );
    assert.equal(said(decide('/fhir/Patient/1', { purpose: 'TREAT' })), 'step-up-required assurance all-of-it');
    assert.equal(said(decide('/fhir/Procedure/1')), 'forbidden policy undefined');
  });

  it('that are required hold for every role, whatever it allows', () => {
    assert.equal(said(decide('/fhir/Composition/1')), 'step-up-required assurance sensitive-needs-strong');
    assert.equal(
      said(decide('/fhir/Composition/1', { acr: 'urn:example:gold', authenticatedMs: eveningMs })),
      'allowed',
    );
  });

  it('ask nobody to sign in better who would not be allowed anyway', () => {
    assert.equal(said(decide('/fhir/Composition/1/_history')), 'forbidden policy undefined');
  });
});

describe('hours', () => {
  it('over midnight belong to the day they began, in a zone with its summer time', () => {
    const hours = new Hours([{ zone: 'Europe/Berlin', days: ['fri'], from: '22:00', to: '06:00' }]);
    const at = (iso: string): boolean => hours.includes(Date.parse(iso));
    // Friday, the 27th of March 2026; clocks go forward on Sunday.
    assert.equal(at('2026-03-27T20:59:59Z'), false);
    assert.equal(at('2026-03-27T21:00:00Z'), true);
    assert.equal(at('2026-03-28T04:59:59Z'), true);
    assert.equal(at('2026-03-28T05:00:00Z'), false);
    assert.equal(at('2026-03-28T21:30:00Z'), false);
    const sunday = new Hours([{ zone: 'Europe/Berlin', days: ['sun'], from: '00:00', to: '24:00' }]);
    assert.equal(sunday.includes(Date.parse('2026-03-29T21:59:59Z')), true);
    assert.equal(sunday.includes(Date.parse('2026-03-29T22:00:00Z')), false);
  });
});

describe('networks', () => {
  it('take addresses and ranges, and nothing that only looks like one', () => {
    for (const range of ['10.0.0.0/8', '192.0.2.7', '::/0', '2001:db8::/32', '0.0.0.0/0'])
      assert.equal(isRange(range), true, range);
    for (const range of [
      '10.0.0.0/33',
      '10.0.0/8',
      '10.0.0.0/08',
      '10.0.0.0/',
      '::1/129',
      'fe80::1%eth0/64',
      'x',
      '',
      '1.2.3.4/8/8',
      '10.0.0.0/1e1',
    ])
      assert.equal(isRange(range), false, range);
    assert.equal(new Networks([]).includes('10.0.0.1'), false);
  });
});
