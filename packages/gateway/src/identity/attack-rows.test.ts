/** The table of attacks, rows 21 to 23: tokens that are bound to a key or a certificate, tokens that are over, an issuer that is away. Through a whole gateway. */
import assert from 'node:assert/strict';
import { createHash, X509Certificate } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { connect } from 'node:tls';

import type { Event } from '@watchglass/record';
import { pino } from 'pino';
import { Agent, request } from 'undici';

import { attack, type Mark, own, person, type Strike, unauthenticated } from '../attack.fixture.ts';
import { selfSigned } from '../certificate.fixture.ts';
import { readGatewayConfig } from '../config/config.ts';
import { type Fetched, isFirstUse, type Road, startRoad } from '../gateway.fixture.ts';
import { identify } from '../identify.ts';
import { Metrics } from '../watch/metrics.ts';
import { certificateThumbprint } from './client-certificate.ts';
import { makeProver, type Prover } from './dpop.fixture.ts';
import { openIdentityMemory } from './memory.ts';

let road: Road;
let prover: Prover;
/** Of a gateway whose keys age faster. */
let agingMs = 0;

before(async () => {
  road = await startRoad({ tls: true });
  prover = await makeProver();
});
after(() => road.close());

function thumbprintOf(cert: string): { readonly thumbprint: string } {
  return { thumbprint: createHash('sha256').update(new X509Certificate(cert).raw).digest('base64url') };
}

const path = '/fhir/Patient/1';
const urlOf = (of: Road): string => of.gateway.url + path;

function withProof(of: Road, token: string, proof?: string, scheme = 'DPoP'): Promise<Fetched> {
  const headers = { authorization: `${scheme} ${token}`, ...(proof === undefined ? {} : { dpop: proof }) };
  return of.fetch(path, { token: null, headers });
}

/** It is 401 with this challenge, the upstream hears nothing, and an event says why, and whose token it was. */
async function refused(of: Road, answer: Fetched, reason: string, challenge: RegExp): Promise<Event> {
  assert.equal(answer.status, 401);
  assert.match(String(answer.headers['www-authenticate']), challenge);
  const event = (await of.settled()).at(-1) as Event;
  assert.deepEqual(
    [event.kind, event.operation, event.outcome.status, event.outcome.reason],
    ['auth', 'authenticate', 'denied', reason],
  );
  assert.equal(event.source?.address, '127.0.0.1');
  return event;
}

/** 401 or 503, with this challenge where there is one; the API hears nothing. */
function unproven(
  mark: Mark,
  challenge: RegExp | undefined,
  show: (of: Road) => Promise<Fetched>,
  at: Strike['at'] = () => road,
): Strike {
  return {
    at,
    leaves: [mark],
    async strike(of) {
      const answer = await show(of);
      assert.equal(answer.status, mark.code);
      if (challenge !== undefined) assert.match(String(answer.headers['www-authenticate']), challenge);
    },
  };
}

const bound = (of: Road): Promise<string> => of.issuer.mint({ cnf: { jkt: prover.thumbprint } });
const noProof = /^DPoP .*error="invalid_dpop_proof", algs="ES256/;

/** A proof that is sound but for one thing. */
function wrongProof(
  reason: string,
  wrong: (facts: { readonly url: string; readonly token: string }) => Parameters<Prover['prove']>[0],
  by?: Promise<Prover>,
): Strike {
  return unproven(unauthenticated(reason, person), noProof, async (of) => {
    const token = await bound(of);
    return withProof(of, token, await ((await by) ?? prover).prove(wrong({ url: urlOf(of), token })));
  });
}

