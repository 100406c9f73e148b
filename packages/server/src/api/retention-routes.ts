/**
 * How long what is kept, and how it ends: the dry run, two people's steps, legal holds (docs/retention.md). A hold is shown with its patient by pseudonym; the plain
 * identifier comes in the body of the request that adds it and goes into the ledger's sealed files only.
 */
import { retentionClasses, type Target, type TenantId } from '@watchglass/record';
import { unitName } from '@watchglass/record/reader';
import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { type ErrorPlace, ServerError } from '../errors.ts';
import type { Indexes } from '../indexes/indexes.ts';
import { isPseudonym } from '../indexes/tokens.ts';
import type { Hold, HoldCriteria, PlannedUnit, ShredOutcome } from '../ledger/shred.ts';
import { epochEndMs } from '../retention/policy.ts';
import type { Retention } from '../retention/retention.ts';
import type { Proposal } from '../retention/retention-state.ts';
import { type AuditDeps, mountAudited } from './audited.ts';

export interface RetentionRoutesDeps extends AuditDeps {
  readonly retention: Retention;
  readonly indexes: Pick<Indexes, 'pseudonyms'>;
}

const moment = z.iso.datetime({ offset: true });
const day = z.iso.date();
const id = z.string().min(1).max(256);
const line = z.string().regex(/^[^\p{C}]{1,512}$/u);

const confirmBody = z.strictObject({
  tenant: id.optional(),
  class: z.enum(retentionClasses),
  days: z.int().min(1).max(36_525),
});
const proposeBody = z.strictObject({
  tenant: id.optional(),
  units: z.array(id).min(1).max(1_000).optional(),
  plan: id.optional(),
});
const approveBody = z.strictObject({ tenant: id.optional(), plan: id });
const emptyBody = z.strictObject({ tenant: id.optional() });
const holdBody = z
  .strictObject({
    tenant: id.optional(),
    patient: id.refine((text) => !isPseudonym(text), 'expected the plain id: a pseudonym cannot be held').optional(),
    actor: id.optional(),
    first: z.int().min(0).optional(),
    last: z.int().min(0).optional(),
    class: z.enum(retentionClasses).optional(),
    operation: id.optional(),
    from: moment.optional(),
    to: moment.optional(),
    matter: line,
    reason: line,
  })
  .refine(({ first, last }) => (first === undefined) === (last === undefined) && (first ?? 0) <= (last ?? 0), {
    message: 'expected `first` and `last` together, in this order',
    path: ['first'],
  });

export function mountRetentionRoutes(app: FastifyInstance, deps: RetentionRoutesDeps): void {
  const { retention } = deps;
  mountAudited(app, deps, {
    method: 'GET',
    url: '/v1/retention',
    operation: 'retention-read',
    action: 'read',
    right: 'retention',
    handle: async ({ tenant }) => {
      const proposals = retention.proposals(tenant).map(shownProposal);
      const shredded = retention.shredded(tenant).map(({ events, evidence, ...unit }) => ({
        unit: unitName(unit),
        events,
        evidence: evidence ?? null,
      }));
      const policies = retention.policies(tenant).map(({ retentionClass, ...policy }) => ({
        class: retentionClass,
        ...policy,
      }));
      return { body: { tenant, policies, proposals, shredded }, audit: { count: proposals.length } };
    },
  });
  mountAudited(app, deps, {
    method: 'GET',
    url: '/v1/retention/plan',
    operation: 'retention-plan',
    action: 'read',
    right: 'retention',
    handle: async ({ request, tenant, signal }) => {
      const { at } = request.query as { at?: unknown };
      const { units, heldWhole, ...plan } = await retention.plan(tenant, atOf(at), signal);
      const body = { tenant, ...plan, units: units.map(shownUnit), heldWhole: heldWhole.map(shownUnit) };
      return { body, audit: { targets: [planTarget(plan.hash)], count: units.length } };
    },
  });
  mountAudited(app, deps, {
    method: 'POST',
    url: '/v1/retention/confirm',
    operation: 'retention-confirm',
    action: 'update',
    right: 'shred',
    handle: async ({ request, principal, tenant }) => {
      const asked = parse(confirmBody, request.body);
      const { retentionClass, ...policy } = await retention.confirm(
        tenant,
        { retentionClass: asked.class, days: asked.days },
        principal,
      );
      return { body: { class: retentionClass, ...policy }, audit: {} };
    },
  });
  mountProposals(app, deps);
  mountHolds(app, deps);
}

