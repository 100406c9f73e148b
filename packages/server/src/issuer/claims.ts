/**
 * What a token says about a person, in one place for tokens of the provider and for minted ones: claims (RFC 9068 §2.2)
 * and the SMART scopes of each role (HL7 SMART App Launch 2.2). The gateway's policy narrows further.
 */
import type { Person } from '../access/access.ts';
import { watchglassRoles } from '../access/rights.ts';

/** Audience of all access tokens: the gateway and the server both go by it. */
export const apiAudience = 'urn:watchglass:api';
/** One factor: a password. */
export const passwordAcr = 'urn:watchglass:acr:password';
export const passwordAmr: readonly string[] = ['pwd'];

const oidcScopes = ['openid', 'profile'] as const;

const smartScopes: ReadonlyMap<string, readonly string[]> = new Map([
  ['physician', ['user/*.cruds']],
  ['nurse', ['user/*.rs', 'user/Observation.cruds']],
  ['billing', ['user/Patient.rs', 'user/Encounter.rs', 'user/Coverage.rs', 'user/Claim.cruds']],
  ['registration', ['user/Patient.crus', 'user/Appointment.cruds']],
]);
const watchglassScope = 'watchglass';

/** Every scope of the API the issuer knows. */
export const apiScopes: readonly string[] = [...new Set([...smartScopes.values()].flat()), watchglassScope];

/** The API scopes these roles may have. */
export function apiScopesOf(roles: readonly string[]): readonly string[] {
  const scopes = new Set(roles.flatMap((role) => smartScopes.get(role) ?? []));
  if (roles.some((role) => (watchglassRoles as readonly string[]).includes(role))) scopes.add(watchglassScope);
  return [...scopes];
}

/** The whole `scope` of a token for these roles. */
export function scopesOf(roles: readonly string[]): string {
  return [...oidcScopes, ...apiScopesOf(roles)].join(' ');
}

/** The claims about the person in an access token, beyond those every token has. */
export function personClaims(person: Person, authTimeSeconds: number): Record<string, unknown> {
  return {
    preferred_username: person.username,
    name: person.name,
    roles: person.roles,
    tenant: person.tenant,
    acr: passwordAcr,
    amr: passwordAmr,
    auth_time: authTimeSeconds,
  };
}
