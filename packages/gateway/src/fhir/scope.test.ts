import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import fc from 'fast-check';

import { parseParameters } from '../http/canonical.ts';
import { permissionBits } from './fhir-interaction.ts';
import { judgeScopes, parseScope, parseScopes } from './scope.ts';

function verdict(
  scopes: string,
  type: string | undefined,
  letters: string,
  more: { query?: string; patient?: string; name?: 'read' | 'history' } = {},
): string {
  const parameters = parseParameters(more.query ?? '');
  if (typeof parameters === 'string') throw new Error(parameters);
  const interaction = { name: more.name ?? 'search', type, permissions: permissionBits(letters) } as const;
  return judgeScopes({ grants: parseScopes(scopes), patient: more.patient, interaction, parameters }).kind;
}

describe('a SMART scope', () => {
  it('of version 1 is read as version 2', () => {
    for (const [v1, v2] of [
      ['read', 'rs'],
      ['write', 'cud'],
      ['*', 'cruds'],
    ] as const) {
      assert.deepEqual(parseScope(`user/Patient.${v1}`), parseScope(`user/Patient.${v2}`));
    }
  });

  it('grants nothing when anything about it is odd', () => {
    const odd = [
      'user/Patient.',
      'user/Patient',
      'user/Patient.sr',
      'user/Patient.dc',
      'user/Patient.rr',
      'user/Patient.x',
      'user/patient.r',
      'user/Nothing.r',
      'users/Patient.r',
      'user/*',
      'user/Patient.r?',
      'user/Patient.rs?a',
      'user/Patient.rs?category:in=x',
      'user/Patient.rs?patient.name=x',
      'user/Patient.rs?_filter=x',
      'user/Patient.rs?_has=x',
      'user/Patient.rs?category=',
      'user/Patient.rs?category=%zz',
      'USER/Patient.r',
      'openid',
      'launch/patient',
      `user/Patient.rs?category=${'a'.repeat(600)}`,
    ];
    for (const scope of odd) assert.equal(parseScope(scope), undefined, scope);
  });

  it('covers its type and letters, alone or together with others', () => {
    assert.equal(verdict('openid user/Patient.rs', 'Patient', 'r'), 'covered');
    assert.equal(verdict('user/Patient.rs', 'Patient', 'u'), 'not-covered');
    assert.equal(verdict('user/Patient.rs', 'Observation', 'r'), 'not-covered');
    assert.equal(verdict('user/*.rs', 'Observation', 'r'), 'covered');
    assert.equal(verdict('user/Patient.u user/*.s', 'Patient', 'us'), 'covered');
    assert.equal(verdict('user/Patient.cruds', undefined, 's'), 'not-covered');
    assert.equal(verdict('system/*.s', undefined, 's'), 'covered');
    assert.equal(verdict('', 'Patient', 'r'), 'not-covered');
    assert.equal(verdict('', 'Patient', ''), 'covered');
  });

  it('of a patient needs the launch context', () => {
    assert.equal(verdict('patient/*.rs', 'Patient', 'r'), 'not-covered');
    assert.equal(verdict('patient/*.rs', 'Patient', 'r', { patient: 'p-1' }), 'covered-for-patient');
    assert.equal(verdict('patient/*.rs user/Patient.r', 'Patient', 'r', { patient: 'p-1' }), 'covered');
  });

  it('with a restriction covers searches that say exactly that', () => {
    const scope = 'user/Observation.rs?category=http%3A%2F%2Fx%7Claboratory';
    const query = 'category=http%3A%2F%2Fx%7Claboratory';
    assert.equal(verdict(scope, 'Observation', 's', { query }), 'covered');
    assert.equal(verdict(scope, 'Observation', 's', { query: 'category=http://x|laboratory' }), 'covered');
    assert.equal(verdict(scope, 'Observation', 'r', { query }), 'not-covered');
    assert.equal(verdict(scope, 'Observation', 's'), 'not-covered');
    assert.equal(verdict(scope, 'Observation', 's', { query: `${query}&category=other` }), 'not-covered');
    assert.equal(verdict(scope, 'Observation', 's', { query: `${query}&category:not=x` }), 'not-covered');
    assert.equal(
      verdict(scope, 'Observation', 's', { query: 'category=http%3A%2F%2Fx%7Claboratory%2Cother' }),
      'not-covered',
    );
  });

  it('never grants more letters than it spells, whatever the text', () => {
    const spelled = new Map([
      ['read', 'rs'],
      ['write', 'cud'],
      ['*', 'cruds'],
    ]);
    const letters = fc.constantFrom('', 'c', 'r', 'u', 'd', 's', 'rs', 'sr', 'cruds', 'read', 'write', '*', 'x');
    const context = fc.constantFrom('patient', 'user', 'system', 'User', '');
    const type = fc.constantFrom('Patient', '*', 'Observation', 'patient', 'Bogus', '');
    fc.assert(
      fc.property(context, type, letters, fc.string({ maxLength: 8 }), (c, t, l, tail) => {
        const grant = parseScope(`${c}/${t}.${l}${tail}`);
        if (grant === undefined) return;
        assert.ok(['patient', 'user', 'system'].includes(grant.context));
        assert.ok(grant.permissions > 0);
        if (tail === '') assert.equal(grant.permissions, permissionBits(spelled.get(l) ?? l));
      }),
      { numRuns: 3_000 },
    );
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 300 }), (text) => void parseScopes(text)),
      { numRuns: 2_000 },
    );
  });
});
