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
/** A password, and a code of an app or for recovery. */
export const mfaAcr = 'urn:watchglass:acr:mfa';
/** A passkey, the person verified by the authenticator: withstands phishing. */
export const passkeyAcr = 'urn:watchglass:acr:passkey';
export const passwordAmr: readonly string[] = ['pwd'];
/** Weakest first. */
export const acrs: readonly string[] = [passwordAcr, mfaAcr, passkeyAcr];

/** How sure it is who signed in: `acr` and `amr` of the tokens. */
export interface Assurance {
  readonly acr: string;
  /** RFC 8176. */
  readonly methods: readonly string[];
}

/**
 * The assurance as a client that asked for some values gets it: the strongest of them that was reached, since whoever asked compares (RFC 9470 §5). Undefined
 * when none was. Values that are not ours ask for nothing.
 */
export function assuranceFor(wanted: readonly string[], { methods }: Assurance): Assurance | undefined {
  const reached = methods.includes('user') ? 2 : methods.includes('mfa') ? 1 : 0;
  const ours = acrs.filter((acr) => wanted.includes(acr));
  const fit = (ours.length === 0 ? acrs : ours).filter((acr) => acrs.indexOf(acr) <= reached).at(-1);
  return fit === undefined ? undefined : { acr: fit, methods };
}

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
export function personClaims(
  person: Person,
  authTimeSeconds: number,
  { acr, methods }: Assurance = { acr: passwordAcr, methods: passwordAmr },
): Record<string, unknown> {
  return {
    preferred_username: person.username,
    name: person.name,
    roles: person.roles,
    tenant: person.tenant,
    acr,
    amr: methods,
    auth_time: authTimeSeconds,
  };
}
