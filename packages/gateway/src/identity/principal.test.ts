/** What the claims of issuers that know nothing of SMART, or keep roles somewhere else, come to. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import type { JWTPayload } from 'jose';

import { type ClaimRules, type Principal, principalOf } from './principal.ts';

const rules: ClaimRules = { issuer: 'https://login.example', rolesClaim: 'roles' };

function principalBy(payload: JWTPayload, over: Partial<ClaimRules> = {}): Principal {
  const named = principalOf({ sub: 'dr-ada', ...payload }, { ...rules, ...over }, 'bearer');
  assert.notEqual(named, 'token-subject');
  return named as Principal;
}

it('`scopes` stand in for a token that says nothing of SMART, and for no other', () => {
  const scopes = 'user/Patient.rs';
  const typesOf = (scope: unknown, over: Partial<ClaimRules> = { scopes }): readonly string[] =>
    principalBy({ scope }, over).grants.map(({ type }) => type);
  assert.deepEqual(typesOf(undefined), ['Patient']);
  assert.deepEqual(typesOf('openid profile visits:read'), ['Patient']);
  assert.deepEqual(typesOf(null), ['Patient']);
  assert.deepEqual(typesOf('openid User.Read.All relaunch patient.portal'), ['Patient']);
  assert.deepEqual(typesOf('openid user/Observation.r'), ['Observation']);
  // These grant nothing, and still they were meant to narrow.
  for (const narrow of ['user/Patient.xyz', 'openid patient/Observation.rs?_has:a=b', 'USER/Patient.rs', 'a\nuser/x.r'])
    assert.deepEqual(typesOf(narrow), [], narrow);
  assert.deepEqual(typesOf('openid', {}), []);
});

it('`scopes` widen no token that says it some other way', () => {
  const typesBy = (payload: JWTPayload): readonly string[] =>
    principalBy(payload, { scopes: 'user/*.cruds' }).grants.map(({ type }) => type);
  // What has a plain meaning is heeded.
  for (const said of ['openid patient/Observation.rs', ['openid', 'patient/Observation.rs']]) {
    assert.deepEqual(typesBy({ scope: said } as JWTPayload), ['Observation']);
    assert.deepEqual(typesBy({ scp: said }), ['Observation']);
    assert.deepEqual(typesBy({ scope: 'openid', scp: said }), ['Observation']);
  }
  assert.deepEqual(typesBy({ scope: 'user/Patient.r', scp: 'user/*.cruds' }), ['Patient']);
  assert.deepEqual(typesBy({ scope: 'openid', scp: ['profile'] }), ['*']);
  // What has not grants nothing.
  for (const narrow of [
    'openid,patient/Observation.rs',
    'openid launch/patient',
    'launch',
    'patient%2FObservation.rs',
    'patient.Observation.read',
    'user.all.read openid',
    7,
    {},
    [['patient/Observation.rs']],
    ['openid', 7],
  ]) {
    assert.deepEqual(typesBy({ scope: narrow } as JWTPayload), [], String(narrow));
    assert.deepEqual(typesBy({ scp: narrow }), [], String(narrow));
  }
});

it('roles stand in the claim of that name, else at the end of the way', () => {
  const rolesBy = (payload: JWTPayload, rolesClaim: string): readonly string[] =>
    principalBy(payload, { rolesClaim }).roles;
  const keycloak = { realm_access: { roles: ['nurse', 7, ''] }, roles: ['other'] };
  assert.deepEqual(rolesBy(keycloak, 'realm_access.roles'), ['nurse']);
  assert.deepEqual(rolesBy({ 'https://clinic.example/roles': ['nurse'] }, 'https://clinic.example/roles'), ['nurse']);
  assert.deepEqual(rolesBy({ 'a.b': ['flat'], a: { b: ['deep'] } }, 'a.b'), ['flat']);
  for (const way of [
    'realm_access',
    'realm_access.none',
    'roles.0',
    'constructor.name',
    '__proto__.roles',
    'a.b.c.d.e.f.g.h.i.j',
  ])
    assert.deepEqual(rolesBy(keycloak, way), [], way);
  const deep = { a: { b: { c: { d: { e: { f: { g: { h: ['deep'] } } } } } } } };
  assert.deepEqual(rolesBy(deep, 'a.b.c.d.e.f.g.h'), ['deep']);
  assert.deepEqual(rolesBy(deep, 'a.b.c.d.e.f.g.h.i'), []);
});
