/** SMART launches at the issuer, by openid-client as the application: what is given, and everything that is refused. Patients are looked up in test/scenario/smart.test.ts. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { decodeJwt, exportJWK, generateKeyPair, SignJWT } from 'jose';
import * as client from 'openid-client';
import { type RunningIssuer, redirectUri, startIssuer } from './issuer.fixture.ts';
import { authorize, configure, signInTo, Visitor } from './visitor.fixture.ts';

const keys = await generateKeyPair('ES384', { extractable: true });
const jwk = { ...(await exportJWK(keys.publicKey)), kid: 'k1', alg: 'ES384', use: 'sig' };
const aud = 'https://gateway.example/fhir';
const password = 'correct horse battery';

async function start(context: TestContext): Promise<RunningIssuer & { readonly app: client.Configuration }> {
  const issuer = await startIssuer(
    [
      { id: 'app', name: 'the app', redirectUris: [redirectUri], refresh: true },
      { id: 'other', name: 'another app', redirectUris: [redirectUri] },
      { id: 'limited', name: 'an app that reads', redirectUris: [redirectUri], scopes: ['user/Observation.rs'] },
      { id: 'ehr', name: 'the EHR', redirectUris: [], jwks: { keys: [jwk] }, ehr: true },
      {
        id: 'backend',
        name: 'reports',
        redirectUris: [],
        jwks: { keys: [jwk] },
        scopes: ['system/*.rs', 'system/Group.r'],
        roles: ['backend'],
      },
    ],
    { fhirUrl: aud },
  );
  context.after(() => issuer[Symbol.asyncDispose]());
  const people = [
    { username: 'p.patient', name: 'P. Patient', roles: ['patient'], fhirUser: 'Patient/p-17' },
    { username: 'unbound', name: 'U. Unbound', roles: ['patient'] },
    { username: 'd.doctor', name: 'D. Doctor', roles: ['physician'], fhirUser: 'Practitioner/d-1' },
  ];
  for (const person of people)
    await issuer.access.people.add({ ...person, tenant: issuer.nurse.tenant, password }, 'server');
  return { ...issuer, app: await configure(issuer.url, 'app', client.None()) };
}

const own = (url: string, id: string): Promise<client.Configuration> =>
  configure(url, id, client.PrivateKeyJwt({ key: keys.privateKey, kid: 'k1' }));

async function prepare(url: string, order: object): Promise<Response> {
  const { access_token: token } = await client.clientCredentialsGrant(await own(url, 'ehr'), {
    scope: 'watchglass/launches',
  });
  return fetch(`${url}/launches`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${token}` },
    body: JSON.stringify(order),
  });
}

async function launchOf(url: string, order: object): Promise<string> {
  const response = await prepare(url, order);
  assert.equal(response.status, 201);
  return ((await response.json()) as { launch: string }).launch;
}

test('a patient gets their own record without being asked, and the token, its answer and the record say whose', async (context) => {
  const { app, recorded } = await start(context);
  const scope = 'openid fhirUser launch/patient patient/*.read user/*.rs offline_access';
  const tokens = await signInTo(app, { scope, more: { aud }, username: 'p.patient' });
  const claims = decodeJwt(tokens.access_token);
  assert.deepEqual([claims.patient, claims.scope, claims.roles], ['p-17', 'patient/*.read', ['patient']]);
  assert.deepEqual(
    [tokens.patient, tokens.need_patient_banner, tokens.scope],
    ['p-17', true, 'openid fhirUser launch/patient patient/*.read offline_access'],
  );
  assert.equal(tokens.claims()?.fhirUser, `${aud}/Patient/p-17`);
  assert.equal(tokens.claims()?.sid, claims.sid);
  const event = recorded.findLast(({ operation }) => operation === 'launch-context');
  assert.deepEqual(event?.targets, [{ type: 'Patient', id: 'p-17', patient: 'p-17', role: 'object' }]);

  const renewed = await client.refreshTokenGrant(app, tokens.refresh_token ?? '');
  assert.deepEqual([renewed.patient, decodeJwt(renewed.access_token).patient], ['p-17', 'p-17']);
  assert.equal(decodeJwt(renewed.access_token).sid, claims.sid);
});

test('a patient whose record is not known gets no patient and none of its scopes', async (context) => {
  const { app } = await start(context);
  const tokens = await signInTo(app, {
    scope: 'openid launch/patient patient/*.rs',
    more: { aud },
    username: 'unbound',
  });
  assert.deepEqual([tokens.patient, tokens.scope, decodeJwt(tokens.access_token).scope], [undefined, 'openid', '']);
});

test('the FHIR base has to be named, and no other one is taken', async (context) => {
  const { app, recorded } = await start(context);
  for (const [more, reason] of [
    [{}, 'aud-missing'],
    [{ aud: 'https://evil.example/fhir' }, 'aud-wrong'],
    [{ aud: `${aud}/Patient` }, 'aud-wrong'],
  ] as const) {
    const { back } = await authorize(app, { scope: 'openid user/*.rs', more });
    assert.equal(back?.searchParams.get('error'), 'invalid_request');
    assert.deepEqual([recorded.at(-1)?.operation, recorded.at(-1)?.outcome.reason], ['authorization', reason]);
  }
  const { back } = await authorize(app, { scope: 'openid user/*.rs', more: { aud: `${aud}/` } });
  assert.ok(back?.searchParams.has('code'));
});

test('an EHR launches an application with patient and encounter, once, and refreshing keeps them', async (context) => {
  const { url, app, nurse, recorded } = await start(context);
  const order = {
    client: 'app',
    person: 'n.abara',
    patient: 'p-3',
    encounter: 'e-9',
    intent: 'order-review',
    needPatientBanner: false,
  };
  const launch = await launchOf(url, order);
  const made = recorded.at(-1);
  assert.deepEqual(
    [made?.operation, made?.actor.id, made?.actor.type, made?.targets?.map(({ id }) => id)],
    ['launch-made', 'ehr', 'service', [nurse.id, 'app', 'p-3']],
  );
  const asked = { scope: 'openid launch patient/Observation.cruds', more: { aud, launch } };
  const tokens = await signInTo(app, asked);
  const { patient, encounter, intent, need_patient_banner: banner, scope } = tokens;
  assert.deepEqual([patient, encounter, intent, banner], ['p-3', 'e-9', 'order-review', false]);
  assert.equal(scope, 'openid launch patient/Observation.cruds');
  assert.equal(decodeJwt(tokens.access_token).patient, 'p-3');
  const renewed = await client.refreshTokenGrant(app, tokens.refresh_token ?? '');
  assert.deepEqual([renewed.patient, renewed.encounter], ['p-3', 'e-9']);

  const { back } = await authorize(app, asked);
  assert.equal(back?.searchParams.get('error'), 'invalid_request');
  assert.equal(recorded.at(-1)?.outcome.reason, 'launch-used');
  assert.ok(!JSON.stringify(recorded).includes(launch));
});

test('a launch is good for its application and its person only, and two browsers do not share one', async (context) => {
  const { url, app, recorded } = await start(context);
  const reason = () => recorded.at(-1)?.outcome.reason;
  const launch = await launchOf(url, { client: 'app', person: 'n.abara', patient: 'p-3' });
  const asked = { scope: 'openid launch', more: { aud, launch } };
  const other = await authorize(await configure(url, 'other', client.None()), asked);
  assert.deepEqual([other.back?.searchParams.get('error'), reason()], ['invalid_request', 'launch-of-another-client']);

  const stranger = await authorize(app, { ...asked, username: 'd.doctor' });
  assert.deepEqual([stranger.back?.searchParams.get('error'), reason()], ['access_denied', 'launch-of-another-person']);
  const late = await authorize(app, asked);
  assert.deepEqual([late.back?.searchParams.get('error'), reason()], ['invalid_request', 'launch-used']);

  const guessed = await authorize(app, { scope: 'openid launch', more: { aud, launch: 'A'.repeat(43) } });
  assert.deepEqual([guessed.back?.searchParams.get('error'), reason()], ['invalid_request', 'launch-unknown']);
  const missing = await authorize(app, { scope: 'openid launch', more: { aud } });
  assert.deepEqual([missing.back?.searchParams.get('error'), reason()], ['invalid_request', 'launch-missing']);

  const foreign = await launchOf(url, { client: 'app', person: 'p.patient', patient: 'p-3' });
  const patient = await authorize(app, {
    scope: 'openid launch',
    more: { aud, launch: foreign },
    username: 'p.patient',
  });
  assert.deepEqual([patient.back?.searchParams.get('error'), reason()], ['invalid_request', 'launch-other-patient']);
});

test('who is no EHR prepares nothing, and an order that makes no sense is refused', async (context) => {
  const { url, app, recorded } = await start(context);
  const { access_token: token } = await signInTo(app, { scope: 'openid user/*.rs', more: { aud } });
  const backend = await client.clientCredentialsGrant(await own(url, 'backend'), {
    scope: 'system/*.rs watchglass/launches',
  });
  assert.equal(backend.scope, 'system/*.rs');
  for (const bearer of ['', 'x.y.z', token, backend.access_token]) {
    const response = await fetch(`${url}/launches`, { method: 'POST', headers: { authorization: `Bearer ${bearer}` } });
    assert.equal(response.status, 401);
    assert.equal(recorded.at(-1)?.outcome.reason, 'launch-token');
  }
  for (const [order, status] of [
    [{}, 400],
    [{ client: 'app', person: 'n.abara', patient: '../p' }, 400],
    [{ client: 'app', person: 'n.abara', unknown: 1 }, 400],
    [{ client: 'backend', person: 'n.abara' }, 422],
    [{ client: 'app', person: 'nobody' }, 422],
  ] as const)
    assert.equal((await prepare(url, order)).status, status);
  assert.equal((await fetch(`${url}/launches`)).status, 405);
});

test('a scope beyond the role is cut down or left out, whichever version it is written in, and so is one beyond the application', async (context) => {
  const { url, app } = await start(context);
  const scope = 'openid user/*.write user/Observation.* user/Patient.cruds system/*.rs';
  const tokens = await signInTo(app, { scope, more: { aud } });
  assert.equal(tokens.scope, 'openid user/Observation.cud user/Observation.* user/Patient.rs');
  assert.equal(decodeJwt(tokens.access_token).scope, 'user/Observation.cud user/Observation.* user/Patient.rs');
  const limited = await signInTo(await configure(url, 'limited', client.None()), {
    scope: 'openid user/*.rs',
    more: { aud },
  });
  assert.equal(limited.scope, 'openid user/Observation.rs');
});

test('a backend service gets what it is registered for, by a signed assertion that works once', async (context) => {
  const { url, recorded } = await start(context);
  const config = await own(url, 'backend');
  const tokens = await client.clientCredentialsGrant(config, { scope: 'system/Patient.rs system/*.cruds' });
  assert.equal(tokens.scope, 'system/Patient.rs system/*.rs system/Group.r');
  assert.equal(tokens.refresh_token, undefined);
  assert.ok((tokens.expires_in ?? 999) <= 300);
  assert.deepEqual([recorded.at(-1)?.operation, recorded.at(-1)?.actor.id], ['service-token', 'backend']);
  const { sub, client_id: id, roles, acr } = decodeJwt(tokens.access_token);
  assert.deepEqual([sub, id, roles, acr], ['backend', 'backend', ['backend'], undefined]);

  const endpoint = config.serverMetadata().token_endpoint ?? '';
  const assertion = await new SignJWT()
    .setProtectedHeader({ alg: 'ES384', kid: 'k1' })
    .setIssuer('backend')
    .setSubject('backend')
    .setAudience(endpoint)
    .setJti('once')
    .setExpirationTime('2m')
    .sign(keys.privateKey);
  const ask = () =>
    fetch(endpoint, {
      method: 'POST',
      body: new URLSearchParams({
        grant_type: 'client_credentials',
        scope: 'system/Patient.rs',
        client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
        client_assertion: assertion,
      }),
    });
  assert.equal((await ask()).status, 200);
  const again = await ask();
  assert.deepEqual([again.status, ((await again.json()) as { error: string }).error], [401, 'invalid_client']);
  assert.equal(recorded.at(-1)?.outcome.reason, 'invalid-client');
  const app = await configure(url, 'app', client.None());
  await assert.rejects(client.clientCredentialsGrant(app, { scope: 'system/*.rs' }), { error: 'invalid_request' });
});

test('a service that names no scope gets what it is registered for, and never what is for launches', async (context) => {
  const { url } = await start(context);
  const backend = await client.clientCredentialsGrant(await own(url, 'backend'));
  assert.equal(backend.scope, 'system/*.rs system/Group.r');
  assert.equal(decodeJwt(backend.access_token).scope, backend.scope);
  const ehr = await client.clientCredentialsGrant(await own(url, 'ehr'));
  assert.equal(decodeJwt(ehr.access_token).scope, '');
});

test('a code works once, at its own redirect URI and with its own verifier; PKCE is S256 or nothing', async (context) => {
  const { app, recorded } = await start(context);
  const { back, verifier } = await authorize(app, { scope: 'openid user/*.rs', more: { aud } });
  assert.ok(back !== undefined);
  const grant = (url: URL, pkceCodeVerifier: string) =>
    client.authorizationCodeGrant(app, url, { pkceCodeVerifier, idTokenExpected: true });
  await assert.rejects(grant(back, client.randomPKCECodeVerifier()), { error: 'invalid_grant' });
  const elsewhere = new URL(back);
  elsewhere.pathname = '/elsewhere';
  await assert.rejects(grant(elsewhere, verifier), { error: 'invalid_grant' });
  const tokens = await grant(back, verifier);
  await assert.rejects(grant(back, verifier), { error: 'invalid_grant' });
  assert.deepEqual([recorded.at(-1)?.operation, recorded.at(-1)?.outcome.reason], ['code-exchange', 'code-replayed']);
  // Used twice, it was in two hands: what came of it is over.
  await assert.rejects(client.refreshTokenGrant(app, tokens.refresh_token ?? ''), { error: 'invalid_grant' });

  for (const more of [{ code_challenge: '', code_challenge_method: '' }, { code_challenge_method: 'plain' }]) {
    const refused = await authorize(app, { scope: 'openid user/*.rs', more: { aud, ...more } });
    assert.equal(refused.back?.searchParams.get('error'), 'invalid_request');
  }
  const stray = await authorize(app, { scope: 'openid', redirect: 'http://localhost:1/other' });
  assert.deepEqual([stray.back, stray.status], [undefined, 400]);
  assert.ok(recorded.every((event) => !JSON.stringify(event).includes(verifier)));
});

test('the metadata says what is so, and an application in a browser may use the token endpoint from its own origin only', async (context) => {
  const { url, app } = await start(context);
  const metadata = app.serverMetadata() as Record<string, unknown>;
  assert.deepEqual(metadata.code_challenge_methods_supported, ['S256']);
  assert.deepEqual(metadata.grant_types_supported, ['authorization_code', 'refresh_token', 'client_credentials']);
  assert.ok((metadata.scopes_supported as string[]).includes('launch/patient'));
  assert.ok((metadata.capabilities as string[]).includes('permission-v2'));
  assert.equal(metadata.backchannel_logout_supported, true);
  const from = async (origin: string) => {
    const body = new URLSearchParams({ grant_type: 'authorization_code', client_id: 'app', code: 'x' });
    const response = await fetch(`${url}/token`, { method: 'POST', headers: { origin }, body });
    const { headers } = response;
    const allowed = headers.get('access-control-allow-origin');
    // Some clients always ask with credentials; who may not read at all isn't told that they may.
    assert.equal(headers.get('access-control-allow-credentials'), allowed === null ? null : 'true');
    return allowed;
  };
  assert.equal(await from(new URL(redirectUri).origin), new URL(redirectUri).origin);
  assert.equal(await from('https://evil.example'), null);
});

test('an authorization may be posted, and online access is granted to who may renew', async (context) => {
  const { url, app } = await start(context);
  const verifier = client.randomPKCECodeVerifier();
  const form = {
    response_type: 'code',
    client_id: 'app',
    redirect_uri: redirectUri,
    scope: 'openid user/*.rs online_access offline_access',
    aud,
    code_challenge: await client.calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
  };
  const visitor = new Visitor(url);
  await visitor.go(`${url}/account`);
  const page = await visitor.go(form, `${url}/auth`);
  assert.equal(page.status, 200);
  const { back } = await visitor.go({ username: 'n.abara', password });
  assert.ok(back !== undefined);
  const tokens = await client.authorizationCodeGrant(app, back, { pkceCodeVerifier: verifier, idTokenExpected: true });
  assert.equal(tokens.scope, 'openid online_access user/*.rs offline_access');
  const other = await signInTo(await configure(url, 'other', client.None()), {
    scope: 'openid user/*.rs online_access offline_access',
    more: { aud },
  });
  assert.deepEqual([other.scope, other.refresh_token], ['openid user/*.rs', undefined]);
});
