/**
 * Clients that others made, before a whole demo: openid-client finds the issuer by the gateway's SMART configuration, signs people in, and reads with tokens bound by DPoP;
 * MedplumClient searches, pages and exports; a backend service and an EHR work by themselves. Every sign-in goes through the real pages.
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { MedplumClient } from '@medplum/core';
import type { Event } from '@watchglass/record';
import { decodeJwt } from 'jose';
import * as client from 'openid-client';
import { totpCode, totpStep } from '../../packages/server/src/access/totp.ts';
import { authorize, type Form, signInTo, Visitor } from '../../packages/server/src/issuer/visitor.fixture.ts';
import { makeFolder, until } from './command.fixture.ts';
import { killed, mfaAcr, type SmartDemo, startSmartDemo } from './smart.fixture.ts';

const redirect = 'http://127.0.0.1:8/callback';
let folder: Awaited<ReturnType<typeof makeFolder>>;
let smart: SmartDemo;
let app: client.Configuration;

before(async () => {
  folder = await makeFolder('smart');
  smart = await startSmartDemo(join(folder.path, 'data'));
  app = await smart.configure('smart-app');
});
after(async () => {
  await smart?.[Symbol.asyncDispose]();
  await folder?.[Symbol.asyncDispose]();
});

interface Bundle {
  readonly entry?: readonly { readonly resource: { readonly id: string } }[];
}

const as = (role: string): { username: string; password: string } => smart.demo.person(role);
const aud = (): Form => ({ aud: smart.fhirUrl });

async function read(
  path: string,
  token: string,
): Promise<{ status: number; headers: Headers; json: Bundle & Record<string, unknown> }> {
  const response = await smart.fetch(`${smart.fhirUrl}${path}`, { headers: { authorization: `Bearer ${token}` } });
  return {
    status: response.status,
    headers: response.headers,
    json: (await response.json()) as Bundle & Record<string, unknown>,
  };
}

function medplum(accessToken: string): MedplumClient {
  return new MedplumClient({
    baseUrl: `${smart.demo.file.urls.gateway}/`,
    fhirUrlPath: 'fhir',
    cacheTime: 0,
    accessToken,
    fetch: smart.fetch,
  });
}

/** An event of the log, once one fits. */
function recorded(operation: string, fits: (event: Event) => boolean): Promise<Event> {
  return until(async () => {
    const response = await smart.operate('/v1/events/search', { operation, limit: 50 });
    const { events = [] } = (await response.json()) as { events?: readonly Event[] };
    return events.find(fits);
  }, `an event ${operation}`);
}

test('the gateway says where to sign in, and what it says is what the issuer says', () => {
  const metadata = app.serverMetadata();
  assert.equal(smart.smart.issuer, metadata.issuer);
  assert.equal(smart.smart.authorization_endpoint, metadata.authorization_endpoint);
  assert.equal(smart.smart.token_endpoint, metadata.token_endpoint);
  assert.deepEqual(smart.smart.code_challenge_methods_supported, ['S256']);
  for (const capability of [
    'launch-ehr',
    'launch-standalone',
    'client-public',
    'permission-v2',
    'context-standalone-patient',
  ])
    assert.ok((smart.smart.capabilities as string[]).includes(capability), capability);
});

test('openid-client signs a physician in, reads with DPoP-bound tokens, and renews them', async () => {
  const DPoP = client.getDPoPHandle(app, await client.randomDPoPKeyPair());
  const { back, verifier } = await authorize(app, {
    scope: 'openid fhirUser user/*.rs',
    redirect,
    more: aud(),
    ...as('physician'),
  });
  assert.ok(back !== undefined);
  const tokens = await client.authorizationCodeGrant(
    app,
    back,
    { pkceCodeVerifier: verifier, idTokenExpected: true },
    {},
    { DPoP },
  );
  assert.equal(tokens.token_type, 'dpop');
  assert.match(String(tokens.claims()?.fhirUser), new RegExp(`^${smart.fhirUrl}/Practitioner/`));
  const get = (token: string, handle: client.DPoPHandle | undefined) =>
    client.fetchProtectedResource(
      app,
      token,
      new URL(`${smart.fhirUrl}/Patient?_count=2`),
      'GET',
      null,
      undefined,
      handle && { DPoP: handle },
    );
  assert.equal((await get(tokens.access_token, DPoP)).status, 200);
  // In other hands it opens nothing.
  assert.equal((await read('/Patient?_count=2', tokens.access_token)).status, 401);
  const thief = client.getDPoPHandle(app, await client.randomDPoPKeyPair());
  await assert.rejects(get(tokens.access_token, thief));

  const renewed = await client.refreshTokenGrant(app, tokens.refresh_token ?? '', {}, { DPoP });
  assert.notEqual(renewed.access_token, tokens.access_token);
  assert.equal((await get(renewed.access_token, DPoP)).status, 200);
});

