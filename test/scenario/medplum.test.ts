/**
 * MedplumClient signs in by its own code at the embedded issuer and works through the gateway of a whole demo: authorization code with PKCE, renewal, client credentials by secret
 * and by a signed assertion. What it can do at a Medplum server only is held here too, so that docs/identity.md stays true. In a browser: test/browser/medplum.test.ts.
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, mock, test } from 'node:test';
import { ClientStorage, MedplumClient, type MedplumClientOptions, MemoryStorage } from '@medplum/core';
import type { Event } from '@watchglass/record';
import { decodeJwt } from 'jose';
import { Visitor } from '../../packages/server/src/issuer/visitor.fixture.ts';
import { makeFolder, until } from './command.fixture.ts';
import { type SmartDemo, startSmartDemo, warehouseSecret } from './smart.fixture.ts';

const redirectUri = 'http://127.0.0.1:8/callback';
const scope = 'openid fhirUser user/*.cruds';
let folder: Awaited<ReturnType<typeof makeFolder>>;
let smart: SmartDemo;

before(async () => {
  folder = await makeFolder('medplum');
  smart = await startSmartDemo(join(folder.path, 'data'));
});
after(async () => {
  await smart?.[Symbol.asyncDispose]();
  await folder?.[Symbol.asyncDispose]();
});

/** As docs/identity.md says. */
function medplum(more: MedplumClientOptions = {}): MedplumClient {
  return new MedplumClient({
    baseUrl: `${smart.demo.file.urls.gateway}/`,
    fhirUrlPath: 'fhir',
    authorizeUrl: `${smart.smart.authorization_endpoint}?${new URLSearchParams({ aud: smart.fhirUrl })}`,
    tokenUrl: String(smart.smart.token_endpoint),
    logoutUrl: String(smart.smart.end_session_endpoint ?? `${smart.smart.issuer}/session/end`),
    cacheTime: 0,
    storage: new ClientStorage(new MemoryStorage()),
    fetch: smart.fetch,
    ...more,
  });
}

/** Its own sign-in, which wants a page around it: one that is at this address, and says where it is sent. */
async function inPage(address: string, run: () => Promise<unknown>): Promise<string | undefined> {
  const { search, protocol, host } = new URL(address);
  let sentTo: string | undefined;
  const assign = (url: string): void => {
    sentTo = url;
  };
  Object.assign(globalThis, { window: globalThis, location: { search, protocol, host, assign } });
  try {
    await run();
  } finally {
    Reflect.deleteProperty(globalThis, 'window');
    Reflect.deleteProperty(globalThis, 'location');
  }
  return sentTo;
}

/** From its redirect, through the real pages, to its exchange of the code. */
async function signIn(client: MedplumClient, role: string): Promise<void> {
  const url = await inPage(redirectUri, () => client.signInWithRedirect({ scope, redirectUri }));
  const { username, password } = smart.demo.person(role);
  const visitor = new Visitor(String(smart.smart.issuer));
  const { back: early } = await visitor.go(url ?? '');
  assert.equal(early, undefined);
  const { back, page } = await visitor.go({ username, password });
  assert.ok(back !== undefined, page);
  await inPage(back.href, () => client.processCode(back.searchParams.get('code') ?? '', { redirectUri }));
}

async function signedIn(role: string, more: MedplumClientOptions = {}): Promise<MedplumClient> {
  const client = medplum({ clientId: 'smart-app', ...more });
  await signIn(client, role);
  return client;
}

function recorded(operation: string, fits: (event: Event) => boolean): Promise<Event> {
  return until(async () => {
    const response = await smart.operate('/v1/events/search', { operation, limit: 50 });
    const { events = [] } = (await response.json()) as { events?: readonly Event[] };
    return events.find(fits);
  }, `an event ${operation}`);
}

const subjectOf = (client: MedplumClient): string => String(decodeJwt(client.getAccessToken() ?? '').sub);

test('it signs a physician in by code and PKCE, reads, searches, pages, writes, batches and exports', async () => {
  const client = await signedIn('physician');
  assert.equal(client.isAuthenticated(), true);
  const seen: string[] = [];
  let pages = 0;
  for await (const page of client.searchResourcePages('Patient', { _count: '50' })) {
    seen.push(...page.map(({ id }) => id ?? ''));
    if (++pages === 3) break;
  }
  assert.deepEqual([pages, new Set(seen).size], [3, 150]);
  const [id = '', other = ''] = seen;
  assert.equal((await client.readResource('Patient', id)).id, id);
  const found = await client.search('Observation', { patient: id, _count: '5' });
  assert.equal(found.resourceType, 'Bundle');
  const made = await client.createResource({
    resourceType: 'Observation',
    status: 'final',
    code: { text: 'weight' },
    subject: { reference: `Patient/${id}` },
  });
  assert.ok(made.id);
  const answer = await client.executeBatch({
    resourceType: 'Bundle',
    type: 'batch',
    entry: [id, other].map((one) => ({ request: { method: 'GET', url: `Patient/${one}` } })),
  });
  assert.deepEqual(
    answer.entry?.map(({ response }: { response?: { status?: string } }) => response?.status?.slice(0, 3)),
    ['200', '200'],
  );

  const manifest = await client.bulkExport('', 'Patient', undefined, {
    pollStatusOnAccepted: true,
    pollStatusPeriod: 10,
  });
  const file = manifest.output?.find((one: { type?: string }) => one.type === 'Patient');
  assert.ok(file?.url.startsWith(smart.fhirUrl), file?.url);
  assert.ok((await (await client.download(file.url)).text()).trim().split('\n').length >= 150);
  for (const operation of ['create', 'batch', 'export-file']) {
    const event = await recorded(operation, ({ actor }) => actor.id === subjectOf(client));
    assert.equal(event.actor.client, 'smart-app', operation);
  }
});

