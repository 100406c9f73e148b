/**
 * Decisions for the gateways: made, listed and lifted by whoever has the right `respond`; and the question that gateways wait on with their write key. It
 * shows nothing but what is in force for the tenant of the key, and gateways say by events what they did with it.
 */
import type { FastifyInstance, FastifyReply } from 'fastify';
import { z } from 'zod';
import type { Access } from '../access/access.ts';
import { type ErrorPlace, ServerError } from '../errors.ts';
import { type Decision, type Decisions, decisionEffects, decisionSubjects } from '../respond/decisions.ts';
import { type AuditDeps, mountAudited } from './audited.ts';
import { mountPublic } from './public-routes.ts';

const waitMs = 20_000;
/** Gateways that wait at the same time. */
const waitingMax = 1_000;

const line = z.string().regex(/^[^\p{C}]{1,512}$/u);
const addBody = z.strictObject({
  tenant: z.string().optional(),
  effect: z.enum(decisionEffects),
  subject: z.enum(decisionSubjects),
  value: z.string().regex(/^[!-~]{1,256}$/),
  reason: line,
  expires: z.iso.datetime({ offset: true }),
});

export function mountDecisionRoutes(app: FastifyInstance, deps: AuditDeps & { readonly decisions: Decisions }): void {
  const { decisions } = deps;
  mountAudited(app, deps, {
    method: 'GET',
    url: '/v1/decisions',
    operation: 'decisions-list',
    action: 'read',
    right: 'respond',
    handle: async ({ tenant }) => {
      const list = decisions.list(tenant).map(shown);
      return { body: { decisions: list }, audit: { count: list.length } };
    },
  });
  mountAudited(app, deps, {
    method: 'POST',
    url: '/v1/decisions',
    operation: 'decision-add',
    action: 'create',
    right: 'respond',
    handle: async ({ request, principal, tenant }) => {
      const { tenant: _tenant, ...terms } = parse(request.body);
      const decision = await decisions.add(tenant, terms, principal);
      return { status: 201, body: shown(decision), audit: { targets: [target(decision.id)] } };
    },
  });
  mountAudited(app, deps, {
    method: 'DELETE',
    url: '/v1/decisions/:id',
    operation: 'decision-lift',
    action: 'delete',
    right: 'respond',
    handle: async ({ request, principal, tenant }) => {
      const { id } = request.params as { id: string };
      await decisions.lift(tenant, id, principal);
      return { body: { id }, audit: { targets: [target(id)] } };
    },
  });
}

export function mountDecisionFeed(
  app: FastifyInstance,
  deps: { readonly decisions: Decisions; readonly access: Pick<Access, 'writeKeys'>; readonly stopping: AbortSignal },
): void {
  let waitingCount = 0;
  mountPublic(app, 'GET /v1/gateway/decisions', async (request, reply) => {
    const key = deps.access.writeKeys.verify(
      /^Bearer (\S{1,256})$/.exec(request.headers.authorization ?? '')?.[1] ?? '',
    );
    if (key === undefined) throw new ServerError('unauthenticated');
    const { after } = request.query as { after?: unknown };
    if (after !== undefined && (typeof after !== 'string' || after.length > 128))
      throw new ServerError('bad-request', 'expected `after` as an answer before named its version');
    if (waitingCount >= waitingMax)
      throw new ServerError('over-capacity', 'too many gateways wait at once', { retryAfterMs: 5_000 });
    waitingCount += 1;
    try {
      const signal = AbortSignal.any([deps.stopping, closing(reply)]);
      const next = await deps.decisions.next(key.tenant, after, { waitMs, signal });
      reply.header('cache-control', 'no-store');
      if (next === undefined) return await reply.code(204).send();
      return await reply.send({ version: next.version, decisions: next.decisions.map(shown) });
    } finally {
      waitingCount -= 1;
    }
  });
}

function closing({ raw }: FastifyReply): AbortSignal {
  const gone = new AbortController();
  raw.once('close', () => gone.abort());
  return gone.signal;
}

function shown({ tenant: _tenant, ...decision }: Decision): object {
  return decision;
}

const target = (id: string): { type: string; id: string; role: string } => ({ type: 'Decision', id, role: 'object' });

/** @throws ServerError `input-invalid` */
function parse(body: unknown): z.infer<typeof addBody> {
  const parsed = addBody.safeParse(body);
  if (parsed.success) return parsed.data;
  const errors = parsed.error.issues.map(
    ({ path }): ErrorPlace => ({
      path: path.map((one) => `/${String(one)}`).join(''),
      expected: 'a decision as docs/api.md has it',
      got: 'something else',
    }),
  );
  throw new ServerError('input-invalid', `${errors[0]?.path ?? ''}: expected a decision as docs/api.md has it`, {
    errors,
  });
}
