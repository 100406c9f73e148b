import assert from 'node:assert/strict';
import { globSync, rmSync } from 'node:fs';
import { test } from 'node:test';
import { openProof, parseProof, verifyProof } from '@watchglass/record';
import { publicRoutes } from './public-routes.ts';
import { ask, clinic, indexed, post, startTestServer, testEvent } from './server.fixture.ts';

const canary = 'wg-pt-canary-4b1d';

test('every route is audited or public by name, and described in openapi.json', async () => {
  await using server = await startTestServer();
  const { fastify } = server.api;
  await fastify.ready();
  const { paths } = (await fastify.inject('/openapi.json')).json() as {
    paths: Record<string, Record<string, unknown>>;
  };
  const described = Object.entries(paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
  );
  // HEAD comes with a GET that is public; none of a person's reads has one.
  const [heads, routes] = [true, false].map((head) =>
    server.api.routes.filter(({ method }) => (method === 'HEAD') === head),
  );
  assert.ok(heads?.length === 15 && heads.every(({ open, url }) => open !== undefined && !/^\/(auth|v1)/.test(url)));
  const mounted = (routes ?? []).map(({ method, url, audited, open }) => {
    assert.ok(
      (audited === undefined) !== (open === undefined),
      `${method} ${url} is audited or public, not both, not neither`,
    );
    return `${method} ${url}`;
  });
  assert.deepEqual(
    (routes ?? [])
      .filter(({ open }) => open !== undefined)
      .map(({ method, url }) => `${method} ${url}`)
      .sort(),
    Object.keys(publicRoutes).sort(),
  );
  const asPath = (route: string): string => route.replace('/tile/*', '/tile/{path}').replaceAll(/:([a-z]+)/g, '{$1}');
  assert.deepEqual(
    mounted
      .filter((route) => route !== 'GET /*')
      .map(asPath)
      .sort(),
    described.sort(),
  );
  for (const { method, url, audited } of server.api.routes) {
    if (audited === undefined) continue;
    const answer = await fastify.inject({
      method: method as 'GET',
      url: url.replace(':index', '0').replace(':id', 'x'),
    });
    assert.equal(answer.statusCode, 401, `${method} ${url} answers only whom it knows`);
  }
});

test('a path that takes other methods says which, and a probe may ask for the head alone', async () => {
  await using server = await startTestServer();
  const { fastify } = server.api;
  for (const [method, url, allow] of [
    ['DELETE', '/v1/events', 'GET, POST'],
    ['PUT', '/v1/events/0', 'GET'],
    ['HEAD', '/v1/events', 'GET, POST'],
    ['GET', '/v1/write-keys/x', 'DELETE'],
    ['POST', '/log/clinic/tile/0/000', 'GET, HEAD'],
    ['GET', '/auth/logout', 'POST'],
  ] as const) {
    const answer = await fastify.inject({ method, url });
    assert.equal(answer.statusCode, 405, `${method} ${url}`);
    assert.equal(answer.headers.allow, allow, `${method} ${url}`);
    if (method !== 'HEAD') assert.equal((answer.json() as { code: string }).code, 'method-not-allowed');
  }
  for (const url of ['/v1/nothing', '/nothing', '/v1/events/', '/log/clinic']) {
    assert.equal((await fastify.inject({ method: 'DELETE', url })).statusCode, 404, url);
  }
  for (const url of ['/healthz', '/readyz', '/log', '/log/clinic/checkpoint', '/openapi.json']) {
    const answer = await fastify.inject({ method: 'HEAD', url });
    assert.deepEqual([answer.statusCode, answer.body], [200, ''], url);
  }
});

test('a question is JSON, and not what a form of another site can send', async () => {
  await using server = await startTestServer();
  for (const type of ['text/plain', 'application/x-www-form-urlencoded']) {
    const answer = await server.api.fastify.inject({
      method: 'POST',
      url: '/v1/events/search',
      headers: { authorization: `Bearer ${await server.token('privacy-officer')}`, 'content-type': type },
      payload: '{}',
    });
    assert.deepEqual([answer.statusCode, (answer.json() as { code: string }).code], [415, 'media-type'], type);
  }
});

