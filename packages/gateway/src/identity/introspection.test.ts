/** Opaque tokens: what the issuer is asked, what is believed of its answer, and what becomes of a request while it is silent (RFC 7662). */
import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { afterEach, describe, it } from 'node:test';

import { createLocalJWKSet, exportJWK, jwtVerify } from 'jose';
import { Agent } from 'undici';

import { audience, type Listening, serve } from '../gateway.fixture.ts';
import { Introspection, type IntrospectionOptions } from './introspection.ts';
import { IssuerKeys } from './issuer-keys.ts';
import { type Authentication, Authenticator } from './token.ts';

const issuer = 'https://id.example';
const closing: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

interface Asked {
  readonly headers: IncomingMessage['headers'];
  readonly form: URLSearchParams;
}

interface World {
  readonly authenticator: Authenticator;
  readonly introspection: Introspection;
  readonly asked: Asked[];
  readonly problems: string[];
  nowMs: number;
  answer: (response: ServerResponse) => void;
  kind(token?: string): Promise<string>;
}

async function start(options: Partial<IntrospectionOptions> = {}): Promise<World> {
  const clock = { nowMs: Date.now() };
  const asked: Asked[] = [];
  const problems: string[] = [];
  const server: Listening = await serve((request, response) => {
    let text = '';
    request.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk;
    });
    request.on('end', () => {
      asked.push({ headers: request.headers, form: new URLSearchParams(text) });
      world.answer(response);
    });
  });
  const dispatcher = new Agent();
  closing.push(
    () => dispatcher.destroy(),
    () => server.close(),
  );
  const introspection = new Introspection({
    issuer,
    audience,
    endpoint: `${server.url}/introspect`,
    client: { kind: 'client_secret_basic', clientId: 'gate:way', secret: 'a b%' },
    requireAudience: true,
    timeoutMs: 10_000,
    dispatcher,
    now: () => clock.nowMs,
    onProblem: (problem) => problems.push(problem),
    ...options,
  });
  const keys = new IssuerKeys({ issuer, jwksUri: `${server.url}/jwks`, dispatcher });
  const authenticator = new Authenticator({
    issuers: [
      {
        issuer,
        audience,
        algorithms: ['RS256'],
        tokenType: 'at+jwt',
        rolesClaim: 'roles',
        keys,
        opaque: { introspection, tokenPrefix: '', jwtToo: false },
      },
    ],
    now: () => clock.nowMs,
  });
  const world: World = {
    authenticator,
    introspection,
    asked,
    problems,
    get nowMs() {
      return clock.nowMs;
    },
    set nowMs(nowMs) {
      clock.nowMs = nowMs;
    },
    answer: (response) => response.end(JSON.stringify(active(world.nowMs))),
    async kind(token = 'opaque-1') {
      const authentication = await ask(world, token);
      return authentication.kind === 'invalid' ? authentication.reason : authentication.kind;
    },
  };
  return world;
}

function ask({ authenticator }: World, token: string): Promise<Authentication> {
  return Promise.resolve(authenticator.authenticate(`Bearer ${token}`));
}

function active(nowMs: number, change: object = {}): object {
  const nowSeconds = Math.floor(nowMs / 1_000);
  return {
    active: true,
    iss: issuer,
    aud: [audience],
    sub: 'person-1',
    client_id: 'demo-cli',
    scope: 'user/Patient.rs',
    roles: ['physician'],
    iat: nowSeconds,
    exp: nowSeconds + 600,
    acr: 'urn:test:acr',
    amr: ['pwd', 'otp'],
    ...change,
  };
}

