/** A collector of spans: OTLP over HTTP, decoded, for the tests of whoever sends them. */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface CollectedSpan {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly name: string;
  readonly kind: number;
  readonly startTimeUnixNano: string;
  readonly endTimeUnixNano: string;
  readonly attributes: Readonly<Record<string, unknown>>;
  readonly links?: readonly { readonly traceId: string; readonly spanId: string }[];
  readonly droppedLinksCount?: number;
  readonly status: { readonly code?: number };
  /** `service.name` of its resource. */
  readonly service: unknown;
}

export const spanKinds = { internal: 1, server: 2, client: 3 } as const;
export const errorStatus = 2;

export interface Collector extends AsyncDisposable {
  readonly url: string;
  readonly spans: CollectedSpan[];
  readonly resources: Readonly<Record<string, unknown>>[];
  readonly requests: IncomingMessage['headers'][];
  /** Resolves once `ask` finds something in what has come. */
  until<T>(ask: (spans: readonly CollectedSpan[]) => T | undefined): Promise<T>;
  /** All of a trace once a server's span of it is here. */
  traceOf(traceId: string): Promise<readonly CollectedSpan[]>;
}

interface Attribute {
  readonly key: string;
  readonly value: Readonly<Record<string, unknown>>;
}

interface Exported {
  readonly resourceSpans: readonly {
    readonly resource: { readonly attributes: readonly Attribute[] };
    readonly scopeSpans: readonly {
      readonly spans: readonly (Omit<CollectedSpan, 'attributes'> & { readonly attributes: readonly Attribute[] })[];
    }[];
  }[];
}

/** @param answer instead of taking them: how a bad one answers */
export async function startCollector(answer?: (response: ServerResponse) => void): Promise<Collector> {
  const spans: CollectedSpan[] = [];
  const resources: Record<string, unknown>[] = [];
  const requests: IncomingMessage['headers'][] = [];
  let arrival = Promise.withResolvers<void>();
  const take = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const chunks: Buffer[] = [];
    for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
    requests.push({ ...request.headers, url: request.url });
    if (answer !== undefined) return answer(response);
    const body = JSON.parse(Buffer.concat(chunks).toString('utf8')) as Exported;
    for (const { resource, scopeSpans } of body.resourceSpans) {
      const own = attributesOf(resource.attributes);
      resources.push(own);
      for (const span of scopeSpans.flatMap((scope) => scope.spans))
        spans.push({ ...span, service: own['service.name'], attributes: attributesOf(span.attributes) });
    }
    response.writeHead(200, { 'content-type': 'application/json' }).end('{}');
    arrival.resolve();
    arrival = Promise.withResolvers();
  };
  const server = createServer((request, response) => {
    take(request, response).catch(() => response.destroy());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const until: Collector['until'] = async (ask) => {
    for (;;) {
      const found = ask(spans);
      if (found !== undefined) return found;
      await arrival.promise;
    }
  };
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    spans,
    resources,
    requests,
    until,
    traceOf: (traceId) =>
      until((all) => {
        const found = all.filter((span) => span.traceId === traceId);
        return found.some(({ kind }) => kind === spanKinds.server) ? found : undefined;
      }),
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

function attributesOf(list: readonly Attribute[] = []): Record<string, unknown> {
  return Object.fromEntries(list.map(({ key, value }) => [key, Object.values(value)[0]]));
}