attack(22, 'DPoP', {
  'refuses a proof that was used, also by who holds the token': {
    at: () => road,
    asksCount: 1,
    leaves: [unauthenticated('dpop-replay', person)],
    async strike(of) {
      const token = await bound(of);
      const proof = await prover.prove({ url: urlOf(of), token });
      assert.equal((await withProof(of, token, proof)).status, 200);
      const answer = await withProof(of, token, proof);
      assert.equal(answer.status, 401);
      assert.match(String(answer.headers['www-authenticate']), /^DPoP .*invalid_dpop_proof/);
      assert.equal((await of.settled()).at(-1)?.actor.authentication?.method, 'dpop');
    },
  },
  'refuses a missing proof': unproven(unauthenticated('dpop-missing', person), noProof, async (of) =>
    withProof(of, await bound(of)),
  ),
  'refuses a proof for another method': wrongProof('dpop-method', (facts) => ({ ...facts, method: 'POST' })),
  'refuses a proof for another resource': wrongProof('dpop-url', ({ url, token }) => ({ url: `${url}0`, token })),
  'refuses a proof for another token': wrongProof('dpop-token', ({ url, token }) => ({ url, token: `${token}x` })),
  'refuses a proof by another key': wrongProof('dpop-binding', (facts) => facts, makeProver()),
  'refuses a bound token as a bearer token, with a proof': unproven(
    unauthenticated('dpop-downgrade', person),
    /^DPoP .*invalid_token/,
    async (of) => {
      const token = await bound(of);
      return withProof(of, token, await prover.prove({ url: urlOf(of), token }), 'Bearer');
    },
  ),
  'refuses a bound token as a bearer token, without a proof': unproven(
    unauthenticated('dpop-downgrade', person),
    /^DPoP/,
    async (of) => withProof(of, await bound(of), undefined, 'Bearer'),
  ),
  'refuses a plain token with a proof': unproven(
    unauthenticated('dpop-unbound', person),
    /^DPoP .*invalid_token/,
    async (of) => {
      const token = await of.issuer.mint({ jti: 'plain' });
      return withProof(of, token, await prover.prove({ url: urlOf(of), token }));
    },
  ),
  'is 503 when its memory is full, and bearer tokens go on': {
    at: () => startRoad({ config: { identity: { dpop: { proofsMax: 100 } } } }),
    asksCount: 51,
    leaves: [unauthenticated('dpop-memory-full', { status: 'error', code: 503 })],
    async strike(of) {
      const token = await bound(of);
      const statuses: number[] = [];
      for (let n = 0; n < 60; n++)
        statuses.push((await withProof(of, token, await prover.prove({ url: urlOf(of), token }))).status);
      assert.deepEqual([statuses.indexOf(503), statuses.at(-1)], [50, 503]);
      assert.equal((await of.fetch(path)).status, 200);
    },
  },
  'asks for a nonce where the configuration says so': {
    at: () => startRoad({ config: { identity: { dpop: { nonce: true } } } }),
    asksCount: 1,
    leaves: [unauthenticated('dpop-nonce', person)],
    async strike(of) {
      const token = await bound(of);
      const first = await withProof(of, token, await prover.prove({ url: urlOf(of), token }));
      assert.equal(first.status, 401);
      assert.match(String(first.headers['www-authenticate']), /^DPoP .*error="use_dpop_nonce"/);
      const nonce = first.headers['dpop-nonce'];
      assert.equal(typeof nonce, 'string');
      const second = await withProof(of, token, await prover.prove({ url: urlOf(of), token }, { nonce }));
      assert.equal(second.status, 200);
    },
  },
});

describe('DPoP', () => {
  it('lets in who holds the key, again with every new proof', async () => {
    const token = await road.issuer.mint({ jti: 'many-proofs', cnf: { jkt: prover.thumbprint } });
    for (let n = 0; n < 3; n++) {
      const proof = await prover.prove({ url: urlOf(road), token });
      assert.equal((await withProof(road, token, proof)).status, 200);
    }
    const uses = (await road.settled()).filter((one) => isFirstUse(one) && one.actor.tokenId === 'many-proofs');
    assert.equal(uses.length, 1);
    assert.equal(uses[0]?.actor.authentication?.method, 'dpop');
  });
});