test('an event comes in, is found by its patient, and is proven', async () => {
  await using server = await startTestServer();
  const event = testEvent({ targets: [{ type: 'Observation', id: 'obs-canary', patient: canary }] });
  const stored = await post(server, event);
  assert.equal(stored.statusCode, 201, stored.body);
  const { receipts, checkpoint } = stored.json() as {
    receipts: { id: string; index: number; leaf: string }[];
    checkpoint: string;
  };
  assert.equal(receipts[0]?.id, event.id);
  assert.ok(checkpoint.startsWith('watchglass.test/clinic\n'));
  await indexed(server);

  const officer = await server.token('privacy-officer');
  for (const filters of [
    { patient: canary },
    { patient: `Patient/${canary}` },
    { resource: 'Observation/obs-canary' },
    { q: canary },
  ]) {
    const found = (await ask(server, officer, '/v1/events/search', { ...filters, kind: 'api' })).json() as {
      events: { index: number; targets: { patient: string }[] }[];
      next: null;
      count: number;
    };
    assert.equal(found.count, 1, JSON.stringify(filters));
    assert.equal(found.events[0]?.index, receipts[0]?.index);
    assert.match(found.events[0]?.targets[0]?.patient ?? '', /^·[A-Z2-7]{12}$/);
    assert.ok(!JSON.stringify(found).includes('canary'), 'results show pseudonyms');
    const again = (
      await ask(server, officer, '/v1/events/search', { patient: found.events[0]?.targets[0]?.patient })
    ).json() as { count: number };
    assert.ok(again.count >= 1, 'a pseudonym can be searched for');
  }
  const index = receipts[0]?.index ?? -1;
  const one = (await ask(server, officer, `/v1/events/${index}`)).json() as { leaf: string };
  assert.equal(one.leaf, receipts[0]?.leaf);

  const proof = (await ask(server, officer, `/v1/events/${index}/proof`)).body;
  const vkey = server.ledger.vkey(clinic);
  assert.equal(openProof(proof, { vkey }).record.event.id, event.id);
  const closed = (await ask(server, server.operator, `/v1/events/${index}/proof`)).body;
  assert.equal(parseProof(closed).extra, undefined, 'the operator has no right to open');
  verifyProof({ proof: closed, leafHash: new Uint8Array(Buffer.from(one.leaf, 'base64')), vkey });
});

test('pages are complete and without repetition while events keep coming', async () => {
  await using server = await startTestServer();
  await post(
    server,
    Array.from({ length: 120 }, () => testEvent({ operation: 'paged' })),
  );
  await indexed(server);
  const analyst = await server.token('security-analyst');
  const seen: number[] = [];
  let cursor: string | null = null;
  do {
    const page = (
      await ask(server, analyst, '/v1/events/search', {
        operation: 'paged',
        limit: 25,
        ...(cursor === null ? {} : { cursor }),
      })
    ).json() as {
      events: { index: number }[];
      next: string | null;
      count: number;
    };
    assert.equal(page.count, 120);
    seen.push(...page.events.map(({ index }) => index));
    cursor = page.next;
    await post(server, [testEvent({ operation: 'paged' })]);
    await indexed(server);
  } while (cursor !== null);
  assert.equal(seen.length, 120);
  assert.deepEqual(
    seen,
    [...new Set(seen)].sort((a, b) => b - a),
  );
});

test('a search is on record before it is answered, with what it asked for by pseudonym', async () => {
  await using server = await startTestServer();
  await post(server, testEvent({ targets: [{ type: 'Patient', id: canary }] }));
  await indexed(server);
  const officer = await server.token('privacy-officer');
  const size = server.ledger.head(clinic).size;
  assert.equal(
    (await ask(server, officer, '/v1/events/search', { patient: canary, actor: 'nurse-1' })).statusCode,
    200,
  );
  const [entry] = await server.ledger.read(clinic, size, 1);
  const text = new TextDecoder().decode(entry?.m);
  const { event } = JSON.parse(text) as {
    event: {
      kind: string;
      operation: string;
      actor: { id: string };
      exposure: { count: number };
      targets: { type: string; id: string; role: string }[];
      request: { query: string[]; route: string };
    };
  };
  assert.deepEqual(
    [event.kind, event.operation, event.actor.id, event.exposure.count],
    ['review', 'search', 'person-privacy-officer', 1],
  );
  assert.deepEqual(event.request.query, ['actor', 'patient']);
  assert.ok(!text.includes('canary'));
  assert.deepEqual(event.targets[0], {
    type: 'Patient',
    id: server.indexes.pseudonyms(clinic).patient(canary),
    role: 'query',
  });
  await indexed(server);
  const found = (await ask(server, officer, '/v1/events/search', { patient: canary, kind: 'review' })).json() as {
    count: number;
  };
  assert.equal(found.count, 1, 'who asked about a patient is found by the patient');
});

