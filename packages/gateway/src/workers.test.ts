/** Two workers guard as one does: whatever one of them saw, counted, heard or was told holds at the other from the same moment on. */
import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, describe, it } from 'node:test';

import { sendJson, serve } from './gateway.fixture.ts';
import { makeProver } from './identity/dpop.fixture.ts';
import { type Pair, startPair } from './workers.fixture.ts';

let pair: Pair | undefined;

afterEach(async () => {
  await pair?.[Symbol.asyncDispose]();
  pair = undefined;
});

async function start(options: Parameters<typeof startPair>[0] = {}): Promise<Pair> {
  pair = await startPair(options);
  return pair;
}

const hourMs = 3_600_000;

describe('two workers', () => {
  it('let a proof of possession be shown once, to whichever of them', async () => {
    const of = await start();
    const prover = await makeProver();
    const token = await of.road.issuer.mint({ cnf: { jkt: prover.thumbprint } });
    const url = `${of.road.gateway.url}/fhir/Patient/1`;
    const show = async (slot: number, proof: string): Promise<readonly unknown[]> => {
      const headers = { authorization: `DPoP ${token}`, dpop: proof };
      const { status, headers: said } = await of.ask(slot, { token: null, headers });
      return [status, /error="([^"]+)"/.exec(String(said['www-authenticate']))?.[1]];
    };
    for (const [first, second] of [
      [1, 2],
      [2, 1],
      [1, 1],
    ] as const) {
      const proof = await prover.prove({ url, token });
      assert.deepEqual(await show(first, proof), [200, undefined]);
      assert.deepEqual(await show(second, proof), [401, 'invalid_dpop_proof']);
    }
    const slots = new Set<string>();
    await of.event(({ emitter, outcome }) => {
      if (outcome.reason === 'dpop-replay') slots.add(emitter.id);
      return slots.size === 2;
    });
    assert.equal(await of.metric('watchglass_gateway_dpop_proofs'), 3);
  });

  it('take a nonce that the other one gave', async () => {
    const of = await start({ config: { identity: { dpop: { nonce: true } } } });
    const prover = await makeProver();
    const token = await of.road.issuer.mint({ cnf: { jkt: prover.thumbprint } });
    const url = `${of.road.gateway.url}/fhir/Patient/1`;
    const show = async (slot: number, nonce: unknown): ReturnType<Pair['ask']> => {
      const proof = await prover.prove({ url, token }, { nonce });
      return of.ask(slot, { token: null, headers: { authorization: `DPoP ${token}`, dpop: proof } });
    };
    const asked = await show(1, undefined);
    assert.equal(asked.status, 401);
    assert.equal((await show(2, asked.headers['dpop-nonce'])).status, 200);
  });

  it('count a rate together, to the request', async () => {
    const rules = [
      { name: 'reads', by: 'user', limit: 7, windowMs: hourMs, interactions: ['read'] },
      { name: 'wide', by: 'address', limit: 1_000, windowMs: hourMs },
    ];
    const of = await start({ config: { rates: { rules } } });
    const statuses: number[] = [];
    for (let n = 0; n < 12; n++) statuses.push((await of.ask(1 + (n % 2))).status);
    assert.deepEqual(statuses, [...Array<number>(7).fill(200), ...Array<number>(5).fill(429)]);
    const other = await of.road.issuer.mint({ sub: 'b' });
    const together = await Promise.all(Array.from({ length: 20 }, (_, n) => of.ask(1 + (n % 2), { token: other })));
    assert.equal(together.filter(({ status }) => status === 200).length, 7);
    assert.equal(of.road.asked.filter(({ target }) => target === '/fhir/Patient/1').length, 14);
  });

  it('lock out together, before the failure that is one too many is answered', async () => {
    const of = await start({ config: { lockout: { failuresMax: 5, blockMs: hourMs, blockMsMax: hourMs } } });
    for (let n = 0; n < 5; n++) assert.equal((await of.ask(1 + (n % 2), { token: `no-token-${n}` })).status, 401);
    for (let n = 0; n < 16; n++)
      assert.match(await of.road.raw('GET /fhir/metadata HTTP/1.1\r\nhost: x\r\n\r\n'), /^HTTP\/1\.1 429 /);
    const begun = await of.event(({ operation }) => operation === 'lockout-begun');
    assert.equal(begun.emitter.id, 'test-gateway');
    assert.equal(of.road.events.filter(({ operation }) => operation === 'lockout-begun').length, 1);
    assert.equal(await of.metric('watchglass_gateway_locked_out'), 1);
  });

  it('hold one user to so many requests at once, wherever they run', async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const of = await start({
      config: { concurrency: { userMax: 2 } },
      upstream: (request, response) => {
        const answer = (): void => sendJson(response, 200, { resourceType: 'Patient', id: '1' });
        if (request.url === '/fhir/Patient/slow') void promise.then(answer);
        else answer();
      },
    });
    const slow = [1, 2].map((slot) => of.ask(slot, { path: '/fhir/Patient/slow' }));
    while (of.road.asked.filter(({ target }) => target.endsWith('/slow')).length < 2)
      await new Promise((tick) => setImmediate(tick));
    const other = await of.road.fetch('/fhir/Patient/1');
    assert.deepEqual([other.status, other.json.code], [429, 'concurrency-exceeded']);
    resolve();
    for (const answer of await Promise.all(slow)) assert.equal(answer.status, 200);
    // That one ended takes a moment to be heard.
    for (const slot of [1, 2])
      while ((await of.ask(slot)).status !== 200) await new Promise((tick) => setImmediate(tick));
  });

  it('let nobody in whom one of them heard is out, before the issuer has its answer, nor after a restart', async () => {
    const logoutPath = '/backchannel-logout';
    const of = await start({
      config: { identity: { logoutPath } },
      issuer: { logoutClientId: 'watchglass-gateway' },
    });
    const { issuer } = of.road;
    const seconds = Math.floor(Date.now() / 1_000);
    const token = await issuer.mint({ sub: 'p-1', sid: 's-1', jti: 'a' });
    for (const slot of [1, 2]) assert.equal((await of.ask(slot, { token })).status, 200);
    const none = Object.fromEntries(
      ['client_id', 'roles', 'scope', 'tenant', 'acr', 'amr', 'auth_time'].map((name) => [name, undefined]),
    );
    const logout = await issuer.mint(
      {
        ...none,
        aud: 'watchglass-gateway',
        sub: 'p-1',
        sid: 's-1',
        exp: seconds + 120,
        jti: 'logout-1',
        events: { 'http://schemas.openid.net/event/backchannel-logout': {} },
      },
      { typ: 'logout+jwt' },
    );
    const post = (slot: number): ReturnType<Pair['ask']> =>
      of.ask(slot, {
        path: logoutPath,
        method: 'POST',
        token: null,
        headers: { 'content-type': 'application/x-www-form-urlencoded' },
        body: `logout_token=${logout}`,
      });
    assert.equal((await post(1)).status, 200);
    for (const slot of [2, 1]) assert.equal((await of.ask(slot, { token })).status, 401);
    // Said again at the other one: it was seen.
    assert.equal((await post(2)).status, 400);
    const replay = await of.event(({ outcome }) => outcome.reason === 'logout-replay');
    assert.equal(replay.emitter.id, 'test-gateway/2');

    const other = await issuer.mint({ sub: 'p-2', jti: 'b' });
    for (const slot of [1, 2]) assert.equal((await of.ask(slot, { token: other })).status, 200);
    await of.road.gateway.revoke({ sub: 'p-2' });
    for (const slot of [1, 2]) assert.equal((await of.ask(slot, { token: other })).status, 401);
    const revoked = of.road.events.filter(({ operation }) => operation === 'tokens-revoked');
    assert.deepEqual(
      revoked.map(({ emitter }) => emitter.id),
      ['test-gateway'],
    );
    // Who comes later begins with it, and there is one file.
    const [victim] = of.road.gateway.workers;
    process.kill(victim?.pid ?? 0, 'SIGKILL');
    while (of.road.gateway.workers.some(({ pid, state }) => pid === victim?.pid || state !== 'ready'))
      await new Promise((tick) => setImmediate(tick));
    for (const slot of [1, 2]) assert.equal((await of.ask(slot, { token })).status, 401);
    assert.match(await readFile(join(of.road.folder, 'spool', 'revocations'), 'utf8'), /"s-1"/);
  });

  it('take a policy together, and have the change on record once', async () => {
    const of = await start();
    const nurse = await of.road.issuer.mint({ sub: 'n', roles: ['nurse'] });
    const file = join(of.road.folder, 'policy.yaml');
    const policy = await readFile(file, 'utf8');
    for (const slot of [1, 2]) assert.equal((await of.ask(slot, { token: nurse })).status, 200);
    await writeFile(file, policy.replace('types: [Patient, Observation]', 'types: [Observation]'));
    await of.road.gateway.reloadPolicy();
    for (const slot of [1, 2]) assert.equal((await of.ask(slot, { token: nurse })).status, 403);
    await writeFile(file, 'version: 1\nroles: {nurse: 5}\n');
    await of.road.gateway.reloadPolicy();
    for (const slot of [1, 2]) assert.equal((await of.ask(slot)).status, 200);
    await of.event(({ operation }) => operation === 'policy-refused');
    const changes = of.road.events.filter(({ operation }) => operation?.startsWith('policy-'));
    assert.deepEqual(
      changes.map(({ operation, emitter }) => [operation, emitter.id]),
      [
        ['policy-loaded', 'test-gateway'],
        ['policy-refused', 'test-gateway'],
      ],
    );
    // A worker that comes later begins with the policy in force, whatever stands in the file by now.
    const [, victim] = of.road.gateway.workers;
    process.kill(victim?.pid ?? 0, 'SIGKILL');
    while (of.road.gateway.workers.some(({ pid, state }) => pid === victim?.pid || state !== 'ready'))
      await new Promise((tick) => setImmediate(tick));
    assert.equal((await of.ask(2, { token: nurse })).status, 403);
    assert.equal((await of.ask(2)).status, 200);
  });

  it('break the glass together', async () => {
    const of = await start({
      policy: `
version: 1
anonymous: [capabilities]
purposeOfUse: {header: X-Purpose-Of-Use, allow: [TREAT, BTG]}
breakGlass: {minutes: 30, reasons: [emergency], patientsMax: 2}
roles:
  physician:
    allow: [{interactions: [read], types: [Appointment]}]
    breakGlass: [{interactions: [read], types: ['*']}]
`,
    });
    const emergency = { 'x-purpose-of-use': 'BTG' };
    const headers = { ...emergency, 'x-break-glass-reason': 'emergency' };
    assert.equal((await of.ask(1, { headers: emergency })).status, 403);
    const opened = await of.ask(1, { headers });
    assert.deepEqual([opened.status, opened.json.code], [200, undefined]);
    const again = await of.ask(2, { headers: emergency });
    assert.equal(again.status, 200);
    assert.equal(again.headers['x-break-glass'], opened.headers['x-break-glass']);
    // So many patients a person, whichever worker is asked.
    assert.equal((await of.ask(2, { headers, path: '/fhir/Patient/2' })).status, 200);
    assert.equal((await of.ask(1, { headers, path: '/fhir/Patient/3' })).status, 403);
    await of.event(({ outcome }) => outcome.reason === 'break-glass-too-many');
    const openings = (): number => of.road.events.filter(({ operation }) => operation === 'break-glass-opened').length;
    await of.event(() => openings() === 2);
  });

  it('say alike where applications sign people in', async () => {
    const of = await start({ config: { cors: { origins: ['https://chart.example'] } } });
    const { issuer, metadata } = of.road.issuer;
    Object.assign(metadata, { token_endpoint: `${issuer}/token`, code_challenge_methods_supported: ['S256'] });
    const path = '/fhir/.well-known/smart-configuration';
    for (const slot of [1, 2]) {
      const { status, headers, json } = await of.ask(slot, {
        path,
        token: null,
        headers: { origin: 'https://chart.example' },
      });
      assert.deepEqual([status, json.issuer, headers['access-control-allow-origin']], [200, issuer, '*']);
      const read = await of.ask(slot, { headers: { origin: 'https://chart.example' } });
      assert.equal(read.headers['access-control-allow-origin'], 'https://chart.example');
    }
  });

  it('follow a decision of the server together, and say so once', async () => {
    let version = 1;
    let waiting: (() => void)[] = [];
    const decision = {
      id: 'd-1',
      effect: 'block',
      subject: 'actor',
      value: 'person-1',
      made: new Date().toISOString(),
      expires: new Date(Date.now() + hourMs).toISOString(),
      by: 'officer',
      reason: 'seen elsewhere',
    };
    const server = await serve((request, response) => {
      if (!request.url?.startsWith('/v1/gateway/decisions')) {
        request.resume().once('end', () => response.writeHead(201).end('{"receipts":[],"checkpoint":""}'));
        return;
      }
      const answer = (): void =>
        void response.end(JSON.stringify({ version: String(version), decisions: version === 2 ? [decision] : [] }));
      if (request.url.includes(`after=${version}`)) waiting.push(answer);
      else answer();
    });
    try {
      const of = await start({ config: { server: { url: server.url, writeKeyFile: 'write.key' } } });
      while (waiting.length === 0) await new Promise((tick) => setImmediate(tick));
      const status = async (): Promise<number> => (await of.road.fetch('/fhir/Patient/1')).status;
      assert.equal(await status(), 200);
      version = 2;
      for (const answer of waiting.splice(0)) answer();
      waiting = [];
      // The feed asks again once all have it.
      while (waiting.length === 0) await new Promise((tick) => setImmediate(tick));
      for (let n = 0; n < 16; n++) {
        const answer = await of.road.raw(
          `GET /fhir/Patient/1 HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${of.road.token}\r\nconnection: close\r\n\r\n`,
        );
        assert.match(answer, /^HTTP\/1\.1 403 /);
      }
      assert.equal(await of.metric('watchglass_gateway_decisions'), 1);
    } finally {
      await pair?.[Symbol.asyncDispose]();
      pair = undefined;
      await server.close();
    }
  });
});