describe('a token that is bound to a certificate (RFC 8705)', () => {
  it('is good on a connection with it, and on no other', async () => {
    const client = selfSigned();
    const stranger = selfSigned();
    const { thumbprint } = thumbprintOf(client.cert);
    await using of = await startRoad({
      tls: true,
      adjust: ({ tls, ...config }) => {
        assert.ok(tls !== undefined);
        return { ...config, tls: { ...tls, clientAuth: 'request', ca: client.cert } };
      },
    });
    const token = await of.issuer.mint({ cnf: { 'x5t#S256': thumbprint } });
    const ask = async (shown?: { readonly cert: string; readonly key: string }): Promise<number> => {
      const dispatcher = new Agent({ connect: { ca: of.tls.cert, servername: 'localhost', ...shown }, allowH2: false });
      const headers = { authorization: `Bearer ${token}` };
      const answer = await request(urlOf(of), { dispatcher, headers });
      await answer.body.dump();
      await dispatcher.destroy();
      return answer.statusCode;
    };
    assert.equal(await ask(client), 200);
    const read = (await of.settled()).at(-1) as Event;
    assert.equal(read.actor.authentication?.method, 'mtls');
    assert.equal(read.source?.device, `x5t-S256:${thumbprint}`);
    assert.equal(await ask(), 401);
    assert.equal((await of.settled()).at(-1)?.outcome.reason, 'mtls-missing');
    // Nobody vouches for this one, so it is none.
    assert.equal(await ask(stranger), 401);
    assert.equal((await of.settled()).at(-1)?.outcome.reason, 'mtls-missing');
    assert.equal((await of.settled()).at(-1)?.source?.device, undefined);
  });

  it('is refused where the connection shows another good one, and without certificates at all', async () => {
    const client = selfSigned();
    await using of = await startRoad({
      tls: true,
      adjust: ({ tls, ...config }) => {
        assert.ok(tls !== undefined);
        return { ...config, tls: { ...tls, clientAuth: 'require', ca: client.cert } };
      },
    });
    const token = await of.issuer.mint({ cnf: { 'x5t#S256': 'A'.repeat(43) } });
    const connect = { ca: of.tls.cert, servername: 'localhost' };
    const dispatcher = new Agent({ connect: { ...connect, ...client }, allowH2: false });
    const answer = await request(urlOf(of), { dispatcher, headers: { authorization: `Bearer ${token}` } });
    await answer.body.dump();
    assert.equal(answer.statusCode, 401);
    assert.equal((await of.settled()).at(-1)?.outcome.reason, 'mtls-mismatch');
    await dispatcher.destroy();
    const bare = new Agent({ connect, allowH2: false });
    await assert.rejects(request(urlOf(of), { dispatcher: bare }).then(({ body }) => body.dump()));
    await bare.destroy();
    assert.equal(certificateThumbprint({} as never), undefined);
  });
});

describe('a connection that is resumed', () => {
  async function converse(
    of: Road,
    options: object,
  ): Promise<{ readonly answer: string; readonly session: Buffer | undefined }> {
    const socket = connect({
      port: of.gateway.port,
      host: '127.0.0.1',
      ca: of.tls.cert,
      servername: 'localhost',
      ...options,
    });
    let session: Buffer | undefined;
    let answer = '';
    socket.on('session', (given: Buffer) => {
      session = given;
    });
    socket.on('data', (chunk: Buffer) => {
      answer += chunk.toString('latin1');
    });
    socket.on('error', () => undefined);
    socket.write(`GET ${path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${of.token}\r\nConnection: close\r\n\r\n`);
    await new Promise((resolve) => socket.on('close', resolve));
    return { answer, session };
  }

  it('has the certificate that it began with, and without one it is refused again', async () => {
    const client = selfSigned();
    await using of = await startRoad({
      tls: true,
      adjust: ({ tls, ...config }) => {
        assert.ok(tls !== undefined);
        return { ...config, tls: { ...tls, clientAuth: 'require', ca: client.cert } };
      },
    });
    const { thumbprint } = thumbprintOf(client.cert);
    for (const maxVersion of ['TLSv1.2', 'TLSv1.3']) {
      const first = await converse(of, { ...client, maxVersion });
      assert.match(first.answer, /^HTTP\/1\.1 200 /);
      const again = await converse(of, { ...client, maxVersion, session: first.session });
      assert.match(again.answer, /^HTTP\/1\.1 200 /);
      assert.equal((await of.settled()).at(-1)?.source?.device, `x5t-S256:${thumbprint}`);
      const stranger = await converse(of, { maxVersion });
      assert.equal(stranger.answer, '');
      assert.equal((await converse(of, { maxVersion, session: stranger.session })).answer, '', maxVersion);
    }
  });
});

