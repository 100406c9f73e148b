import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { parseTenantId } from '@watchglass/record';
import { createRemoteJWKSet, decodeJwt, decodeProtectedHeader, jwtVerify } from 'jose';
import * as client from 'openid-client';
import type { Access, OwnEvent, Person } from '../access/access.ts';
import { checkKeysDirectory } from '../access/key-file.ts';
import { openAccess } from '../access/open-access.ts';
import { freePort } from '../free-ports.fixture.ts';
import { realWorld } from '../world/real-world.ts';
import { apiAudience } from './claims.ts';
import { foreignKeys } from './foreign.ts';
import { type Issuer, openIssuer } from './issuer.ts';
import { openSigningKey } from './signing-key.ts';

const tenant = parseTenantId('clinic');
const password = 'correct horse battery';
const secret = 'a secret of forty-three characters or more!!';
const redirectUri = 'http://localhost:1/auth/callback';

interface Running {
  readonly url: string;
  readonly issuer: Issuer;
  readonly access: Access;
  readonly dir: string;
  readonly recorded: OwnEvent[];
  readonly nurse: Person;
  readonly auditor: Person;
}

async function start(context: TestContext): Promise<Running> {
  const dir = await mkdtemp(join(tmpdir(), 'watchglass-issuer-'));
  const world = realWorld();
  const keysDir = join(dir, 'keys');
  const url = `http://localhost:${await freePort()}`;
  await checkKeysDirectory(world, keysDir);
  const signingKey = await openSigningKey(world, keysDir);
  const recorded: OwnEvent[] = [];
  const access = await openAccess({
    path: join(dir, 'state.sqlite'),
    keysDir,
    world,
    record: async (event) => {
      recorded.push(event);
    },
    trust: {
      issuer: url,
      audience: apiAudience,
      algorithms: ['RS256'],
      keys: signingKey.publicKeys,
      knownPeopleOnly: true,
    },
  });
  access.tenants.add(tenant);
  const nurse = await access.people.add(
    { username: 'n.abara', name: 'N. Abara', tenant, roles: ['nurse'], password },
    'server',
  );
  const auditor = await access.people.add(
    { username: 'alex.audit', name: 'Alex <A> Lindqvist', tenant, roles: ['auditor'], password },
    'server',
  );
  const issuer = await openIssuer({
    url,
    world,
    keysDir,
    signingKey,
    people: access.people,
    factors: access.factors,
    logouts: access.logouts,
    issued: access.issued,
    record: async (event) => {
      recorded.push(event);
    },
    homeTenant: tenant,
    clients: [
      { id: 'console', name: 'the console', redirectUris: [redirectUri], secret },
      { id: 'demo-cli', name: 'the command line', redirectUris: ['http://127.0.0.1/callback'] },
    ],
    demo: true,
    report: (message, error) => {
      console.error(message, error);
    },
  });
  await issuer.listen({ host: '127.0.0.1', port: Number(new URL(url).port) });
  context.after(async () => {
    await issuer[Symbol.asyncDispose]();
    await access[Symbol.asyncDispose]();
    await rm(dir, { recursive: true });
  });
  return { url, issuer, access, dir, recorded, nurse, auditor };
}

/** What a browser keeps between requests, as far as it matters here. */
class Browser {
  readonly #cookies: Map<string, string> = new Map();

