/** An OpenID provider that isn't ours, over TLS: as little of one as signing in needs, strict about PKCE, state, redirect URI and client secret. Signs in one person without asking. */
import { createHash, randomBytes } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { exportJWK, generateKeyPair, type JWTPayload, SignJWT } from 'jose';
import type { Certificate } from './self-signed.fixture.ts';

export interface OutsideIssuer extends AsyncDisposable {
  readonly url: string;
  /** Paths to answer with 500. */
  broken: RegExp | undefined;
  /** An access token; `claims` go over the usual ones. */
  token(
    claims?: JWTPayload,
    header?: { readonly alg?: string; readonly typ?: string; readonly kid?: string },
  ): Promise<string>;
}

export const client = { id: 'watchglass', secret: 'a secret of the test', audience: 'urn:watchglass:api' } as const;
const kid = 'outside-1';

export async function startOutsideIssuer(certificate: Certificate, redirectUri: string): Promise<OutsideIssuer> {
  const { privateKey, publicKey } = await generateKeyPair('ES256', { extractable: true });
  const jwk = { ...(await exportJWK(publicKey)), kid, alg: 'ES256', use: 'sig' };
  const codes = new Map<string, URLSearchParams>();
  const server = createServer(certificate, (request, response) => {
    answer(request, response).catch((error: unknown) => {
      response.writeHead(400).end(String(error));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, 'localhost', resolve));
  const url = `https://localhost:${(server.address() as AddressInfo).port}`;

  const sign = (claims: JWTPayload, header: object): Promise<string> =>
    new SignJWT({ iss: url, iat: Math.floor(Date.now() / 1_000), exp: Math.floor(Date.now() / 1_000) + 600, ...claims })
      .setProtectedHeader({ alg: 'ES256', kid, ...header })
      .sign(privateKey);
  const person = { sub: 'ext|4711', name: 'Dana Ito', preferred_username: 'dana@clinic.example' };
  const issuer: OutsideIssuer = {
    url,
    broken: undefined,
    token: (claims = {}, header = {}) =>
      sign(
        { ...person, aud: client.audience, client_id: client.id, jti: 'j-1', roles: ['privacy-officer'], ...claims },
        { typ: 'at+jwt', ...header },
      ),
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const asked = new URL(request.url ?? '/', url);
    if (issuer.broken?.test(asked.pathname)) {
      response.writeHead(500).end();
      return;
    }
    const json = (body: object): void => {
      response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(body));
    };
    if (asked.pathname === '/.well-known/openid-configuration') {
      return json({
        issuer: url,
        authorization_endpoint: `${url}/authorize`,
        token_endpoint: `${url}/token`,
        jwks_uri: `${url}/jwks`,
        response_types_supported: ['code'],
        subject_types_supported: ['public'],
        id_token_signing_alg_values_supported: ['ES256'],
        code_challenge_methods_supported: ['S256'],
      });
    }
    if (asked.pathname === '/jwks') return json({ keys: [jwk] });
    if (asked.pathname === '/authorize') {
      if (asked.searchParams.get('redirect_uri') !== redirectUri) throw new Error('another redirect URI');
      const code = randomBytes(16).toString('hex');
      codes.set(code, asked.searchParams);
      const state = asked.searchParams.get('state') ?? '';
      response.writeHead(302, { location: `${redirectUri}?${new URLSearchParams({ code, state })}` }).end();
      return;
    }
    if (asked.pathname !== '/token') throw new Error('no such page');
    const form = new URLSearchParams(await bodyOf(request));
    const begun = codes.get(form.get('code') ?? '');
    codes.delete(form.get('code') ?? '');
    const challenge = createHash('sha256')
      .update(form.get('code_verifier') ?? '')
      .digest('base64url');
    if (begun?.get('code_challenge') !== challenge || begun.get('code_challenge_method') !== 'S256')
      throw new Error('PKCE does not fit');
    if (form.get('client_id') !== client.id || form.get('client_secret') !== client.secret)
      throw new Error('another client');
    const idToken = await sign({ ...person, aud: client.id, nonce: begun.get('nonce') ?? '' }, {});
    json({ token_type: 'Bearer', expires_in: 600, access_token: await issuer.token(), id_token: idToken });
  }
  return issuer;
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  let body = '';
  for await (const chunk of request) body += String(chunk);
  return body;
}