test('what cannot be recorded is not answered; the status alone is', async () => {
  let broken = false;
  await using server = await startTestServer({
    beforeRecord: () => {
      if (broken) throw Object.assign(new Error('no room'), { code: 'ENOSPC' });
    },
  });
  await post(server, testEvent());
  await indexed(server);
  const officer = await server.token('privacy-officer');
  broken = true;
  for (const [url, body] of [
    ['/v1/events/search', {}],
    ['/v1/events/summary', {}],
    ['/v1/events/0', undefined],
    ['/v1/events/0/proof', undefined],
  ] as const) {
    const answer = await ask(server, officer, url, body);
    assert.ok(answer.statusCode >= 500, url);
    assert.ok(!answer.body.includes('nurse-1'), url);
  }
  assert.equal((await ask(server, officer, '/v1/status')).statusCode, 200);
});

test('rights are a table: clinical people see nothing, and refusals are on record', async () => {
  await using server = await startTestServer();
  const nurse = await server.token('nurse');
  const size = server.ledger.head(clinic).size;
  for (const url of ['/v1/events', '/v1/events/0', '/v1/status', '/v1/write-keys', '/v1/events/tail']) {
    const answer = await ask(server, nurse, url);
    assert.equal(answer.statusCode, 403, url);
  }
  const entries = await server.ledger.read(clinic, size, 100);
  assert.equal(entries.length, 5);
  for (const { m } of entries)
    assert.equal(
      (JSON.parse(new TextDecoder().decode(m)) as { event: { outcome: { status: string } } }).event.outcome.status,
      'denied',
    );
  const auditor = await server.token('auditor');
  assert.equal((await ask(server, auditor, '/v1/events/tail')).statusCode, 403);
  assert.equal((await ask(server, auditor, '/v1/events')).statusCode, 200);
  assert.equal((await ask(server, 'not-a-token', '/v1/events')).statusCode, 401);
  assert.equal((await ask(server, server.writeKey, '/v1/events')).statusCode, 401);
});

test('a summary counts by outcome over time and names the most frequent values', async () => {
  await using server = await startTestServer();
  const events = Array.from({ length: 30 }, (_, i) =>
    testEvent({
      time: `2027-01-01T0${i % 3}:00:00Z`.replace('2027', String(new Date().getUTCFullYear() - 1)),
      operation: i % 2 === 0 ? 'read' : 'vread',
      outcome: { status: i % 5 === 0 ? 'denied' : 'success' },
    }),
  );
  await post(server, events);
  await indexed(server);
  const auditor = await server.token('auditor');
  const summary = (await ask(server, auditor, '/v1/events/summary', { kind: 'api', buckets: 10 })).json() as {
    count: number;
    series: { success: number; denied: number }[];
    facets: Record<string, { value: string; count: number }[]>;
  };
  assert.equal(summary.count, 30);
  assert.equal(
    summary.series.reduce((sum, { denied }) => sum + denied, 0),
    6,
  );
  assert.deepEqual(summary.facets.outcome, [
    { value: 'success', count: 24 },
    { value: 'denied', count: 6 },
  ]);
  assert.deepEqual(summary.facets.actor, [{ value: 'nurse-1', count: 30 }]);
  assert.deepEqual(
    summary.facets.operation?.map(({ count }) => count),
    [15, 15],
  );
});

test('an index that was deleted is built again, and pseudonyms stay', async () => {
  let server = await startTestServer();
  try {
    await post(
      server,
      Array.from({ length: 50 }, () => testEvent({ targets: [{ type: 'Patient', id: canary }] })),
    );
    await indexed(server);
    const pseudonym = server.indexes.pseudonyms(clinic).patient(canary);
    for (const what of ['**/*', '**/access-*.sqlite', '**/*.token-key']) {
      server = await server.restart(() => {
        for (const file of globSync(what, { cwd: `${server.dir}/index` }))
          rmSync(`${server.dir}/index/${file}`, { recursive: true, force: true });
      });
      await indexed(server);
      const found = (
        await ask(server, await server.token('auditor'), '/v1/events/search', { patient: canary, kind: 'api' })
      ).json() as { count: number };
      assert.equal(found.count, 50, what);
      assert.equal(server.indexes.pseudonyms(clinic).patient(canary), pseudonym);
    }
  } finally {
    await server[Symbol.asyncDispose]();
  }
});

