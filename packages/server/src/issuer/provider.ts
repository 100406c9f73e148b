/**
 * The OpenID provider, configured: authorization code with PKCE (S256) and nothing else, for clients of our own, without
 * a consent page; access tokens as RFC 9068 JWT for one audience. Everything unused is off.
 */
import type { JWK } from 'jose';
import { type ClientMetadata, type Configuration, errors, interactionPolicy, Provider } from 'oidc-provider';
import type { Access } from '../access/access.ts';
import type { World } from '../world/world.ts';
import { apiAudience, apiScopes, apiScopesOf, passwordAcr, personClaims } from './claims.ts';
import { renderErrorPage } from './pages.ts';
import { createProviderStorage } from './provider-storage.ts';
import { issuerAlgorithm, type SigningKey } from './signing-key.ts';

/** Somebody's browser waits this long on the sign-in page. */
const interactionSeconds = 15 * 60;
const codeSeconds = 60;
const accessTokenSeconds = 60 * 60;
const sessionSeconds = 60 * 60;

export interface ProviderOptions {
  readonly issuer: string;
  readonly world: World;
  readonly people: Pick<Access['people'], 'get'>;
  readonly signingKey: SigningKey;
  readonly cookieKeys: readonly string[];
  readonly clients: readonly IssuerClient[];
}

/** A client of our own. With a secret it is confidential, without it public; PKCE is required of both. */
export interface IssuerClient {
  readonly id: string;
  readonly name: string;
  readonly redirectUris: readonly string[];
  readonly secret?: string;
}

export function createProvider(options: ProviderOptions): Provider {
  const provider = new Provider(options.issuer, configurationOf(options));
  // The handler in front sets the forwarded headers itself, from the configured URL (issuer.ts).
  provider.proxy = true;
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
      dPoP: { enabled: false },
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
    acrValues: [passwordAcr],
    ttl: {
      Interaction: interactionSeconds,
      AuthorizationCode: codeSeconds,
      AccessToken: accessTokenSeconds,
      IdToken: accessTokenSeconds,
      Session: sessionSeconds,
      Grant: sessionSeconds,
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
      const authTime = ctx.oidc.entities.AuthorizationCode?.authTime;
      return personClaims(person, authTime ?? Math.floor(options.world.clock.now() / 1_000));
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

/** The clients are our own, so nobody is asked to consent; what a token may hold is decided in `loadExistingGrant`. */
function signInOnly(): interactionPolicy.DefaultPolicy {
  const policy = interactionPolicy.base();
  policy.remove('consent');
  return policy;
}

function clientMetadata(client: IssuerClient): ClientMetadata {
  return {
    client_id: client.id,
    client_name: client.name,
    redirect_uris: [...client.redirectUris],
    grant_types: ['authorization_code'],
    response_types: ['code'],
    application_type: client.secret === undefined ? 'native' : 'web',
    token_endpoint_auth_method: client.secret === undefined ? 'none' : 'client_secret_post',
    ...(client.secret === undefined ? {} : { client_secret: client.secret }),
    id_token_signed_response_alg: issuerAlgorithm,
  };
}
