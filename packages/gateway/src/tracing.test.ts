/** Traces, as a collector gets them: OTLP over HTTP, decoded, from a gateway whose requests are real. */
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import type { ServerResponse } from 'node:http';
import { join } from 'node:path';
import { describe, it } from 'node:test';

import {
  type Collector,
  spanKinds as kinds,
  type CollectedSpan as Span,
  startCollector,
} from '../../trace/src/collector.fixture.ts';
import { answerPatient, endedAfterEach, eventsOf, type Road, type RoadOptions, startRoad } from './gateway.fixture.ts';

/** Of the request's events, on their way to the server after it. */
const delivery = 'POST /v1/events';
const parent = '00f067aa0ba902b7';
const traceId = '4bf92f3577b34da6a3ce929d0e0e4736';
const sampled = `00-${traceId}-${parent}-01`;

const startOne = endedAfterEach(startRoad);
const collect = endedAfterEach(startCollector);

async function start(
  tracing: Record<string, unknown> = {},
  options: RoadOptions & { readonly answer?: (response: ServerResponse) => void } = {},
): Promise<{ readonly of: Road; readonly to: Collector }> {
  const to = await collect(options.answer);
  const of = await startOne({ ...options, config: { tracing: { endpoint: to.url, ...tracing }, ...options.config } });
  return { of, to };
}

const named = (spans: readonly Span[], name: string): Span => {
  const found = spans.find((span) => span.name === name);
  assert.ok(found !== undefined, `${name} of ${spans.map((span) => span.name)}`);
  return found;
};

describe('the trace of a request', () => {
  it('has a span for it and one for each phase, goes on to the API, and is named by the event', async () => {
    const { of, to } = await start();
    const path = '/fhir/Patient/pat-31337?_summary=true';
    const answer = await of.fetch(path, { headers: { traceparent: sampled, 'user-agent': 'agent-31337' } });
    assert.equal(answer.status, 200);
    const spans = await to.traceOf(traceId);
    const server = named(spans, 'GET /fhir/Patient/{id}');
    assert.equal(server.kind, kinds.server);
    assert.equal(server.parentSpanId, parent);
    assert.deepEqual(server.attributes, {
      'http.request.method': 'GET',
      'http.route': '/fhir/Patient/{id}',
      'http.response.status_code': 200,
      'network.protocol.name': 'http',
      'server.address': '127.0.0.1',
      'url.scheme': 'http',
      'watchglass.audit.id': answer.headers['x-audit-id'],
      'watchglass.interaction': 'read',
    });
    const inner = spans.filter((span) => span !== server && span.name !== delivery);
    assert.deepEqual(new Set(inner.map(({ name }) => name)), new Set(['authenticate', 'decide', 'GET', 'record']));
    for (const span of inner) {
      assert.equal(span.parentSpanId, server.spanId, span.name);
      assert.ok(BigInt(span.startTimeUnixNano) >= BigInt(server.startTimeUnixNano), span.name);
      assert.ok(BigInt(span.endTimeUnixNano) <= BigInt(server.endTimeUnixNano), span.name);
    }
    const upstream = named(spans, 'GET');
    assert.equal(upstream.kind, kinds.client);
    assert.equal(upstream.attributes['http.response.status_code'], 200);
    assert.equal(upstream.attributes['server.address'], '127.0.0.1');
    assert.equal(of.asked[0]?.headers.traceparent, `00-${traceId}-${upstream.spanId}-01`);
    const [event] = await eventsOf(of);
    assert.equal(event?.request?.traceparent, `00-${traceId}-${server.spanId}-01`);
    assert.equal(event?.id, answer.headers['x-audit-id']);
    assert.doesNotMatch(JSON.stringify(to.spans), /31337|_summary|person-1/);
    assert.equal(to.resources[0]?.['service.name'], 'watchglass-gateway');
    assert.equal(to.resources[0]?.['service.instance.id'], 'test-gateway');
    assert.equal(to.requests[0]?.url, '/v1/traces');
  });

  it('says how it was refused, and where it failed', async () => {
    const { of, to } = await start({}, { upstream: (request) => request.socket.destroy() });
    assert.equal((await of.fetch('/fhir/Patient/1', { token: null, headers: { traceparent: sampled } })).status, 401);
    const refused = named(await to.traceOf(traceId), 'GET /fhir/Patient/{id}');
    assert.equal(refused.attributes['watchglass.refusal'], 'token-missing');
    assert.equal(refused.attributes['error.type'], undefined);
    assert.equal(refused.status.code ?? 0, 0);
    const other = `${'7'.repeat(32)}`;
    const body = { method: 'DELETE', headers: { traceparent: `00-${other}-${parent}-01` } };
    assert.equal((await of.fetch('/fhir/Patient/1', body)).status, 502);
    const spans = await to.traceOf(other);
    const server = named(spans, 'DELETE /fhir/Patient/{id}');
    assert.equal(server.attributes['error.type'], 'upstream-unreachable');
    assert.equal(server.status.code, 2);
    assert.equal(named(spans, 'DELETE').attributes['error.type'], 'upstream-unreachable');
    assert.equal(spans.filter(({ name }) => name === 'record').length, 2);
  });

  it('is sampled as its caller sampled it, and by the ratio where it begins here', async () => {
    const { of, to } = await start({ sampleRatio: 0 });
    await of.fetch('/fhir/Patient/1');
    await of.fetch('/fhir/Patient/1', { headers: { traceparent: `00-${'1'.repeat(32)}-${parent}-00` } });
    await of.fetch('/fhir/Patient/1', { headers: { traceparent: `00-${'0'.repeat(32)}-${parent}-01` } });
    await of.fetch('/fhir/Patient/1', { headers: { traceparent: sampled } });
    await to.traceOf(traceId);
    assert.deepEqual([...new Set(to.spans.map((span) => span.traceId))], [traceId]);
    const sent = of.asked.map(({ headers }) => String(headers.traceparent).slice(-2));
    assert.deepEqual(sent, ['00', '00', '00', '01']);
    assert.match(
      String(of.asked[1]?.headers.traceparent),
      new RegExp(`^00-${'1'.repeat(32)}-(?!${parent})[0-9a-f]{16}-00$`),
    );
  });

  it('is sent before the gateway has stopped, with the secret of its file', async () => {
    const { of, to } = await start(
      { headersFile: 'collector.headers', serviceName: 'edge' },
      {
        prepare: (folder) =>
          writeFile(join(folder, 'collector.headers'), '# ours\nAuthorization: Bearer collector-secret\n'),
      },
    );
    await of.fetch('/fhir/Patient/1');
    await of.gateway[Symbol.asyncDispose]();
    assert.equal(named(to.spans, 'GET /fhir/Patient/{id}').kind, kinds.server);
    assert.equal(to.requests[0]?.authorization, 'Bearer collector-secret');
    assert.equal(to.resources[0]?.['service.name'], 'edge');
  });
});

