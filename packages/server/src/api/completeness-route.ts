/**
 * `GET /v1/completeness`: when the record may be incomplete. For whoever may see how the server is doing: it shows numbers, names of emitters and positions in the log,
 * and no event. Recorded like every look; a few at the same time at most, for a report reads much.
 */
import type { FastifyInstance } from 'fastify';
import { ServerError } from '../errors.ts';
import type { Completeness } from '../review/completeness/completeness.ts';
import { type AuditDeps, mountAudited } from './audited.ts';

/** Reports being made at the same time. */
const reportsMax = 4;

export function mountCompletenessRoute(
  app: FastifyInstance,
  deps: AuditDeps & { readonly completeness: Completeness },
): void {
  let underWay = 0;
  mountAudited(app, deps, {
    method: 'GET',
    url: '/v1/completeness',
    operation: 'completeness',
    action: 'read',
    right: 'status',
    handle: async ({ request, tenant, signal }) => {
      if (underWay >= reportsMax)
        throw new ServerError('over-capacity', 'too many reports are being made; ask again shortly', {
          retryAfterMs: 2_000,
        });
      underWay += 1;
      try {
        const report = await deps.completeness.report(tenant, request.query, signal);
        return {
          body: report,
          audit: { filters: ['from', 'to'].filter((name) => name in (request.query as object)), count: 0 },
        };
      } finally {
        underWay -= 1;
      }
    },
  });
}
