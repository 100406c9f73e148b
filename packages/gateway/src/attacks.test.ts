/** The table of attacks that the guard withstands, by its rows. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';

import type { Event } from '@watchglass/record';

import { type Road, samplePolicy, startRoad, statusesOf } from './gateway.fixture.ts';
import { parsePolicy } from './policy/policy.ts';

let road: Road;

before(async () => {
  road = await startRoad({
    tls: true,
    adjust: (config) => ({
      ...config,
      issuers: config.issuers.map((issuer) => ({ ...issuer, algorithms: ['RS256', 'ES256'] })),
    }),
    config: {
      limits: { headersTimeoutMs: 700, requestTimeoutMs: 1_200, checkIntervalMs: 100, keepAliveTimeoutMs: 400 },
    },
  });
});
after(() => road.close());

function get(target: string, ...extra: string[]): string {
  return [`GET ${target} HTTP/1.1`, 'Host: localhost', `Authorization: Bearer ${road.token}`, ...extra, '', ''].join(
    '\r\n',
  );
}

function post(extra: readonly string[], body: string): string {
  const head = [
    'POST /fhir/Observation HTTP/1.1',
    'Host: localhost',
    `Authorization: Bearer ${road.token}`,
    'Content-Type: application/fhir+json',
  ];
  return [...head, ...extra, '', body].join('\r\n');
}

const close = 'Connection: close';

/** The bytes get exactly this status, the connection ends, the upstream hears nothing, and an event says so. */
async function refused(bytes: string | Uint8Array, status: number, reason?: string): Promise<Event> {
  const [askedBefore, seenBefore] = [road.asked.length, (await road.settled()).length];
  const answer = await road.raw(bytes);
  assert.deepEqual(statusesOf(answer), [status], JSON.stringify(answer.slice(0, 200)));
  assert.equal(road.asked.length, askedBefore, 'the upstream was asked');
  // A body that breaks off in the middle makes a second event: of the request that it belonged to.
  const event = (await road.settled()).slice(seenBefore).find(({ outcome }) => outcome.code === status);
  assert.ok(event !== undefined, 'an event says so');
  if (reason !== undefined) assert.equal(event.outcome.reason, reason);
  return event;
}

async function violated(bytes: string | Uint8Array, status = 400, reason?: string): Promise<void> {
  const event = await refused(bytes, status, reason);
  assert.equal(event.kind, 'network');
  assert.equal(event.operation, 'protocol-violation');
  assert.equal(event.outcome.status, 'denied');
  assert.equal(event.source?.address, '127.0.0.1');
}

const chunked = 'Transfer-Encoding: chunked';

describe('row 1: ambiguous length', () => {
  it('refuses Content-Length with Transfer-Encoding', () =>
    violated(post(['Content-Length: 5', chunked], '0\r\n\r\nGET /')));
  it('refuses two Content-Lengths', () => violated(post(['Content-Length: 2', 'Content-Length: 3'], '{} ')));
  it('refuses a list of lengths', () => violated(post(['Content-Length: 2, 2'], '{}')));
  it('refuses a signed length', () => violated(post(['Content-Length: +2'], '{}')));
  it('refuses a hexadecimal length', () => violated(post(['Content-Length: 0x2'], '{}')));
});

describe('row 2: odd transfer codings and folded headers', () => {
  it('refuses xchunked', () => violated(post(['Transfer-Encoding: xchunked'], '0\r\n\r\n')));
  it('refuses chunked, identity', () => violated(post(['Transfer-Encoding: chunked, identity'], '0\r\n\r\n')));
  it('refuses identity, chunked', () => violated(post(['Transfer-Encoding: identity, chunked'], '0\r\n\r\n')));
  it('refuses two Transfer-Encodings', () => violated(post([chunked, chunked], '0\r\n\r\n')));
  it('refuses a folded header', () => violated(get('/fhir/Patient/1', 'X-A: 1', ' folded')));
  it('refuses a space before the colon', () => violated(get('/fhir/Patient/1', 'X-A : 1')));
});

