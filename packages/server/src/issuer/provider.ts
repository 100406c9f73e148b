/**
 * The OpenID provider, configured: authorization code with PKCE (S256) and nothing else, for clients of our own, without
 * a consent page; access tokens as RFC 9068 JWT for one audience. Everything unused is off.
 */

import type { TenantId } from '@watchglass/record';
import type { JWK } from 'jose';
import {
  type ClientMetadata,
  type Configuration,
  errors,
  interactionPolicy,
  type KoaContextWithOIDC,
  Provider,
} from 'oidc-provider';
import type { Access, RecordOwn } from '../access/access.ts';
import type { World } from '../world/world.ts';
import { acrs, apiAudience, apiScopes, apiScopesOf, passwordAcr, passwordAmr, personClaims } from './claims.ts';
import { renderErrorPage } from './pages.ts';
import { createProviderStorage } from './provider-storage.ts';
import { recordTokens } from './record-tokens.ts';
import { issuerAlgorithm, type SigningKey } from './signing-key.ts';

/** Somebody's browser waits this long on the sign-in page. */
const interactionSeconds = 15 * 60;
const codeSeconds = 60;
const accessTokenSeconds = 60 * 60;
const sessionSeconds = 60 * 60;
/** From the sign-in, however often it is renewed: a working day. */
const refreshSeconds = 12 * 60 * 60;

export interface ProviderOptions {
  readonly issuer: string;
  readonly world: World;
  readonly people: Pick<Access['people'], 'get'>;
  readonly signingKey: SigningKey;
  readonly cookieKeys: readonly string[];
  readonly clients: readonly IssuerClient[];
  readonly record: RecordOwn;
  /** Whose log takes what concerns no person. */
  readonly homeTenant: TenantId;
}

/** A client of our own. With a secret it is confidential, without it public; PKCE is required of both. */
export interface IssuerClient {
  readonly id: string;
  readonly name: string;
  readonly redirectUris: readonly string[];
  readonly secret?: string;
  /** Public keys of a client that signs its assertions (`private_key_jwt`), instead of a secret. */
  readonly jwks?: { readonly keys: readonly JWK[] };
  /** Whether it may renew its tokens. */
  readonly refresh?: boolean;
  /** Its tokens are good only with a proof of its key (RFC 9449). */
  readonly dpop?: boolean;
}

export function createProvider(options: ProviderOptions): Provider {
  const provider = new Provider(options.issuer, configurationOf(options));
  // The handler in front sets the forwarded headers itself, from the configured URL (issuer.ts).
  provider.proxy = true;
  provider.use(recordTokens(options));
  return provider;
}

