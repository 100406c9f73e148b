/** The table of attacks, rows 24 to 27, 29 and 30: what clients claim beside their token, and what is too much. */
import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before } from 'node:test';

import { attack, type Mark, own, person, read, violation } from './attack.fixture.ts';
import { type Road, samplePolicy, startRoad, statusesOf } from './gateway.fixture.ts';
import { parsePolicy } from './policy/policy.ts';

let road: Road;
let behindProxies: Road;

before(async () => {
  road = await startRoad({ tls: true });
  behindProxies = await startRoad({ config: { trustedProxies: ['127.0.0.1', '10.0.0.0/8'] } });
});
after(async () => {
  await road.close();
  await behindProxies.close();
});

const path = '/fhir/Patient/1';

function raw(...extra: string[]): string {
  const head = [`GET ${path} HTTP/1.1`, 'Host: localhost', `Authorization: Bearer ${road.token}`];
  return [...head, ...extra, '', ''].join('\r\n');
}

function claiming(forwarded: string, address: string): Parameters<typeof attack>[2][string] {
  return {
    at: () => behindProxies,
    asksCount: 1,
    leaves: [read({ address })],
    async strike(of) {
      assert.equal((await of.fetch(path, { headers: { 'x-forwarded-for': forwarded } })).status, 200);
      assert.equal(of.asked.at(-1)?.headers['x-forwarded-for'], address);
    },
  };
}

attack(24, 'addresses that a client claims to have', {
  'are not believed, in any spelling': {
    at: () => road,
    asksCount: 1,
    leaves: [read()],
    async strike(of) {
      const claims = { 'X-Forwarded-For': '6.6.6.6', X_Forwarded_For: '::ffff:6.6.6.6', Forwarded: 'for=6.6.6.6' };
      assert.equal((await of.fetch(path, { headers: { ...claims, 'X-Real-IP': '6.6.6.6' } })).status, 200);
      assert.equal(of.asked.at(-1)?.headers['x-forwarded-for'], '127.0.0.1');
    },
  },
  'are believed of named proxies, from right to left': claiming('6.6.6.6, 198.51.100.7, 10.0.0.2', '198.51.100.7'),
  'are plain IPv4 where they come mapped into IPv6': claiming('::ffff:198.51.100.7', '198.51.100.7'),
  'are not looked for beyond what is no address': claiming('198.51.100.7, garbage, 10.0.0.2', '10.0.0.2'),
  'are the peer where there is nothing else': claiming('garbage', '127.0.0.1'),
});

const spoken = ['x_forwarded_for', 'forwarded', 'x-real-ip', 'x-auth-subject', 'x-audit-id', 'x-original-url'];

attack(25, 'fields that speak for the gateway', {
  'are dropped, whoever sends them': {
    at: () => road,
    asksCount: 1,
    leaves: [read()],
    async strike(of) {
      const headers = Object.fromEntries(spoken.map((name) => [name, 'mine']));
      const more = { 'X-Forwarded-For': '6.6.6.6', 'X-Request-Id': 'mine', Cookie: 'a=b', Referer: 'https://x/1' };
      assert.equal((await of.fetch(path, { headers: { ...headers, ...more } })).status, 200);
      const got = of.asked.at(-1)?.headers ?? {};
      assert.equal(got['x-forwarded-for'], '127.0.0.1');
      for (const name of [...spoken, 'cookie', 'referer', 'authorization']) assert.equal(got[name], undefined, name);
      assert.notEqual(got['x-request-id'], 'mine');
      assert.equal((await of.settled()).at(-1)?.request?.id, got['x-request-id']);
    },
  },
  'are refused where they override the method': {
    at: () => road,
    leaves: [violation(400, 'method-override')],
    async strike(of) {
      const answer = await of.raw(raw('X-HTTP-Method-Override: DELETE', 'Connection: close'));
      assert.deepEqual(statusesOf(answer), [400]);
    },
  },
});

attack(26, 'Connection that names our fields', {
  'removes none of them': {
    at: () => road,
    asksCount: 1,
    leaves: [read()],
    async strike(of) {
      await of.raw(raw('Connection: close, x-request-id, x-forwarded-for, x-mine', 'X-Mine: 1'));
      const headers = of.asked.at(-1)?.headers ?? {};
      assert.equal(headers['x-forwarded-for'], '127.0.0.1');
      assert.match(String(headers['x-request-id']), /^[0-9a-f-]{36}$/);
      assert.equal(headers['x-mine'], undefined);
      assert.equal((await of.settled()).at(-1)?.request?.id, headers['x-request-id']);
    },
  },
});

