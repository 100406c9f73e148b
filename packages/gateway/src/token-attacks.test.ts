/** The table of attacks, rows 13 to 20: tokens that are not what they say. */
import assert from 'node:assert/strict';
import { after, before, it } from 'node:test';

import { exportSPKI, generateKeyPair } from 'jose';

import { attack, person, type Strike, unauthenticated } from './attack.fixture.ts';
import { audience, eventsOf, type Road, startRoad } from './gateway.fixture.ts';

let road: Road;

function start(): Promise<Road> {
  return startRoad({
    tls: true,
    adjust: (config) => ({
      ...config,
      issuers: config.issuers.map((issuer) => ({ ...issuer, algorithms: ['RS256', 'ES256'] })),
    }),
  });
}

before(async () => {
  road = await start();
});
after(() => road.close());

const path = '/fhir/Patient/1';

/** 401 with the challenge, and at most one question to the issuer. */
async function isRefused(of: Road, token: string): Promise<void> {
  const fetchesBefore = of.issuer.fetches.count;
  const answer = await of.fetch(path, { token });
  assert.equal(answer.status, 401);
  assert.match(String(answer.headers['www-authenticate']), /^Bearer .*error="invalid_token"/);
  assert.ok(of.issuer.fetches.count <= fetchesBefore + 1);
}

function refused(reason: string, make: (of: Road) => string | Promise<string>): Strike {
  return {
    at: () => road,
    strike: async (of) => isRefused(of, await make(of)),
    leaves: [unauthenticated(reason)],
  };
}

/** Header and payload as anybody can write them, and a signature that is none. */
function forged(of: Road, header: object, signature: string): string {
  const payload = { iss: of.issuer.issuer, aud: audience, sub: 'person-1', iat: 1, exp: 9_999_999_999 };
  const parts = [header, payload].map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'));
  return [...parts, signature].join('.');
}

const withoutSignature = (alg: string, signature: string): Strike =>
  refused('token-algorithm', (of) => forged(of, { alg, typ: 'at+jwt', kid: 'k1' }, signature));

attack(13, 'algorithms that prove nothing', {
  'refuses alg none without a signature': withoutSignature('none', ''),
  'refuses alg none': withoutSignature('none', 'c2ln'),
  'refuses alg nOnE': withoutSignature('nOnE', 'c2ln'),
  'refuses alg NONE': withoutSignature('NONE', 'c2ln'),
  'refuses HS256 with the public key as its secret': refused('token-algorithm', async ({ issuer }) => {
    const secret = new TextEncoder().encode(await exportSPKI(issuer.publicKey));
    return issuer.mint({}, { alg: 'HS256' }, secret);
  }),
});

attack(14, 'a kid that is something else', {
  'refuses a path': refused('token-key', ({ issuer }) => issuer.mint({}, { kid: '../../../dev/null' })),
  'refuses a query': refused('token-key', ({ issuer }) => issuer.mint({}, { kid: "k1' OR '1'='1" })),
  'refuses one whose key is for another algorithm': refused('token-key', async ({ issuer }) =>
    issuer.mint({}, { alg: 'ES256' }, (await generateKeyPair('ES256')).privateKey),
  ),
  'refuses one for an algorithm that is not listed': refused('token-algorithm', async ({ issuer }) =>
    issuer.mint({}, { alg: 'PS256' }, (await generateKeyPair('PS256')).privateKey),
  ),
});

/** Nothing listens there, and nobody gets to find out. */
const elsewhere = 'http://127.0.0.1:1/keys';

function bringing(header: (of: Road) => Record<string, unknown>): Strike {
  return {
    at: () => road,
    async strike(of) {
      const fetchesBefore = of.issuer.fetches.count;
      await isRefused(of, await of.issuer.mint({}, header(of)));
      assert.equal(of.issuer.fetches.count, fetchesBefore);
    },
    leaves: [unauthenticated('token-brings-key')],
  };
}