test('a refresh token that is used twice ends the tokens it gave, at the gateway too', async (t) => {
  const tokens = await signInTo(app, { scope: 'openid user/*.rs', redirect, more: aud(), ...as('physician') });
  assert.equal((await read('/Patient?_count=1', tokens.access_token)).status, 200);
  const renewed = await client.refreshTokenGrant(app, tokens.refresh_token ?? '');
  await assert.rejects(client.refreshTokenGrant(app, tokens.refresh_token ?? ''), { error: 'invalid_grant' });
  const refused = async (): Promise<true | undefined> =>
    (await read('/Patient?_count=1', renewed.access_token)).status === 401 ? true : undefined;
  const begunMs = performance.now();
  await until(refused, 'the refusal');
  t.diagnostic(`refused after ${Math.round(performance.now() - begunMs)} ms`);
});

test('a step-up is answered by signing in again, as the challenge says', async () => {
  const nurse = as('nurse');
  const scope = 'openid user/*.rs';
  const weak = await signInTo(app, { scope, redirect, more: aud(), ...nurse });
  const refused = await read('/Condition?_count=1', weak.access_token);
  assert.equal(refused.status, 401);
  const challenge = refused.headers.get('www-authenticate') ?? '';
  const [, acr_values = '', max_age = ''] = /acr_values="([^"]+)", max_age="(\d+)"/.exec(challenge) ?? [];
  assert.match(acr_values, new RegExp(mfaAcr));

  const visitor = new Visitor(String(smart.smart.issuer));
  await visitor.go(`${smart.smart.issuer}/account`);
  await visitor.go(nurse);
  const { page } = await visitor.go({ do: 'app-begin' });
  const secret = base32Bytes(/id="key">([^<]+)</.exec(page)?.[1]?.replaceAll(' ', '') ?? '');
  const set = await visitor.go({ do: 'app-confirm', code: totpCode(secret, totpStep(Date.now())) });
  assert.match(set.page, /The app is set up/);
  // A step ahead: the one of now has been used, and the one before it is over whenever the next begins.
  const code = { step: 'code', code: totpCode(secret, totpStep(Date.now()) + 1) };
  const strong = await signInTo(app, {
    scope,
    redirect,
    more: { ...aud(), acr_values, max_age },
    steps: [code],
    ...nurse,
  });
  assert.equal(decodeJwt(strong.access_token).acr, mfaAcr);
  assert.equal((await read('/Condition?_count=1', strong.access_token)).status, 200);
});

test('MedplumClient reads, searches, pages and exports with a token of that sign-in', async () => {
  const tokens = await signInTo(app, { scope: 'openid fhirUser user/*.rs', redirect, more: aud(), ...as('physician') });
  const fhir = medplum(tokens.access_token);
  const seen: string[] = [];
  let pages = 0;
  for await (const page of fhir.searchResourcePages('Patient', { _count: '50' })) {
    seen.push(...page.map(({ id }) => id ?? ''));
    if (++pages === 3) break;
  }
  assert.deepEqual([pages, new Set(seen).size], [3, 150]);
  const patient = await fhir.readResource('Patient', seen[0] ?? '');
  assert.equal(patient.id, seen[0]);
  const found = await fhir.search('Observation', { patient: seen[0] ?? '', _count: '5' });
  assert.equal(found.resourceType, 'Bundle');

  const manifest = await fhir.bulkExport('', 'Patient', undefined, {
    pollStatusOnAccepted: true,
    pollStatusPeriod: 10,
  });
  const file = manifest.output?.find((one: { type?: string }) => one.type === 'Patient');
  assert.ok(file?.url.startsWith(smart.fhirUrl), file?.url);
  const lines = (await (await fhir.download(file.url)).text()).trim().split('\n');
  assert.ok(lines.length >= 150);
  const event = await recorded('export-file', ({ outcome }) => outcome.status === 'success');
  assert.equal(event.actor.id, decodeJwt(tokens.access_token).sub);
});