/** Nothing takes long, whatever is matched against what. */
async function quickly(run: () => unknown): Promise<void> {
  const startedMs = performance.now();
  await run();
  assert.ok(performance.now() - startedMs < 20_000);
}

function policyWith(type: string): string {
  return samplePolicy.replace('[Patient, Observation]', `[${JSON.stringify(type)}]`);
}

attack(27, 'regular expressions that take for ever', {
  'are none in a policy: it is refused, and the one before stays': {
    at: startRoad,
    asksCount: 1,
    leaves: [own('policy-refused', 'failed', { action: 'update', reason: 'policy-invalid' })],
    async strike(of) {
      for (const type of ['(a+)+$', '^(Patient|.*)*$', `${'*'.repeat(40)}x`])
        await quickly(() =>
          assert.throws(() => parsePolicy(policyWith(type), 'policy.yaml'), { code: 'policy-invalid' }),
        );
      const file = join(of.folder, 'policy.yaml');
      assert.equal(await readFile(file, 'utf8'), samplePolicy);
      await writeFile(file, policyWith('(a+)+$'));
      await quickly(() => of.gateway.reloadPolicy());
      assert.equal((await of.fetch(path)).status, 200);
    },
  },
  'match nothing that a client sends': {
    at: () => road,
    leaves: [violation(400, 'target-encoding'), violation(400, 'target-query')],
    async strike(of) {
      const targets = [`${path}${'%41'.repeat(2_000)}${'a'.repeat(1_900)}`, `/fhir/Patient?${'a:'.repeat(2_000)}=1`];
      for (const target of targets)
        await quickly(async () =>
          assert.deepEqual(statusesOf(await of.raw(raw('Connection: close').replace(path, target))), [400]),
        );
    },
  },
});

const rateOf = (by: string): object => ({ rules: [{ name: 'slow', by, limit: 2, windowMs: 3_600_000 }] });

attack(29, 'another key for each attempt', {
  'does not help: an IPv6 network of /64 is one address': {
    at: () => startRoad({ config: { trustedProxies: ['127.0.0.1'], rates: rateOf('address') } }),
    asksCount: 2,
    leaves: [
      {
        ...violation(429, 'rate-address'),
        operation: 'rate-limited',
        address: '2001:db8::3',
      },
    ],
    async strike(of) {
      for (const [n, status] of [200, 200, 429, 429].entries()) {
        const headers = { 'x-forwarded-for': `2001:db8::${n + 1}` };
        assert.equal((await of.fetch(path, { headers })).status, status);
      }
    },
  },
  'does not help: a client is one, whatever tokens it has and whomever they are for': {
    at: () => startRoad({ config: { rates: rateOf('client') } }),
    asksCount: 2,
    leaves: [read({ status: 'failed', code: 429, reason: 'rate-client', actor: 'person-3' })],
    async strike(of) {
      for (const [n, status] of [200, 200, 429, 429].entries()) {
        const token = await of.issuer.mint({ sub: `person-${n + 1}`, jti: `token-${n + 1}` });
        assert.equal((await of.fetch(path, { token })).status, status);
      }
    },
  },
});

const denied = (operation: string, rest: Partial<Mark>): Mark =>
  read({ operation, status: 'denied', code: 403, ...person, ...rest });

attack(30, 'a Bundle of allowed and denied entries', {
  'is denied as a whole, and each entry recorded': {
    at: () => road,
    leaves: [
      denied('batch', { action: 'execute', reason: 'policy' }),
      denied('read', { reason: 'batch-denied' }),
      denied('delete', { action: 'delete', reason: 'policy' }),
    ],
    async strike(of) {
      const entry = ['GET', 'DELETE'].map((method) => ({ request: { method, url: 'Patient/p-1' } }));
      const answer = await of.fetch('/fhir', {
        method: 'POST',
        token: await of.issuer.mint({ roles: ['nurse'], jti: 'nurse' }),
        headers: { 'content-type': 'application/fhir+json' },
        body: JSON.stringify({ resourceType: 'Bundle', type: 'batch', entry }),
      });
      assert.equal(answer.status, 403);
    },
  },
});
