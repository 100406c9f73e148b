/**
 * The OpenID provider, configured: authorization code with PKCE (S256) and nothing else, for clients of our own, without
 * a consent page; access tokens as RFC 9068 JWT for one audience. Everything unused is off.
 */

import type { TenantId } from '@watchglass/record';
import type { JWK } from 'jose';
import { type Configuration, errors, interactionPolicy, type KoaContextWithOIDC, Provider } from 'oidc-provider';
import type { Access, RecordOwn } from '../access/access.ts';
import type { Issued } from '../access/issued.ts';
import type { World } from '../world/world.ts';
import { createAuthorizationChecks } from './authorization-checks.ts';
import {
  acrs,
  apiAudience,
  grantScopes,
  grantServiceScopes,
  isApiScope,
  isOver,
  passwordAcr,
  passwordAmr,
  personClaims,
  watchglassScope,
} from './claims.ts';
import { endSessionPath } from './end-session.ts';
import { clientMetadata, defaultServiceScope, type IssuerClient } from './issuer-client.ts';
import type { Launches } from './launches.ts';
import { isPageOf, takeCredentials } from './page-origins.ts';
import { renderErrorPage } from './pages.ts';
import { createProviderStorage } from './provider-storage.ts';
import { recordTokens } from './record-tokens.ts';
import type { LaunchContext, SignIns } from './sign-ins.ts';
import { issuerAlgorithm, type SigningKey } from './signing-key.ts';
import { identityScopes, launchScopes, type SmartSettings, smartMetadata } from './smart.ts';
import { answerTokens } from './token-answer.ts';

/** Somebody's browser waits this long on the sign-in page. */
const interactionSeconds = 15 * 60;
const codeSeconds = 60;
/** SMART App Launch 2.2, Backend Services: five minutes at most. */
const serviceTokenSeconds = 5 * 60;
/** SMART App Launch 2.2: an assertion is good for five minutes at most. Each is remembered until it is over, so one of years would fill up what is remembered for years. */
const assertionSecondsMax = 5 * 60;
/** Of the client's clock. */
const clockAheadSecondsMax = 60;
const accessTokenSeconds = 60 * 60;
const sessionSeconds = 60 * 60;
/** From the sign-in, however often it is renewed: a working day. */
const refreshSeconds = 12 * 60 * 60;

export interface ProviderOptions {
  readonly issuer: string;
  readonly world: World;
  readonly people: Pick<Access['people'], 'get' | 'endedMs'>;
  readonly signingKey: SigningKey;
  readonly cookieKeys: readonly string[];
  readonly clients: readonly IssuerClient[];
  readonly signIns: SignIns;
  readonly launches: Launches;
  readonly issued: Issued;
  /** Undefined where no FHIR base is configured: then no `aud` is asked for. */
  readonly smart: SmartSettings | undefined;
  readonly record: RecordOwn;
  /** Whose log takes what concerns no person. */
  readonly homeTenant: TenantId;
}

export function createProvider(options: ProviderOptions): Provider {
  // What the provider does itself where it finds the second use before it uses: here it is found while it does.
  const onReuse = (grantId: string): void => {
    if (Provider.ctx !== undefined) provider.emit('grant.revoked', Provider.ctx, grantId);
  };
  const provider: Provider = new Provider(options.issuer, configurationOf(options, onReuse));
  // The handler in front sets the forwarded headers itself, from the configured URL (issuer.ts).
  provider.proxy = true;
  // The record is the outer one: it sees the answer as it leaves.
  provider.use(recordTokens(options));
  provider.use(answerTokens(options));
  provider.use(takeCredentials);
  return provider;
}

