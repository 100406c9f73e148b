/** The applications that the embedded issuer knows, and what the provider is told of each. */
import type { JWK } from 'jose';
import type { ClientMetadata } from 'oidc-provider';
import { issuerAlgorithm } from './signing-key.ts';

/** A client of our own. With a secret or keys it is confidential, without them public; PKCE is required of all. */
export interface IssuerClient {
  readonly id: string;
  readonly name: string;
  /** Empty for one that signs nobody in: a backend service, an EHR that launches applications, a gateway that hears of logouts. */
  readonly redirectUris: readonly string[];
  readonly secret?: string;
  /** Public keys of a client that signs its assertions (`private_key_jwt`), instead of a secret. */
  readonly jwks?: { readonly keys: readonly JWK[] };
  /** Whether it may renew its tokens. */
  readonly refresh?: boolean;
  /** Its tokens are good only with a proof of its key (RFC 9449). */
  readonly dpop?: boolean;
  /** What it may have at most: of `system/` scopes that is what it gets as a backend service, of the others what its people may have too. */
  readonly scopes?: readonly string[];
  /** Of a backend service, as policies know it. */
  readonly roles?: readonly string[];
  /** It may prepare launches (SMART "EHR launch"). */
  readonly ehr?: boolean;
  readonly postLogoutRedirectUris?: readonly string[];
  /** Where it hears of the end of its people's sessions. */
  readonly logoutUri?: string;
  /** It hears of everybody's, whichever application they are of. */
  readonly logoutOfAll?: boolean;
}

/** The scope of a token that prepares launches. */
export const launchesScope = 'watchglass/launches';

export function systemScopesOf({ scopes = [], ehr }: IssuerClient): readonly string[] {
  return [...scopes.filter((scope) => scope.startsWith('system/')), ...(ehr === true ? [launchesScope] : [])];
}

/** What a service gets that names no scope: all of the API that is its own. Launches, which are for an EHR alone, it has to name. */
export function defaultServiceScope(client: IssuerClient): string | undefined {
  const scopes = systemScopesOf(client).filter((scope) => scope !== launchesScope);
  return scopes.length === 0 ? undefined : scopes.join(' ');
}

/** What its people's tokens may hold at most; undefined where nothing was said. */
export function userScopesOf({ scopes }: Pick<IssuerClient, 'scopes'>): readonly string[] | undefined {
  const ofPeople = scopes?.filter((scope) => !scope.startsWith('system/'));
  return ofPeople?.length === 0 ? undefined : ofPeople;
}

export function clientMetadata(client: IssuerClient): ClientMetadata {
  const isPublic = client.secret === undefined && client.jwks === undefined;
  const isService = systemScopesOf(client).length > 0;
  const signsIn = client.redirectUris.length > 0;
  return {
    client_id: client.id,
    client_name: client.name,
    redirect_uris: [...client.redirectUris],
    grant_types: [
      ...(signsIn ? ['authorization_code'] : []),
      ...(signsIn && client.refresh === true ? ['refresh_token'] : []),
      ...(isService ? ['client_credentials'] : []),
    ],
    response_types: signsIn ? ['code'] : [],
    application_type: isPublic ? 'native' : 'web',
    token_endpoint_auth_method: isPublic
      ? 'none'
      : client.jwks === undefined
        ? 'client_secret_post'
        : 'private_key_jwt',
    ...(client.secret === undefined ? {} : { client_secret: client.secret }),
    ...(client.jwks === undefined ? {} : { jwks: client.jwks as NonNullable<ClientMetadata['jwks']> }),
    ...(client.dpop === true ? { dpop_bound_access_tokens: true } : {}),
    id_token_signed_response_alg: issuerAlgorithm,
    ...(client.logoutUri === undefined
      ? {}
      : { backchannel_logout_uri: client.logoutUri, backchannel_logout_session_required: true }),
  };
}
