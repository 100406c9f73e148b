/**
 * `POST /v1/bundles`: a bundle of evidence, as a file. Needs the right to open, a purpose and a reason. The maker's event, with the digest of what is disclosed, is
 * durable before the first byte leaves, and the bundle proves that too.
 */
import type { Socket } from 'node:net';
import { Readable } from 'node:stream';
import type { FastifyInstance } from 'fastify';
import { ServerError } from '../errors.ts';
import type { BundleMaker } from '../review/make-bundle.ts';
import { type AuditDeps, mountAudited } from './audited.ts';

/** Bundles being made or sent at once: each holds its events in memory. */
const underWayMax = 2;

export interface BundleRoutesDeps extends AuditDeps {
  readonly bundles: BundleMaker;
}

export function mountBundleRoutes(app: FastifyInstance, deps: BundleRoutesDeps): void {
  let underWay = 0;
  mountAudited(app, deps, {
    method: 'POST',
    url: '/v1/bundles',
    operation: 'bundle',
    action: 'read',
    right: 'open',
    handle: async ({ request, principal, tenant, signal }) => {
      if (underWay >= underWayMax)
        throw new ServerError('over-capacity', `expected at most ${underWayMax} bundles at once`, {
          retryAfterMs: 5_000,
        });
      // A connection that has gone already gives nothing back.
      if (!signal.aborted) {
        underWay += 1;
        signal.addEventListener(
          'abort',
          () => {
            underWay -= 1;
          },
          { once: true },
        );
      }
      // Opening every record of a log takes as long as it takes; whoever waits hears nothing meanwhile. (Injected requests have no socket.)
      (request.raw.socket as Partial<Socket>).setTimeout?.(0);
      const { id } = deps.access.actorOf(principal);
      const by = { id, name: principal.name, roles: principal.roles };
      const made = await deps.bundles.prepare({ tenant, input: request.body, by, signal });
      return {
        audit: {
          filters: made.filters,
          targets: made.targets,
          count: made.count,
          purpose: { code: made.purpose, justification: made.reason },
          changes: [{ path: '/reason', op: 'add', after: made.reason }],
        },
        headers: {
          'content-type': 'text/html; charset=utf-8',
          'content-disposition': `attachment; filename="${made.fileName}"`,
        },
        complete: async (index) => Readable.from(await made.complete(index)),
      };
    },
  });
}