test('somebody who has to choose a patient looks them up by the gateway, and the token opens that record only', async () => {
  const asked = { scope: 'openid launch/patient patient/*.rs', redirect, more: aud(), ...as('physician') };
  const physician = await signInTo(app, { scope: 'openid user/*.rs', redirect, more: aud(), ...as('physician') });
  const { json } = await read('/Patient?_count=2', physician.access_token);
  const [chosen = '', other = ''] = json.entry?.map(({ resource }) => resource.id) ?? [];
  const find = { step: 'patient-find', term: chosen };
  const tokens = await signInTo(app, { ...asked, steps: [find, { step: 'patient-pick', patient: chosen }] });
  assert.deepEqual([tokens.patient, tokens.need_patient_banner], [chosen, true]);
  assert.equal((await read(`/Patient/${chosen}`, tokens.access_token)).status, 200);
  assert.equal((await read(`/Observation?patient=${chosen}&_count=1`, tokens.access_token)).status, 200);
  for (const path of [`/Patient/${other}`, `/Observation?patient=${other}`, '/Patient?_count=1'])
    assert.equal((await read(path, tokens.access_token)).status, 403, path);
  const looked = await recorded('search-type', ({ actor }) => actor.client === 'watchglass-issuer');
  assert.equal(looked.actor.id, decodeJwt(tokens.access_token).sub);
  assert.equal(looked.exposure?.patients?.length, 1);

  const made = await authorize(app, { ...asked, steps: [{ step: 'patient-pick', patient: 'no-such-patient' }] });
  assert.deepEqual([made.back, made.status], [undefined, 422]);
  const none = await authorize(app, { ...asked, steps: [find, { step: 'patient-none' }] });
  assert.equal(none.back?.searchParams.get('error'), 'access_denied');
  const billing = await authorize(app, { ...asked, steps: [find], ...as('privacy-officer') });
  assert.match(billing.page, /You may not look patients up/);
});

test('a patient sees their own record and nobody else’s', async () => {
  const tokens = await signInTo(app, {
    scope: 'openid fhirUser launch/patient patient/*.rs',
    redirect,
    more: aud(),
    ...as('patient'),
  });
  const own = String(tokens.patient);
  assert.equal(tokens.claims()?.fhirUser, `${smart.fhirUrl}/Patient/${own}`);
  assert.equal((await read(`/Patient/${own}`, tokens.access_token)).status, 200);
  assert.equal((await read(`/Condition?patient=${own}`, tokens.access_token)).status, 200);
  for (const path of ['/Patient?_count=1', '/Patient/wg-pt-000002', '/Condition?patient=wg-pt-000002'])
    assert.equal((await read(path, tokens.access_token)).status, 403, path);
});

test('an EHR launches an application for its nurse and a patient', async () => {
  const ehr = await client.clientCredentialsGrant(await smart.configureService('ehr'), {
    scope: 'watchglass/launches',
  });
  const { username } = as('physician');
  const response = await fetch(`${smart.smart.issuer}/launches`, {
    method: 'POST',
    headers: { authorization: `Bearer ${ehr.access_token}`, 'content-type': 'application/json' },
    body: JSON.stringify({
      client: 'growth-chart',
      person: username,
      patient: 'wg-pt-000001',
      needPatientBanner: false,
    }),
  });
  assert.equal(response.status, 201);
  const { launch } = (await response.json()) as { launch: string };
  const chart = await smart.configure('growth-chart');
  const asked = { scope: 'openid launch patient/*.read', redirect, more: { ...aud(), launch }, ...as('physician') };
  const tokens = await signInTo(chart, asked);
  assert.deepEqual([tokens.patient, tokens.need_patient_banner], ['wg-pt-000001', false]);
  assert.equal((await read('/Patient/wg-pt-000001', tokens.access_token)).status, 200);
  assert.equal((await read('/Patient/wg-pt-000002', tokens.access_token)).status, 403);
  const again = await authorize(chart, asked);
  assert.equal(again.back?.searchParams.get('error'), 'invalid_request');
});

