/**
 * The choke point: every route that shows or changes anything mounts through `audited`. It finds out who asks, checks the right, runs the handler, and records what was asked
 * **before** the answer leaves; what can't be recorded isn't answered. Who watches the watchers: nobody can switch this off.
 *
 * A ledger that is read-only or full therefore refuses reads too, with `503`. The one exception is named where it is made (`answersUnrecorded`), and shows no events.
 */

import type { Change, EventAction, OutcomeStatus, Purpose, Target, TenantId } from '@watchglass/record';
import type { FastifyInstance, FastifyReply, FastifyRequest, HTTPMethods } from 'fastify';
import type { Access, OwnEvent, Principal, RecordOwn, RecordPlaced, Right } from '../access/access.ts';
import { sourceOf } from '../access/change.ts';
import { ServerError } from '../errors.ts';
import type { RefusalTally } from '../review/refusal-tally.ts';
import { authenticate, originOf } from './authenticate.ts';
import { asServerError } from './problems.ts';

export interface AuditDeps {
  readonly access: Access;
  readonly record: RecordOwn;
  readonly recordPlaced: RecordPlaced;
  readonly tally: RefusalTally;
  /** Whose log takes what an operator asked without naming a tenant that exists. */
  readonly homeTenant: TenantId;
  readonly url: string;
  /** Monotonic milliseconds. */
  readonly nowMs: () => number;
  /** Of the span of the request under way, where requests are traced. */
  readonly traceparent?: () => string | undefined;
}

export interface AuditedRoute {
  readonly method: HTTPMethods;
  readonly url: string;
  /** Name of the interaction in the event. */
  readonly operation: string;
  readonly action: EventAction;
  readonly right: Right;
  /** Answer even when the record could not be written: for what tells an operator why it could not. */
  readonly answersUnrecorded?: true;
  readonly handle: (asked: AskedRequest) => Promise<Answer>;
}

/** A request of somebody known, who has the right. */
export interface AskedRequest {
  readonly request: FastifyRequest;
  readonly principal: Principal;
  readonly rights: ReadonlySet<Right>;
  /** The tenant it is about: the person's own, or the one the operator named. */
  readonly tenant: TenantId;
  /** Aborts when the connection goes. */
  readonly signal: AbortSignal;
  /** Whether whoever asked is still let in, and still has the right: for answers that go on. Looking doesn't keep a session alive. */
  readonly stillAllowed: () => Promise<boolean>;
}

export interface Answer {
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  /** Sent as JSON unless it is a text (with its `content-type` in `headers`). */
  readonly body?: unknown;
  /** Instead of a body: makes it from where its record is in the log, once that is durable. */
  readonly complete?: (index: number) => Promise<unknown>;
  /** Instead of a body: writes to the hijacked reply until it is over, and answers how many rows went out. */
  readonly stream?: (reply: FastifyReply) => Promise<number>;
  readonly audit: {
    /** Replaces the route's operation. */
    readonly operation?: string;
    /** Names of what was asked by; never values. */
    readonly filters?: readonly string[];
    /** Patients and resources by pseudonym. */
    readonly targets?: readonly Target[];
    /** Rows that are in the answer. */
    readonly count?: number;
    readonly purpose?: Purpose;
    readonly changes?: readonly Change[];
  };
}

/** Routes mounted here, for the test that every route is audited or public by name. */
declare module 'fastify' {
  interface FastifyContextConfig {
    audited?: string;
    public?: string;
  }
}

export function mountAudited(app: FastifyInstance, deps: AuditDeps, route: AuditedRoute): void {
  app.route({
    method: route.method,
    url: route.url,
    config: { audited: route.operation },
    handler: (request, reply) => answerAudited(request, reply, deps, route),
  });
}

async function answerAudited(
  request: FastifyRequest,
  reply: FastifyReply,
  deps: AuditDeps,
  route: AuditedRoute,
): Promise<unknown> {
  const startedMs = deps.nowMs();
  const principal = await identify(request, deps, route);
  const rights = deps.access.rightsOf(principal);
  let tenant = principal.kind === 'person' ? principal.tenant : deps.homeTenant;
  const eventWith = (outcome: Outcome, audit: Answer['audit'] = {}): OwnEvent =>
    eventOf({
      request,
      route,
      principal,
      tenant,
      outcome,
      audit,
      access: deps.access,
      traceparent: deps.traceparent?.(),
      durationMs: deps.nowMs() - startedMs,
    });
  const note = (outcome: Outcome, audit?: Answer['audit']): Promise<void> => deps.record(eventWith(outcome, audit));

  if (!rights.has(route.right)) {
    await note({ status: 'denied', code: 403, reason: 'right-missing' });
    throw new ServerError(
      'forbidden',
      `expected the right "${route.right}"; ask an administrator for a role that carries it`,
    );
  }
  let answer: Answer;
  try {
    tenant = tenantOf(request, principal, deps.access);
    const signal = closing(reply);
    const stillAllowed = (): Promise<boolean> => isStillAllowed(request, deps, route, tenant);
    answer = await route.handle({ request, principal, rights, tenant, signal, stillAllowed });
  } catch (thrown) {
    const error = asServerError(thrown);
    await note({ status: statusOf(error), code: error.status, reason: error.code });
    throw thrown;
  }
  const status = answer.status ?? 200;
  const send = (body: unknown): FastifyReply => {
    reply
      .code(status)
      .header('cache-control', 'no-store')
      .headers({ ...answer.headers });
    return body === undefined ? reply.send() : reply.send(body);
  };
  if (answer.complete !== undefined) {
    const index = await deps.recordPlaced(eventWith({ status: 'success', code: status }, answer.audit));
    return send(await answer.complete(index));
  }
  try {
    await note({ status: 'success', code: status }, answer.audit);
  } catch (error) {
    if (route.answersUnrecorded !== true) throw error;
    request.log.error(
      { requestId: request.id, route: route.url, code: asServerError(error).code },
      'answered without a record',
    );
  }
  if (answer.stream !== undefined) return await streamAnswer(reply, answer.stream, note);
  return send(answer.body);
}

