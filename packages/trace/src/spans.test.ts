/** What is begun, linked and sampled arrives at a collector as it was; and what a collector does, nobody waits for. */
import assert from 'node:assert/strict';
import type { ServerResponse } from 'node:http';
import { afterEach, describe, it } from 'node:test';
import { z } from 'zod';

import { type Collector, errorStatus, startCollector } from './collector.fixture.ts';
import { linksMax, openSpans, readTracing, type SpanFate, type Spans, tracingSchema } from './index.ts';

const traceOf = (n: number, flags = '01'): string => `00-${n.toString(16).padStart(32, '0')}-00f067aa0ba902b7-${flags}`;

let collector: Collector | undefined;
let spans: Spans | undefined;
const fates = new Map<SpanFate, number>();
let told = Promise.withResolvers<void>();
const reaches: boolean[] = [];

afterEach(async () => {
  await spans?.[Symbol.asyncDispose]();
  await collector?.[Symbol.asyncDispose]();
  spans = undefined;
  collector = undefined;
  fates.clear();
  reaches.length = 0;
});

async function open(
  over: Record<string, unknown> = {},
  answer?: (response: ServerResponse) => void,
): Promise<{ readonly to: Collector; readonly of: Spans }> {
  const to = await startCollector(answer);
  collector = to;
  const section = tracingSchema('test').parse({ endpoint: to.url, ...over });
  const read = readTracing(section, { headers: undefined, ca: undefined });
  assert.ok('settings' in read);
  const of = await openSpans(read.settings, {
    scope: 'test',
    instance: 'one',
    onSpans(fate, count) {
      fates.set(fate, (fates.get(fate) ?? 0) + count);
      told.resolve();
      told = Promise.withResolvers();
    },
    onReach: (reached) => reaches.push(reached),
  });
  spans = of;
  return { to, of };
}

async function fated(fate: SpanFate): Promise<void> {
  while (!fates.has(fate)) await told.promise;
}

describe('the environment', () => {
  it('changes nothing of where spans go, and what goes with them', async (t) => {
    const other = await startCollector();
    t.after(() => other[Symbol.asyncDispose]());
    const of = {
      OTEL_EXPORTER_OTLP_ENDPOINT: other.url,
      OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: `${other.url}/v1/traces`,
      OTEL_EXPORTER_OTLP_HEADERS: 'authorization=Bearer another-program,x-of-another=1',
      OTEL_EXPORTER_OTLP_TRACES_HEADERS: 'x-traces-of-another=1',
      OTEL_EXPORTER_OTLP_COMPRESSION: 'gzip',
      OTEL_EXPORTER_OTLP_TIMEOUT: '1',
      OTEL_EXPORTER_OTLP_CERTIFICATE: '/nowhere.pem',
      OTEL_SERVICE_NAME: 'another',
      OTEL_RESOURCE_ATTRIBUTES: 'service.name=another,x=1',
      OTEL_TRACES_SAMPLER: 'always_off',
      OTEL_SDK_DISABLED: 'true',
    };
    Object.assign(process.env, of);
    t.after(() => {
      for (const name of Object.keys(of)) delete process.env[name];
    });
    const { to, of: made } = await open();
    made.begin({ name: 'one', kind: 'server' }).end();
    await to.until(([span]) => span);
    assert.equal(other.requests.length, 0);
    const [headers = {}] = to.requests;
    for (const name of ['authorization', 'x-of-another', 'x-traces-of-another', 'content-encoding'])
      assert.equal(headers[name], undefined, name);
    assert.equal(headers['content-type'], 'application/json');
    const { 'service.name': name, x } = to.resources[0] ?? {};
    assert.deepEqual([name, x], ['test', undefined]);
  });
});

