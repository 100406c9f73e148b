/** The way of a browser through the issuer's pages, without one: cookies, redirects and forms, until it leaves for the application. */
import assert from 'node:assert/strict';
import * as client from 'openid-client';
import { password, redirectUri } from './issuer.fixture.ts';

export const configure = (url: string, id: string, authentication: client.ClientAuth): Promise<client.Configuration> =>
  client.discovery(new URL(url), id, undefined, authentication, { execute: [client.allowInsecureRequests] });

export type Form = Readonly<Record<string, string>>;

export interface Arrival {
  /** Where the browser was sent on to; undefined while it is on a page of the issuer. */
  readonly back: URL | undefined;
  readonly status: number;
  readonly page: string;
}

export class Visitor {
  readonly #origin: string;
  readonly #headers: Form;
  readonly #cookies = new Map<string, string>();
  #at = '';

  /** @param headers what a proxy in front adds, or the visitor pretends that one did */
  constructor(issuer: string, headers: Form = {}) {
    this.#origin = new URL(issuer).origin;
    this.#headers = headers;
  }

  /** Opens a page, or sends a form: to the one that is open, unless said. */
  async go(to: string | Form, action: string = this.#at): Promise<Arrival> {
    let body = typeof to === 'string' ? undefined : new URLSearchParams(to);
    for (let next = typeof to === 'string' ? to : action; ; body = undefined) {
      if (new URL(next).origin !== this.#origin) return { back: new URL(next), status: 0, page: '' };
      const cookie = [...this.#cookies].map(([name, value]) => `${name}=${value}`).join('; ');
      const response = await fetch(next, {
        redirect: 'manual',
        headers: { ...this.#headers, cookie, origin: this.#origin },
        ...(body === undefined ? {} : { method: 'POST', body }),
      });
      for (const line of response.headers.getSetCookie()) {
        const [name = '', value = ''] = (line.split(';')[0] ?? '').split('=', 2);
        this.#cookies.set(name, value);
      }
      const location = response.headers.get('location');
      this.#at = next;
      if (location === null) return { back: undefined, status: response.status, page: await response.text() };
      await response.arrayBuffer();
      next = new URL(location, next).href;
    }
  }
}

export interface Authorization {
  readonly scope: string;
  readonly redirect?: string;
  readonly more?: Form;
  readonly username?: string;
  readonly password?: string;
  readonly headers?: Form;
  /** Forms after the one with the password. */
  readonly steps?: readonly Form[];
}

/** Signs somebody in at an application, up to where the browser leaves for it. */
export async function authorize(
  config: client.Configuration,
  asked: Authorization,
): Promise<Arrival & { readonly verifier: string }> {
  const verifier = client.randomPKCECodeVerifier();
  const url = client.buildAuthorizationUrl(config, {
    redirect_uri: asked.redirect ?? redirectUri,
    scope: asked.scope,
    code_challenge: await client.calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
    ...asked.more,
  });
  const visitor = new Visitor(config.serverMetadata().issuer, asked.headers);
  let arrival = await visitor.go(url.href);
  const first: Form = { username: asked.username ?? 'n.abara', password: asked.password ?? password };
  for (const step of [first, ...(asked.steps ?? [])]) {
    if (arrival.back !== undefined || arrival.status >= 400) break;
    arrival = await visitor.go(step);
  }
  return { ...arrival, verifier };
}

/** All of it, with the tokens. */
export async function signInTo(
  config: client.Configuration,
  asked: Authorization,
): Promise<client.TokenEndpointResponse & client.TokenEndpointResponseHelpers> {
  const { back, page, verifier } = await authorize(config, asked);
  assert.ok(back !== undefined, page);
  return client.authorizationCodeGrant(config, back, {
    pkceCodeVerifier: verifier,
    idTokenExpected: asked.scope.includes('openid'),
  });
}