async function streamAnswer(
  reply: FastifyReply,
  stream: NonNullable<Answer['stream']>,
  note: (outcome: Outcome, audit: Answer['audit']) => Promise<void>,
): Promise<FastifyReply> {
  reply.hijack();
  let count = 0;
  let status: OutcomeStatus = 'success';
  try {
    count = await stream(reply);
  } catch (error) {
    status = 'error';
    reply.request.log.error({ requestId: reply.request.id, code: asServerError(error).code }, 'a stream ended');
  }
  reply.raw.end();
  try {
    await note({ status, code: 200 }, { operation: 'tail-close', count });
  } catch (error) {
    // The opening is on record; the answer has left already.
    reply.request.log.error(
      { requestId: reply.request.id, code: asServerError(error).code },
      'the end of a stream was not recorded',
    );
  }
  return reply;
}

/** Aborts when the connection goes; at once when it went while we found out who asks. */
function closing({ raw }: FastifyReply): AbortSignal {
  const gone = new AbortController();
  const abort = (): void => gone.abort(new Error('the connection was closed'));
  if (raw.closed) abort();
  else raw.once('close', abort);
  return gone.signal;
}

async function isStillAllowed(
  request: FastifyRequest,
  { access, url }: AuditDeps,
  { right }: AuditedRoute,
  tenant: TenantId,
): Promise<boolean> {
  try {
    const principal = await authenticate(request, access, url, 'look');
    if (principal === undefined || !access.rightsOf(principal).has(right)) return false;
    return principal.kind === 'operator' || principal.tenant === tenant;
  } catch (error) {
    if (asServerError(error).status < 500) return false;
    throw error;
  }
}

function statusOf({ status }: ServerError): OutcomeStatus {
  if (status === 403) return 'denied';
  return status >= 500 ? 'error' : 'failed';
}

async function identify(request: FastifyRequest, deps: AuditDeps, route: AuditedRoute): Promise<Principal> {
  try {
    const principal = await authenticate(request, deps.access, deps.url);
    if (principal !== undefined) return principal;
    throw new ServerError('unauthenticated');
  } catch (error) {
    const { code, status } = asServerError(error);
    if (status < 500) deps.tally.add({ operation: route.operation, code, address: originOf(request).address });
    throw error;
  }
}

/** The operator names a tenant where there are several; a person has one. @throws ServerError */
function tenantOf(request: FastifyRequest, principal: Principal, access: Access): TenantId {
  const given = memberOf(request.query, 'tenant') ?? memberOf(request.body, 'tenant');
  if (given !== undefined && typeof given !== 'string') {
    throw new ServerError('query-invalid', 'tenant: expected a text', {
      errors: [{ path: '/tenant', expected: 'a text', got: typeof given }],
    });
  }
  if (principal.kind === 'person') {
    if (given === undefined || given === '' || given === principal.tenant) return principal.tenant;
    throw new ServerError('forbidden', 'expected your own tenant; leave `tenant` out');
  }
  const tenants = access.tenants.list();
  if (given !== undefined && given !== '') {
    if (access.tenants.has(given)) return given;
    throw new ServerError('not-found', 'expected a tenant of this installation; GET /log lists them');
  }
  const [only] = tenants;
  if (only !== undefined && tenants.length === 1) return only;
  throw new ServerError('query-invalid', 'tenant: expected one, since there are several; GET /log lists them', {
    errors: [{ path: '/tenant', expected: 'a tenant', got: 'nothing' }],
  });
}

function memberOf(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[name] : undefined;
}

interface Outcome {
  readonly status: OutcomeStatus;
  readonly code: number;
  readonly reason?: string;
}

function eventOf(parts: {
  readonly request: FastifyRequest;
  readonly route: AuditedRoute;
  readonly principal: Principal;
  readonly tenant: TenantId;
  readonly outcome: Outcome;
  readonly audit: Answer['audit'];
  readonly access: Access;
  readonly traceparent: string | undefined;
  readonly durationMs: number;
}): OwnEvent {
  const { request, route, principal, tenant, outcome, audit, access, traceparent, durationMs } = parts;
  return {
    tenant,
    kind: 'review',
    action: route.action,
    operation: audit.operation ?? route.operation,
    outcome,
    actor: access.actorOf(principal),
    ...sourceOf(originOf(request)),
    ...(audit.targets === undefined || audit.targets.length === 0 ? {} : { targets: audit.targets }),
    ...(audit.count === undefined ? {} : { exposure: { count: audit.count } }),
    ...(audit.purpose === undefined ? {} : { purpose: audit.purpose }),
    ...(audit.changes === undefined ? {} : { changes: audit.changes }),
    request: {
      method: request.method,
      route: route.url.replaceAll(/:([a-zA-Z]+)/g, '{$1}'),
      ...(audit.filters === undefined || audit.filters.length === 0 ? {} : { query: audit.filters }),
      status: outcome.code,
      durationMs: Math.round(durationMs),
      ...(traceparent === undefined ? {} : { traceparent }),
      id: request.id,
    },
  };
}