describe('row 3: Transfer-Encoding on HTTP/1.0', () => {
  it('is refused', () =>
    violated(post([chunked, close], '0\r\n\r\n').replace('HTTP/1.1', 'HTTP/1.0'), 400, 'transfer-encoding-http-1.0'));
});

describe('row 4: bare line ends and NUL', () => {
  it('refuses a bare LF', () => violated(get('/fhir/Patient/1', 'X-A: 1\nX-B: 2')));
  it('refuses a bare CR', () => violated(get('/fhir/Patient/1', 'X-A: 1\rX-B: 2')));
  it('refuses NUL in a header', () => violated(get('/fhir/Patient/1', 'X-A: 1\u00002')));
  it('refuses NUL in the target', () => violated(get('/fhir/Patient/1\u0000')));
  it('refuses a chunk size that ends with LF', () => violated(post([chunked], '2\n{}\r\n0\r\n\r\n')));
  it('refuses a chunk size with 0x', () => violated(post([chunked], '0x2\r\n{}\r\n0\r\n\r\n')));
});

describe('row 5: Host', () => {
  it('refuses two', () => violated(get('/fhir/Patient/1', 'Host: other', close), 400, 'two-values'));
  it('refuses none', () =>
    violated(get('/fhir/Patient/1', close).replace('Host: localhost\r\n', ''), 400, 'host-missing'));
  it('refuses one that is a URL', () =>
    violated(get('/fhir/Patient/1', close).replace('Host: localhost', 'Host: localhost/fhir'), 400, 'host-malformed'));
});

describe('row 6: other forms of target', () => {
  for (const target of ['http://localhost/fhir/Patient/1', '//evil/fhir/Patient/1', '/\\evil', 'fhir/Patient/1', '*']) {
    it(`refuses ${target}`, () => violated(get(target, close)));
  }
});

describe('row 7: a target that is not canonical', () => {
  const targets = [
    '/fhir/Patient/1#x',
    '/fhir\\Patient\\1',
    '/fhir/..%2fadmin',
    '/fhir/%2e%2e/admin',
    '/fhir/%2E%2E/admin',
    '/fhir/../admin',
    '/fhir/./Patient/1',
    '/fhir/Patient;x/1',
    '/fhir/.;/Patient/1',
    '/fhir/Patient/%2531',
    '/fhir/Patient/%31',
    '/fhir/Patient/1%00',
    '/fhir/Patient%2F1',
    '/fhir/Patient/1%',
    '/fhir/Patient/%c0%ae',
    '/fhir/Patient/%C0%AE',
    '/fhir/Patient?name=%00',
    '/fhir/Patient?name=a;_id=1',
    '/fhir/Patient?name=%ff',
  ];
  for (const target of targets) it(`refuses ${target}`, () => violated(get(target, close)));
});

describe('row 8: routes are exact', () => {
  for (const target of [
    '/FHIR/patient',
    '/fhir/patient/1',
    '/fhir/Patient/1/',
    '/fhir/',
    '/fhir//Patient/1',
    '/fhir/Patient//1',
    '/fhirPatient',
    '/',
  ]) {
    it(`finds nothing at ${target}`, async () => {
      const { operation } = await refused(get(target, close), 404, 'not-found');
      assert.equal(operation, 'no-route');
    });
  }
});

describe('row 9: methods and upgrades', () => {
  for (const method of ['TRACE', 'OPTIONS', 'PROPFIND']) {
    it(`refuses ${method}`, async () => {
      await refused(get('/fhir/Patient/1', close).replace('GET', method), 405);
    });
  }
  it('refuses CONNECT', async () => {
    await refused('CONNECT localhost:443 HTTP/1.1\r\nHost: localhost:443\r\n\r\n', 405);
  });
  it('does not pass an upgrade on', async () => {
    const answer = await road.raw(
      get(
        '/fhir/Patient/1',
        'Connection: Upgrade, HTTP2-Settings, close',
        'Upgrade: h2c',
        'HTTP2-Settings: AAMAAABkAAQAAP__',
      ),
    );
    assert.deepEqual(statusesOf(answer), [200]);
    const { headers } = road.asked.at(-1)!;
    assert.equal(headers.upgrade, undefined);
    assert.equal(headers['http2-settings'], undefined);
    assert.equal((await road.settled()).at(-1)!.operation, 'read');
  });
});

