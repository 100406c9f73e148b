import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setDefaultCACertificates } from 'node:tls';
import { freePort } from './free-ports.fixture.ts';
import { readConfig, type ServerConfig, startServer } from './index.ts';
import { client, type OutsideIssuer, startOutsideIssuer } from './outside-issuer.fixture.ts';
import { selfSigned } from './self-signed.fixture.ts';

const certificate = selfSigned();
// This process trusts it from here on, as an operator's machine trusts the CA of the clinic.
setDefaultCACertificates([certificate.cert]);

interface Place extends AsyncDisposable {
  readonly config: ServerConfig;
  readonly issuer: OutsideIssuer;
}

async function prepare(context: TestContext): Promise<Place> {
  const dir = await mkdtemp(join(tmpdir(), 'watchglass-outside-'));
  context.after(() => rm(dir, { recursive: true }));
  const port = await freePort();
  const url = `https://localhost:${port}`;
  const issuer = await startOutsideIssuer(certificate, `${url}/auth/callback`);
  await writeFile(join(dir, 'cert.pem'), certificate.cert);
  await writeFile(join(dir, 'key.pem'), certificate.key, { mode: 0o600 });
  await writeFile(join(dir, 'client.secret'), `${client.secret}\n`, { mode: 0o600 });
  await writeFile(
    join(dir, 'watchglass.yaml'),
    `data: ./data
listen: { host: localhost, port: ${port} }
url: ${url}
tls: { cert: cert.pem, key: key.pem, ca: cert.pem }
tenants: [clinic]
origin: test.watchglass.example
issuer: { url: "${issuer.url}", clientId: ${client.id}, clientSecretFile: client.secret, algorithms: [ES256] }
log: { level: silent }
`,
  );
  return {
    config: await readConfig(join(dir, 'watchglass.yaml')),
    issuer,
    [Symbol.asyncDispose]: () => issuer[Symbol.asyncDispose](),
  };
}

const status = async (url: string, token: string): Promise<number> =>
  (await fetch(url, { headers: { authorization: `Bearer ${token}` } })).status;

test('people of an outside issuer sign in over TLS, with the rights of their roles', async (context) => {
  await using place = await prepare(context);
  await using server = await startServer(place.config);
  const begun = await fetch(`${server.url}/auth/login?to=/explorer`, { redirect: 'manual' });
  const login = begun.headers.getSetCookie()[0]?.split(';')[0] ?? '';
  const there = await fetch(begun.headers.get('location') ?? '', { redirect: 'manual' });
  const callback = there.headers.get('location') ?? '';
  assert.equal((await fetch(callback, { redirect: 'manual' })).status, 401, 'not in another browser');

  const back = await fetch(callback, { redirect: 'manual', headers: { cookie: login } });
  assert.deepEqual([back.status, back.headers.get('location')], [302, '/explorer'], await back.text());
  const cookie = back.headers.getSetCookie()[0]?.split(';')[0] ?? '';
  const session = (await (await fetch(`${server.url}/v1/session`, { headers: { cookie } })).json()) as {
    person: { id: string; rights: string[] };
  };
  assert.deepEqual([session.person.id, session.person.rights.includes('open')], ['ext|4711', true]);
  assert.equal((await fetch(`${server.url}/v1/events`, { headers: { cookie } })).status, 200);
  assert.equal(
    (await fetch(callback, { redirect: 'manual', headers: { cookie: login } })).status,
    401,
    'a code is good once',
  );
});