describe('a collector', () => {
  const admin = { host: '127.0.0.1', port: 0 };
  const spansOf = async (of: Road, fate: string): Promise<number> => {
    const text = await (await fetch(`${of.gateway.adminUrl}/metrics`)).text();
    return Number(new RegExp(`watchglass_gateway_spans_total\\{fate="${fate}"\\} (\\d+)`).exec(text)?.[1] ?? 0);
  };

  it('that never answers costs spans, which are counted, and no request', async () => {
    const { of } = await start(
      { queueMax: 16, timeoutMs: 2_000 },
      { answer: () => undefined, config: { admin }, upstream: answerPatient },
    );
    // At once: one after the other they might come no faster than the collector is given up.
    const answers = await Promise.all(Array.from({ length: 20 }, () => of.fetch('/fhir/Patient/1')));
    assert.ok(answers.every(({ status }) => status === 200));
    while ((await spansOf(of, 'queue-full')) === 0) await new Promise((tick) => setImmediate(tick));
    while ((await spansOf(of, 'refused')) === 0) await new Promise((tick) => setTimeout(tick, 20));
    assert.equal(await spansOf(of, 'sent'), 0);
    assert.equal((await of.fetch('/fhir/Patient/1')).status, 200);
  });

  it('that refuses is counted, too', async () => {
    const { of } = await start({}, { answer: (response) => response.writeHead(400).end(), config: { admin } });
    await of.fetch('/fhir/Patient/1');
    while ((await spansOf(of, 'refused')) < 5) await new Promise((tick) => setTimeout(tick, 20));
    assert.equal(await spansOf(of, 'queue-full'), 0);
  });
});