describe('row 10: GET with a body', () => {
  it('is refused with a length', () =>
    violated(`${get('/fhir/Patient/1', 'Content-Length: 2', close)}{}`, 400, 'unexpected-body'));
  it('is refused with chunks', () =>
    violated(`${get('/fhir/Patient/1', chunked, close)}0\r\n\r\n`, 400, 'unexpected-body'));
});

describe('row 11: too much', () => {
  it('refuses a header of 20 KB', () => violated(get('/fhir/Patient/1', `X-A: ${'a'.repeat(20_000)}`), 431));
  it('refuses a chunk extension of 20 KB', () =>
    violated(post([chunked], `2;${'a'.repeat(20_000)}\r\n{}\r\n0\r\n\r\n`), 413));
  it('refuses a hundred headers', () =>
    violated(
      get('/fhir/Patient/1', ...Array.from({ length: 100 }, (_, n) => `X-${n}: 1`), close),
      431,
      'too-many-headers',
    ));
  it('refuses a target of 9 KB', () =>
    violated(get(`/fhir/Patient?name=${'a'.repeat(9_000)}`, close), 414, 'target-too-long'));
});

describe('row 12: slowness', () => {
  it('ends a header that never ends', () =>
    violated('GET /fhir/Patient/1 HTTP/1.1\r\nHost: localhost\r\nX-A:', 408, 'request-timeout'));
  it('ends a body that never ends', async () => {
    const [askedBefore, before] = [road.asked.length, (await road.settled()).length];
    const answer = await road.raw(post(['Content-Length: 1000'], '{"resourceType":'));
    assert.deepEqual(statusesOf(answer), [408]);
    assert.equal(road.asked.length, askedBefore);
    assert.ok((await road.settled()).slice(before).some(({ outcome }) => outcome.code === 408));
  });
});