test('a token is held to issuer, audience, type, algorithm, key, time and tenant', async (context) => {
  await using place = await prepare(context);
  await using server = await startServer(place.config);
  const { issuer } = place;
  const url = `${server.url}/v1/events`;
  assert.equal(await status(url, await issuer.token()), 200);
  assert.equal(await status(url, await issuer.token({ tenant: 'clinic' })), 200);
  assert.equal(await status(url, await issuer.token({ roles: ['nurse'] })), 403);
  assert.equal(await status(url, await issuer.token({ roles: 'privacy-officer' })), 403, 'roles are a list');

  const good = await issuer.token();
  const [, payload = '', signature = ''] = good.split('.');
  const encode = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  const symmetric = `${encode({ alg: 'HS256', typ: 'at+jwt', kid: 'outside-1' })}.${payload}`;
  const jwks = await (await fetch(`${issuer.url}/jwks`)).text();
  const past = Math.floor(Date.now() / 1_000) - 3_600;
  const wrong: Readonly<Record<string, string>> = {
    'no signature': `${encode({ alg: 'none', typ: 'at+jwt', kid: 'outside-1' })}.${payload}.`,
    'the public key as a secret': `${symmetric}.${createHmac('sha256', jwks).update(symmetric).digest('base64url')}`,
    'other claims': `${good.split('.')[0]}.${encode({ ...JSON.parse(Buffer.from(payload, 'base64url').toString()), roles: ['administrator'] })}.${signature}`,
    'another key': await issuer.token({}, { kid: 'outside-2' }),
    'an id token': await issuer.token({}, { typ: 'JWT' }),
    'another issuer': await issuer.token({ iss: 'https://evil.test' }),
    'the issuer with a slash': await issuer.token({ iss: `${issuer.url}/` }),
    'another audience': await issuer.token({ aud: 'urn:another:api' }),
    'the client as audience': await issuer.token({ aud: client.id }),
    expired: await issuer.token({ iat: past - 600, exp: past }),
    'not yet good': await issuer.token({ nbf: past + 7_200 }),
    'a foreign tenant': await issuer.token({ tenant: 'other' }),
    'no subject': await issuer.token({ sub: '' }),
  };
  for (const [what, token] of Object.entries(wrong)) assert.equal(await status(url, token), 401, what);
});

test('while the outside issuer is broken nobody is called a stranger, and it heals', async (context) => {
  await using place = await prepare(context);
  await using server = await startServer(place.config);
  const url = `${server.url}/v1/events`;
  place.issuer.broken = /./;
  assert.equal(await status(url, await place.issuer.token()), 503);
  assert.equal((await fetch(`${server.url}/auth/login`, { redirect: 'manual' })).status, 503);
  place.issuer.broken = /jwks/;
  assert.equal(await status(url, await place.issuer.token()), 503, 'without its keys nothing can be said of a token');
  place.issuer.broken = undefined;
  assert.equal(await status(url, await place.issuer.token()), 200);
  assert.equal((await fetch(`${server.url}/auth/login`, { redirect: 'manual' })).status, 302);
});

test('over TLS the server says so, speaks nothing older than 1.2, and names its CA', async (context) => {
  await using place = await prepare(context);
  await using server = await startServer(place.config);
  assert.match((await fetch(`${server.url}/healthz`)).headers.get('strict-transport-security') ?? '', /max-age=\d{8}/);
  const announced = JSON.parse(await readFile(join(place.config.dataDir, 'server.json'), 'utf8')) as { ca: string };
  assert.equal(await readFile(announced.ca, 'utf8'), certificate.cert);
  await assert.rejects(
    new Promise((resolve, reject) => {
      const old = { minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0', agent: false } as const;
      request(`${server.url}/healthz`, old, resolve).on('error', reject).end();
    }),
  );
  await assert.rejects(fetch(server.url.replace('https', 'http')), 'plain HTTP gets nothing');
});

test('a TLS key that others can read, or a file that is missing, keeps the server from starting', async (context) => {
  await using place = await prepare(context);
  const { tls } = place.config;
  assert.ok(tls !== undefined);
  await chmod(tls.keyFile, 0o644);
  await assert.rejects(startServer(place.config), { code: 'key-file-exposed' });
  await chmod(tls.keyFile, 0o600);
  await rm(tls.certFile);
  await assert.rejects(startServer(place.config), { code: 'config-invalid', message: /^tls\.cert: there is no / });
});