function mountProposals(app: FastifyInstance, deps: RetentionRoutesDeps): void {
  const { retention } = deps;
  mountAudited(app, deps, {
    method: 'POST',
    url: '/v1/retention/proposals',
    operation: 'shred-propose',
    action: 'create',
    right: 'shred',
    handle: async ({ request, principal, tenant }) => {
      const { units, plan } = parse(proposeBody, request.body ?? {});
      const proposal = await retention.propose(
        tenant,
        { ...(units === undefined ? {} : { units }), ...(plan === undefined ? {} : { plan }) },
        principal,
      );
      return { status: 201, body: shownProposal(proposal), audit: { targets: [proposalTarget(proposal.id)] } };
    },
  });
  mountAudited(app, deps, {
    method: 'POST',
    url: '/v1/retention/proposals/:id/approve',
    operation: 'retention-approve',
    action: 'update',
    right: 'shred',
    handle: async ({ request, principal, tenant }) => {
      const { plan } = parse(approveBody, request.body);
      const proposal = await retention.approve(tenant, idOf(request.params), plan, principal);
      return { body: shownProposal(proposal), audit: { targets: [proposalTarget(proposal.id)] } };
    },
  });
  mountAudited(app, deps, {
    method: 'POST',
    url: '/v1/retention/proposals/:id/execute',
    operation: 'retention-execute',
    action: 'delete',
    right: 'shred',
    handle: async ({ request, principal, tenant }) => {
      parse(emptyBody, request.body ?? {});
      const { proposal, outcomes } = await retention.execute(tenant, idOf(request.params), principal);
      const body = { ...shownProposal(proposal), shredded: outcomes.map(shownOutcome) };
      return { body, audit: { targets: [proposalTarget(proposal.id)], count: outcomes.length } };
    },
  });
}

function mountHolds(app: FastifyInstance, deps: RetentionRoutesDeps): void {
  const { retention, indexes } = deps;
  const shown = (tenant: TenantId, { id: hold, terms, kept }: Hold): object => ({
    id: hold,
    criteria: shownCriteria(terms.criteria, (patient) => indexes.pseudonyms(tenant).patient(patient)),
    matter: terms.matter,
    reason: terms.reason,
    by: terms.by,
    added: terms.added,
    kept: kept.map(({ events, ...unit }) => ({ unit: unitName(unit), events })),
  });
  mountAudited(app, deps, {
    method: 'GET',
    url: '/v1/holds',
    operation: 'holds-list',
    action: 'read',
    right: 'retention',
    handle: async ({ tenant }) => {
      const holds = (await retention.holds(tenant)).map((hold) => shown(tenant, hold));
      return { body: { holds }, audit: { count: holds.length } };
    },
  });
  mountAudited(app, deps, {
    method: 'POST',
    url: '/v1/holds',
    operation: 'hold-add',
    action: 'create',
    right: 'hold',
    handle: async ({ request, principal, tenant }) => {
      const { matter, reason, ...asked } = parse(holdBody, request.body);
      const hold = await retention.addHold(tenant, { criteria: criteriaOf(asked), matter, reason }, principal);
      return { status: 201, body: shown(tenant, hold), audit: { targets: [holdTarget(hold.id)] } };
    },
  });
  mountAudited(app, deps, {
    method: 'POST',
    url: '/v1/holds/:id/release',
    operation: 'hold-release-propose',
    action: 'create',
    right: 'shred',
    handle: async ({ request, principal, tenant }) => {
      parse(emptyBody, request.body ?? {});
      const hold = idOf(request.params);
      const proposal = await retention.proposeRelease(tenant, hold, principal);
      return { status: 201, body: shownProposal(proposal), audit: { targets: [proposalTarget(proposal.id)] } };
    },
  });
}