test('a backend service exports by a token of its own, and stands in the record as one', async () => {
  const reports = await smart.configureService('reports');
  const tokens = await client.clientCredentialsGrant(reports, { scope: 'system/*.rs' });
  const fhir = medplum(tokens.access_token);
  const manifest = await fhir.bulkExport('', 'Encounter', undefined, {
    pollStatusOnAccepted: true,
    pollStatusPeriod: 10,
  });
  const url = manifest.output?.[0]?.url ?? '';
  assert.ok((await (await fhir.download(url)).text()).includes('"Encounter"'));
  const event = await recorded('$export', ({ actor }) => actor.id === 'reports');
  assert.deepEqual([event.actor.type, event.actor.roles], ['service', ['backend']]);
  assert.equal((await read('/Patient/wg-pt-000001', tokens.access_token)).status, 200);
});

test('whoever is disabled is soon refused at the gateway, and can renew nothing', async (t) => {
  const billing = as('billing');
  const tokens = await signInTo(app, { scope: 'openid user/Patient.rs', redirect, more: aud(), ...billing });
  const { sub = '' } = decodeJwt(tokens.access_token);
  assert.equal((await read('/Patient?_count=1', tokens.access_token)).status, 200);
  assert.equal((await smart.operate(`/v1/people/${sub}/disable`, {})).status, 204);
  const begunMs = performance.now();
  const refused = await until(async () => {
    const { status, json } = await read('/Patient?_count=1', tokens.access_token);
    return status === 401 ? json : undefined;
  }, 'the refusal');
  t.diagnostic(`refused after ${Math.round(performance.now() - begunMs)} ms`);
  assert.equal(refused.code, 'token-invalid');
  await assert.rejects(client.refreshTokenGrant(app, tokens.refresh_token ?? ''), { error: 'invalid_grant' });
  const told = await recorded('logout-told', ({ targets = [] }) => targets.some(({ id }) => id === sub));
  assert.equal(told.outcome.status, 'success');
});

test('who was disabled while the gateway heard nothing is refused there once both are back, though the server was killed meanwhile', async () => {
  const tokens = await signInTo(app, { scope: 'openid user/Patient.rs', redirect, more: aud(), ...as('physician') });
  const { sub = '' } = decodeJwt(tokens.access_token);
  assert.equal((await read('/Patient?_count=1', tokens.access_token)).status, 200);
  const { gateway } = (await smart.demo.readFile()).pids;
  assert.ok(gateway !== undefined);
  process.kill(gateway, 'SIGSTOP');
  try {
    assert.equal((await smart.operate(`/v1/people/${sub}/disable`, {})).status, 204);
    await killed(smart.demo, 'server');
  } finally {
    process.kill(gateway, 'SIGCONT');
  }
  const refused = await until(async () => {
    const { status, json } = await read('/Patient?_count=1', tokens.access_token);
    return status === 401 ? json : undefined;
  }, 'the refusal');
  assert.equal(refused.code, 'token-invalid');
  const told = await recorded('logout-told', ({ targets = [] }) => targets.some(({ id }) => id === sub));
  assert.equal(told.outcome.status, 'success');
});

/** RFC 4648 §6. */
function base32Bytes(text: string): Uint8Array {
  const bits = [...text]
    .map((letter) => 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'.indexOf(letter).toString(2).padStart(5, '0'))
    .join('');
  return Uint8Array.from(bits.match(/.{8}/g) ?? [], (octet) => Number.parseInt(octet, 2));
}
