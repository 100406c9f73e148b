/**
 * SMART App Launch 2.2 at the issuer: what an authorization request has to say (`aud`, `launch`), and what is said of it in the metadata. The gateway serves the same under
 * the FHIR base (`/.well-known/smart-configuration`).
 */
import { errors } from 'oidc-provider';
import type { Launches, LaunchFault } from './launches.ts';
import { isSmartScope } from './smart-scopes.ts';

export interface SmartSettings {
  /** The FHIR base as applications reach it, which is the gateway's. Without a slash at the end. */
  readonly fhirUrl: string;
}

/** OpenID and launch scopes; those of the API are for the roles to say. */
export const identityScopes: readonly string[] = ['openid', 'profile', 'fhirUser'];
export const launchScopes: readonly string[] = ['launch', 'launch/patient', 'online_access'];
/** Examples of each form, for whoever reads the metadata: which of them somebody gets is by role. */
const exampleScopes: readonly string[] = [
  'patient/*.rs',
  'patient/*.read',
  'user/*.rs',
  'user/*.cruds',
  'user/*.read',
  'user/*.write',
  'user/*.*',
  'system/*.rs',
];

/** SMART App Launch 2.2, "Capability Sets". Each is held by a test. */
const smartCapabilities: readonly string[] = [
  'launch-ehr',
  'launch-standalone',
  'authorize-post',
  'client-public',
  'client-confidential-symmetric',
  'client-confidential-asymmetric',
  'sso-openid-connect',
  'context-banner',
  'context-ehr-patient',
  'context-ehr-encounter',
  'context-standalone-patient',
  'permission-offline',
  'permission-online',
  'permission-patient',
  'permission-user',
  'permission-v1',
  'permission-v2',
];

export function smartMetadata(): Readonly<Record<string, unknown>> {
  return {
    capabilities: smartCapabilities,
    scopes_supported: [...identityScopes, ...launchScopes, 'offline_access', ...exampleScopes],
  };
}

/**
 * The FHIR API the token is for has to be named, or one that poses as it would get a good token (SMART App Launch 2.2, `aud`). Asked of every request for what is in
 * that API, and of no other.
 *
 * @throws InvalidRequest
 */
export function checkAudience(
  aud: string | undefined,
  scope: string | undefined,
  smart: SmartSettings | undefined,
): void {
  const scopes = scope?.split(' ') ?? [];
  const isAsked =
    smart !== undefined && scopes.some((one) => isSmartScope(one) || one === 'launch' || one === 'launch/patient');
  if (aud === undefined && !isAsked) return;
  if (aud !== undefined && smart !== undefined && aud.replace(/\/$/, '') === smart.fhirUrl) return;
  throw new errors.InvalidRequest('expected aud to be the FHIR base that the token is for');
}

/**
 * What is wrong with a launch before anybody signs in; undefined where nothing is.
 */
export function launchFault(
  launch: string | undefined,
  asked: { readonly scope: string | undefined; readonly client: string; readonly launches: Launches },
): LaunchFault | 'launch-missing' | undefined {
  if (launch !== undefined) return asked.launches.look(launch, asked.client);
  return asked.scope?.split(' ').includes('launch') === true ? 'launch-missing' : undefined;
}