function configurationOf(options: ProviderOptions): Configuration {
  const { people } = options;
  return {
    adapter: createProviderStorage(options.world.clock),
    clients: options.clients.map(clientMetadata),
    jwks: { keys: [options.signingKey.jwk as JWK & { kty: string }] } as NonNullable<Configuration['jwks']>,
    cookies: {
      keys: [...options.cookieKeys],
      names: {
        session: 'watchglass-issuer-session',
        interaction: 'watchglass-issuer-interaction',
        resume: 'watchglass-issuer-resume',
      },
      long: { signed: true, httpOnly: true, sameSite: 'lax' },
      short: { signed: true, httpOnly: true, sameSite: 'lax' },
    },
    features: {
      devInteractions: { enabled: false },
      dPoP: { enabled: true },
      revocation: { enabled: true, allowedPolicy: async (_ctx, client, token) => token.clientId === client.clientId },
      pushedAuthorizationRequests: { enabled: false },
      rpInitiatedLogout: { enabled: false },
      userinfo: { enabled: false },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => apiAudience,
        useGrantedResource: () => true,
        getResourceServerInfo(_ctx, resource) {
          if (resource !== apiAudience) throw new errors.InvalidTarget();
          return {
            scope: apiScopes.join(' '),
            audience: apiAudience,
            accessTokenFormat: 'jwt',
            accessTokenTTL: accessTokenSeconds,
            jwt: { sign: { alg: issuerAlgorithm, kid: options.signingKey.kid } },
          };
        },
      },
    },
    pkce: { required: () => true },
    rotateRefreshToken: true,
    issueRefreshToken: async (_ctx, client) => client.grantTypeAllowed('refresh_token'),
    expiresWithSession: async () => false,
    enabledJWA: { clientAuthSigningAlgValues: ['RS256', 'PS256', 'ES256', 'EdDSA', 'Ed25519'] },
    clientAuthMethods: ['none', 'client_secret_post', 'private_key_jwt'],
    formats: {
      customizers: {
        // What a renewed token holds is decided by today's roles, too.
        jwt(_ctx, token, { payload }) {
          const person = 'accountId' in token ? people.get(String(token.accountId)) : undefined;
          if (person === undefined || typeof payload.scope !== 'string') return;
          const allowed = [...apiScopesOf(person.roles), 'openid', 'profile'];
          payload.scope = payload.scope
            .split(' ')
            .filter((scope) => allowed.includes(scope))
            .join(' ');
        },
      },
    },
    responseTypes: ['code'],
    scopes: ['openid', 'profile'],
    claims: {
      openid: ['sub'],
      profile: ['name', 'preferred_username'],
      acr: null,
      amr: null,
      auth_time: null,
      sid: null,
    },
    acrValues: [...acrs],
    ttl: {
      Interaction: interactionSeconds,
      AuthorizationCode: codeSeconds,
      AccessToken: accessTokenSeconds,
      IdToken: accessTokenSeconds,
      Session: sessionSeconds,
      Grant: refreshSeconds,
      // A token that replaces another ends when the first one would have.
      RefreshToken: refreshLifetime(options.world),
    },
    interactions: { url: (_ctx, interaction) => `/interaction/${interaction.uid}`, policy: signInOnly() },
    async findAccount(_ctx, sub) {
      const person = people.get(sub);
      if (person === undefined || person.disabled) return undefined;
      return {
        accountId: person.id,
        claims: async () => ({ sub: person.id, name: person.name, preferred_username: person.username }),
      };
    },
    async extraTokenClaims(ctx, token) {
      if (!('accountId' in token) || token.accountId === undefined) return undefined;
      const person = people.get(token.accountId);
      if (person === undefined) return undefined;
      // A renewed token says when and how the person signed in, not when it was renewed.
      const from = ctx.oidc.entities.AuthorizationCode ?? ctx.oidc.entities.RefreshToken;
      const assurance = { acr: from?.acr ?? passwordAcr, methods: from?.amr ?? passwordAmr };
      return personClaims(person, from?.authTime ?? Math.floor(options.world.clock.now() / 1_000), assurance);
    },
    async loadExistingGrant(ctx) {
      const { client, account, provider, params } = ctx.oidc;
      if (client === undefined || account === undefined) return undefined;
      // A fresh grant each time: what the person may have is decided by today's roles, not by an earlier sign-in.
      const grant = new provider.Grant({ clientId: client.clientId, accountId: account.accountId });
      const asked = typeof params?.scope === 'string' ? params.scope.split(' ') : [];
      const allowed = apiScopesOf(people.get(account.accountId)?.roles ?? []);
      grant.addOIDCScope('openid profile');
      const granted = asked.filter((scope) => allowed.includes(scope));
      const refused = asked.filter((scope) => apiScopes.includes(scope) && !allowed.includes(scope));
      if (granted.length > 0) grant.addResourceScope(apiAudience, granted.join(' '));
      if (refused.length > 0) grant.rejectResourceScope(apiAudience, refused.join(' '));
      await grant.save();
      return grant;
    },
    renderError(ctx, out) {
      ctx.type = 'html';
      ctx.body = renderErrorPage(out.error_description ?? out.error);
    },
    clientBasedCORS: () => false,
  };
}

function refreshLifetime(world: World): (ctx: KoaContextWithOIDC | undefined) => number {
  return (ctx) => {
    const began = ctx?.oidc.entities.RotatedRefreshToken?.iiat;
    return began === undefined
      ? refreshSeconds
      : Math.max(1, began + refreshSeconds - Math.floor(world.clock.now() / 1_000));
  };
}

/** The clients are our own, so nobody is asked to consent; what a token may hold is decided in `loadExistingGrant`. */
function signInOnly(): interactionPolicy.DefaultPolicy {
  const policy = interactionPolicy.base();
  policy.remove('consent');
  return policy;
}

function clientMetadata(client: IssuerClient): ClientMetadata {
  const isPublic = client.secret === undefined && client.jwks === undefined;
  return {
    client_id: client.id,
    client_name: client.name,
    redirect_uris: [...client.redirectUris],
    grant_types: client.refresh === true ? ['authorization_code', 'refresh_token'] : ['authorization_code'],
    response_types: ['code'],
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
  };
}
