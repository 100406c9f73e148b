/**
 * Somebody looked at an event and found something: the review of broken glass, and of any other event. What they found is the name of the operation, so that a
 * search finds it; there is no free text, which would end up holding what the event doesn't. Nobody reviews what they did themselves.
 */
import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { ServerError } from '../errors.ts';
import type { Review } from '../review/review.ts';
import { type AuditDeps, mountAudited } from './audited.ts';

export const findings = ['justified', 'unjustified', 'unclear'] as const;
type Finding = (typeof findings)[number];

const reviewBody = z.strictObject({ tenant: z.string().min(1).max(256).optional(), finding: z.enum(findings) });

export function mountEventReviewRoute(app: FastifyInstance, deps: AuditDeps & { readonly review: Review }): void {
  const { review, access } = deps;
  mountAudited(app, deps, {
    method: 'POST',
    url: '/v1/events/:index/review',
    operation: 'event-review',
    action: 'create',
    right: 'open',
    handle: async ({ request, principal, tenant }) => {
      const finding = findingOf(request.body);
      const index = indexOf(request.params);
      const { actor } = await review.read(tenant, index);
      if (isActor(actor, access.actorOf(principal).id))
        throw new ServerError('forbidden', 'expected somebody else to review this: it is yours');
      return {
        status: 201,
        complete: async (at) => ({ index: at, of: index, finding }),
        audit: { operation: operationOf(finding), targets: [{ type: 'Event', id: String(index), role: 'object' }] },
      };
    },
  });
}

function operationOf(finding: Finding): string {
  const named: Readonly<Record<Finding, { readonly operation: string }>> = {
    justified: { operation: 'found-justified' },
    unjustified: { operation: 'found-unjustified' },
    unclear: { operation: 'found-unclear' },
  };
  return named[finding].operation;
}

function findingOf(body: unknown): Finding {
  const parsed = reviewBody.safeParse(body);
  if (parsed.success) return parsed.data.finding;
  throw new ServerError('query-invalid', `expected {"finding": one of ${findings.join(', ')}}`, {
    errors: [{ path: '/finding', expected: `one of ${findings.join(', ')}`, got: 'something else' }],
  });
}

function indexOf(params: unknown): number {
  const { index } = params as { index: string };
  if (/^(0|[1-9]\d{0,14})$/.test(index)) return Number(index);
  throw new ServerError('bad-request', 'expected the index of an event: a whole number from 0 on');
}

function isActor(actor: unknown, id: string): boolean {
  return typeof actor === 'object' && actor !== null && 'id' in actor && actor.id === id;
}
