/** Sessions end for everybody: signed logout tokens reach who is concerned, again and again until they are heard, and what can be renewed no longer can. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type TestContext, test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { createRemoteJWKSet, decodeJwt, jwtVerify } from 'jose';
import * as client from 'openid-client';
import { redirectUri, startIssuer } from './issuer.fixture.ts';
import { configure, signInTo, Visitor } from './visitor.fixture.ts';

interface Heard {
  readonly path: string;
  readonly token: string;
}

/** Answers with the statuses in order, then with 200. */
async function hear(context: TestContext, statuses: (number | Promise<number>)[] = []) {
  const heard: Heard[] = [];
  const server: Server = createServer((request, response) => {
    let text = '';
    request.on('data', (chunk: Buffer) => {
      text += chunk.toString();
    });
    request.on('end', async () => {
      heard.push({ path: request.url ?? '', token: new URLSearchParams(text).get('logout_token') ?? '' });
      response.writeHead((await statuses.shift()) ?? 200).end();
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  context.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return { heard, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` };
}

async function start(context: TestContext, statuses: (number | Promise<number>)[] = []) {
  const { heard, url: at } = await hear(context, statuses);
  const base = { redirectUris: [redirectUri], refresh: true, postLogoutRedirectUris: ['http://localhost:1/bye'] };
  const issuer = await startIssuer([
    { ...base, id: 'app', name: 'the app', logoutUri: `${at}/app` },
    { ...base, id: 'quiet', name: 'an app that does not hear' },
    { id: 'gateway', name: 'the gateway', redirectUris: [], logoutUri: `${at}/gateway`, logoutOfAll: true },
  ]);
  context.after(() => issuer[Symbol.asyncDispose]());
  const keys = createRemoteJWKSet(new URL(`${issuer.url}/jwks`));
  const verify = async ({ path, token }: Heard) => {
    const audience = path.slice(1);
    const { payload } = await jwtVerify(token, keys, { issuer: issuer.url, audience, typ: 'logout+jwt' });
    assert.deepEqual(payload.events, { 'http://schemas.openid.net/event/backchannel-logout': {} });
    assert.equal(payload.nonce, undefined);
    return { path, sub: payload.sub, sid: payload.sid };
  };
  const app = await configure(issuer.url, 'app', client.None());
  return { ...issuer, running: issuer, heard, verify, app };
}

const scope = 'openid user/*.rs';
const byPath = (a: { path: string }, b: { path: string }): number => a.path.localeCompare(b.path);

test('whoever signs out is asked first, and then the application and the gateway hear of that session', async (context) => {
  const { url, app, heard, verify, nurse, recorded, idle } = await start(context);
  const tokens = await signInTo(app, { scope });
  const { sid } = decodeJwt(tokens.access_token);
  const visitor = new Visitor(url);
  const asked = {
    id_token_hint: tokens.id_token ?? '',
    post_logout_redirect_uri: 'http://localhost:1/bye',
    state: 'x1',
  };
  const page = await visitor.go(client.buildEndSessionUrl(app, asked).href);
  assert.equal(page.status, 200);
  assert.match(page.page, /<h1>Sign out of the app\?<\/h1>/);
  assert.equal(heard.length, 0);
  const { back } = await visitor.go({ ...asked, confirm: 'yes' });
  assert.equal(back?.href, 'http://localhost:1/bye?state=x1');
  await idle();
  const told = await Promise.all(heard.map(verify));
  assert.deepEqual(told.sort(byPath), [
    { path: '/app', sub: nurse.id, sid },
    { path: '/gateway', sub: nurse.id, sid },
  ]);
  assert.deepEqual(
    recorded.slice(-3).map(({ operation, outcome }) => [operation, outcome.status]),
    [
      ['logout', 'success'],
      ['logout-told', 'success'],
      ['logout-told', 'success'],
    ],
  );
  await assert.rejects(client.refreshTokenGrant(app, tokens.refresh_token ?? ''), { error: 'invalid_grant' });
  // Once more: there is nothing left to ask about.
  assert.equal(
    (await visitor.go(client.buildEndSessionUrl(app, asked).href)).back?.href,
    'http://localhost:1/bye?state=x1',
  );
  await idle();
  assert.equal(heard.length, 2);
});

test('signing out goes nowhere that is not registered, believes no foreign token, and takes no form of another site', async (context) => {
  const { url, app, heard } = await start(context);
  const tokens = await signInTo(app, { scope });
  const hint = tokens.id_token ?? '';
  const quiet = await configure(url, 'quiet', client.None());
  const visit = (parameters: Record<string, string>) =>
    new Visitor(url).go(`${url}/session/end?${new URLSearchParams(parameters)}`);
  for (const parameters of [
    { id_token_hint: hint, post_logout_redirect_uri: 'https://evil.example/' },
    { post_logout_redirect_uri: 'http://localhost:1/bye' },
    { id_token_hint: `${hint.slice(0, -4)}AAAA` },
    { id_token_hint: hint, client_id: quiet.clientMetadata().client_id },
    { id_token_hint: tokens.access_token },
    { client_id: 'nobody' },
  ])
    assert.deepEqual([(await visit(parameters)).status, (await visit(parameters)).back], [400, undefined]);
  const nobody = await visit({});
  assert.deepEqual([nobody.status, /Nothing was ended/.test(nobody.page)], [200, true]);
  const response = await fetch(`${url}/session/end`, {
    method: 'POST',
    headers: { origin: 'https://evil.example' },
    body: new URLSearchParams({ id_token_hint: hint, confirm: 'yes' }),
  });
  assert.equal(response.status, 403);
  assert.equal(heard.length, 0);
  assert.ok((await client.refreshTokenGrant(app, tokens.refresh_token ?? '')).access_token);
});

test('an application that works offline keeps its refresh token when its person signs out, and loses it when they are disabled', async (context) => {
  const { url, app, access, nurse } = await start(context);
  const tokens = await signInTo(app, { scope: `${scope} offline_access` });
  assert.match(tokens.scope ?? '', /offline_access/);
  await new Visitor(url).go(client.buildEndSessionUrl(app, { id_token_hint: tokens.id_token ?? '' }).href);
  const body = new URLSearchParams({ id_token_hint: tokens.id_token ?? '', confirm: 'yes' });
  await fetch(`${url}/session/end`, { method: 'POST', headers: { origin: url }, body });
  const renewed = await client.refreshTokenGrant(app, tokens.refresh_token ?? '');
  assert.match(renewed.scope ?? '', /offline_access/);
  // The gateway heard that this session is over, and refuses whatever names it.
  assert.ok(decodeJwt(tokens.access_token).sid);
  assert.equal(decodeJwt(renewed.access_token).sid, undefined);
  await access.people.disable(nurse.id, 'server');
  await assert.rejects(client.refreshTokenGrant(app, renewed.refresh_token ?? ''), { error: 'invalid_grant' });
});

test('a disabled person is signed out everywhere, and who does not hear is told again, and that is on record', async (context) => {
  const { app, access, heard, verify, nurse, recorded, idle } = await start(context, [503, 503, 500]);
  const tokens = await signInTo(app, { scope });
  await access.people.disable(nurse.id, 'server');
  await idle();
  assert.equal(heard.length, 5);
  assert.equal(new Set(heard.map(({ token }) => decodeJwt(token).jti)).size, 5);
  for (const one of await Promise.all(heard.map(verify))) assert.deepEqual([one.sub, one.sid], [nurse.id, undefined]);
  const told = recorded.filter(({ operation }) => operation === 'logout-told');
  assert.deepEqual(told.map(({ outcome, targets }) => [outcome.status, targets?.[1]?.id]).sort(), [
    ['success', 'app'],
    ['success', 'gateway'],
  ]);
  await assert.rejects(client.refreshTokenGrant(app, tokens.refresh_token ?? ''), { error: 'invalid_grant' });
});

test('who refuses for good is not told again, and that too is on record', async (context) => {
  const { access, heard, nurse, recorded, idle } = await start(context, [400, 400]);
  await access.people.signOut(nurse.id, 'server');
  await idle();
  assert.equal(heard.length, 2);
  const told = recorded.filter(({ operation }) => operation === 'logout-told');
  assert.deepEqual(
    told.map(({ outcome }) => outcome),
    [
      { status: 'failed', reason: 'status-400' },
      { status: 'failed', reason: 'status-400' },
    ],
  );
});

test('a role that is taken away ends the tokens at the gateway, not the session', async (context) => {
  const { app, access, heard, verify, nurse, idle } = await start(context);
  const tokens = await signInTo(app, { scope });
  await access.people.revokeRole(nurse.id, 'auditor', 'server');
  await idle();
  assert.deepEqual(await Promise.all(heard.map(verify)), [{ path: '/gateway', sub: nurse.id, sid: undefined }]);
  assert.ok((await client.refreshTokenGrant(app, tokens.refresh_token ?? '')).access_token);
});

test('a refresh token that is used twice ends its access tokens too', async (context) => {
  const { app, heard, verify, nurse, idle } = await start(context);
  const tokens = await signInTo(app, { scope });
  await client.refreshTokenGrant(app, tokens.refresh_token ?? '');
  await assert.rejects(client.refreshTokenGrant(app, tokens.refresh_token ?? ''), { error: 'invalid_grant' });
  await idle();
  const { sid } = decodeJwt(tokens.access_token);
  assert.deepEqual((await Promise.all(heard.map(verify))).sort(byPath), [
    { path: '/app', sub: nurse.id, sid },
    { path: '/gateway', sub: nurse.id, sid },
  ]);
});

test('a logout that nobody heard is told after a restart, and not once more after the next one', async (context) => {
  const statuses = Array<number>(4).fill(503);
  const { running, heard, verify, nurse, recorded } = await start(context, statuses);
  await running.access.people.disable(nurse.id, 'server');
  assert.equal(running.access.logouts.list().length, 2);
  // Each was refused at least once by now.
  while (statuses.length > 2) await setImmediate();
  await running.restart();
  await running.idle();
  assert.equal(recorded.filter(({ operation }) => operation === 'logout-told').length, 2);
  const told = await Promise.all(heard.slice(-2).map(verify));
  assert.deepEqual(
    told.sort(byPath).map(({ path, sub }) => [path, sub]),
    [
      ['/app', nurse.id],
      ['/gateway', nurse.id],
    ],
  );
  assert.deepEqual(running.access.logouts.list(), []);
  const before = heard.length;
  await running.restart();
  await running.idle();
  assert.equal(heard.length, before);
});

test('what ends while its logout is under way is told once more', async (context) => {
  const answer = Promise.withResolvers<number>();
  const { access, heard, nurse, idle } = await start(context, [answer.promise]);
  await access.people.revokeRole(nurse.id, 'auditor', 'server');
  while (heard.length === 0) await setImmediate();
  await access.people.revokeRole(nurse.id, 'nurse', 'server');
  answer.resolve(200);
  await idle();
  assert.equal(heard.length, 2);
  assert.equal(access.logouts.list().length, 0);
});

test('who has to hear of a grant that ended hears of it after the next start, where the server was killed in between', async (context) => {
  const { running, app, heard, verify, nurse } = await start(context);
  const tokens = await signInTo(app, { scope });
  const [kept] = running.access.issued.all('SignIn');
  assert.ok(kept !== undefined);
  // As far as a reuse gets before the process is killed: the grant is gone, nobody was told.
  running.access.issued.dropGrant((kept.payload as { grantId: string }).grantId);
  await running.restart();
  await running.idle();
  const { sid } = decodeJwt(tokens.access_token);
  assert.deepEqual((await Promise.all(heard.map(verify))).sort(byPath), [
    { path: '/app', sub: nurse.id, sid },
    { path: '/gateway', sub: nurse.id, sid },
  ]);
  assert.deepEqual(running.access.issued.all('SignIn'), []);
  await running.restart();
  await running.idle();
  assert.equal(heard.length, 2);
});

test('an offline sign-in whose session ended goes on without it after a restart', async (context) => {
  const { running, url, app, heard, idle } = await start(context);
  const tokens = await signInTo(app, { scope: `${scope} offline_access` });
  const body = new URLSearchParams({ id_token_hint: tokens.id_token ?? '', confirm: 'yes' });
  await fetch(`${url}/session/end`, { method: 'POST', headers: { origin: url }, body });
  await idle();
  await running.restart();
  const renewed = await client.refreshTokenGrant(app, tokens.refresh_token ?? '');
  assert.equal(decodeJwt(renewed.access_token).sid, undefined);
  await fetch(`${url}/session/end`, { method: 'POST', headers: { origin: url }, body });
  assert.equal(heard.length, 2);
});

test('two renewals with one token at the same moment end it for both', async (context) => {
  const { app, heard, recorded, idle } = await start(context);
  const tokens = await signInTo(app, { scope });
  const renew = () => client.refreshTokenGrant(app, tokens.refresh_token ?? '');
  const done = await Promise.allSettled([renew(), renew()]);
  assert.equal(done.filter(({ status }) => status === 'fulfilled').length, 1);
  await idle();
  assert.equal(heard.length, 2);
  assert.ok(recorded.some(({ operation }) => operation === 'refresh-reuse'));
  const [renewed] = done.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
  await assert.rejects(client.refreshTokenGrant(app, renewed?.refresh_token ?? ''), { error: 'invalid_grant' });
});
