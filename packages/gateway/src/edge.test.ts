/** Small parts of the edge: headers, addresses, floods, keys past their age. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { neighbourhood } from '@watchglass/record/source';
import { Agent } from 'undici';
import { type Flood, FloodGate } from './capture/flood.ts';
import { audience, serve, startIssuer } from './gateway.fixture.ts';
import { chooseAccept, clientHeaders } from './http/headers.ts';
import { IssuerKeys } from './identity/issuer-keys.ts';
import { Authenticator } from './identity/token.ts';

describe('content negotiation', () => {
  it('asks for JSON whenever the client takes it, and refuses what cannot be read', () => {
    for (const accept of [
      undefined,
      '',
      '*/*',
      'application/fhir+json',
      'application/fhir+xml, application/json;q=0.5',
      'application/*',
    ]) {
      assert.deepEqual(chooseAccept(accept, []), { kind: 'json', accept: 'application/fhir+json' }, String(accept));
    }
    for (const accept of ['application/fhir+xml', 'text/xml, text/html'])
      assert.equal(chooseAccept(accept, []).kind, 'unreadable');
    assert.deepEqual(chooseAccept('application/pdf', []), { kind: 'other', accept: 'application/pdf' });
    for (const format of ['xml', 'application%2Ffhir%2Bxml', 'html/xml', 'ttl', ''])
      assert.equal(chooseAccept('*/*', [{ name: '_format', rawValue: format }]).kind, 'unreadable', format);
    for (const format of ['json', 'application/fhir+json', 'application%2Ffhir%2Bjson', 'application/json'])
      assert.equal(chooseAccept('*/*', [{ name: '_format', rawValue: format }]).kind, 'json', format);
  });
});

describe('what a client gets', () => {
  it("moves locations to our origin and drops what is nobody else's business", () => {
    const headers = clientHeaders(
      {
        location: 'http://10.0.0.5:8080/fhir/Patient/1/_history/1',
        connection: 'keep-alive, x-internal',
        'x-internal': '1',
        'set-cookie': ['a=b'],
        server: 'secret/1.0',
        'x-powered-by': 'secret',
        etag: 'W/"1"',
        'transfer-encoding': 'chunked',
      },
      { requestId: 'r', auditId: 'a', upstreamOrigins: ['http://10.0.0.5:8080'], publicOrigin: 'https://gw.example' },
    );
    assert.deepEqual(headers, {
      location: 'https://gw.example/fhir/Patient/1/_history/1',
      etag: 'W/"1"',
      'cache-control': 'no-store',
      'x-content-type-options': 'nosniff',
      'x-request-id': 'r',
      'x-audit-id': 'a',
    });
  });
});

describe('a flood', () => {
  it('from one IPv6 network is one flood, whatever addresses it takes', () => {
    assert.equal(neighbourhood('2001:db8:1:2:3:4:5:6'), neighbourhood('2001:db8:1:2::9'));
    assert.equal(neighbourhood('2001:db8::9'), neighbourhood('2001:db8:0:0:aa::'));
    assert.equal(neighbourhood('::1'), '0:0:0:0');
    assert.notEqual(neighbourhood('2001:db8:1:2::9'), neighbourhood('2001:db8:1:3::9'));
    assert.equal(neighbourhood('192.0.2.1'), '192.0.2.1');
  });

  it('is admitted one by one at first, then counted, in bounded memory', () => {
    const windows: (readonly Flood<string>[])[] = [];
    using gate = new FloodGate<string>((floods) => windows.push(floods), { windowMs: 3_600_000 });
    const admitted = Array.from({ length: 100 }, () => gate.admit('a', 'sample')).filter(Boolean).length;
    for (let n = 0; n < 20_000; n++) gate.admit(`address ${n}`, 'sample');
    gate.flush();
    assert.equal(admitted, 20);
    const counts = windows.flat().map(({ count }) => count);
    assert.deepEqual([counts[0], counts.at(-1)], [80, 15_001]);
    // Nothing but the repetition is lost.
    assert.equal(
      counts.reduce((sum, count) => sum + count, 0),
      20_100 - 1_000,
    );
    gate.flush();
    assert.equal(windows.length, 1);
  });
});

describe('an issuer that went away', () => {
  it('leaves its keys good for an hour past their age, says so, and then nobody gets in', async () => {
    const issuer = await startIssuer();
    let nowMs = Date.now();
    let staleCount = 0;
    const dispatcher = new Agent();
    const keys = new IssuerKeys({
      issuer: issuer.issuer,
      dispatcher,
      now: () => nowMs,
      onStale: () => (staleCount += 1),
    });
    const authenticator = new Authenticator({
      issuers: [
        { issuer: issuer.issuer, audience, algorithms: ['RS256'], tokenType: 'at+jwt', rolesClaim: 'roles', keys },
      ],
      now: () => nowMs,
    });
    const ask = async (jti: string): Promise<string> => {
      const exp = Math.floor(nowMs / 1_000) + 60;
      return (await authenticator.authenticate(`Bearer ${await issuer.mint({ jti, exp })}`)).kind;
    };
    assert.equal(await ask('1'), 'authenticated');
    assert.equal(issuer.fetches.count, 1);
    await issuer.close();
    nowMs += 11 * 60_000;
    assert.equal(await ask('2'), 'authenticated');
    assert.equal(staleCount, 1);
    nowMs += 60 * 60_000;
    assert.equal(await ask('3'), 'unavailable');
    await dispatcher.destroy();
  });

  it('but takes connections holds nobody up whose key is known', async () => {
    const issuer = await startIssuer();
    let hangs = false;
    const hanging = await serve((_request, response) => {
      if (!hangs) response.end(JSON.stringify({ keys: [issuer.jwk] }));
    });
    let nowMs = 0;
    const dispatcher = new Agent();
    const keys = new IssuerKeys({
      issuer: issuer.issuer,
      jwksUri: `${hanging.url}/jwks`,
      dispatcher,
      now: () => nowMs,
    });
    assert.equal(await keys.prepare(), true);
    hangs = true;
    nowMs += 11 * 60_000;
    const answered = await Promise.race([
      keys.prepare().then(() => 'answered'),
      sleep(4_000, 'held up', { ref: false }),
    ]);
    assert.equal(answered, 'answered');
    await dispatcher.destroy();
    await hanging.close();
    await issuer.close();
  });

  it('has to name itself in its discovery document, and does not redirect', async () => {
    const dispatcher = new Agent();
    for (const answer of [
      { issuer: 'https://other.example', jwks_uri: 'https://other.example/jwks' },
      { jwks_uri: 'x' },
      'redirect',
    ] as const) {
      const impostor = await serve((_request, response) => {
        if (answer === 'redirect') response.writeHead(302, { location: 'http://127.0.0.1:1/' }).end();
        else response.end(JSON.stringify(answer));
      });
      const keys = new IssuerKeys({ issuer: impostor.url, dispatcher });
      assert.equal(await keys.prepare(), false);
      await impostor.close();
    }
    await dispatcher.destroy();
  });
});

