import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { decodeJwt, exportJWK, generateKeyPair } from 'jose';
import * as client from 'openid-client';
import { totpCode, totpStep } from '../access/totp.ts';
import { apiAudience, mfaAcr, passkeyAcr } from './claims.ts';
import { password, type RunningIssuer, redirectUri, startIssuer } from './issuer.fixture.ts';

const secret = Buffer.from('12345678901234567890');
const keys = await generateKeyPair('ES256', { extractable: true });
const jwk = { ...(await exportJWK(keys.publicKey)), kid: 'k1', alg: 'ES256', use: 'sig' };

async function start(context: TestContext): Promise<RunningIssuer> {
  const base = { name: 'the app', redirectUris: [redirectUri], refresh: true };
  const issuer = await startIssuer([
    { ...base, id: 'signs', jwks: { keys: [jwk] } },
    { ...base, id: 'proves', redirectUris: ['http://127.0.0.1/callback'], dpop: true },
  ]);
  context.after(() => issuer[Symbol.asyncDispose]());
  return issuer;
}

const configure = (url: string, id: string, authentication: client.ClientAuth): Promise<client.Configuration> =>
  client.discovery(new URL(url), id, undefined, authentication, { execute: [client.allowInsecureRequests] });

/** Through the pages as a browser goes, `steps` being the forms that are sent. */
async function signIn(
  config: client.Configuration,
  options: {
    readonly redirect?: string;
    readonly acr?: string;
    readonly steps?: readonly (() => Record<string, string>)[];
    readonly dpop?: client.DPoPHandle;
  } = {},
) {
  const verifier = client.randomPKCECodeVerifier();
  const first = client.buildAuthorizationUrl(config, {
    redirect_uri: options.redirect ?? redirectUri,
    scope: 'openid profile watchglass user/*.rs',
    resource: apiAudience,
    code_challenge: await client.calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
    ...(options.acr === undefined ? {} : { acr_values: options.acr, max_age: '0' }),
  });
  const cookies = new Map<string, string>();
  const go = async (url: string, body?: URLSearchParams): Promise<string | Response> => {
    for (let next = url, sent = body; ; sent = undefined) {
      if (!next.startsWith(first.origin)) return next;
      const headers: Record<string, string> = {
        cookie: [...cookies].map(([name, value]) => `${name}=${value}`).join('; '),
        origin: first.origin,
      };
      const init = sent === undefined ? { headers } : { headers, method: 'POST', body: sent };
      const response = await fetch(next, { ...init, redirect: 'manual' });
      for (const cookie of response.headers.getSetCookie()) {
        const [name = '', value = ''] = (cookie.split(';')[0] ?? '').split('=', 2);
        cookies.set(name, value);
      }
      const location = response.headers.get('location');
      if (location === null) return response;
      next = new URL(location, next).href;
    }
  };
  let at = await go(first.href);
  for (const step of [() => ({ username: 'n.abara', password }), ...(options.steps ?? [])]) {
    assert.ok(at instanceof Response, String(at));
    at = await go(at.url, new URLSearchParams(step()));
  }
  if (typeof at !== 'string') return { page: at };
  const back = new URL(at);
  if (back.searchParams.has('error')) return { error: back.searchParams.get('error') };
  const tokens = await client.authorizationCodeGrant(
    config,
    back,
    { pkceCodeVerifier: verifier },
    { resource: apiAudience },
    options.dpop === undefined ? {} : { DPoP: options.dpop },
  );
  return { tokens };
}

const signs = (url: string): Promise<client.Configuration> =>
  configure(url, 'signs', client.PrivateKeyJwt({ key: keys.privateKey, kid: 'k1' }));

test('a client that signs its assertions renews its tokens, each refresh token once, and a second use ends them all', async (context) => {
  const { url, recorded, nurse } = await start(context);
  const config = await signs(url);
  const { tokens } = await signIn(config);
  const first = tokens?.refresh_token ?? '';
  const renew = (token: string) => client.refreshTokenGrant(config, token, { resource: apiAudience });
  const second = await renew(first);
  assert.notEqual(second.refresh_token, first);
  const [before, after] = [tokens?.access_token ?? '', second.access_token].map((token) => decodeJwt(token));
  assert.deepEqual(
    [after?.sub, after?.auth_time, after?.acr, after?.amr, after?.roles],
    [nurse.id, before?.auth_time, before?.acr, ['pwd'], ['auditor', 'nurse']],
  );
  assert.equal(recorded.at(-1)?.operation, 'token-refresh');
  assert.equal(recorded.at(-1)?.actor.id, nurse.id);

  await assert.rejects(renew(first), { error: 'invalid_grant' });
  assert.deepEqual(
    [recorded.at(-1)?.operation, recorded.at(-1)?.outcome, recorded.at(-1)?.source?.address],
    ['refresh-reuse', { status: 'denied', reason: 'family-revoked' }, '127.0.0.1'],
  );
  await assert.rejects(renew(second.refresh_token ?? ''), { error: 'invalid_grant' });
  assert.ok([first, second.refresh_token ?? ''].every((token) => !JSON.stringify(recorded).includes(token)));
});