attack(21, 'an issuer that is away', {
  'has the beginning and the end of the time with old keys on record, then lets nobody in, and comes back': {
    at: () => startRoad({ now: () => agingMs }),
    asksCount: 5,
    leaves: [
      own('issuer-keys-stale', 'failed'),
      own('issuer-keys-gone', 'error'),
      unauthenticated('issuer-keys-unavailable', { status: 'error', code: 503 }),
      own('issuer-keys-fresh', 'success'),
    ],
    async strike(of) {
      const ask = async (jti: string): Promise<number> =>
        (await of.fetch(path, { token: await of.issuer.mint({ jti }) })).status;
      const said = async (): Promise<readonly (string | undefined)[]> =>
        (await of.settled()).map(({ operation }) => operation).filter((one) => one?.startsWith('issuer-keys-'));
      assert.equal(await ask('1'), 200);
      of.issuer.down.is = true;
      agingMs += 11 * 60_000;
      assert.equal(await ask('2'), 200);
      assert.equal(await ask('3'), 200);
      assert.deepEqual(await said(), ['issuer-keys-stale']);
      const stale = (await of.settled()).find(({ operation }) => operation === 'issuer-keys-stale');
      assert.deepEqual(stale?.targets, [{ type: 'Issuer', id: of.issuer.issuer, role: 'object' }]);
      agingMs += 60 * 60_000;
      assert.equal(await ask('4'), 503);
      assert.deepEqual(await said(), ['issuer-keys-stale', 'issuer-keys-gone']);
      of.issuer.down.is = false;
      agingMs += 60_000;
      assert.equal(await ask('5'), 200);
      assert.equal(await ask('6'), 200);
    },
  },
  'is 503 from the start, and nobody is called a liar': {
    at: () => startRoad(),
    leaves: [unauthenticated('issuer-keys-unavailable', { status: 'error', code: 503 })],
    async strike(of) {
      of.issuer.down.is = true;
      const answer = await of.fetch(path);
      assert.deepEqual([answer.status, answer.json.code], [503, 'identity-unavailable']);
      assert.equal(answer.headers['retry-after'], '2');
    },
  },
});

