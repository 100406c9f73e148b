/** What a batch of events says of the requests in it: one goes on in that request's trace, several are linked, and of none there is no span. */
import assert from 'node:assert/strict';
import { after, before, it } from 'node:test';
import { linksMax, openSpans, readTracing, type Spans, tracingSchema } from '@watchglass/trace';

import { Batch } from '../../../sdk/src/batch.ts';
import {
  type CollectedSpan,
  type Collector,
  errorStatus,
  startCollector,
} from '../../../trace/src/collector.fixture.ts';
import { traceDeliveries } from './deliveries.ts';

let collector: Collector;
let spans: Spans;
let deliveries: ReturnType<typeof traceDeliveries>;

before(async () => {
  collector = await startCollector();
  const section = tracingSchema('test').parse({ endpoint: collector.url, sampleRatio: 0 });
  const read = readTracing(section, { headers: undefined, ca: undefined });
  assert.ok('settings' in read);
  spans = await openSpans(read.settings, {
    ...{ scope: 'test', instance: 'one' },
    onSpans: () => undefined,
    onReach: () => undefined,
  });
  deliveries = traceDeliveries(spans, 'https://audit.example');
});

after(async () => {
  await spans?.[Symbol.asyncDispose]();
  await collector?.[Symbol.asyncDispose]();
});

const traceIdOf = (n: number): string => n.toString(16).padStart(32, '0');
const told = (n: number, flags = '01'): string => `00-${traceIdOf(n)}-00f067aa0ba902b7-${flags}`;

function batchOf(...events: readonly object[]): Batch {
  const bytes = Buffer.from(events.map((event) => `${JSON.stringify(event)}\n`).join(''));
  return new Batch({ firstSeq: 1, count: events.length, bytes });
}

const eventOf = (traceparent: string): object => ({ v: 1, request: { method: 'GET', traceparent, status: 200 } });

function spanOf(traceparent: string | undefined): Promise<CollectedSpan> {
  return collector.until((all) => all.find(({ spanId }) => spanId === traceparent?.slice(36, 52)));
}

it('the events of one request go on in its trace', async () => {
  const trace = deliveries(batchOf(eventOf(told(1)), eventOf(told(1)), eventOf(told(2, '00'))));
  trace?.end({ status: 201 });
  const span = await spanOf(trace?.traceparent);
  assert.equal(span.traceId, traceIdOf(1));
  assert.equal(span.parentSpanId, '00f067aa0ba902b7');
  assert.deepEqual(span.attributes, {
    'http.request.method': 'POST',
    'http.response.status_code': 201,
    'http.route': '/v1/events',
    'server.address': 'audit.example',
    'server.port': 443,
    'watchglass.events': 3,
  });
});

it('those of several are a trace of their own, linked to so many of them', async () => {
  const many = Array.from({ length: linksMax + 50 }, (_, n) => eventOf(told(n + 1)));
  const trace = deliveries(batchOf(...many));
  trace?.end({ problem: 'status-503' });
  const span = await spanOf(trace?.traceparent);
  assert.equal(span.parentSpanId ?? '', '');
  assert.equal(span.links?.length, linksMax);
  assert.equal(span.links?.[1]?.traceId, traceIdOf(2));
  assert.equal(span.attributes['error.type'], 'status-503');
  assert.equal(span.status.code, errorStatus);
});

it('what stands in a text, is not sampled or is none begins nothing', () => {
  assert.equal(deliveries(batchOf({ v: 1 }, eventOf(told(3, '00')))), undefined);
  assert.equal(deliveries(batchOf({ text: `"traceparent":"${told(4)}"` })), undefined);
  assert.equal(deliveries(batchOf(eventOf(told(0)), eventOf('00-short'))), undefined);
});
