/**
 * A request's trace, from its client to where its event is durable: gateway, API and server as they run, and a collector that reads what they send. And what is in no span: whatever
 * somebody asked for, signed in with, or is called.
 */
import assert from 'node:assert/strict';
import { appendFile, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';

import { type Road, startRoad } from '../../packages/gateway/src/gateway.fixture.ts';
import { type RunningServer, readConfig, startServer } from '../../packages/server/src/index.ts';
import {
  type CollectedSpan,
  type Collector,
  errorStatus,
  spanKinds,
  startCollector,
} from '../../packages/trace/src/collector.fixture.ts';
import { attributeNames } from '../../packages/trace/src/index.ts';
import { makeFolder } from './command.fixture.ts';
import { anEvent, type Installation, install } from './server.fixture.ts';

let folder: Awaited<ReturnType<typeof makeFolder>>;
let collector: Collector;
let here: Installation;
let server: RunningServer;
let issuerUrl: string;
/** A token of somebody who may open what is sealed. */
let officer: string;

before(async () => {
  folder = await makeFolder('traces');
  collector = await startCollector();
  here = await install(folder.path);
  await writeFile(join(folder.path, 'collector.headers'), 'authorization: Bearer collector-secret\n', { mode: 0o600 });
  await writeFile(join(folder.path, 'roster.json'), JSON.stringify({ staff: [] }));
  await appendFile(
    here.config,
    `\ndemo: { people: roster.json }\ntracing: { endpoint: "${collector.url}", headersFile: collector.headers }\n`,
  );
  const config = await readConfig(here.config);
  issuerUrl = config.issuer.url;
  // Without a page for them bundles fail: that is how a fault of ours looks.
  server = await startServer({ ...config, consoleDir: folder.path, log: { level: 'silent' } });
  const { people } = JSON.parse(await readFile(join(here.dataDir, 'demo/tokens.json'), 'utf8')) as {
    people: { role: string; token: string }[];
  };
  officer = people.find(({ role }) => role === 'privacy-officer')?.token ?? '';
});

after(async () => {
  await server?.[Symbol.asyncDispose]();
  await collector?.[Symbol.asyncDispose]();
  await folder?.[Symbol.asyncDispose]();
});

const parent = '00f067aa0ba902b7';
let traces = 0;
const newTrace = (): string => (++traces).toString(16).padStart(31, '0').padStart(32, 'a');
const sampled = (traceId: string): string => `00-${traceId}-${parent}-01`;

function ask(path: string, body?: unknown, headers: Record<string, string> = {}): Promise<Response> {
  return fetch(`${here.url}${path}`, {
    method: body === undefined ? 'GET' : 'POST',
    headers: {
      authorization: `Bearer ${here.operatorToken}`,
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      ...headers,
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
}

const post = (events: unknown, headers: Record<string, string> = {}): Promise<Response> =>
  ask('/v1/events', events, { authorization: `Bearer ${here.writeKey}`, ...headers });

const isIntake = ({ name, service }: CollectedSpan): boolean =>
  name === 'POST /v1/events' && service === 'watchglass-server';

const isRequest = ({ name, service }: CollectedSpan): boolean =>
  name === 'GET /fhir/Patient/{id}' && service === 'watchglass-gateway';

/** The span of a request at the server, and those inside of it. */
function atServer(traceId: string): Promise<readonly [CollectedSpan, ...CollectedSpan[]]> {
  return collector.until((spans) => {
    const ours = spans.filter((span) => span.service === 'watchglass-server' && span.traceId === traceId);
    const door = ours.find(({ kind }) => kind === spanKinds.server);
    return door && [door, ...ours.filter((span) => span !== door)];
  });
}

async function startGateway(): Promise<Road> {
  return startRoad({
    config: {
      server: { url: here.url, writeKeyFile: 'real.key' },
      tracing: { endpoint: collector.url, sampleRatio: 0 },
    },
    prepare: (dir) => writeFile(join(dir, 'real.key'), `${here.writeKey}\n`, { mode: 0o600 }),
  });
}

test('one trace leads from the client through the gateway and the API to the disk of the server', async () => {
  const road = await startGateway();
  try {
    const traceId = newTrace();
    const answer = await road.fetch('/fhir/Patient/pat-31337', { headers: { traceparent: sampled(traceId) } });
    assert.equal(answer.status, 200);
    // The first one carries the request's event; another may bring what the gateway says of itself in it.
    const spans = await collector.until((all) => {
      const own = all.filter((span) => span.traceId === traceId);
      const ends = [isRequest, isIntake].every((is) => own.some(is)) && own.some(({ name }) => name === 'append');
      return ends ? own : undefined;
    });
    const one = (is: (span: CollectedSpan) => boolean): CollectedSpan => {
      const found = spans.find(is);
      assert.ok(found !== undefined, `not in ${spans.map(({ service, name }) => `${service}: ${name}`)}`);
      return found;
    };
    const request = one(isRequest);
    const call = one(({ name, service }) => name === 'GET' && service === 'watchglass-gateway');
    const intake = one(isIntake);
    const delivery = one(({ spanId }) => spanId === intake.parentSpanId);
    const append = one(({ name, parentSpanId }) => name === 'append' && parentSpanId === intake.spanId);
    assert.equal(request.parentSpanId, parent);
    assert.equal(call.parentSpanId, request.spanId);
    assert.equal(road.asked[0]?.headers.traceparent, `00-${traceId}-${call.spanId}-01`);
    assert.equal(delivery.name, 'POST /v1/events');
    assert.equal(delivery.service, 'watchglass-gateway');
    assert.equal(delivery.kind, spanKinds.client);
    assert.equal(delivery.parentSpanId, request.spanId);
    assert.equal(delivery.attributes['http.response.status_code'], 201);
    assert.deepEqual(
      intake.links?.map((link) => [link.traceId, link.spanId]),
      [[traceId, request.spanId]],
    );
    assert.ok(Number(append.attributes['watchglass.events']) > 0);
    assert.equal(collector.requests.at(-1)?.url, '/v1/traces');
    assert.ok(collector.requests.some(({ authorization }) => authorization === 'Bearer collector-secret'));
  } finally {
    await road.close();
  }
});

test('a delivery of many requests’ events is a trace of its own, linked to each of theirs, and bounded', async () => {
  const traceId = newTrace();
  const requests = Array.from({ length: 200 }, () => newTrace());
  const events = requests.map((id, n) =>
    anEvent({
      request: { method: 'GET', route: '/fhir', traceparent: n % 2 === 0 ? sampled(id) : `00-${id}-${parent}-00` },
    }),
  );
  const few = await post(events.slice(0, 6), { traceparent: sampled(traceId) });
  assert.equal(few.status, 201);
  const [intake] = await atServer(traceId);
  assert.deepEqual(
    intake.links?.map((link) => link.traceId),
    [requests[0], requests[2], requests[4]],
  );
  const other = newTrace();
  const twice = [...events, ...events.map((event) => ({ ...event, id: anEvent().id }))];
  assert.equal((await post(twice, { traceparent: sampled(other) })).status, 201);
  assert.equal((await atServer(other))[0].links?.length, 100);
});

test('searches, single events, proofs, reports and bundles are spans with what they waited for, and their events name them', async () => {
  const cases: readonly (readonly [path: string, body: unknown, name: string, phases: readonly string[]])[] = [
    ['/v1/events/search', { limit: 1 }, 'POST /v1/events/search', ['search', 'record']],
    ['/v1/events/summary', {}, 'POST /v1/events/summary', ['summarise', 'record']],
    ['/v1/events/0', undefined, 'GET /v1/events/{index}', ['read', 'record']],
    ['/v1/events/0/proof', undefined, 'GET /v1/events/{index}/proof', ['prove', 'record']],
    ['/v1/completeness', undefined, 'GET /v1/completeness', ['completeness', 'record']],
    [
      '/v1/bundles',
      { indexes: [0], purpose: 'HOPERAT', reason: 'a test of traces' },
      'POST /v1/bundles',
      ['bundle', 'record'],
    ],
    ['/log/clinic/checkpoint', undefined, 'GET /log/{tenant}/checkpoint', []],
  ];
  for (const [path, body, name, phases] of cases) {
    const traceId = newTrace();
    const answer = await ask(path, body, { traceparent: sampled(traceId), authorization: `Bearer ${officer}` });
    const text = await answer.text();
    assert.equal(answer.status, path === '/v1/bundles' ? 503 : 200, `${path}: ${text.slice(0, 300)}`);
    const [door, ...inside] = await atServer(traceId);
    assert.equal(door.name, name);
    assert.equal(door.attributes['http.response.status_code'], answer.status, path);
    assert.deepEqual(new Set(inside.map((span) => span.name)), new Set(phases), path);
    for (const span of inside) assert.equal(span.parentSpanId, door.spanId);
    if (answer.status === 503) {
      for (const span of [door, ...inside.filter((one) => one.name === 'bundle')]) {
        assert.equal(span.attributes['error.type'], 'unavailable', span.name);
        assert.equal(span.status.code, errorStatus, span.name);
      }
    } else assert.equal(door.status.code ?? 0, 0);
    if (!phases.includes('record')) continue;
    const found = await ask('/v1/events/search', { kind: 'review', limit: 20 });
    const { events } = (await found.json()) as { events: { request?: { traceparent?: string } }[] };
    assert.ok(
      events.some(({ request }) => request?.traceparent === `00-${traceId}-${door.spanId}-01`),
      path,
    );
  }
});

test('what was refused says why, and only a fault of the server is an error', async () => {
  const [forbidden, invalid] = [newTrace(), newTrace()];
  assert.equal(
    (await post([anEvent()], { traceparent: sampled(forbidden), authorization: 'Bearer wgk_no' })).status,
    401,
  );
  const [refused] = await atServer(forbidden);
  assert.equal(refused.attributes['watchglass.refusal'], 'write-key-invalid');
  assert.equal(refused.status.code ?? 0, 0);
  assert.equal((await post([{ v: 1 }], { traceparent: sampled(invalid) })).status, 422);
  assert.equal((await atServer(invalid))[0].attributes['watchglass.refusal'], 'event-invalid');
});

test('health, metrics and files of the console are no spans, and what became of the others is counted', async () => {
  const traceId = newTrace();
  const headers = { traceparent: sampled(traceId) };
  for (const path of ['/healthz', '/readyz', '/openapi.json', '/no-such-file'])
    await (await fetch(`${here.url}${path}`, { headers })).arrayBuffer();
  const metrics = await (await fetch(`${here.url}/metrics`, { headers })).text();
  assert.match(metrics, /^watchglass_spans_total\{fate="sent"\} [1-9]/m);
  const last = newTrace();
  await ask('/v1/events/0', undefined, { traceparent: sampled(last) });
  await atServer(last);
  assert.deepEqual(
    collector.spans.filter((span) => span.traceId === traceId),
    [],
  );
});

test('nothing that anybody asked for, signed in with or is called is in a span', async () => {
  const canary = 'canary-31337';
  const [traceId, atIssuer] = [newTrace(), newTrace()];
  const headers = {
    traceparent: sampled(traceId),
    'user-agent': canary,
    referer: `http://x/${canary}`,
    tracestate: `a=${canary}`,
  };
  const patient = [{ type: 'Patient', id: canary, patient: canary }];
  await post([anEvent({ actor: { id: canary }, targets: patient })], headers);
  await ask('/v1/events/search', { q: canary, patient: canary, actor: [canary] }, headers);
  await ask(`/v1/events?q=${canary}`, undefined, headers);
  await ask(`/v1/events/${canary}`, undefined, headers);
  await ask(`/log/${canary}/checkpoint`, undefined, headers);
  await ask(`/v1/${canary}/${canary}`, undefined, headers);
  await ask('/v1/bundles', { query: { patient: canary }, purpose: 'HOPERAT', reason: canary }, headers);
  await ask(`/auth/callback?code=${canary}&state=${canary}`, undefined, { ...headers, cookie: `a=${canary}` });
  const toIssuer = (path: string, form?: Record<string, string>): Promise<Response> =>
    fetch(`${issuerUrl}${path}`, {
      headers: { ...headers, traceparent: sampled(atIssuer) },
      redirect: 'manual',
      ...(form === undefined ? {} : { method: 'POST', body: new URLSearchParams(form) }),
    });
  await toIssuer(`/auth?client_id=console&login_hint=${canary}&state=${canary}`);
  await toIssuer(`/interaction/${canary}`);
  await toIssuer(`/interaction/${canary}/login`, { username: canary, password: canary });
  await toIssuer(`/${canary}`);
  const refused = await toIssuer('/token', { grant_type: 'authorization_code', code: canary, client_id: 'console' });
  assert.ok(refused.status >= 400);
  const ours = await collector.until((spans) => {
    const found = spans.filter((span) => span.traceId === atIssuer);
    return found.length >= 5 && spans.filter((span) => span.traceId === traceId).length >= 8 ? spans : undefined;
  });
  assert.deepEqual(
    new Set(ours.filter((span) => span.traceId === atIssuer && span.kind === spanKinds.server).map(({ name }) => name)),
    new Set(['GET /auth', 'GET /interaction/{id}', 'POST /interaction/{id}', 'GET', 'POST /token']),
  );
  const secrets = [officer, here.operatorToken, here.writeKey, here.person.username, here.person.password];
  const text = JSON.stringify([collector.spans, collector.resources]);
  for (const secret of [canary, '31337', ...secrets]) assert.ok(!text.includes(secret), `a span holds ${secret}`);
  const allowed = new Set<string>(attributeNames);
  const used = new Set(collector.spans.flatMap(({ attributes }) => Object.keys(attributes)));
  assert.deepEqual(
    [...used].filter((name) => !allowed.has(name)),
    [],
  );
});
