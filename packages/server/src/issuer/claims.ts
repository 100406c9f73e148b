/**
 * What a token says about a person, in one place for tokens of the provider and for minted ones: claims (RFC 9068 §2.2)
 * and the SMART scopes of each role (HL7 SMART App Launch 2.2). The gateway's policy narrows further.
 */
import type { Person } from '../access/access.ts';
import { watchglassRoles } from '../access/rights.ts';
import { type IssuerClient, launchesScope, systemScopesOf, userScopesOf } from './issuer-client.ts';
import { isPatientScope, isSmartScope, narrowScopes } from './smart-scopes.ts';

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
  /**
   * When the first of it was about to be looked at, in milliseconds since 1970: where everything of the person has ended since, it proves nothing any more. Undefined for what is given
   * at once.
   */
  readonly provenMs?: number;
}

/** Signed out, reset or disabled since they proved who they are. */
export function isOver(
  { provenMs }: Pick<Assurance, 'provenMs'>,
  person: string,
  people: { endedMs(id: string): number },
): boolean {
  return provenMs !== undefined && provenMs <= people.endedMs(person);
}

/**
 * The assurance as a client that asked for some values gets it: the strongest of them that was reached, since whoever asked compares (RFC 9470 §5). Undefined
 * when none was. Values that are not ours ask for nothing.
 */
export function assuranceFor(wanted: readonly string[], { methods, provenMs }: Assurance): Assurance | undefined {
  const reached = methods.includes('user') ? 2 : methods.includes('mfa') ? 1 : 0;
  const ours = acrs.filter((acr) => wanted.includes(acr));
  const fit = (ours.length === 0 ? acrs : ours).filter((acr) => acrs.indexOf(acr) <= reached).at(-1);
  return fit === undefined ? undefined : { acr: fit, methods, ...(provenMs === undefined ? {} : { provenMs }) };
}

const oidcScopes = ['openid', 'profile'] as const;

const smartScopes: ReadonlyMap<string, readonly string[]> = new Map([
  ['physician', ['user/*.cruds']],
  ['nurse', ['user/*.rs', 'user/Observation.cruds']],
  ['billing', ['user/Patient.rs', 'user/Encounter.rs', 'user/Coverage.rs', 'user/Claim.cruds']],
  ['registration', ['user/Patient.crus', 'user/Appointment.cruds']],
  ['patient', ['patient/*.rs']],
]);
/** What Watchglass's own roles have at the server. */
export const watchglassScope = 'watchglass';

/** The API scopes these roles may have. */
function apiScopesOf(roles: readonly string[]): readonly string[] {
  const scopes = new Set(roles.flatMap((role) => smartScopes.get(role) ?? []));
  if (roles.some((role) => (watchglassRoles as readonly string[]).includes(role))) scopes.add(watchglassScope);
  return [...scopes];
}

/** Whether it is one of the API, as opposed to one about who signs in. */
export function isApiScope(scope: string): boolean {
  return scope === watchglassScope || scope === launchesScope || isSmartScope(scope);
}

/**
 * What of the scopes that are asked for a token gets: what today's roles hold, what the application may have at most, and of `patient/` scopes what is left when there is
 * a patient. As they are asked for, or cut down (smart-scopes.ts).
 */
export function grantScopes(
  asked: readonly string[],
  by: {
    readonly roles: readonly string[];
    readonly client: Pick<IssuerClient, 'scopes'> | undefined;
    readonly patient: string | undefined;
  },
): readonly string[] {
  const held = apiScopesOf(by.roles);
  const wanted = by.patient === undefined ? asked.filter((scope) => !isPatientScope(scope)) : asked;
  const smart = narrowScopes(wanted, held);
  const limit = by.client === undefined ? undefined : userScopesOf(by.client);
  const limited = limit === undefined ? smart : narrowScopes(smart, limit);
  const isWatchglass = [asked, held, limit ?? held].every((scopes) => scopes.includes(watchglassScope));
  return isWatchglass ? [watchglassScope, ...limited] : limited;
}

/** Of a client that asks for itself. */
export function grantServiceScopes(asked: readonly string[], client: IssuerClient | undefined): readonly string[] {
  const held = client === undefined ? [] : systemScopesOf(client);
  const smart = narrowScopes(asked, held);
  return asked.includes(launchesScope) && held.includes(launchesScope) ? [...smart, launchesScope] : smart;
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

/** The record of one who is a patient here, and nothing else's. */
export function ownPatientOf({ roles, fhirUser }: Pick<Person, 'roles' | 'fhirUser'>): string | undefined {
  return roles.includes('patient') && fhirUser?.startsWith('Patient/') === true
    ? fhirUser.slice('Patient/'.length)
    : undefined;
}
