/** The end of sessions as the issuer tells it: what of a logout token is held against it, and what it ends (OIDC Back-Channel Logout 1.0 §2.4 to §2.8). */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { setTimeout } from 'node:timers/promises';

import type { Event } from '@watchglass/record';

import { FaultyDisk, type Fetched, type Road, type RoadOptions, startRoad, systemError } from '../gateway.fixture.ts';

const event = 'http://schemas.openid.net/event/backchannel-logout';
const logoutPath = '/backchannel-logout';
let road: Road;
let tokens = 0;

function startLogoutRoad(options: RoadOptions = {}): Promise<Road> {
  return startRoad({
    config: { identity: { logoutPath } },
    adjust: (config) => ({
      ...config,
      issuers: config.issuers.map((issuer) => ({ ...issuer, logoutClientId: 'watchglass-gateway' })),
    }),
    ...options,
  });
}

before(async () => {
  road = await startLogoutRoad();
});
after(() => road.close());

function logoutToken(
  claims: Record<string, unknown> = {},
  header: Record<string, unknown> = {},
  of: Road = road,
): Promise<string> {
  tokens += 1;
  const seconds = Math.floor(Date.now() / 1_000);
  const none = Object.fromEntries(
    ['client_id', 'roles', 'scope', 'tenant', 'acr', 'amr', 'auth_time'].map((name) => [name, undefined]),
  );
  return of.issuer.mint(
    {
      ...none,
      aud: 'watchglass-gateway',
      exp: seconds + 120,
      jti: `logout-${tokens}`,
      events: { [event]: {} },
      ...claims,
    },
    { typ: 'logout+jwt', ...header },
  );
}

function post(body: string, headers: Record<string, string> = {}, of: Road = road): Promise<Fetched> {
  return of.fetch(logoutPath, {
    method: 'POST',
    token: null,
    headers: { 'content-type': 'application/x-www-form-urlencoded', ...headers },
    body,
  });
}

const end = async (claims: Record<string, unknown>): Promise<number> =>
  (await post(`logout_token=${await logoutToken(claims)}`)).status;
const use = async (token: string, of: Road = road): Promise<number> =>
  (await of.fetch('/fhir/Patient/1', { token })).status;