test('queries that make no sense are refused by name', async () => {
  await using server = await startTestServer();
  const auditor = await server.token('auditor');
  for (const [url, code] of [
    ['/v1/events?limit=0', 'query-invalid'],
    ['/v1/events?nonsense=1', 'query-invalid'],
    ['/v1/events?kind=api&kind=data', 'query-invalid'],
    ['/v1/events?cursor=abc', 'cursor-invalid'],
    ['/v1/events/abc', 'bad-request'],
    ['/v1/events/99999999', 'not-found'],
    ['/v1/events/99999999/proof', 'not-found'],
    ['/v1/nothing', 'not-found'],
    ['/log/elsewhere/checkpoint', 'not-found'],
    ['/log/clinic/tile/0/999', 'not-found'],
    ['/log/clinic/tile/../../keys/kek', 'not-found'],
    ['/v1/events?tenant=elsewhere', 'forbidden'],
  ] as const) {
    const answer = await ask(server, auditor, url);
    assert.equal((answer.json() as { code: string }).code, code, url);
  }
});

test('a body that is no plain JSON is refused without repeating it', async () => {
  await using server = await startTestServer();
  const auditor = await server.token('auditor');
  for (const payload of [`{"patient":"${canary}"`, '', '{"__proto__":{"patient":"x"}}', `[${canary}`]) {
    const answer = await server.api.fastify.inject({
      method: 'POST',
      url: '/v1/events/search',
      headers: { authorization: `Bearer ${auditor}`, 'content-type': 'application/json' },
      payload,
    });
    assert.deepEqual([answer.statusCode, (answer.json() as { code: string }).code], [400, 'bad-request'], payload);
    assert.ok(!answer.body.includes('canary'));
  }
  assert.ok(!server.log().includes('canary'));
});

test('the log is readable without signing in, as tlog-tiles says', async () => {
  await using server = await startTestServer();
  await post(
    server,
    Array.from({ length: 300 }, () => testEvent()),
  );
  const { fastify } = server.api;
  assert.deepEqual((await fastify.inject('/log')).json(), [{ tenant: 'clinic', origin: 'watchglass.test/clinic' }]);
  const checkpoint = await fastify.inject('/log/clinic/checkpoint');
  assert.match(checkpoint.headers['content-type'] as string, /^text\/plain/);
  assert.equal(checkpoint.body, server.ledger.head(clinic).checkpoint);
  const tile = await fastify.inject('/log/clinic/tile/0/000');
  assert.equal(tile.rawPayload.length, 8192);
  assert.equal(tile.headers['content-type'], 'application/octet-stream');
  assert.match(tile.headers['cache-control'] as string, /immutable/);
  assert.equal((await fastify.inject('/log/clinic/vkey')).body.trim(), server.ledger.vkey(clinic));
});

test('write keys are made, shown once, listed, and end', async () => {
  await using server = await startTestServer();
  const administrator = await server.token('administrator');
  const made = (
    await ask(server, administrator, '/v1/write-keys', { name: 'Ward app', emitter: 'ward-app' })
  ).json() as { id: string; secret: string };
  assert.match(made.secret, /^wgk_/);
  assert.equal((await post(server, testEvent(), { authorization: `Bearer ${made.secret}` })).statusCode, 201);
  const listed = (await ask(server, administrator, '/v1/write-keys')).body;
  assert.ok(listed.includes(made.id) && !listed.includes(made.secret));
  const revoked = await server.api.fastify.inject({
    method: 'DELETE',
    url: `/v1/write-keys/${made.id}`,
    headers: { authorization: `Bearer ${administrator}` },
  });
  assert.equal(revoked.statusCode, 204, revoked.body);
  assert.equal((await post(server, testEvent(), { authorization: `Bearer ${made.secret}` })).statusCode, 401);
  assert.equal((await ask(server, administrator, '/v1/write-keys', { name: '', emitter: 'x y' })).statusCode, 422);
});