function criteriaOf(asked: Omit<z.infer<typeof holdBody>, 'matter' | 'reason'>): HoldCriteria {
  const { patient, actor, first, last, operation, from, to } = asked;
  const criteria: HoldCriteria = {
    ...(patient === undefined ? {} : { patient: patient.replace(/^Patient\//, '') }),
    ...(actor === undefined ? {} : { actor }),
    ...(first === undefined || last === undefined ? {} : { indexes: { first, last } }),
    ...(asked.class === undefined ? {} : { retentionClass: asked.class }),
    ...(operation === undefined ? {} : { operation }),
    ...(from === undefined ? {} : { from: new Date(from).toISOString() }),
    ...(to === undefined ? {} : { to: new Date(to).toISOString() }),
  };
  if (Object.keys(criteria).length > 0) return criteria;
  const place: ErrorPlace = { path: '', expected: 'a patient, an actor, indexes or another filter', got: 'none' };
  throw new ServerError(
    'input-invalid',
    'expected what the hold is about, got nothing; everything is `first` 0 to `last` a large number',
    {
      errors: [place],
    },
  );
}

function shownCriteria({ patient, ...rest }: HoldCriteria, name: (patient: string) => string): object {
  return { ...rest, ...(patient === undefined ? {} : { patient: name(patient) }) };
}

function shownUnit({ retentionClass, epoch, held, seeds, ...unit }: PlannedUnit): object {
  return {
    unit: unitName({ retentionClass, epoch }),
    class: retentionClass,
    epoch,
    ended: new Date(epochEndMs(epoch)).toISOString(),
    ...unit,
    seeds: seeds.map(([name, sha256]) => ({ name, sha256 })),
    held: held.map(([hold, events]) => ({ hold, events })),
  };
}

function shownProposal({ atMs, expiresMs, about, ...proposal }: Proposal): object {
  return {
    ...proposal,
    at: new Date(atMs).toISOString(),
    expires: new Date(expiresMs).toISOString(),
    about:
      about.kind === 'shred'
        ? {
            kind: 'shred',
            units: about.units.map(({ events, days, ...unit }) => ({ unit: unitName(unit), events, days })),
          }
        : about,
  };
}

function shownOutcome({ events, evidence, keys, ...unit }: ShredOutcome): object {
  return {
    unit: unitName(unit),
    events,
    evidence,
    keys: keys.map(({ kek, destruction }) => ({
      kek,
      ...(destruction.kind === 'destroyed' ? { state: 'destroyed' } : { state: 'pending', until: destruction.at }),
    })),
  };
}

function atOf(at: unknown): number | undefined {
  if (at === undefined) return undefined;
  const text = moment.safeParse(at).data ?? day.safeParse(at).data;
  if (text === undefined) throw new ServerError('bad-request', 'expected `at` as a date, or as RFC 3339');
  return Date.parse(text);
}

function idOf(params: unknown): string {
  return (params as { id: string }).id;
}

const planTarget = (hash: string): Target => ({ type: 'RetentionPlan', id: hash, role: 'object' });
const proposalTarget = (proposal: string): Target => ({ type: 'RetentionProposal', id: proposal, role: 'object' });
const holdTarget = (hold: string): Target => ({ type: 'Hold', id: hold, role: 'object' });

/** Values are never repeated: one may identify a patient. @throws ServerError `input-invalid` */
function parse<T>(schema: z.ZodType<T>, body: unknown): T {
  const parsed = schema.safeParse(body);
  if (parsed.success) return parsed.data;
  const errors = parsed.error.issues.map(
    ({ path, message }): ErrorPlace => ({
      path: path.map((one) => `/${String(one)}`).join(''),
      expected: message.replace(/, received .*$/, '').replace(/^Invalid input: expected/, 'expected'),
      got: 'something else',
    }),
  );
  const [first] = errors;
  throw new ServerError('input-invalid', `${first?.path === '' ? 'the body' : first?.path}: ${first?.expected}`, {
    errors,
  });
}