describe('a remembered token', () => {
  it('is verified again after a minute, and not believed past its end', async () => {
    const issuer = await startIssuer();
    let nowMs = Date.now();
    const dispatcher = new Agent();
    const keys = new IssuerKeys({ issuer: issuer.issuer, dispatcher, now: () => nowMs });
    let verified = 0;
    const counting = Object.assign(Object.create(keys) as IssuerKeys, {
      keyOf: ((header, token) => {
        verified += 1;
        return keys.keyOf(header, token);
      }) as IssuerKeys['keyOf'],
    });
    const authenticator = new Authenticator({
      issuers: [
        {
          issuer: issuer.issuer,
          audience,
          algorithms: ['RS256'],
          tokenType: 'at+jwt',
          rolesClaim: 'roles',
          keys: counting,
        },
      ],
      now: () => nowMs,
    });
    const token = await issuer.mint({ exp: Math.floor(nowMs / 1_000) + 90 });
    const ask = async (): Promise<string> => (await authenticator.authenticate(`Bearer ${token}`)).kind;
    await Promise.all([ask(), ask(), ask()]);
    assert.equal(verified, 1);
    assert.equal(await ask(), 'authenticated');
    assert.equal(verified, 1);
    nowMs += 61_000;
    assert.equal(await ask(), 'authenticated');
    assert.equal(verified, 2);
    nowMs += 60_000;
    assert.equal(await ask(), 'invalid');
    await issuer.close();
    await dispatcher.destroy();
  });

  it('lasts no longer when the clock steps back', async () => {
    const issuer = await startIssuer();
    let nowMs = Date.now();
    const dispatcher = new Agent();
    const keys = new IssuerKeys({ issuer: issuer.issuer, dispatcher });
    const authenticator = new Authenticator({
      issuers: [
        { issuer: issuer.issuer, audience, algorithms: ['RS256'], tokenType: 'at+jwt', rolesClaim: 'roles', keys },
      ],
      now: () => nowMs,
    });
    const token = `Bearer ${await issuer.mint()}`;
    assert.equal((await authenticator.authenticate(token)).kind, 'authenticated');
    assert.equal('kind' in authenticator.authenticate(token), true, 'remembered');
    nowMs -= 10_000;
    assert.equal('kind' in authenticator.authenticate(token), false, 'verified again');
    // Verified by a clock that says the token is from the future.
    nowMs -= 3_600_000;
    assert.deepEqual(await authenticator.authenticate(token), { kind: 'invalid', reason: 'token-from-the-future' });
    await issuer.close();
    await dispatcher.destroy();
  });

  it('outlives the key that signed it by a minute at most', async () => {
    const issuer = await startIssuer();
    let nowMs = Date.now();
    const dispatcher = new Agent();
    const keys = new IssuerKeys({ issuer: issuer.issuer, dispatcher, now: () => nowMs });
    const authenticator = new Authenticator({
      issuers: [
        { issuer: issuer.issuer, audience, algorithms: ['RS256'], tokenType: 'at+jwt', rolesClaim: 'roles', keys },
      ],
      now: () => nowMs,
    });
    const token = `Bearer ${await issuer.mint()}`;
    assert.equal((await authenticator.authenticate(token)).kind, 'authenticated');
    issuer.jwk.kid = 'k2';
    nowMs += 10 * 60_000 + 1;
    assert.deepEqual(await authenticator.authenticate(token), { kind: 'invalid', reason: 'token-key' });
    await issuer.close();
    await dispatcher.destroy();
  });

  it('of another tenant is refused where the gateway has one', async () => {
    const issuer = await startIssuer();
    const dispatcher = new Agent();
    const keys = new IssuerKeys({ issuer: issuer.issuer, dispatcher });
    const authenticator = new Authenticator({
      issuers: [
        { issuer: issuer.issuer, audience, algorithms: ['RS256'], tokenType: 'at+jwt', rolesClaim: 'roles', keys },
      ],
      tenant: 'clinic-b',
    });
    assert.deepEqual(await authenticator.authenticate(`Bearer ${await issuer.mint()}`), {
      kind: 'invalid',
      reason: 'token-tenant',
    });
    await issuer.close();
    await dispatcher.destroy();
  });
});