test('the operator adds people, whose password is shown once; an administrator cannot make a privacy officer', async () => {
  await using server = await startTestServer();
  const person = { username: 'd.ito', name: 'Dana Ito', roles: ['privacy-officer'], department: 'Privacy office' };
  const administrator = await server.token('administrator');
  const refused = await ask(server, administrator, '/v1/people', person);
  assert.deepEqual([refused.statusCode, (refused.json() as { code: string }).code], [403, 'forbidden']);
  assert.equal(server.access.people.find('d.ito'), undefined);

  const operator = server.operator;
  for (const wrong of [{ ...person, roles: ['operator'] }, { ...person, roles: [] }, { ...person, role: 'x' }, {}])
    assert.equal((await ask(server, operator, '/v1/people', wrong)).statusCode, 422, JSON.stringify(wrong));
  const added = await ask(server, operator, '/v1/people', person);
  assert.equal(added.statusCode, 201, added.body);
  const { id, password } = added.json() as { id: string; password: string };
  const signedIn = await server.access.people.signIn({ username: 'd.ito', password, client: 'test' });
  assert.equal(signedIn.kind, 'person');
  assert.equal((await ask(server, operator, '/v1/people', person)).statusCode, 422, 'a username is given once');
  await server.access.factors.newRecoveryCodes(id, 'server');
  assert.equal((await ask(server, administrator, `/v1/people/${id}/reset`, {})).statusCode, 403);
  assert.equal((await ask(server, operator, '/v1/people/nobody/reset', {})).statusCode, 404);
  const reset = (await ask(server, operator, `/v1/people/${id}/reset`, {})).json() as { password: string };
  assert.equal(server.access.factors.of(id).recoveryCodes, 0);
  assert.equal((await server.access.people.signIn({ username: 'd.ito', password })).kind, 'refused');
  assert.equal((await server.access.people.signIn({ username: 'd.ito', password: reset.password })).kind, 'person');
  const listed = (await ask(server, administrator, '/v1/people')).body;
  assert.ok(listed.includes(id) && !listed.includes(password));
  await indexed(server);
  const officer = await server.token('privacy-officer');
  const count = async (filters: object): Promise<number> =>
    ((await ask(server, officer, '/v1/events/search', filters)).json() as { count: number }).count;
  assert.equal(await count({ operation: 'person-added' }), 1);
  assert.equal(await count({ operation: 'person-add', outcome: 'denied' }), 1);
});

test('health, metrics and the security headers', async () => {
  await using server = await startTestServer({ consoleFiles: { 'index.html': '<title>console</title>' } });
  const { fastify } = server.api;
  await post(server, testEvent({ targets: [{ type: 'Patient', id: canary }] }));
  await indexed(server);
  assert.equal((await fastify.inject('/healthz')).statusCode, 200);
  assert.equal((await fastify.inject('/readyz')).statusCode, 200);
  const metrics = (await fastify.inject('/metrics')).body;
  assert.match(metrics, /watchglass_ledger_size\{tenant="clinic"\} \d+/);
  assert.match(metrics, /watchglass_intake_accepted 1/);
  assert.ok(!metrics.includes('canary'));
  const page = await fastify.inject({ url: '/explorer?q=x', headers: { accept: 'text/html' } });
  assert.equal(page.body, '<title>console</title>');
  assert.match(page.headers['content-security-policy'] as string, /default-src 'self'.*frame-ancestors 'none'/);
  assert.equal(page.headers['x-content-type-options'], 'nosniff');
  assert.equal(page.headers['referrer-policy'], 'no-referrer');
  assert.equal((await fastify.inject({ url: '/v1/nowhere', headers: { accept: 'text/html' } })).statusCode, 404);
  assert.equal((await fastify.inject({ url: '/missing.js', headers: { accept: '*/*' } })).statusCode, 404);
});

test('nothing that identifies a patient gets into the log', async () => {
  await using server = await startTestServer();
  const officer = await server.token('privacy-officer');
  await post(server, testEvent({ targets: [{ type: 'Patient', id: canary }] }));
  await ask(server, officer, `/v1/events?patient=${canary}&nonsense=${canary}`);
  await ask(server, officer, `/v1/events?patient=${canary}`);
  await ask(server, officer, `/v1/${canary}/x`);
  await ask(server, officer, `/v1/events/${canary}`);
  await server.api.fastify.inject({ url: `/%ff${canary}` });
  assert.match(server.log(), /"route":"\/v1\/events"/);
  assert.ok(!server.log().includes('canary'));
});