describe('a logout token', () => {
  it('ends its session, what is remembered of it too, and no other one of the same person', async () => {
    const ended = await road.issuer.mint({ sub: 'p-1', sid: 's-1', jti: 'a' });
    const kept = await road.issuer.mint({ sub: 'p-1', sid: 's-2', jti: 'b' });
    const nameless = await road.issuer.mint({ sub: 'p-1', jti: 'c' });
    for (const token of [ended, kept, nameless]) assert.equal(await use(token), 200);
    const answer = await post(`logout_token=${await logoutToken({ sub: 'p-1', sid: 's-1' })}`);
    assert.deepEqual([answer.status, answer.headers['cache-control'], answer.text], [200, 'no-store', '']);
    const said = (await road.settled()).at(-1) as Event;
    assert.deepEqual(
      [said.kind, said.operation, said.outcome.status, said.actor],
      ['auth', 'backchannel-logout', 'success', { id: 'p-1', session: 's-1' }],
    );
    assert.deepEqual(said.targets, [{ type: 'Issuer', id: road.issuer.issuer, role: 'object' }]);
    assert.equal(await use(ended), 401);
    assert.equal((await road.settled()).at(-1)?.outcome.reason, 'token-revoked');
    assert.equal(await use(kept), 200);
    // Of which session it is nobody knows: it may be the one that ended.
    assert.equal(await use(nameless), 401);
  });

  it('of a person ends everything issued until then, and nothing after', async () => {
    const seconds = Math.floor(Date.now() / 1_000);
    const old = await road.issuer.mint({ sub: 'p-2', sid: 's-3', iat: seconds - 5, jti: 'd' });
    assert.equal(await use(old), 200);
    assert.equal(await end({ sub: 'p-2', iat: seconds - 1 }), 200);
    assert.equal(await use(old), 401);
    assert.equal(await use(await road.issuer.mint({ sub: 'p-2', iat: seconds, jti: 'e' })), 200);
  });

  it('of older issuers may have no type of its own', async () => {
    for (const typ of ['JWT', undefined])
      assert.equal((await post(`logout_token=${await logoutToken({ sub: 'p-3' }, { typ })}`)).status, 200);
  });

  it('that is not right ends nothing, and is an event', async () => {
    const token = await road.issuer.mint({ sub: 'p-4', sid: 's-4', jti: 'f' });
    const seconds = Math.floor(Date.now() / 1_000);
    const subject = { sub: 'p-4', sid: 's-4' };
    const good = await logoutToken(subject);
    const cases: readonly (readonly [string, string])[] = [
      ['logout-request', ''],
      ['logout-request', `logout_token=${good}&logout_token=${good}`],
      ['token-issuer', 'logout_token=garbage'],
      ['token-issuer', `logout_token=${await logoutToken({ ...subject, iss: 'https://evil.example' })}`],
      ['token-claim-aud', `logout_token=${await logoutToken({ ...subject, aud: 'another' })}`],
      ['token-without-kid', `logout_token=${await logoutToken(subject, { kid: undefined })}`],
      ['token-brings-key', `logout_token=${await logoutToken(subject, { jwk: road.issuer.jwk })}`],
      ['token-expired', `logout_token=${await logoutToken({ ...subject, exp: seconds - 60 })}`],
      ['token-claim-iat', `logout_token=${await logoutToken({ ...subject, iat: undefined })}`],
      ['token-claim-jti', `logout_token=${await logoutToken({ ...subject, jti: undefined })}`],
      ['token-claim-events', `logout_token=${await logoutToken({ ...subject, events: undefined })}`],
      ['logout-event', `logout_token=${await logoutToken({ ...subject, events: { other: {} } })}`],
      ['logout-event', `logout_token=${await logoutToken({ ...subject, events: { [event]: true } })}`],
      ['logout-event', `logout_token=${await logoutToken({ ...subject, events: [event] })}`],
      ['logout-nonce', `logout_token=${await logoutToken({ ...subject, nonce: 'n' })}`],
      ['logout-time', `logout_token=${await logoutToken({ ...subject, iat: seconds - 400 })}`],
      ['logout-time', `logout_token=${await logoutToken({ ...subject, iat: seconds + 100 })}`],
      ['logout-subject', `logout_token=${await logoutToken({ sub: undefined, sid: undefined })}`],
      ['logout-subject', `logout_token=${await logoutToken({ sub: 'p-4', sid: 7 })}`],
      ['logout-type', `logout_token=${await logoutToken(subject, { typ: 'at+jwt' })}`],
      ['token-signature', `logout_token=${good.slice(0, -8)}AAAAAAAA`],
    ];
    for (const [reason, body] of cases) {
      const answer = await post(body);
      assert.deepEqual([answer.status, answer.json.code], [400, 'logout-invalid'], reason);
      const said = (await road.settled()).at(-1) as Event;
      assert.deepEqual(
        [said.operation, said.outcome.reason, said.actor.id],
        ['backchannel-logout', reason, 'anonymous'],
      );
    }
    assert.equal((await post(`logout_token=${good}`, { 'content-type': 'text/plain' })).status, 400);
    assert.equal((await post(`logout_token=${'x'.repeat(20_000)}`)).status, 400);
    assert.equal(await use(token), 200);
  });

  it('signed by a key that is not known (yet) may come again', async () => {
    for (let twice = 0; twice < 2; twice++) {
      const answer = await post(`logout_token=${await logoutToken({ sub: 'p-7' }, { kid: 'another' })}`);
      assert.deepEqual([answer.status, answer.json.code], [503, 'identity-unavailable']);
      assert.equal((await road.settled()).at(-1)?.outcome.reason, 'token-key');
    }
  });

  it('counts once', async () => {
    const token = await logoutToken({ sub: 'p-5' });
    assert.equal((await post(`logout_token=${token}`)).status, 200);
    assert.equal((await post(`logout_token=${token}`)).status, 400);
    assert.equal((await road.settled()).at(-1)?.outcome.reason, 'logout-replay');
  });

  it('counts again where it could not be recorded: what it ended is over, and the issuer can say it once more', async () => {
    const faulty = new FaultyDisk();
    await using of = await startLogoutRoad({ disk: faulty.disk });
    const session = await of.issuer.mint({ sub: 'p-6', sid: 's-6', jti: 'g' });
    assert.equal(await use(session, of), 200);
    const body = `logout_token=${await logoutToken({ sub: 'p-6', sid: 's-6' }, {}, of)}`;
    faulty.writeError = systemError('ENOSPC');
    const failed = await post(body, {}, of);
    assert.deepEqual([failed.status, failed.json.code, failed.headers['retry-after']], [503, 'audit-unavailable', '2']);
    faulty.writeError = undefined;
    while (of.gateway.spool.status.state.kind !== 'open') await setTimeout(20);
    assert.equal(await use(session, of), 401);
    assert.equal((await post(body, {}, of)).status, 200);
    const said = (await of.settled()).filter(({ operation }) => operation === 'backchannel-logout');
    assert.deepEqual(
      said.map(({ outcome, actor }) => [outcome.status, actor.session]),
      [['success', 's-6']],
    );
    assert.equal((await post(body, {}, of)).status, 400);
  });

  it('is heard on its own path and by POST only', async () => {
    assert.equal((await road.fetch(logoutPath, { token: null })).status, 404);
    assert.equal((await road.fetch(`${logoutPath}?x=1`, { token: null, method: 'POST' })).status, 404);
  });
});