describe('a span', () => {
  it('goes on in the trace of its parent, be that ours or told by another', async () => {
    const { to, of } = await open();
    const outer = of.begin({ name: 'outer', kind: 'server', parent: traceOf(7) });
    const inner = of.begin({ name: 'inner', kind: 'internal', parent: outer });
    inner.fail('spool-full');
    inner.end();
    inner.end();
    outer.end();
    const [one, two] = await to.until((all) => (all.length === 2 ? all : undefined));
    assert.equal(one?.traceId, traceOf(7).slice(3, 35));
    assert.equal(one?.parentSpanId, two?.spanId);
    assert.equal(two?.parentSpanId, '00f067aa0ba902b7');
    assert.equal(one?.attributes['error.type'], 'spool-full');
    assert.equal(one?.status.code, errorStatus);
  });

  it('begins a trace of its own for what cannot be believed', async () => {
    const { of } = await open();
    const zeros = `00-${'0'.repeat(32)}-00f067aa0ba902b7-01`;
    for (const parent of ['', 'x', zeros, `${traceOf(7)}-more`, [traceOf(7), traceOf(8)]])
      assert.doesNotMatch(of.begin({ name: 'a', kind: 'server', parent }).traceparent, /^00-0000/, String(parent));
  });

  it('is sampled as its parent is, else where it is linked to something sampled, else by the ratio', async () => {
    const { of } = await open({ sampleRatio: 0 });
    const begin = (parent: string | undefined, ...links: readonly string[]): boolean =>
      of.begin({ name: 'a', kind: 'client', parent, links }).recording;
    assert.equal(begin(undefined), false);
    assert.equal(begin(traceOf(1)), true);
    assert.equal(begin(traceOf(1, '00'), traceOf(2)), false);
    assert.equal(begin(undefined, traceOf(1, '00'), traceOf(2)), true);
    assert.equal(begin(undefined, traceOf(1, '00')), false);
  });

  it('of who calls is sampled by the ratio where callers are not to say so, and what is in it as it is', async () => {
    const { of } = await open({ sampleRatio: 0, callersSample: false });
    const asked = of.begin({ name: 'asked', kind: 'server', parent: traceOf(1) });
    assert.equal(asked.recording, false);
    assert.equal(asked.traceparent.slice(3, 35), traceOf(1).slice(3, 35));
    assert.match(asked.traceparent, /-00$/);
    assert.equal(of.begin({ name: 'inner', kind: 'internal', parent: asked }).recording, false);
    // What our own events say of a trace holds.
    assert.equal(of.begin({ name: 'delivery', kind: 'client', parent: traceOf(2) }).recording, true);
  });

  it('of who calls is still not sampled where its caller says so', async () => {
    const { of } = await open({ sampleRatio: 1, callersSample: false });
    assert.equal(of.begin({ name: 'asked', kind: 'server', parent: traceOf(1) }).recording, true);
    assert.equal(of.begin({ name: 'asked', kind: 'server', parent: traceOf(1, '00') }).recording, false);
  });

  it('has so many links and no more, given at its beginning or found later', async () => {
    const { to, of } = await open();
    const many = Array.from({ length: linksMax + 72 }, (_, n) => traceOf(n + 1));
    of.begin({ name: 'at once', kind: 'client', links: many }).end();
    const later = of.begin({ name: 'later', kind: 'server' });
    later.link(many);
    later.link(many);
    later.end();
    const all = await to.until((came) => (came.length === 2 ? came : undefined));
    for (const { name, links } of all) assert.equal(links?.length, linksMax, name);
    assert.equal(all[0]?.links?.[0]?.traceId, traceOf(1).slice(3, 35));
  });
});

