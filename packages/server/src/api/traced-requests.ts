/** Every request at the door as a span, but those of machines that look whether we are alive, and of files that are the same for all. */
import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { RequestSpan, Tracing } from '../trace/tracing.ts';
import { asServerError } from './problems.ts';

const untraced: ReadonlySet<string> = new Set(['/healthz', '/readyz', '/metrics', '/openapi.json', '/*']);

export function traceRequests(app: FastifyInstance, tracing: Tracing, url: string): void {
  const spans = new WeakMap<FastifyRequest, RequestSpan>();
  const codes = new WeakMap<FastifyRequest, string>();
  const at = new URL(url);
  app.addHook('onRequest', (request, _reply, done) => {
    const { url: route, config } = request.routeOptions;
    if (route !== undefined && untraced.has(route)) {
      done();
      return;
    }
    const { method, id: requestId, headers } = request;
    const span = tracing.begin(
      { method, route, requestId, operation: config?.audited, traceparent: headers.traceparent },
      at,
    );
    spans.set(request, span);
    tracing.within(span, done);
  });
  // A body is parsed by events of its socket, which know nothing of the request.
  app.addHook('preHandler', (request, _reply, done) => {
    const span = spans.get(request);
    if (span === undefined) done();
    else tracing.within(span, done);
  });
  app.addHook('onError', (request, _reply, error, done) => {
    const { code } = asServerError(error);
    codes.set(request, code);
    spans.get(request)?.refuse(code);
    done();
  });
  app.addHook('onResponse', async (request, reply) => {
    spans.get(request)?.end({ status: reply.statusCode, code: codes.get(request) });
  });
}