attack(15, 'keys that come with the token', {
  'refuses jwk': bringing(({ issuer }) => ({ jwk: issuer.jwk })),
  'refuses jku': bringing(() => ({ jku: elsewhere })),
  'refuses x5u': bringing(() => ({ x5u: elsewhere })),
});

attack(16, 'no kid', {
  'is refused': refused('token-without-kid', ({ issuer }) => issuer.mint({}, { kid: undefined })),
});

attack(17, 'an ID token as access token', {
  'is refused': refused('token-claim-typ', ({ issuer }) => issuer.mint({}, { typ: 'JWT' })),
});

const nowSeconds = (): number => Math.floor(Date.now() / 1_000);

attack(18, 'clocks that differ', {
  'refuses a token that ended more than half a minute ago': refused('token-expired', ({ issuer }) =>
    issuer.mint({ exp: nowSeconds() - 31 }),
  ),
  'refuses a token that begins later than in half a minute': refused('token-claim-nbf', ({ issuer }) =>
    issuer.mint({ nbf: nowSeconds() + 60 }),
  ),
  'refuses a token from the future': refused('token-from-the-future', ({ issuer }) =>
    issuer.mint({ iat: nowSeconds() + 60 }),
  ),
  'lets in who is a few seconds late': {
    at: () => road,
    asksCount: 1,
    leaves: [unauthenticated('', { ...person, status: 'success', code: undefined, reason: undefined })],
    async strike(of) {
      const token = await of.issuer.mint({ exp: nowSeconds() - 10, jti: 'late' });
      assert.equal((await of.fetch(path, { token })).status, 200);
    },
  },
});

attack(19, 'tokens that are more, or other, than signed claims', {
  'refuses an unknown critical header': refused('token-critical-header', (of) =>
    forged(of, { alg: 'RS256', typ: 'at+jwt', kid: 'k1', crit: ['x'], x: 1 }, 'c2ln'),
  ),
  'refuses four parts': refused('token-malformed', async ({ issuer }) => `${await issuer.mint()}.x`),
  'refuses an encrypted token': refused(
    'token-without-kid',
    () => 'eyJhbGciOiJSU0EtT0FFUCIsImVuYyI6IkEyNTZHQ00ifQ.a.b.c.d',
  ),
  'refuses a flipped bit': refused('token-signature', async ({ issuer }) => {
    const [head, body, signature = ''] = (await issuer.mint()).split('.');
    const flipped = Buffer.from(signature, 'base64url');
    flipped.writeUInt8(flipped.readUInt8(10) ^ 1, 10);
    return `${head}.${body}.${flipped.toString('base64url')}`;
  }),
});

attack(20, 'fifty unknown kids', {
  'cost one fetch, and are on record: twenty as they are, the rest by their number': {
    at: start,
    leaves: [unauthenticated('token-key'), unauthenticated('repeated-30-times')],
    async strike(of) {
      assert.equal((await of.fetch(path, { token: 'none' })).status, 401);
      const fetchesBefore = of.issuer.fetches.count;
      for (let n = 0; n < 50; n++) {
        const token = await of.issuer.mint({}, { kid: `unknown-${n}` });
        assert.equal((await of.fetch(path, { token })).status, 401);
      }
      assert.ok(of.issuer.fetches.count - fetchesBefore <= 1);
      const ofKeys = (await eventsOf(of)).filter(({ outcome }) => outcome.reason === 'token-key');
      assert.equal(ofKeys.length, 20);
      // So that the window of the flood ends here and now.
      await of.gateway[Symbol.asyncDispose]();
    },
  },
});

it('refuses the wrong issuer, audience and subject', async () => {
  const cases: readonly (readonly [string, Record<string, unknown>])[] = [
    ['token-issuer', { iss: 'https://evil.example' }],
    ['token-claim-aud', { aud: 'urn:other' }],
    ['token-subject', { sub: 'a\nb' }],
    ['token-claim-exp', { exp: undefined }],
  ];
  for (const [reason, claims] of cases) {
    await isRefused(road, await road.issuer.mint(claims));
    assert.equal((await road.settled()).at(-1)?.outcome.reason, reason);
  }
});