test('it renews a token that is about to expire by itself, and goes on', async () => {
  const client = await signedIn('physician');
  const first = client.getAccessToken();
  const refresh = client.getActiveLogin()?.refreshToken;
  await client.searchOne('Patient');
  assert.equal(client.getAccessToken(), first);
  mock.timers.enable({ apis: ['Date'], now: Date.now() + 56 * 60_000 });
  try {
    assert.ok(await client.searchOne('Patient'));
  } finally {
    mock.timers.reset();
  }
  assert.notEqual(client.getAccessToken(), first);
  assert.notEqual(client.getActiveLogin()?.refreshToken, refresh);
  assert.ok(await client.searchOne('Patient'));
});

test('it goes where its person may, and nowhere else', async () => {
  const client = await signedIn('billing');
  assert.ok(await client.searchOne('Patient'));
  await assert.rejects(client.searchOne('Condition'));
});

test('a service signs in with a secret, in the form or in the header, and gets what it is registered for without naming it', async () => {
  for (const authCredentialsMethod of ['body', 'header'] as const) {
    const client = medplum({ authCredentialsMethod, refreshGracePeriod: 30_000 });
    await client.startClientLogin('warehouse', warehouseSecret);
    const { scope: granted, roles, sub, exp = 0, iat = 0 } = decodeJwt(client.getAccessToken() ?? '');
    assert.deepEqual([granted, roles, sub, exp - iat], ['system/Patient.rs', ['backend'], 'warehouse', 300]);
    assert.ok(await client.searchOne('Patient'));
    await assert.rejects(client.searchOne('Condition'));
    const token = client.getAccessToken();
    // Minutes later it gets another one by itself.
    mock.timers.enable({ apis: ['Date'], now: Date.now() + 280_000 });
    try {
      assert.ok(await client.searchOne('Patient'));
    } finally {
      mock.timers.reset();
    }
    assert.notEqual(client.getAccessToken(), token);
  }
  await assert.rejects(medplum().startClientLogin('warehouse', `${warehouseSecret}?`));
});

test('a service signs in with an assertion of its key, once', async () => {
  const client = medplum({ clientId: 'reports', refreshGracePeriod: 30_000 });
  const assertion = await smart.assertionOf('reports');
  await client.startJwtAssertionLogin(assertion);
  assert.equal(decodeJwt(client.getAccessToken() ?? '').scope, 'system/*.rs');
  assert.ok(await client.searchOne('Encounter'));
  const manifest = await client.bulkExport('', 'Encounter', undefined, {
    pollStatusOnAccepted: true,
    pollStatusPeriod: 10,
  });
  assert.ok((await (await client.download(manifest.output?.[0]?.url ?? '')).text()).includes('"Encounter"'));
  const event = await recorded('$export', ({ actor }) => actor.id === 'reports');
  assert.equal(event.actor.type, 'service');
  await assert.rejects(medplum({ clientId: 'reports' }).startJwtAssertionLogin(assertion));
  // The other grant of RFC 7523, by which a client says for whom it works: the issuer has none.
  const bearer = await smart.assertionOf('reports');
  await assert.rejects(medplum().startJwtBearerLogin('reports', bearer, 'system/*.rs'), /Failed to fetch tokens/);
});

test('who is signed out everywhere is signed out of it, and it says so', async () => {
  let told = 0;
  const client = await signedIn('nurse', { onUnauthenticated: () => (told += 1) });
  assert.ok(await client.searchOne('Patient'));
  assert.equal((await smart.operate(`/v1/people/${subjectOf(client)}/sign-out`, {})).status, 204);
  await until(
    async () => ((await client.searchOne('Patient').catch(() => 'ended')) === 'ended' ? true : undefined),
    'the end',
  );
  assert.ok(told > 0);
  assert.equal(client.getAccessToken(), undefined);
});

test('what only a Medplum server has: a profile, and a signing out by access token; giving the refresh token back signs out', async () => {
  const client = await signedIn('physician');
  // Asked of `auth/me` where the token names a login of Medplum's (`login_id`); no standard has either.
  assert.equal(client.getProfile(), undefined);
  assert.equal(await client.getProfileAsync(), undefined);
  // `signOut` posts `{}` to `logoutUrl`, with a token only where that is below `baseUrl`: nothing says whose session it is. It ends nothing, and says so.
  await assert.rejects(client.signOut());
  assert.ok(await client.searchOne('Patient'));

  const token = client.getAccessToken() ?? '';
  const body = new URLSearchParams({
    client_id: 'smart-app',
    token: client.getActiveLogin()?.refreshToken ?? '',
    token_type_hint: 'refresh_token',
  });
  const given = await fetch(String(smart.smart.revocation_endpoint), { method: 'POST', body });
  assert.equal(given.status, 200);
  client.clear();
  assert.equal(client.isAuthenticated(), false);
  const late = medplum({ accessToken: token });
  await until(
    async () => ((await late.searchOne('Patient').catch(() => 'ended')) === 'ended' ? true : undefined),
    'the end',
  );
});
