/**
 * The embedded identity provider in a real process that is killed at the moments that count: nobody is signed out by it, and nothing that was used, ended or locked comes back. openid-client is
 * the application.
 */
import assert from 'node:assert/strict';
import { copyFile, mkdtemp, readFile, rm, stat, unlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import * as client from 'openid-client';
import { authorize, configure, signInTo, Visitor } from '../../packages/server/src/issuer/visitor.fixture.ts';
import { spawnWatchglass, until, watchglass } from './command.fixture.ts';
import { type Installation, install, type Serving, serve } from './server.fixture.ts';

const redirect = 'http://localhost:1/callback';
const scope = 'openid watchglass';
const keys = await generateKeyPair('ES256', { extractable: true });
let dir: string;
let installation: Installation;
let serving: Serving;
let issuer: string;

before(async () => {
  dir = await mkdtemp(join(tmpdir(), 'watchglass-issuer-kill-'));
  installation = await install(dir);
  issuer = `http://localhost:${Number(new URL(installation.url).port) + 2}`;
  const jwk = { ...(await exportJWK(keys.publicKey)), kid: 'k1', alg: 'ES256', use: 'sig' };
  await writeFile(join(dir, 'service.jwks'), JSON.stringify({ keys: [jwk] }));
  const text = await readFile(installation.config, 'utf8');
  const clients = [
    `    - { id: app, name: the app, redirectUris: ['${redirect}'], refresh: true }`,
    '    - { id: service, name: a service, jwksFile: service.jwks, scopes: [system/Patient.rs], roles: [backend] }',
  ];
  await writeFile(
    installation.config,
    `${text.replace(/^ {2}clients:$/m, ['  clients:', ...clients].join('\n'))}trustedProxies: [127.0.0.1, '::1']\n`,
  );
  serving = await serve(installation);
});
after(async () => {
  await serving[Symbol.asyncDispose]();
  await rm(dir, { recursive: true });
});

const again = async (): Promise<void> => {
  await serving.kill();
  serving = await serve(installation);
};
const asked = () => ({ scope, redirect, ...installation.person });
const refused = { error: 'invalid_grant' };

const signIn = async () => {
  const app = await configure(issuer, 'app', client.None());
  const tokens = await signInTo(app, asked());
  return { app, tokens, refresh: tokens.refresh_token ?? '' };
};

const operator = async (method: string, path: string): Promise<Response> =>
  fetch(`${installation.url}${path}`, {
    method,
    headers: { authorization: `Bearer ${installation.operatorToken}` },
  });

test('who signed in before the kill goes on after it, also with a code that was on its way', async () => {
  const { app, refresh } = await signIn();
  const { back, verifier } = await authorize(app, asked());
  assert.ok(back);
  await again();
  assert.ok((await client.refreshTokenGrant(app, refresh)).access_token);
  const late = await client.authorizationCodeGrant(app, back, { pkceCodeVerifier: verifier, idTokenExpected: true });
  assert.ok(late.refresh_token);
});

test('a refresh token that was used before the kill ends its family after it', async () => {
  const { app, refresh } = await signIn();
  const renewed = await client.refreshTokenGrant(app, refresh);
  await again();
  await assert.rejects(client.refreshTokenGrant(app, refresh), refused);
  await assert.rejects(client.refreshTokenGrant(app, renewed.refresh_token ?? ''), refused);
  await again();
  await assert.rejects(client.refreshTokenGrant(app, renewed.refresh_token ?? ''), refused);
});

test('a code that was used before the kill ends what it gave after it', async () => {
  const app = await configure(issuer, 'app', client.None());
  const { back, verifier } = await authorize(app, asked());
  assert.ok(back);
  const exchange = () =>
    client.authorizationCodeGrant(app, back, { pkceCodeVerifier: verifier, idTokenExpected: true });
  const tokens = await exchange();
  await again();
  await assert.rejects(exchange(), refused);
  await assert.rejects(client.refreshTokenGrant(app, tokens.refresh_token ?? ''), refused);
});

test('who signed out before the kill is signed out after it, and so is what a client gave back', async () => {
  const { refresh, tokens, app } = await signIn();
  const other = await signIn();
  const body = new URLSearchParams({ id_token_hint: tokens.id_token ?? '', confirm: 'yes' });
  const out = await fetch(`${issuer}/session/end`, { method: 'POST', headers: { origin: issuer }, body });
  assert.equal(out.status, 200);
  await client.tokenRevocation(other.app, other.refresh);
  await again();
  await assert.rejects(client.refreshTokenGrant(app, refresh), refused);
  await assert.rejects(client.refreshTokenGrant(other.app, other.refresh), refused);
});

test('an assertion that was shown before the kill is no good after it', async () => {
  const assertion = await new SignJWT({})
    .setProtectedHeader({ alg: 'ES256', kid: 'k1' })
    .setIssuer('service')
    .setSubject('service')
    .setAudience(issuer)
    .setJti('once')
    .setIssuedAt()
    .setExpirationTime('2m')
    .sign(keys.privateKey);
  const ask = async (): Promise<{ status: number; error: string | undefined }> => {
    const response = await fetch(`${issuer}/token`, {
      method: 'POST',
      body: new URLSearchParams({
        grant_type: 'client_credentials',
        scope: 'system/Patient.rs',
        client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
        client_assertion: assertion,
      }),
    });
    return { status: response.status, error: ((await response.json()) as { error?: string }).error };
  };
  assert.equal((await ask()).status, 200);
  await again();
  assert.deepEqual(await ask(), { status: 401, error: 'invalid_client' });
});

test('failures are counted over a kill, and a lock holds', async () => {
  const app = await configure(issuer, 'app', client.None());
  const guess = async () => (await authorize(app, { ...asked(), username: 'nobody', password: 'wrong' })).status;
  for (let n = 0; n < 9; n++) assert.equal(await guess(), 401);
  await again();
  assert.equal(await guess(), 401);
  assert.equal(await guess(), 429);
  await again();
  assert.equal(await guess(), 429);
  // Nobody else is locked.
  assert.ok((await signIn()).refresh);
});

test('behind a proxy that was named events have the address of the client, at both doors', async () => {
  const from = { 'x-forwarded-for': '6.6.6.6, 198.51.100.7' };
  const app = await configure(issuer, 'app', client.None());
  await signInTo(app, { ...asked(), headers: from });
  const headers = {
    authorization: `Bearer ${installation.operatorToken}`,
    'content-type': 'application/json',
    ...from,
  };
  const search = (kind: string): Promise<Response> =>
    fetch(`${installation.url}/v1/events/search`, {
      method: 'POST',
      headers,
      body: JSON.stringify({ kind, limit: 5 }),
    });
  for (const kind of ['auth', 'review'])
    await until(async () => {
      const { events } = (await (await search(kind)).json()) as { events: { source?: { address?: string } }[] };
      return events.some(({ source }) => source?.address === '198.51.100.7') || undefined;
    }, `an event of the kind ${kind} from the client`);
});

test('nothing that could be used lies in the file', async () => {
  const { refresh, tokens } = await signIn();
  for (const name of ['state.sqlite', 'state.sqlite-wal']) {
    const bytes = await readFile(join(installation.dataDir, name));
    for (const secret of [refresh, tokens.access_token, 'nobody', 'once'])
      assert.equal(bytes.includes(secret), false, name);
    assert.equal((await stat(join(installation.dataDir, name))).mode & 0o077, 0);
  }
});

test('an older copy of the file does not start; without the mark it does, and everybody signs in again', async () => {
  const { app, refresh } = await signIn();
  assert.equal(await serving.stop(), 0);
  const [path, copy, mark] = ['state.sqlite', 'older.sqlite', 'state.mark'].map((name) =>
    join(installation.dataDir, name),
  ) as [string, string, string];
  await copyFile(path, copy);
  serving = await serve(installation);
  const renewed = await client.refreshTokenGrant(app, refresh);
  assert.equal(await serving.stop(), 0);
  await copyFile(copy, path);
  const spawned = spawnWatchglass(['serve', '--config', installation.config]);
  const code = await new Promise((resolve) => spawned.process.once('close', resolve));
  assert.equal(code, 1);
  assert.match(spawned.err(), /older copy/);
  const { out } = await watchglass(['fsck', installation.dataDir]);
  assert.match(
    out,
    /state\.mark: expected state\.sqlite with \d+ endings or more, got \d+ of the same file \[state-differs\]/,
  );
  await unlink(mark);
  serving = await serve(installation);
  for (const token of [refresh, renewed.refresh_token ?? ''])
    await assert.rejects(client.refreshTokenGrant(app, token), refused);
  assert.ok((await signIn()).refresh);
});

test('who was disabled before the kill stays out', async () => {
  const { app, refresh } = await signIn();
  const { people } = (await (await operator('GET', '/v1/people')).json()) as {
    people: { id: string; username: string }[];
  };
  const id = people.find(({ username }) => username === installation.person.username)?.id;
  const disabled = await operator('POST', `/v1/people/${id}/disable`);
  assert.equal(disabled.status, 204, await disabled.text());
  await again();
  await assert.rejects(client.refreshTokenGrant(app, refresh), refused);
  assert.equal((await authorize(app, asked())).status, 401);
  assert.equal((await new Visitor(issuer).go(`${issuer}/account`)).status, 200);
});