attack(23, 'a revoked token', {
  'is out at once where it was remembered, stays out across a restart, and others stay in': {
    at: () => startRoad(),
    asksCount: 3,
    leaves: [
      own('tokens-revoked', 'success', { kind: 'auth', reason: 'subject' }),
      own('tokens-revoked', 'success', { kind: 'auth', reason: 'token' }),
      own('tokens-revoked', 'success', { kind: 'auth', reason: 'client' }),
      unauthenticated('token-revoked', { ...person, actor: 'person-7' }),
      unauthenticated('token-revoked', { ...person, actor: 'person-8' }),
      unauthenticated('token-revoked', person),
    ],
    async strike(of) {
      const mine = await of.issuer.mint({ sub: 'person-7', jti: 'mine' });
      const other = await of.issuer.mint({ sub: 'person-8', jti: 'other' });
      for (const token of [mine, other]) assert.equal((await of.fetch(path, { token })).status, 200);
      await of.gateway.revoke({ sub: 'person-7' });
      const answer = await of.fetch(path, { token: mine });
      assert.equal(answer.status, 401);
      assert.match(String(answer.headers['www-authenticate']), /^Bearer .*invalid_token/);
      assert.equal((await of.fetch(path, { token: other })).status, 200);
      const revoked = (await of.settled()).find(({ operation }) => operation === 'tokens-revoked');
      assert.deepEqual(revoked?.targets, [{ type: 'Actor', id: 'person-7', role: 'object' }]);
      await of.gateway.revoke({ jti: 'other' });
      assert.equal((await of.fetch(path, { token: other })).status, 401);
      await of.gateway.revoke({ client: 'demo-cli' });
      assert.equal((await of.fetch(path)).status, 401);
      await of.gateway[Symbol.asyncDispose]();
      const config = readGatewayConfig(`${of.folder}/gateway.yaml`);
      await using memory = await openIdentityMemory({ settings: config.identity, directory: config.spool.dir });
      await using again = await identify(config, {
        memory,
        recorder: { record: () => Promise.resolve({ kind: 'durable' }) },
        logger: pino({ level: 'silent' }),
        metrics: new Metrics(),
      });
      const verdict = await again.authenticator.authenticate(`Bearer ${mine}`);
      assert.equal(verdict.kind === 'invalid' && verdict.reason, 'token-revoked');
    },
  },
  'may not live longer than it is remembered to be revoked': unproven(
    unauthenticated('token-too-long-lived', person),
    /^Bearer/,
    async (of) => of.fetch(path, { token: await of.issuer.mint({ exp: Math.floor(Date.now() / 1_000) + 8 * 86_400 }) }),
  ),
});

describe('issuers', () => {
  it('that are several have actors that nobody can take for one another', async () => {
    await using of = await startRoad({
      adjust: (config) => ({
        ...config,
        issuers: [
          ...config.issuers.map((issuer) => ({ ...issuer, actorPrefix: 'partner:', roles: ['physician'] })),
          ...config.issuers.map((issuer) => ({ ...issuer, issuer: 'https://own.example' })),
        ],
      }),
    });
    const token = await of.issuer.mint({ sub: 'person-1', roles: ['physician', 'administrator'] });
    assert.equal((await of.fetch(path, { token })).status, 200);
    const event = (await of.settled()).at(-1) as Event;
    assert.equal(event.actor.id, 'partner:person-1');
    assert.deepEqual(event.actor.roles, ['physician']);
  });

  it('cannot name the gateway itself, or nobody', async () => {
    for (const sub of ['anonymous', 'gateway:test-gateway'])
      await refused(
        road,
        await road.fetch(path, { token: await road.issuer.mint({ sub }) }),
        'token-subject',
        /^Bearer/,
      );
  });
});

describe('the first use of a token', () => {
  it('is on record before anything is asked, with subject, client, method, assurance and address; the second use is not', async () => {
    await using of = await startRoad();
    await of.fetch(path);
    await of.fetch(path);
    const events = (await of.settled()).filter(({ kind }) => kind !== 'system');
    assert.deepEqual(
      events.map(({ operation }) => operation),
      ['authenticate', 'read', 'read'],
    );
    const [first] = events as [Event];
    assert.deepEqual(first.outcome, { status: 'success' });
    const { id, client, tokenId, authentication } = first.actor;
    assert.deepEqual([id, client, tokenId], ['person-1', 'demo-cli', 'token-1']);
    assert.deepEqual(
      [authentication?.method, authentication?.mfa, authentication?.assurance],
      ['bearer', true, 'urn:test:acr amr=pwd,otp'],
    );
    assert.match(authentication?.time ?? '', /Z$/);
    assert.equal(first.source?.address, '127.0.0.1');
  });
});