function configurationOf(options: ProviderOptions, onReuse: (grantId: string) => void): Configuration {
  const { people, signIns, smart, issued, world } = options;
  const clientOf = (id: string | undefined): IssuerClient | undefined => options.clients.find((one) => one.id === id);
  return {
    adapter: createProviderStorage({ issued, clock: world.clock, onReuse }),
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
      // The page is our own (end-session.ts): there is no session of the browser that it could end.
      rpInitiatedLogout: { enabled: false },
      // So that clients can have a `backchannel_logout_uri`, and it is in the metadata; told in back-channel.ts, again and again.
      backchannelLogout: { enabled: true },
      clientCredentials: { enabled: true },
      userinfo: { enabled: false },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => apiAudience,
        useGrantedResource: () => true,
        getResourceServerInfo(ctx, resource) {
          if (resource !== apiAudience) throw new errors.InvalidTarget();
          sayServiceScope(ctx, clientOf(ctx.oidc.client?.clientId));
          return {
            scope: [watchglassScope, ...askedScopes(ctx)].join(' '),
            audience: apiAudience,
            accessTokenFormat: 'jwt',
            jwt: { sign: { alg: issuerAlgorithm, kid: options.signingKey.kid } },
          };
        },
      },
    },
    async assertJwtClientAuthClaimsAndHeader(_ctx, { exp }) {
      const nowSeconds = Math.floor(world.clock.now() / 1_000);
      if (typeof exp !== 'number' || exp > nowSeconds + assertionSecondsMax + clockAheadSecondsMax)
        throw new errors.InvalidClientAuth('expiration must be five minutes ahead at most');
    },
    pkce: { required: () => true },
    rotateRefreshToken: true,
    issueRefreshToken: async (_ctx, client) => client.grantTypeAllowed('refresh_token'),
    expiresWithSession: async () => false,
    enabledJWA: { clientAuthSigningAlgValues: ['RS256', 'RS384', 'PS256', 'ES256', 'ES384', 'EdDSA', 'Ed25519'] },
    // Of a secret either way is good, whichever the client is registered with (RFC 6749 §2.3.1).
    clientAuthMethods: ['none', 'client_secret_basic', 'client_secret_post', 'private_key_jwt'],
    formats: {
      customizers: {
        // What a renewed token holds is decided by today's roles, too.
        jwt(_ctx, token, { payload }) {
          const asked = typeof payload.scope === 'string' ? payload.scope.split(' ') : [];
          const client = clientOf(token.clientId);
          const person = 'accountId' in token ? people.get(String(token.accountId)) : undefined;
          const patient = 'grantId' in token ? signIns.ofGrant(String(token.grantId))?.context?.patient : undefined;
          payload.scope =
            person === undefined
              ? grantServiceScopes(asked, client).join(' ')
              : grantScopes(asked, { roles: person.roles, client, patient }).join(' ');
        },
      },
    },
    responseTypes: ['code'],
    scopes: [...identityScopes, ...launchScopes],
    extraParams: { ...createAuthorizationChecks(options) },
    discovery: {
      ...smartMetadata(),
      end_session_endpoint: `${options.issuer}${endSessionPath}`,
    },
    claims: {
      openid: ['sub'],
      profile: ['name', 'preferred_username'],
      fhirUser: ['fhirUser'],
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
      ClientCredentials: serviceTokenSeconds,
      IdToken: accessTokenSeconds,
      Session: sessionSeconds,
      Grant: refreshSeconds,
      // A token that replaces another ends when the first one would have.
      RefreshToken: refreshLifetime(options.world),
    },
    interactions: { url: (_ctx, interaction) => `/interaction/${interaction.uid}`, policy: signInOnly() },
    async findAccount(_ctx, sub, token) {
      const person = people.get(sub);
      if (person === undefined || person.disabled) return undefined;
      // Of a sign-in that isn't known (any more) nobody could end what it renews.
      if (token?.kind === 'RefreshToken' && signIns.ofGrant(token.grantId ?? '') === undefined) return undefined;
      await untilTheNextSecond(people.endedMs(sub), options.world);
      return {
        accountId: person.id,
        claims: async () => ({
          sub: person.id,
          name: person.name,
          preferred_username: person.username,
          ...(smart === undefined || person.fhirUser === undefined
            ? {}
            : { fhirUser: `${smart.fhirUrl}/${person.fhirUser}` }),
        }),
      };
    },
    async extraTokenClaims(ctx, token) {
      if (!('accountId' in token) || token.accountId === undefined)
        return { roles: clientOf(token.clientId)?.roles ?? [], tenant: options.homeTenant };
      const person = people.get(token.accountId);
      if (person === undefined) return undefined;
      // A renewed token says when and how the person signed in, not when it was renewed.
      const from = ctx.oidc.entities.AuthorizationCode ?? ctx.oidc.entities.RefreshToken;
      const assurance = { acr: from?.acr ?? passwordAcr, methods: from?.amr ?? passwordAmr };
      const { sid } = token;
      const patient = signIns.ofGrant(token.grantId ?? '')?.context?.patient;
      return {
        ...personClaims(person, from?.authTime ?? Math.floor(options.world.clock.now() / 1_000), assurance),
        // What works offline goes on without the session that has ended: with its name every token would be refused that is renewed after it.
        ...(sid === undefined || signIns.get(sid) === undefined ? {} : { sid }),
        ...(patient === undefined ? {} : { patient }),
      };
    },
    async loadExistingGrant(ctx) {
      const { client, account, provider, params, session, result } = ctx.oidc;
      if (client === undefined || account === undefined || session === undefined) return undefined;
      // What was proven waits here until the browser comes back for it.
      const provenMs = typeof result?.provenMs === 'number' ? result.provenMs : 0;
      if (isOver({ provenMs }, account.accountId, people)) throw new errors.AccessDenied('sign in again');
      // A fresh grant each time: what the person may have is decided by today's roles, not by an earlier sign-in.
      const grant = new provider.Grant({ clientId: client.clientId, accountId: account.accountId });
      const asked = typeof params?.scope === 'string' ? params.scope.split(' ') : [];
      const context = result?.context as LaunchContext | undefined;
      const by = {
        roles: people.get(account.accountId)?.roles ?? [],
        client: clientOf(client.clientId),
        patient: context?.patient,
      };
      grant.addOIDCScope(identityScopesFor(client, { launched: params?.launch !== undefined, context }).join(' '));
      // The provider knows of a scope only whether it is granted; how much of it, the token says.
      const isGranted = (scope: string): boolean => grantScopes([scope], by).length > 0;
      const granted = asked.filter((scope) => isApiScope(scope) && isGranted(scope));
      const refused = asked.filter((scope) => isApiScope(scope) && !isGranted(scope));
      if (granted.length > 0) grant.addResourceScope(apiAudience, granted.join(' '));
      if (refused.length > 0) grant.rejectResourceScope(apiAudience, refused.join(' '));
      const grantId = await grant.save();
      session.ensureClientContainer(client.clientId);
      const sid = session.sidFor(client.clientId) ?? '';
      // In the ID token, so that a client can end this session by it, and in the access token, so that its end is the end of that.
      ctx.oidc.claims.id_token = { ...ctx.oidc.claims.id_token, sid: null };
      signIns.add({
        sid,
        grantId,
        person: account.accountId,
        client: client.clientId,
        offline: params?.offline === 'yes',
        ...(context === undefined ? {} : { context }),
      });
      return grant;
    },
    renderError(ctx, out) {
      ctx.type = 'html';
      ctx.body = renderErrorPage(
        out.error === 'invalid_client'
          ? 'The application that sent you here is not known.'
          : (out.error_description ?? out.error),
      );
    },
    // An application in a browser exchanges its code and renews its tokens from where it came.
    clientBasedCORS: (_ctx, origin, client) => isPageOf(client, origin),
  };
}

