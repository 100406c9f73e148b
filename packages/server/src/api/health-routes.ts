/**
 * For machines: is it alive, can it work, its figures, its description.
 */
import type { FastifyInstance } from 'fastify';
import type { WitnessReport } from '../ledger/witness/witness-report.ts';
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
    witnesses,
    metrics,
  }: Pick<ApiDeps, 'ledger' | 'indexes' | 'version' | 'witnesses'> & { readonly metrics: Metrics },
): void {
  mountPublic(app, 'GET /healthz', async (_request, reply) =>
    reply.header('cache-control', 'no-store').send({ status: 'alive', ...witnessDetail(witnesses()) }),
  );
  mountPublic(app, 'GET /readyz', async (_request, reply) => {
    const ledgerReady = ledger.state.kind === 'writable';
    const indexReady = indexes.status().every(({ failure }) => failure === undefined);
    const report = witnesses();
    const witnessed = !report.strict || report.logs.every(({ state }) => state === 'witnessed');
    const ready = ledgerReady && indexReady && witnessed;
    return reply
      .code(ready ? 200 : 503)
      .header('cache-control', 'no-store')
      .send({
        status: ready ? 'ready' : 'not-ready',
        ledger: ledger.state.kind,
        index: indexReady ? 'following' : 'failed',
        ...witnessDetail(report),
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

/** Nothing where no log has a policy. Why a witness fails is for /v1/status. */
function witnessDetail({ logs }: WitnessReport): object {
  if (logs.length === 0) return {};
  return {
    witnesses: logs.map(({ tenant, state, size, behind, cosignatures, time, ageSeconds, witnesses }) => ({
      tenant,
      state,
      size,
      behind,
      cosignatures,
      ...(time === undefined ? {} : { time, ageSeconds }),
      witnesses: witnesses.map(({ name, size: cosigned, fault }) => ({
        name,
        size: cosigned,
        ...(fault === undefined ? {} : { fault }),
      })),
    })),
  };
}