test('a role that was taken away is not in the next token, and a disabled person gets none', async (context) => {
  const { url, access, nurse } = await start(context);
  const config = await signs(url);
  const { tokens } = await signIn(config);
  await access.people.revokeRole(nurse.id, 'nurse', 'server');
  const second = await client.refreshTokenGrant(config, tokens?.refresh_token ?? '', { resource: apiAudience });
  assert.deepEqual(
    [decodeJwt(second.access_token).scope, decodeJwt(second.access_token).roles],
    ['watchglass', ['auditor']],
  );
  await access.people.disable(nurse.id, 'server');
  await assert.rejects(client.refreshTokenGrant(config, second.refresh_token ?? ''), { error: 'invalid_grant' });
});

test('a refresh token that was revoked is no good, and another key is no client', async (context) => {
  const { url, recorded } = await start(context);
  const config = await signs(url);
  const { tokens } = await signIn(config);
  await client.tokenRevocation(config, tokens?.refresh_token ?? '');
  await assert.rejects(client.refreshTokenGrant(config, tokens?.refresh_token ?? ''), { error: 'invalid_grant' });
  const other = await generateKeyPair('ES256');
  const stranger = await configure(url, 'signs', client.PrivateKeyJwt({ key: other.privateKey, kid: 'k1' }));
  await assert.rejects(client.refreshTokenGrant(stranger, 'any'), { error: 'invalid_client' });
  assert.deepEqual([recorded.at(-1)?.operation, recorded.at(-1)?.outcome.reason], ['client', 'invalid-client']);
});

test('an assertion of years is refused: it would be remembered for years', async (context) => {
  const { url } = await start(context);
  const until = (seconds: number) =>
    configure(
      url,
      'signs',
      client.PrivateKeyJwt(
        { key: keys.privateKey, kid: 'k1' },
        {
          [client.modifyAssertion]: (_header, payload) => Object.assign(payload, { exp: Date.now() / 1_000 + seconds }),
        },
      ),
    );
  for (const seconds of [10 * 365 * 24 * 3_600, 420])
    await assert.rejects(client.refreshTokenGrant(await until(seconds), 'any'), { error: 'invalid_client' });
  // The client is who it says; its token isn't.
  await assert.rejects(client.refreshTokenGrant(await until(300), 'any'), { error: 'invalid_grant' });
});

test('tokens bound by DPoP say so, and are renewed only with the same key', async (context) => {
  const { url } = await start(context);
  const config = await configure(url, 'proves', client.None());
  const dpop = client.getDPoPHandle(config, await client.randomDPoPKeyPair());
  const { tokens } = await signIn(config, { redirect: 'http://127.0.0.1/callback', dpop });
  const jkt = await dpop.calculateThumbprint();
  assert.equal(tokens?.token_type, 'dpop');
  assert.deepEqual(decodeJwt(tokens?.access_token ?? '').cnf, { jkt });
  const refresh = tokens?.refresh_token ?? '';
  await assert.rejects(client.refreshTokenGrant(config, refresh));
  const other = client.getDPoPHandle(config, await client.randomDPoPKeyPair());
  await assert.rejects(client.refreshTokenGrant(config, refresh, {}, { DPoP: other }), { error: 'invalid_grant' });
  const renewed = await client.refreshTokenGrant(config, refresh, { resource: apiAudience }, { DPoP: dpop });
  assert.deepEqual(decodeJwt(renewed.access_token).cnf, { jkt });
});

test('a step-up is honoured: the token has the acr that was asked for, or the client hears that it cannot', async (context) => {
  const { url, access, nurse, recorded } = await start(context);
  const config = await signs(url);
  const giveUp = () => ({ step: 'give-up' });
  const weak = await signIn(config, { acr: mfaAcr });
  assert.equal(weak.page?.status, 403);
  assert.match((await weak.page?.text()) ?? '', /More is asked for/);
  assert.equal((await signIn(config, { acr: mfaAcr, steps: [giveUp] })).error, 'unmet_authentication_requirements');

  await access.factors.setTotp(nurse.id, { secret, step: 0 }, 'server');
  const typed = totpCode(secret, totpStep(Date.now()));
  const code = () => ({ step: 'code', code: typed });
  const { tokens } = await signIn(config, { acr: `${mfaAcr} ${passkeyAcr}`, steps: [code] });
  const { acr, amr, auth_time: time } = decodeJwt(tokens?.access_token ?? '');
  assert.deepEqual([acr, amr], [mfaAcr, ['pwd', 'otp', 'mfa']]);
  assert.ok(typeof time === 'number' && Math.abs(time - Date.now() / 1_000) < 120);
  assert.deepEqual(
    recorded.slice(-2).map(({ operation, actor }) => [operation, actor.authentication?.method]),
    [
      ['first-factor', 'password'],
      ['login', 'totp'],
    ],
  );
  const replay = await signIn(config, { steps: [code] });
  assert.equal(replay.page?.status, 401);
  assert.equal(recorded.at(-1)?.outcome.reason, 'code-replayed');
  assert.equal((await signIn(config, { acr: passkeyAcr })).page?.status, 200);
});