describe('an opaque token', () => {
  it('is what its issuer says it is', async () => {
    const world = await start();
    const authentication = await ask(world, 'opaque-1');
    assert.ok(authentication.kind === 'authenticated');
    const { id, roles, client, mfa, method, methods, grants } = authentication.principal;
    assert.deepEqual([id, roles, client, mfa, method], ['person-1', ['physician'], 'demo-cli', true, 'introspection']);
    assert.deepEqual(methods, ['pwd', 'otp']);
    assert.equal(grants.length, 1);
    const [{ headers, form }] = world.asked as [Asked];
    assert.equal(form.get('token'), 'opaque-1');
    // RFC 6749 §2.3.1: encoded before they are joined, or a colon in the id would end it.
    assert.equal(headers.authorization, `Basic ${Buffer.from('gate%3Away:a+b%25').toString('base64')}`);
  });

  it('is asked about once, whoever shows it, and again after a minute', async () => {
    const world = await start();
    await Promise.all([world.kind(), world.kind(), world.kind()]);
    assert.equal(await world.kind(), 'authenticated');
    assert.equal(world.asked.length, 1);
    world.nowMs += 61_000;
    assert.equal(await world.kind(), 'authenticated');
    assert.equal(world.asked.length, 2);
  });

  it('is believed no longer than its end', async () => {
    const world = await start();
    world.answer = (response) =>
      response.end(JSON.stringify(active(world.nowMs, { exp: Math.floor(world.nowMs / 1_000) + 20 })));
    assert.equal(await world.kind(), 'authenticated');
    world.nowMs += 21_000;
    world.answer = (response) => response.end('{"active":false}');
    assert.equal(await world.kind(), 'token-inactive');
  });

  it('that is not active is refused, and for ten seconds nobody asks again', async () => {
    const world = await start();
    world.answer = (response) => response.end('{"active":false}');
    for (let n = 0; n < 5; n++) assert.equal(await world.kind(), 'token-inactive');
    assert.equal(world.asked.length, 1);
    world.nowMs += 11_000;
    assert.equal(await world.kind(), 'token-inactive');
    assert.equal(world.asked.length, 2);
  });

  it('is refused when what is said of it is not for us, or not now', async () => {
    const world = await start();
    const seconds = Math.floor(world.nowMs / 1_000);
    const cases: readonly (readonly [object, string])[] = [
      [{ iss: 'https://other.example' }, 'token-issuer'],
      [{ aud: 'urn:other' }, 'token-claim-aud'],
      [{ aud: undefined }, 'token-claim-aud'],
      [{ exp: undefined }, 'token-claim-exp'],
      [{ exp: seconds - 31 }, 'token-expired'],
      [{ exp: 'tomorrow' }, 'token-malformed'],
      [{ nbf: seconds + 100 }, 'token-claim-nbf'],
      [{ iat: seconds + 100 }, 'token-from-the-future'],
      [{ sub: 'a\nb' }, 'token-subject'],
      [{ sub: 'anonymous' }, 'token-subject'],
      [{ sub: undefined, client_id: undefined }, 'token-subject'],
      [{ token_type: 'DPoP' }, 'token-binding'],
      [{ cnf: { 'x5t#S1': 'x' } }, 'token-binding'],
      [{ cnf: { jkt: 'short' } }, 'token-binding'],
    ];
    for (const [at, [change, reason]] of cases.entries()) {
      world.answer = (response) => response.end(JSON.stringify(active(world.nowMs, change)));
      assert.equal(await world.kind(`opaque-case-${at}`), reason, JSON.stringify(change));
    }
  });

  it('of the client itself may come without a subject', async () => {
    const world = await start();
    world.answer = (response) => response.end(JSON.stringify(active(world.nowMs, { sub: undefined })));
    const authentication = await ask(world, 'opaque-1');
    assert.equal(authentication.kind === 'authenticated' && authentication.principal.id, 'demo-cli');
  });

  it('that has the form of a JWT is verified by its keys, and nobody is asked', async () => {
    const world = await start();
    const [head, body] = [{ alg: 'RS256', kid: 'x' }, { iss: issuer }].map((part) =>
      Buffer.from(JSON.stringify(part)).toString('base64url'),
    );
    assert.equal(await world.kind(`${head}.${body}.c2ln`), 'unavailable');
    assert.equal(world.introspection.askedCount, 0);
  });
});

describe('an issuer that is asked', () => {
  it('and hangs, breaks off, is huge, unreadable or refuses us lets nobody in, and nobody is called a liar', async () => {
    const hung = await start({ timeoutMs: 300 });
    hung.answer = () => undefined;
    assert.equal(await hung.kind(), 'unavailable');
    assert.deepEqual(hung.problems, ['unreachable']);
    const world = await start();
    const cases: readonly (readonly [World['answer'], string])[] = [
      [(response) => response.destroy(), 'unreachable'],
      [(response) => response.end(`{"active":true,"x":"${'x'.repeat(100_000)}"}`), 'unreachable'],
      [(response) => response.end('<html>'), 'answer'],
      [(response) => response.end('{"active":"true"}'), 'answer'],
      [(response) => response.end('[]'), 'answer'],
      [(response) => response.writeHead(500).end(), 'answer'],
      [(response) => response.writeHead(302, { location: 'http://127.0.0.1:1/' }).end(), 'answer'],
      [(response) => response.writeHead(401).end(), 'client-refused'],
    ];
    for (const [answer, problem] of cases) {
      world.answer = answer;
      assert.equal(await world.kind(), 'unavailable', problem);
      assert.equal(world.problems.at(-1), problem);
    }
    // None of it is remembered.
    world.answer = (response) => response.end(JSON.stringify(active(world.nowMs)));
    assert.equal(await world.kind(), 'authenticated');
  });

  it('is not flooded: beyond a bound of open questions there is no answer at once', async () => {
    const world = await start({ timeoutMs: 300 });
    world.answer = () => undefined;
    const kinds = await Promise.all(Array.from({ length: 100 }, (_, n) => world.kind(`opaque-${n}`)));
    assert.ok(kinds.every((kind) => kind === 'unavailable'));
    assert.equal(world.introspection.askedCount, 64);
    assert.ok(world.problems.includes('too-many'));
  });

  it('is told who asks by a signature of our key', async () => {
    const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
    const world = await start({
      client: { kind: 'private_key_jwt', clientId: 'gateway', key: privateKey, algorithm: 'ES256', keyId: 'g1' },
    });
    assert.equal(await world.kind(), 'authenticated');
    const [{ headers, form }] = world.asked as [Asked];
    assert.equal(headers.authorization, undefined);
    const keys = createLocalJWKSet({ keys: [{ ...(await exportJWK(publicKey)), kid: 'g1' }] });
    const assertion = form.get('client_assertion') ?? '';
    const { payload } = await jwtVerify(assertion, keys, { issuer: 'gateway', subject: 'gateway', audience: issuer });
    assert.ok(typeof payload.jti === 'string' && (payload.exp ?? 0) - (payload.iat ?? 0) === 60);
  });
});