/** A backend service that names no scope asks for what it is registered for (RFC 6749 §3.3: a default, or a refusal; some clients can't name one). */
function sayServiceScope({ oidc }: KoaContextWithOIDC, client: IssuerClient | undefined): void {
  const { params } = oidc;
  if (params?.grant_type !== 'client_credentials' || params.scope !== undefined || client === undefined) return;
  params.scope = defaultServiceScope(client);
}

/** The scopes of the API that this request is about, wherever it says them. */
function askedScopes({ oidc }: KoaContextWithOIDC): readonly string[] {
  const { AuthorizationCode: code, RefreshToken: refresh, RotatedRefreshToken: rotated } = oidc.entities;
  return [oidc.params?.scope, code?.scope, refresh?.scope, rotated?.scope].flatMap((scope) =>
    typeof scope === 'string' ? scope.split(' ').filter(isApiScope) : [],
  );
}

function identityScopesFor(
  client: { grantTypeAllowed(type: string): boolean },
  { launched, context }: { readonly launched: boolean; readonly context: LaunchContext | undefined },
): readonly string[] {
  return [
    ...identityScopes,
    ...(launched ? ['launch'] : []),
    ...(context?.patient === undefined ? [] : ['launch/patient']),
    ...(client.grantTypeAllowed('refresh_token') ? ['online_access'] : []),
  ];
}

function refreshLifetime(world: World): (ctx: KoaContextWithOIDC | undefined) => number {
  return (ctx) => {
    const began = ctx?.oidc.entities.RotatedRefreshToken?.iiat;
    return began === undefined
      ? refreshSeconds
      : Math.max(1, began + refreshSeconds - Math.floor(world.clock.now() / 1_000));
  };
}

/** Tokens say when they were given in whole seconds: one of the second in which all earlier ones ended would pass for one of those. */
async function untilTheNextSecond(endedMs: number, { clock }: World): Promise<void> {
  const waitMs = (Math.floor(endedMs / 1_000) + 1) * 1_000 - clock.now();
  if (waitMs > 0 && waitMs <= 1_000) await clock.sleep(waitMs);
}

/** The clients are our own, so nobody is asked to consent; what a token may hold is decided in `loadExistingGrant`. */
function signInOnly(): interactionPolicy.DefaultPolicy {
  const policy = interactionPolicy.base();
  policy.remove('consent');
  return policy;
}
