/**
 * Signing in to the console: OpenID Connect with code, PKCE, state and nonce. The server is the client (a back end for its front end): tokens never reach the browser. What has to
 * survive the way to the identity provider and back travels in a sealed cookie of ten minutes, so nothing is kept here for visitors.
 */
import { createCipheriv, createDecipheriv } from 'node:crypto';
import * as openid from 'openid-client';
import type { Access, Origin } from '../access/access.ts';
import { ServerError } from '../errors.ts';
import type { World } from '../world/world.ts';
import type { SignInSettings } from './server.ts';

export const loginCookie = '__Host-watchglass-login';
export const loginCookieSeconds = 600;
const scopes = 'openid profile watchglass';
const discoveryMsMax = 10_000;
const pathCharsMax = 1_024;

export interface SignIn {
  /** Where to send the browser, and the cookie that has to come back with it. */
  begin(to: string | undefined): Promise<{ readonly location: string; readonly cookie: string }>;
  /** The session of whoever came back. @throws ServerError `sign-in-failed` */
  finish(answer: { readonly search: string; readonly cookie: string | undefined; readonly origin: Origin }): Promise<{
    readonly session: string;
    readonly to: string;
  }>;
}

interface Login {
  readonly state: string;
  readonly nonce: string;
  readonly verifier: string;
  readonly to: string;
  readonly endsMs: number;
}

export function createSignIn(parts: {
  readonly settings: SignInSettings;
  readonly access: Access;
  readonly world: World;
  /** Public URL of the server. */
  readonly url: string;
}): SignIn {
  const { settings, access, world, url } = parts;
  const seal = new Seal(world);
  const redirectUri = `${url}/auth/callback`;
  let discovered: Promise<openid.Configuration> | undefined;

  /** Discovered at the first need, since the provider may start after us; a failure isn't kept. */
  const provider = async (): Promise<openid.Configuration> => {
    discovered ??= discover(settings);
    try {
      return await discovered;
    } catch (cause) {
      discovered = undefined;
      throw new ServerError('unavailable', 'the identity provider does not answer; try again shortly', {
        cause,
        retryAfterMs: 5_000,
      });
    }
  };

  return {
    async begin(to) {
      const configuration = await provider();
      const login: Login = {
        state: openid.randomState(),
        nonce: openid.randomNonce(),
        verifier: openid.randomPKCECodeVerifier(),
        to: ownPath(to),
        endsMs: world.clock.now() + loginCookieSeconds * 1_000,
      };
      const location = openid.buildAuthorizationUrl(configuration, {
        redirect_uri: redirectUri,
        scope: scopes,
        resource: settings.audience,
        state: login.state,
        nonce: login.nonce,
        code_challenge: await openid.calculatePKCECodeChallenge(login.verifier),
        code_challenge_method: 'S256',
      });
      return { location: location.href, cookie: seal.close(login) };
    },

    async finish({ search, cookie, origin }) {
      const login = cookie === undefined ? undefined : seal.open(cookie);
      if (login === undefined || login.endsMs < world.clock.now()) {
        throw new ServerError(
          'sign-in-failed',
          'the way through the identity provider took too long, or began in another browser; begin again at /auth/login',
        );
      }
      const configuration = await provider();
      let token: string;
      try {
        const answer = await openid.authorizationCodeGrant(
          configuration,
          new URL(`${redirectUri}${search}`),
          {
            pkceCodeVerifier: login.verifier,
            expectedState: login.state,
            expectedNonce: login.nonce,
            idTokenExpected: true,
          },
          { resource: settings.audience },
        );
        token = answer.access_token;
      } catch (cause) {
        throw new ServerError(
          'sign-in-failed',
          'the identity provider refused, or its answer does not fit; begin again at /auth/login',
          { cause },
        );
      }
      const principal = await access.tokens.verify(token);
      if (principal === undefined) {
        throw new ServerError(
          'sign-in-failed',
          'expected an access token for this server and somebody it knows; ask an administrator',
        );
      }
      const session = await access.sessions.create(principal, origin);
      return { session: session.cookie, to: login.to };
    },
  };
}

async function discover({ issuer, clientId, clientSecret }: SignInSettings): Promise<openid.Configuration> {
  const url = new URL(issuer);
  // Plain HTTP only to this very machine: the demo.
  const loopback = url.protocol === 'http:' && isThisMachine(url.hostname);
  return await openid.discovery(url, clientId, clientSecret, openid.ClientSecretPost(clientSecret), {
    timeout: discoveryMsMax / 1_000,
    ...(loopback ? { execute: [openid.allowInsecureRequests] } : {}),
  });
}

export function isThisMachine(hostname: string): boolean {
  return ['localhost', '127.0.0.1', '[::1]'].includes(hostname);
}

/** A path of our own, never another site: `//host`, `/\host` and control characters lead elsewhere. */
export function ownPath(to: string | undefined): string {
  if (to === undefined || to.length > pathCharsMax || !/^\/(?![/\\])[\x21-\x7e]*$/.test(to) || to.includes('\\'))
    return '/';
  return to;
}

/** AES-256-GCM under a key that lives as long as the process: a restart ends sign-ins that are under way, and nothing else. */
class Seal {
  readonly #world: World;
  readonly #key: Uint8Array;

  constructor(world: World) {
    this.#world = world;
    this.#key = world.random.bytes(32);
  }

  close(login: Login): string {
    const nonce = this.#world.random.bytes(12);
    const cipher = createCipheriv('aes-256-gcm', this.#key, nonce);
    const sealed = Buffer.concat([nonce, cipher.update(JSON.stringify(login)), cipher.final(), cipher.getAuthTag()]);
    return sealed.toString('base64url');
  }

  open(cookie: string): Login | undefined {
    const sealed = Buffer.from(cookie, 'base64url');
    if (sealed.length < 12 + 16) return undefined;
    try {
      const decipher = createDecipheriv('aes-256-gcm', this.#key, sealed.subarray(0, 12), { authTagLength: 16 });
      decipher.setAuthTag(sealed.subarray(-16));
      const opened = Buffer.concat([decipher.update(sealed.subarray(12, -16)), decipher.final()]);
      return JSON.parse(opened.toString('utf8')) as Login;
    } catch {
      // Not ours, or of another run: the same as none.
      return undefined;
    }
  }
}
