/**
 * Batches of events on their way to the server, as spans. A batch of one request's events goes on in that request's trace; one of several is a trace of its own, linked to each of
 * theirs (`linksMax` at most), which is how OpenTelemetry tells of messages that travel together. The server's intake goes on in it.
 */
import type { Batch, PostTrace } from '@watchglass/sdk';
import { isSampled, linksMax, parseTraceparent, type Spans } from '@watchglass/trace';

import { addressOf } from './tracing.ts';

const member = Buffer.from('"traceparent":"');
const traceparentBytes = 55;
const path = '/v1/events';

/** @returns what says of a batch how its sending is traced; undefined for one without a sampled request in it */
export function traceDeliveries(spans: Spans, serverUrl: string): (batch: Batch) => PostTrace | undefined {
  const attributes = { ...addressOf(new URL(serverUrl)), 'http.request.method': 'POST', 'http.route': path };
  return (batch) => {
    const links = sampledIn(batch.bytes);
    const [first] = links;
    if (first === undefined) return undefined;
    const span = spans.begin({
      name: `POST ${path}`,
      kind: 'client',
      attributes: { ...attributes, 'watchglass.events': batch.count },
      ...(links.length === 1 ? { parent: first } : { links }),
    });
    return {
      traceparent: span.traceparent,
      end({ status, problem }) {
        if (status !== undefined) span.set({ 'http.response.status_code': status });
        if (problem !== undefined) span.fail(problem);
        span.end();
      },
    };
  };
}

/**
 * One traceparent a trace. They are looked for in the bytes, since parsing each batch again would cost as much as sending it: inside of a text the quotes of a member are escaped, so what is found is one.
 */
function sampledIn(bytes: Buffer): readonly string[] {
  const found = new Map<string, string>();
  for (let at = bytes.indexOf(member); at >= 0 && found.size < linksMax; at = bytes.indexOf(member, at)) {
    at += member.length;
    const text = bytes.toString('latin1', at, at + traceparentBytes);
    const told = parseTraceparent(text);
    if (told !== undefined && isSampled(told) && !found.has(told.traceId)) found.set(told.traceId, text);
  }
  return [...found.values()];
}
