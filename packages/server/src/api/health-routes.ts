/**
 * For machines: is it alive, can it work, its figures, its description.
 */
import type { FastifyInstance } from 'fastify';
import type { Metrics } from './metrics.ts';
import { openApi } from './openapi.ts';
import { mountPublic } from './public-routes.ts';
import type { ApiDeps } from './server.ts';

export function mountHealthRoutes(
  app: FastifyInstance,
  {
    ledger,
    indexes,
    version,
    metrics,
  }: Pick<ApiDeps, 'ledger' | 'indexes' | 'version'> & { readonly metrics: Metrics },
): void {
  mountPublic(app, 'GET /healthz', async (_request, reply) =>
    reply.header('cache-control', 'no-store').send({ status: 'alive' }),
  );
  mountPublic(app, 'GET /readyz', async (_request, reply) => {
    const ledgerReady = ledger.state.kind === 'writable';
    const indexReady = indexes.status().every(({ failure }) => failure === undefined);
    const ready = ledgerReady && indexReady;
    return reply
      .code(ready ? 200 : 503)
      .header('cache-control', 'no-store')
      .send({
        status: ready ? 'ready' : 'not-ready',
        ledger: ledger.state.kind,
        index: indexReady ? 'following' : 'failed',
      });
  });
  mountPublic(app, 'GET /metrics', async (_request, reply) =>
    reply
      .header('content-type', metrics.registry.contentType)
      .header('cache-control', 'no-store')
      .send(await metrics.registry.metrics()),
  );
  mountPublic(app, 'GET /openapi.json', async (_request, reply) =>
    reply.header('cache-control', 'no-cache').send(openApi(version)),
  );
}