describe('tokens', () => {
  async function unauthorised(token: string, reason: string): Promise<void> {
    const [askedBefore, fetchesBefore] = [road.asked.length, road.issuer.fetches.count];
    const answer = await road.fetch('/fhir/Patient/1', { token });
    assert.equal(answer.status, 401);
    assert.match(String(answer.headers['www-authenticate']), /^Bearer .*error="invalid_token"/);
    assert.equal(road.asked.length, askedBefore);
    const event = (await road.settled()).at(-1)!;
    assert.equal(event.kind, 'auth');
    assert.equal(event.outcome.reason, reason);
    assert.equal(event.actor.id, 'anonymous');
    assert.ok(road.issuer.fetches.count <= fetchesBefore + 1);
  }
  const forged = (header: object, payload: object = {}): string =>
    [
      header,
      { iss: road.issuer.issuer, aud: 'urn:watchglass:api', sub: 'person-1', iat: 1, exp: 9_999_999_999, ...payload },
    ]
      .map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
      .join('.');

  it('row 13: refuses alg none in any case', async () => {
    await unauthorised(`${forged({ alg: 'none', typ: 'at+jwt', kid: 'k1' })}.`, 'token-algorithm');
    for (const alg of ['none', 'nOnE', 'NONE']) {
      await unauthorised(`${forged({ alg, typ: 'at+jwt', kid: 'k1' })}.c2ln`, 'token-algorithm');
    }
  });
  it('row 13: refuses HS256 with the public key as its secret', async () => {
    const { exportSPKI } = await import('jose');
    const secret = new TextEncoder().encode(await exportSPKI(road.issuer.publicKey));
    await unauthorised(await road.issuer.mint({}, { alg: 'HS256' }, secret), 'token-algorithm');
  });
  it('row 14: refuses a kid that is a path or a query', async () => {
    await unauthorised(await road.issuer.mint({}, { kid: '../../../dev/null' }), 'token-key');
    await unauthorised(await road.issuer.mint({}, { kid: "k1' OR '1'='1" }), 'token-key');
  });
  it('row 14: refuses a kid whose key is for another algorithm', async () => {
    const { generateKeyPair } = await import('jose');
    const { privateKey } = await generateKeyPair('ES256');
    await unauthorised(await road.issuer.mint({}, { alg: 'ES256' }, privateKey), 'token-key');
    await unauthorised(
      await road.issuer.mint({}, { alg: 'PS256' }, (await generateKeyPair('PS256')).privateKey),
      'token-algorithm',
    );
  });
  it('row 15: refuses keys that come with the token, and fetches none', async () => {
    await unauthorised(await road.issuer.mint({}, { jwk: road.issuer.jwk }), 'token-brings-key');
    await unauthorised(await road.issuer.mint({}, { jku: 'http://127.0.0.1:1/jwks' }), 'token-brings-key');
    await unauthorised(await road.issuer.mint({}, { x5u: 'http://127.0.0.1:1/cert' }), 'token-brings-key');
  });
  it('row 16: refuses a token without kid', async () =>
    unauthorised(await road.issuer.mint({}, { kid: undefined }), 'token-without-kid'));
  it('row 17: refuses an id token', async () =>
    unauthorised(await road.issuer.mint({}, { typ: 'JWT' }), 'token-claim-typ'));
  it('row 18: allows a minute of clock difference and no more', async () => {
    const now = Math.floor(Date.now() / 1_000);
    await unauthorised(await road.issuer.mint({ exp: now - 61 }), 'token-expired');
    await unauthorised(await road.issuer.mint({ nbf: now + 61 }), 'token-claim-nbf');
    await unauthorised(await road.issuer.mint({ iat: now + 61 }), 'token-from-the-future');
    assert.equal(
      (await road.fetch('/fhir/Patient/1', { token: await road.issuer.mint({ exp: now - 10, jti: 'late' }) })).status,
      200,
    );
  });
  it('row 19: refuses critical headers, four parts, encrypted tokens and flipped bits', async () => {
    const good = await road.issuer.mint();
    await unauthorised(
      `${forged({ alg: 'RS256', typ: 'at+jwt', kid: 'k1', crit: ['x'], x: 1 })}.c2ln`,
      'token-critical-header',
    );
    await unauthorised(`${good}.x`, 'token-malformed');
    await unauthorised('eyJhbGciOiJSU0EtT0FFUCIsImVuYyI6IkEyNTZHQ00ifQ.a.b.c.d', 'token-without-kid');
    const [head, body, signature] = good.split('.') as [string, string, string];
    const flipped = Buffer.from(signature, 'base64url');
    flipped[10]! ^= 1;
    await unauthorised(`${head}.${body}.${flipped.toString('base64url')}`, 'token-signature');
  });
  it('refuses the wrong issuer, audience and subject', async () => {
    await unauthorised(await road.issuer.mint({ iss: 'https://evil.example' }), 'token-issuer');
    await unauthorised(await road.issuer.mint({ aud: 'urn:other' }), 'token-claim-aud');
    await unauthorised(await road.issuer.mint({ sub: 'a\nb' }), 'token-subject');
    await unauthorised(await road.issuer.mint({ exp: undefined }), 'token-claim-exp');
  });
  it('row 20: fifty unknown kids cost one fetch', async () => {
    const fetchesBefore = road.issuer.fetches.count;
    for (let n = 0; n < 50; n++) {
      const token = await road.issuer.mint({}, { kid: `unknown-${n}` });
      assert.equal((await road.fetch('/fhir/Patient/1', { token })).status, 401);
    }
    assert.ok(road.issuer.fetches.count - fetchesBefore <= 1);
    const [first] = (await road.settled()).filter(({ outcome }) => outcome.reason === 'token-key').slice(-1) as [Event];
    assert.equal(first.kind, 'auth');
  });
});