  async fetch(url: string, init: RequestInit = {}): Promise<Response> {
    const headers = new Headers(init.headers);
    headers.set('cookie', [...this.#cookies].map(([name, value]) => `${name}=${value}`).join('; '));
    const response = await fetch(url, { ...init, headers, redirect: 'manual' });
    for (const cookie of response.headers.getSetCookie()) {
      const [pair = ''] = cookie.split(';');
      const [name = '', value = ''] = pair.split('=', 2);
      if (value === '') this.#cookies.delete(name);
      else this.#cookies.set(name, value);
    }
    return response;
  }

  /** Follows redirects until one leaves `within`; resolves to that address, or to the page. */
  async follow(url: string, within: string): Promise<{ url: string; page?: Response }> {
    for (let hops = 0; hops < 8; hops++) {
      if (!url.startsWith(within)) return { url };
      const response = await this.fetch(url);
      const location = response.headers.get('location');
      if (location === null) return { url, page: response };
      url = new URL(location, url).href;
    }
    throw new Error('too many redirects');
  }

  post(url: string, form: Record<string, string>, headers: Record<string, string> = {}): Promise<Response> {
    return this.fetch(url, {
      method: 'POST',
      body: new URLSearchParams(form),
      headers: { origin: new URL(url).origin, ...headers },
    });
  }
}

interface Begun {
  readonly browser: Browser;
  readonly config: client.Configuration;
  readonly verifier: string;
  readonly state: string;
  readonly pageUrl: string;
  readonly page: Response;
}

async function begin(url: string, options: { scope?: string; browser?: Browser } = {}): Promise<Begun> {
  const config = await client.discovery(new URL(url), 'console', secret, undefined, {
    execute: [client.allowInsecureRequests],
  });
  const verifier = client.randomPKCECodeVerifier();
  const state = client.randomState();
  const to = client.buildAuthorizationUrl(config, {
    redirect_uri: redirectUri,
    scope: options.scope ?? 'openid profile watchglass',
    resource: apiAudience,
    code_challenge: await client.calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
    state,
  });
  const browser = options.browser ?? new Browser();
  const { url: pageUrl, page } = await browser.follow(to.href, url);
  assert.ok(page !== undefined);
  return { browser, config, verifier, state, pageUrl, page };
}

async function finish(begun: Begun, username: string, url: string) {
  const answer = await begun.browser.post(begun.pageUrl, { username, password });
  assert.equal(answer.status, 303);
  const back = await begun.browser.follow(new URL(answer.headers.get('location') ?? '', url).href, url);
  assert.ok(back.url.startsWith(redirectUri), back.url);
  const tokens = await client.authorizationCodeGrant(
    begun.config,
    new URL(back.url),
    {
      pkceCodeVerifier: begun.verifier,
      expectedState: begun.state,
    },
    { resource: apiAudience },
  );
  return { tokens, back };
}

test('a person signs in with code and PKCE, and the token says who they are', async (context) => {
  const { url, auditor, access, recorded } = await start(context);
  const begun = await begin(url);
  const html = await begun.page.text();
  for (const part of [
    '<label for="username">Username</label>',
    '<label for="password">Password</label>',
    '>Sign in</button>',
    'aria-live',
    'demo.json',
  ]) {
    assert.ok(html.includes(part), part);
  }
  assert.ok(html.includes('data-passkey='));
  const { tokens } = await finish(begun, 'alex.audit', url);

  const jwks = createRemoteJWKSet(new URL(begun.config.serverMetadata().jwks_uri ?? ''));
  const { payload, protectedHeader } = await jwtVerify(tokens.access_token, jwks, {
    issuer: url,
    audience: apiAudience,
    typ: 'at+jwt',
  });
  assert.equal(protectedHeader.alg, 'RS256');
  assert.equal(typeof protectedHeader.kid, 'string');
  const { sub, client_id, scope, roles, acr, amr, preferred_username, auth_time, jti } = payload;
  assert.deepEqual(
    { sub, client_id, scope, roles, tenant: payload.tenant, acr, amr, preferred_username },
    {
      sub: auditor.id,
      client_id: 'console',
      scope: 'watchglass',
      roles: ['auditor'],
      tenant: 'clinic',
      acr: 'urn:watchglass:acr:password',
      amr: ['pwd'],
      preferred_username: 'alex.audit',
    },
  );
  assert.ok(typeof auth_time === 'number' && typeof jti === 'string');
  assert.equal(tokens.claims()?.name, 'Alex <A> Lindqvist');

  const principal = await access.tokens.verify(tokens.access_token);
  assert.deepEqual(
    [principal?.id, principal?.client, principal?.authentication.method],
    [auditor.id, 'console', 'bearer'],
  );
  assert.equal(recorded.at(-1)?.operation, 'login');
  assert.equal(recorded.at(-1)?.actor.client, 'console');
  assert.equal(recorded.at(-1)?.source?.address, '127.0.0.1');
});

test('the keys of the issuer are found by discovery', async (context) => {
  const { url, issuer, nurse } = await start(context);
  const token = await issuer.mint({ person: nurse, clientId: 'demo-cli', lifetimeSeconds: 60 });
  await jwtVerify(token, foreignKeys(url), { issuer: url, audience: apiAudience, typ: 'at+jwt' });
  await assert.rejects(jwtVerify(token, foreignKeys('http://localhost:1')), /check issuer.url/);
});

test('a code works once, and only with its verifier', async (context) => {
  const { url } = await start(context);
  const begun = await begin(url);
  const { back } = await finish(begun, 'alex.audit', url);
  const again = client.authorizationCodeGrant(begun.config, new URL(back.url), {
    pkceCodeVerifier: begun.verifier,
    expectedState: begun.state,
  });
  await assert.rejects(again, { code: 'OAUTH_RESPONSE_BODY_ERROR', error: 'invalid_grant' });
  const other = await begin(url);
  await assert.rejects(finish({ ...other, verifier: client.randomPKCECodeVerifier() }, 'alex.audit', url), {
    error: 'invalid_grant',
  });
});

test('an authorization request without PKCE, with plain PKCE, or for another resource is refused', async (context) => {
  const { url } = await start(context);
  const ask = async (parameters: Record<string, string>) => {
    const query = new URLSearchParams({
      client_id: 'console',
      response_type: 'code',
      redirect_uri: redirectUri,
      scope: 'openid',
      state: 's',
      ...parameters,
    });
    const { url: back } = await new Browser().follow(`${url}/auth?${query}`, url);
    const { searchParams, hash } = new URL(back);
    return searchParams.get('error') ?? new URLSearchParams(hash.slice(1)).get('error');
  };
  assert.equal(await ask({}), 'invalid_request');
  assert.equal(await ask({ code_challenge: 'x'.repeat(43), code_challenge_method: 'plain' }), 'invalid_request');
  assert.equal(
    await ask({ code_challenge: 'x'.repeat(43), code_challenge_method: 'S256', resource: 'urn:other' }),
    'invalid_target',
  );
  assert.equal(
    await ask({ code_challenge: 'x'.repeat(43), code_challenge_method: 'S256', response_type: 'token' }),
    'unsupported_response_type',
  );
  const stranger = await fetch(
    `${url}/auth?client_id=console&response_type=code&redirect_uri=https%3A%2F%2Fevil.example&scope=openid`,
    { redirect: 'manual' },
  );
  assert.equal(stranger.status, 400);
  assert.match(await stranger.text(), /This sign-in can’t go on/);
  assert.match(
    stranger.headers.get('content-security-policy') ?? '',
    /default-src 'none'; style-src 'sha256-[^;]+; script-src 'sha256-/,
  );
});

test('who comes from an application that nobody knows is told so', async (context) => {
  const { url } = await start(context);
  const response = await fetch(`${url}/auth?client_id=nobody&response_type=code&scope=openid`);
  assert.equal(response.status, 400);
  assert.match(await response.text(), /The application that sent you here is not known\./);
});

test('nobody gets a scope their roles do not have', async (context) => {
  const { url } = await start(context);
  const { tokens } = await finish(
    await begin(url, { scope: 'openid watchglass user/*.cruds user/*.rs' }),
    'n.abara',
    url,
  );
  assert.deepEqual(decodeJwt(tokens.access_token).scope, 'user/*.rs user/Observation.cruds');
});

test('a wrong password shows the form again, says why aloud, and never repeats the password', async (context) => {
  const { url, recorded } = await start(context);
  const { browser, pageUrl } = await begin(url);
  const answer = await browser.post(pageUrl, { username: '"><script>', password: 'not the password' });
  assert.equal(answer.status, 401);
  const html = await answer.text();
  assert.match(html, /role="alert" aria-live="assertive"><p>That username and password/);
  assert.ok(html.includes('value="&quot;&gt;&lt;script&gt;"'));
  assert.ok(!html.includes('not the password'));
  assert.equal(recorded.at(-1)?.operation, 'login-failed');
  assert.equal(answer.headers.get('cache-control'), 'no-store');
  assert.equal((await browser.post(pageUrl, { username: 'n.abara', password: '' })).status, 422);
});

test('after ten wrong passwords the right one waits too', async (context) => {
  const { url } = await start(context);
  const { browser, pageUrl } = await begin(url);
  for (let n = 0; n < 10; n++) await browser.post(pageUrl, { username: 'n.abara', password: 'wrong wrong wrong' });
  const answer = await browser.post(pageUrl, { username: 'n.abara', password });
  assert.equal(answer.status, 429);
  assert.ok(Number(answer.headers.get('retry-after')) > 800);
  assert.match(await answer.text(), /Too many attempts. Try again in 15 minutes/);
});

test('each sign-in asks for the password again, whoever was there before', async (context) => {
  const { url, nurse } = await start(context);
  const first = await begin(url);
  await finish(first, 'alex.audit', url);
  const second = await begin(url, { browser: first.browser });
  assert.match(await second.page.text(), /type="password"/);
  const { tokens } = await finish(second, 'n.abara', url);
  assert.equal(decodeJwt(tokens.access_token).sub, nurse.id);
});

test('the form is refused from another site, another browser, and for another interaction', async (context) => {
  const { url, recorded } = await start(context);
  const { browser, pageUrl } = await begin(url);
  const form = { username: 'alex.audit', password };
  assert.equal((await browser.post(pageUrl, form, { origin: 'https://evil.example' })).status, 403);
  assert.equal((await browser.post(pageUrl, form, { 'sec-fetch-site': 'cross-site' })).status, 403);
  assert.equal((await new Browser().post(pageUrl, form)).status, 400);
  assert.equal((await browser.post(`${url}/interaction/other`, form)).status, 404);
  assert.equal((await browser.fetch(pageUrl, { method: 'DELETE' })).status, 405);
  const large = await browser.post(pageUrl, { username: 'alex.audit', password: 'x'.repeat(9_000) });
  assert.equal(large.status, 422);
  assert.equal(recorded.filter(({ kind }) => kind === 'auth').length, 0);
});

test('what a client says about host and scheme is not believed', async (context) => {
  const { url } = await start(context);
  const response = await fetch(`${url}/.well-known/openid-configuration`, {
    headers: { 'x-forwarded-host': 'evil.example', 'x-forwarded-proto': 'https', forwarded: 'host=evil.example' },
  });
  const document = (await response.json()) as Record<string, unknown>;
  assert.equal(document.issuer, url);
  for (const member of ['authorization_endpoint', 'token_endpoint', 'jwks_uri', 'end_session_endpoint'])
    assert.ok(String(document[member]).startsWith(`${url}/`));
  assert.deepEqual(document.response_types_supported, ['code']);
  assert.deepEqual(document.code_challenge_methods_supported, ['S256']);
  for (const unused of [
    'userinfo_endpoint',
    'pushed_authorization_request_endpoint',
    'registration_endpoint',
    'introspection_endpoint',
  ]) {
    assert.equal(document[unused], undefined, unused);
  }
});

test('a minted token is as good as one signed in for, and the key stays over a restart', async (context) => {
  const { issuer, access, nurse, dir, url } = await start(context);
  const token = await issuer.mint({ person: nurse, clientId: 'demo-cli', lifetimeSeconds: 86_400 });
  const { iat = 0, exp = 0, scope } = decodeJwt(token);
  assert.equal(exp - iat, 86_400);
  assert.equal(scope, 'openid profile user/*.rs user/Observation.cruds');
  assert.equal((await access.tokens.verify(token))?.id, nurse.id);
  const path = join(dir, 'keys', 'issuer.jwk');
  assert.equal((await stat(path)).mode & 0o777, 0o600);
  const before = await readFile(path, 'utf8');
  const again = await openSigningKey(realWorld(), join(dir, 'keys'));
  assert.equal(await readFile(path, 'utf8'), before);
  assert.equal(again.kid, decodeProtectedHeader(token).kid);
  const jwks = (await (await fetch(`${url}/jwks`)).json()) as { keys: Record<string, unknown>[] };
  assert.deepEqual(
    jwks.keys.map((key) => [key.kid, 'd' in key, 'p' in key]),
    [[again.kid, false, false]],
  );
});