describe('a collector', () => {
  /** Begins many more than may wait; answers how long that took. */
  const flood = (of: Spans): number => {
    const startedMs = performance.now();
    for (let n = 0; n < 2_000; n += 1) of.begin({ name: 'a', kind: 'server' }).end();
    return performance.now() - startedMs;
  };

  it('that never answers costs spans, which are counted, and no time', async () => {
    const { of } = await open({ queueMax: 16, timeoutMs: 200 }, () => undefined);
    assert.ok(flood(of) < 10_000);
    await fated('refused');
    assert.deepEqual(reaches, [false]);
    assert.equal(fates.get('sent'), undefined);
    assert.ok((fates.get('queue-full') ?? 0) >= 2_000 - 3 * 16, String(fates.get('queue-full')));
  });

  it('that answers a byte now and then is left after the time of a batch, and spans go on', async () => {
    const dripping = new Set<NodeJS.Timeout>();
    let asked = 0;
    const drip = (response: ServerResponse): void => {
      asked += 1;
      if (asked > 1) {
        response.writeHead(200).end('{}');
        return;
      }
      response.writeHead(400);
      const timer = setInterval(() => response.write(' '), 20);
      dripping.add(timer);
      response.once('close', () => clearInterval(timer));
    };
    const { of } = await open({ queueMax: 16, timeoutMs: 2_000 }, drip);
    try {
      for (let n = 0; n < 16; n += 1) of.begin({ name: 'a', kind: 'server' }).end();
      await fated('refused');
      for (let n = 0; n < 16; n += 1) of.begin({ name: 'a', kind: 'server' }).end();
      await fated('sent');
      assert.deepEqual(reaches, [false, true]);
    } finally {
      for (const timer of dripping) clearInterval(timer);
    }
  });

  it('that answers without end, redirects or says no is counted as one that refused', async () => {
    const answers: readonly ((response: ServerResponse) => void)[] = [
      (response) => response.writeHead(400).end(Buffer.alloc(8 * 1024 * 1024, 0x61)),
      (response) => response.writeHead(302, { location: 'http://127.0.0.1:1/' }).end(),
      (response) => response.writeHead(503, { 'retry-after': '86400' }).end(),
      (response) => response.destroy(),
    ];
    for (const answer of answers) {
      const { of } = await open({ queueMax: 16, timeoutMs: 400 }, answer);
      for (let n = 0; n < 16; n += 1) of.begin({ name: 'a', kind: 'server' }).end();
      await fated('refused');
      assert.equal(fates.get('refused'), 16);
      await of[Symbol.asyncDispose]();
      await collector?.[Symbol.asyncDispose]();
      fates.clear();
      collector = undefined;
      spans = undefined;
    }
  });

  it('gets what waits when the program stops', async () => {
    const { to, of } = await open();
    flood(of);
    await of[Symbol.asyncDispose]();
    assert.equal(to.spans.length, 2_000);
    spans = undefined;
  });

  it('keeps nobody from stopping for longer than the time of a batch', async () => {
    const { of } = await open({ timeoutMs: 300 }, () => undefined);
    flood(of);
    const startedMs = performance.now();
    await of[Symbol.asyncDispose]();
    const tookMs = performance.now() - startedMs;
    assert.ok(tookMs < 20_000, `${tookMs} ms`);
    spans = undefined;
  });
});

describe('the section `tracing`', () => {
  const schema = tracingSchema('test');
  const read = (over: Record<string, unknown>, headers?: string): ReturnType<typeof readTracing> =>
    readTracing(schema.parse({ endpoint: 'https://collector.example', ...over }), { headers, ca: undefined });

  it('refuses what would be silently wrong', () => {
    const bad: readonly [Record<string, unknown>, RegExp][] = [
      [{ endpoint: 'grpc://collector.example:4317' }, /expected an http or https URL/],
      [{ sampleRatio: 50 }, /<=1|at most 1/],
      [{ queueMax: 0 }, />=16|at least 16/],
      [{ serviceName: 'two words' }, /printable ASCII without spaces/],
      [{ sampleRate: 1 }, /[Uu]nrecognized key/],
    ];
    for (const [over, expected] of bad) {
      const { error } = schema.safeParse({ endpoint: 'https://collector.example', ...over });
      assert.ok(error !== undefined);
      assert.match(z.prettifyError(error), expected);
    }
  });

  it('reads a header a line, and says which line is none without repeating it', () => {
    const good = read({}, '# ours\nAuthorization: Bearer secret\n\nx-team:\t7 \r\n');
    assert.ok('settings' in good);
    assert.deepEqual(good.settings.headers, { authorization: 'Bearer secret', 'x-team': '7' });
    assert.equal(good.settings.endpoint, 'https://collector.example/v1/traces');
    assert.deepEqual(read({}, 'a: b\nBearer secret\n'), {
      problem: 'line 2: expected the name of a header, a colon and its value',
    });
  });
});