describe('headers that speak for the gateway', () => {
  it('row 24: addresses that a client claims to have are not believed', async () => {
    const claims = { 'X-Forwarded-For': '6.6.6.6', X_Forwarded_For: '::ffff:6.6.6.6', Forwarded: 'for=6.6.6.6' };
    await road.fetch('/fhir/Patient/1', { headers: { ...claims, 'X-Real-IP': '6.6.6.6' } });
    assert.equal(road.asked.at(-1)!.headers['x-forwarded-for'], '127.0.0.1');
    assert.equal((await road.settled()).at(-1)!.source?.address, '127.0.0.1');
  });
  it('row 25: are dropped, whoever sends them', async () => {
    await road.fetch('/fhir/Patient/1', {
      headers: {
        'X-Forwarded-For': '6.6.6.6',
        X_Forwarded_For: '6.6.6.6',
        Forwarded: 'for=6.6.6.6',
        'X-Real-IP': '6.6.6.6',
        'X-Auth-Subject': 'admin',
        'X-Audit-Id': 'mine',
        'X-Request-Id': 'mine',
        'X-Original-URL': '/admin',
        Cookie: 'a=b',
        Referer: 'https://x/Patient/1',
      },
    });
    const { headers } = road.asked.at(-1)!;
    assert.equal(headers['x-forwarded-for'], '127.0.0.1');
    for (const name of [
      'x_forwarded_for',
      'forwarded',
      'x-real-ip',
      'x-auth-subject',
      'x-audit-id',
      'x-original-url',
      'cookie',
      'referer',
      'authorization',
    ]) {
      assert.equal(headers[name], undefined, name);
    }
    assert.notEqual(headers['x-request-id'], 'mine');
    assert.equal((await road.settled()).at(-1)!.source?.address, '127.0.0.1');
  });
  it('row 26: cannot be removed by naming them in Connection', async () => {
    await road.raw(get('/fhir/Patient/1', 'Connection: close, x-request-id, x-forwarded-for, x-mine', 'X-Mine: 1'));
    const { headers } = road.asked.at(-1)!;
    assert.equal(headers['x-forwarded-for'], '127.0.0.1');
    assert.match(String(headers['x-request-id']), /^[0-9a-f-]{36}$/);
    assert.equal(headers['x-mine'], undefined);
    assert.equal((await road.settled()).at(-1)!.request?.id, headers['x-request-id']);
  });
  it('row 25: include a method override, which is refused', () =>
    violated(get('/fhir/Patient/1', 'X-HTTP-Method-Override: DELETE', close), 400, 'method-override'));
});

describe('row 27: regular expressions that take for ever', () => {
  const policyWith = (type: string): string =>
    samplePolicy.replace('[Patient, Observation]', `[${JSON.stringify(type)}]`);

  for (const type of ['(a+)+$', '^(Patient|.*)*$', `${'*'.repeat(40)}x`])
    it(`a policy has none: ${type} is refused at once`, () => {
      const startedMs = performance.now();
      assert.throws(() => parsePolicy(policyWith(type), 'policy.yaml'), { code: 'policy-invalid' });
      assert.ok(performance.now() - startedMs < 500);
    });
  it('what a client sends is matched in linear time, and refused with an event', async () => {
    const hostile = ['%41', 'a'].map((part) => part.repeat(2_000)).join('');
    const startedMs = performance.now();
    await violated(get(`/fhir/Patient/${hostile}`, close));
    await violated(get(`/fhir/Patient?${'a:'.repeat(2_000)}=1`, close), 400, 'target-query');
    assert.ok(performance.now() - startedMs < 2_000);
  });
});
