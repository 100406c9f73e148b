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
  assert.deepEqual(typesOf(7), ['Patient']);
  assert.deepEqual(typesOf('openid user/Observation.r'), ['Observation']);
  // These grant nothing, and still they were meant to narrow.
  for (const narrow of ['user/Patient.xyz', 'openid patient/Observation.rs?_has:a=b', 'USER/Patient.rs', 'a\nuser/x.r'])
    assert.deepEqual(typesOf(narrow), [], narrow);
  assert.deepEqual(typesOf('openid', {}), []);
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
});
