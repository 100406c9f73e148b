/** What was begun before a person's access ended isn't finished after it: whoever knows yesterday's password keeps no door open with it. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { parseTenantId } from '@watchglass/record';
import { decodeJwt } from 'jose';
import * as client from 'openid-client';
import { realClock } from '../world/real-world.ts';
import { password, redirectUri, startIssuer } from './issuer.fixture.ts';
import { authorize, configure, signInTo, Visitor } from './visitor.fixture.ts';

const fhirUrl = 'http://localhost:1/fhir';
const another = 'another horse battery';

async function start(context: TestContext) {
  const issuer = await startIssuer(
    [
      { id: 'app', name: 'the app', redirectUris: [redirectUri], refresh: true },
      { id: 'narrow', name: 'a narrow app', redirectUris: [redirectUri], scopes: ['user/*.rs'] },
      { id: 'tool', name: 'a tool', redirectUris: [redirectUri], scopes: ['watchglass', 'user/*.rs'] },
    ],
    { fhirUrl },
  );
  context.after(() => issuer[Symbol.asyncDispose]());
  return { ...issuer, app: await configure(issuer.url, 'app', client.None()) };
}

test('an account page that is open when its person gets another password takes no passkey and no app any more', async (context) => {
  const { url, access, nurse } = await start(context);
  const visitor = new Visitor(url);
  await visitor.go(`${url}/account`);
  assert.match((await visitor.go({ username: 'n.abara', password })).page, /Sign out everywhere/);
  await access.people.setPassword(nurse.id, another, 'server');
  const { page } = await visitor.go({ do: 'app-begin' });
  assert.doesNotMatch(page, /otpauth:/);
  assert.match((await visitor.go(`${url}/account`)).page, /name="password"/);
  await visitor.go({ username: 'n.abara', password: another });
  const mine = await visitor.go({ do: 'sign-out' });
  assert.match(mine.page, /signed out of every application/);
  assert.match((await visitor.go({ do: 'app-begin' })).page, /otpauth:/, 'one’s own sign-out leaves one here');
});

test('a choice of a patient that waits when everything ends leads nowhere', async (context) => {
  const { app, url, access, nurse } = await start(context);
  const visitor = new Visitor(url);
  const verifier = client.randomPKCECodeVerifier();
  const asked = client.buildAuthorizationUrl(app, {
    redirect_uri: redirectUri,
    scope: 'openid launch/patient patient/*.rs',
    aud: fhirUrl,
    code_challenge: await client.calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
  });
  await visitor.go(asked.href);
  assert.match((await visitor.go({ username: 'n.abara', password })).page, /patient-find/);
  await access.people.signOut(nurse.id, 'server');
  const { back, page } = await visitor.go({ step: 'patient-find', term: 'x' });
  assert.equal(back, undefined);
  assert.match(page, /name="password"/);
});

test('who signed in and has not come back for the code gets none once everything ended', async (context) => {
  const { url, app, access, nurse } = await start(context);
  const verifier = client.randomPKCECodeVerifier();
  const asked = client.buildAuthorizationUrl(app, {
    redirect_uri: redirectUri,
    scope: 'openid user/*.rs',
    aud: fhirUrl,
    code_challenge: await client.calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
  });
  const cookies: string[] = [];
  const step = async (to: string, body?: URLSearchParams): Promise<string> => {
    const response = await fetch(new URL(to, url), {
      redirect: 'manual',
      headers: { cookie: cookies.join('; '), origin: url },
      ...(body === undefined ? {} : { method: 'POST', body }),
    });
    cookies.push(...response.headers.getSetCookie().map((line) => line.split(';')[0] ?? ''));
    return response.headers.get('location') ?? '';
  };
  const page = await step(asked.href);
  const resume = await step(page, new URLSearchParams({ username: 'n.abara', password }));
  assert.match(resume, /\/auth\//);
  await access.people.setPassword(nurse.id, another, 'server');
  const back = new URL(await step(resume));
  assert.deepEqual([back.searchParams.get('error'), back.searchParams.get('code')], ['access_denied', null]);
  assert.ok((await signInTo(app, { scope: 'openid', password: another })).access_token);
});

test('a token that an application got for the FHIR API is none for the audit trail, whoever signed in', async (context) => {
  const { url, app, access } = await start(context);
  const more = { aud: fhirUrl };
  const clinical = await signInTo(app, { scope: 'openid user/*.rs', more });
  assert.equal(await access.tokens.verify(clinical.access_token), undefined);
  const narrow = await configure(url, 'narrow', client.None());
  const asked = await signInTo(narrow, { scope: 'openid watchglass user/*.rs', more });
  assert.equal(asked.scope, 'openid user/*.rs');
  assert.equal(await access.tokens.verify(asked.access_token), undefined);
  const tool = await configure(url, 'tool', client.None());
  const good = await signInTo(tool, { scope: 'openid watchglass user/*.rs', more });
  assert.deepEqual((await access.tokens.verify(good.access_token))?.roles, ['auditor', 'nurse']);
});

test('an access token given before its person was signed out everywhere is refused by the server, and one right after is not', async (context) => {
  const { app, access, nurse } = await start(context);
  const old = await signInTo(app, { scope: 'openid watchglass' });
  assert.ok(await access.tokens.verify(old.access_token));
  await access.people.signOut(nurse.id, 'server');
  assert.equal(await access.tokens.verify(old.access_token), undefined);
  const fresh = await signInTo(app, { scope: 'openid watchglass' });
  assert.ok(await access.tokens.verify(fresh.access_token));
  const { back } = await authorize(app, { scope: 'openid watchglass' });
  assert.ok(back?.searchParams.has('code'));
});

test('who was taken for another patient loses what opens that record, and what would renew it', async (context) => {
  const { app, access } = await start(context);
  const { id } = await access.people.add(
    {
      username: 'p.atient',
      name: 'P. Atient',
      tenant: parseTenantId('clinic'),
      roles: ['patient'],
      password,
      fhirUser: 'Patient/another',
    },
    'server',
  );
  const asked = { scope: 'openid launch/patient patient/*.rs', more: { aud: fhirUrl }, username: 'p.atient' };
  const wrong = await signInTo(app, asked);
  assert.equal(decodeJwt(wrong.access_token).patient, 'another');
  await access.people.setFhirUser(id, 'Patient/own', 'server');
  await assert.rejects(client.refreshTokenGrant(app, wrong.refresh_token ?? ''), { error: 'invalid_grant' });
  assert.ok(access.people.endedMs(id) > 0);
  assert.equal(decodeJwt((await signInTo(app, asked)).access_token).patient, 'own');
});

test('whoever begins sign-ins without end pushes nobody out of theirs', async (context) => {
  const { url, app } = await start(context);
  const visitor = new Visitor(url);
  const begin = client.buildAuthorizationUrl(app, {
    redirect_uri: redirectUri,
    scope: 'openid',
    code_challenge: await client.calculatePKCECodeChallenge(client.randomPKCECodeVerifier()),
    code_challenge_method: 'S256',
  });
  await visitor.go(begin.href);
  const statuses = new Map<number, number>();
  for (let n = 0; n < 300; n++) {
    const response = await fetch(begin, { redirect: 'manual' });
    await response.arrayBuffer();
    statuses.set(response.status, (statuses.get(response.status) ?? 0) + 1);
    if (response.status === 429) assert.ok(Number(response.headers.get('retry-after')) >= 1);
  }
  assert.ok((statuses.get(429) ?? 0) > 100, [...statuses].join(' '));
  assert.ok((await visitor.go({ username: 'n.abara', password })).back?.searchParams.has('code'));
});

test('a clock that is set back brings nothing back that ended, and lets nobody in who was signed out before it has caught up', async (context) => {
  let aheadMs = 3_600_000;
  const clock = { ...realClock, now: () => realClock.now() + aheadMs };
  const issuer = await startIssuer([{ id: 'app', name: 'the app', redirectUris: [redirectUri], refresh: true }], {
    clock,
  });
  context.after(() => issuer[Symbol.asyncDispose]());
  const app = await configure(issuer.url, 'app', client.None());
  const tokens = await signInTo(app, { scope: 'openid user/*.rs' });
  await issuer.access.people.signOut(issuer.nurse.id, 'server');
  aheadMs = 0;
  const renew = () => client.refreshTokenGrant(app, tokens.refresh_token ?? '');
  await assert.rejects(renew(), { error: 'invalid_grant' });
  const { back } = await authorize(app, { scope: 'openid user/*.rs' });
  assert.equal(back?.searchParams.get('error'), 'access_denied');
  await issuer.restart();
  await assert.rejects(renew(), { error: 'invalid_grant' });
  // As it has caught up.
  aheadMs = 3_601_000;
  assert.ok((await authorize(app, { scope: 'openid user/*.rs' })).back?.searchParams.get('code'));
});
