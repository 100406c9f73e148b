/**
 * The server's HTTP door, put together. Everything a client can be slow with has a limit, and stopping ends live streams first.
 */
import fastifyCookie from '@fastify/cookie';
import { TrustedProxies } from '@watchglass/record/source';
import {
  type FastifyError,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
  type FastifyServerOptions,
  fastify,
  LogController,
} from 'fastify';
import { RefusalTally } from '../review/refusal-tally.ts';
import { mountAdminRoutes } from './admin-routes.ts';
import type { AuditDeps } from './audited.ts';
import { mountBundleRoutes } from './bundle-routes.ts';
import { mountCompletenessRoute } from './completeness-route.ts';
import { mountConsoleFiles } from './console-files.ts';
import { mountDecisionFeed, mountDecisionRoutes } from './decision-routes.ts';
import { mountEventReviewRoute } from './event-review-route.ts';
import { mountEventRoutes } from './event-routes.ts';
import { mountHealthRoutes } from './health-routes.ts';
import { mountIntakeRoute } from './intake-route.ts';
import { mountKeyRoutes } from './key-routes.ts';
import { mountLogRoutes } from './log-routes.ts';
import { createMetrics } from './metrics.ts';
import { mountPeopleRoutes } from './people-routes.ts';
import { asServerError, problemOf, problemType, sendProblem } from './problems.ts';
import { mountRetentionRoutes } from './retention-routes.ts';
import { addSecurityHeaders } from './security-headers.ts';
import type { Api, ApiDeps, MountedRoute } from './server.ts';
import { mountSessionRoutes } from './session-routes.ts';
import { traceRequests } from './traced-requests.ts';
import { refuseUnrouted } from './unrouted.ts';

/** Of requests other than events. */
const jsonBytesMax = 64 * 1024;
const headersMsMax = 10_000;
/** A whole request has to arrive within. */
const requestMsMax = 60_000;
/** A connection on which nothing moves is closed. */
const silenceMsMax = 120_000;
const keepAliveMs = 65_000;
/** Connections at the same time: more than files a process may open would keep the ledger from opening its own. */
const connectionsMax = 4_096;

export async function createApi(deps: ApiDeps): Promise<Api> {
  const { world, ledger, log, tls } = deps;
  const stopping = new AbortController();
  const tally = new RefusalTally({ world, record: deps.record, tenant: deps.homeTenant });
  const metrics = createMetrics(deps);
  const app = newFastify(deps);
  app.server.headersTimeout = headersMsMax;
  app.server.maxConnections = connectionsMax;
  app.decorate('trustedProxies', deps.proxies ?? new TrustedProxies([]));

  const routes: MountedRoute[] = [];
  app.addHook('onRoute', ({ method, url, config }) => {
    for (const one of [method].flat())
      routes.push({ method: one, url, audited: config?.audited, open: config?.public });
  });
  // Questions are JSON; a form of another site could send plain text.
  app.removeContentTypeParser('text/plain');
  if (deps.tracing !== undefined) traceRequests(app, deps.tracing, deps.url);
  addSecurityHeaders(app, { tls: tls !== undefined });
  app.setErrorHandler(async (error, request, reply) => await sendProblem(error, request, reply));
  app.addHook('onResponse', async (request, reply) => {
    // The template, not the URL: a URL may hold an identifier.
    const route = request.routeOptions.url ?? 'none';
    const ms = Math.round(reply.elapsedTime);
    log.debug({ requestId: request.id, method: request.method, route, status: reply.statusCode, ms }, 'answered');
    metrics.observe({ method: request.method, route, status: reply.statusCode, seconds: reply.elapsedTime / 1_000 });
  });
  app.addHook('preClose', async () => stopping.abort(new Error('the server is stopping')));

  const audit: AuditDeps = {
    access: deps.access,
    record: deps.record,
    recordPlaced: deps.recordPlaced,
    tally,
    homeTenant: deps.homeTenant,
    url: deps.url,
    nowMs: () => world.clock.monotonicMs(),
    traceparent: () => deps.tracing?.current?.traceparent,
  };
  await mountIntakeRoute(app, deps.door);
  // A scope of their own: senders of events have no cookies, and thousands of posts a second shall not look for them.
  await app.register((scope, _options, registered) => {
    scope.register(fastifyCookie);
    mountEventReviewRoute(scope, { ...audit, review: deps.review });
    mountEventRoutes(scope, { ...audit, review: deps.review, world, stopping: stopping.signal });
    mountCompletenessRoute(scope, { ...audit, completeness: deps.completeness });
    mountBundleRoutes(scope, { ...audit, bundles: deps.bundles });
    mountAdminRoutes(scope, { ...audit, ...pick(deps) });
    mountPeopleRoutes(scope, { ...audit, world });
    if (deps.keys !== undefined) {
      const { service, rewraps } = deps.keys;
      mountKeyRoutes(scope, { ...audit, keys: service, rewraps, tenants: () => ledger.tenants() });
    }
    mountRetentionRoutes(scope, { ...audit, retention: deps.retention, indexes: deps.indexes });
    mountDecisionRoutes(scope, { ...audit, decisions: deps.decisions });
    mountSessionRoutes(scope, { ...deps, tally });
    registered();
  });
  mountDecisionFeed(app, { decisions: deps.decisions, access: deps.access, stopping: stopping.signal });
  mountLogRoutes(app, { ledger });
  mountHealthRoutes(app, { ...pick(deps), metrics });
  await mountConsoleFiles(app, deps.consoleDir, refuseUnrouted(routes));

  return {
    fastify: app,
    routes,
    listen: ({ host, port }) => app.listen({ host, port }),
    async [Symbol.asyncDispose]() {
      await app.close();
      await tally[Symbol.asyncDispose]();
    },
  };
}

function pick({
  ledger,
  indexes,
  door,
  version,
  witnesses,
  demo,
}: ApiDeps): Pick<ApiDeps, 'ledger' | 'indexes' | 'door' | 'version' | 'witnesses' | 'demo'> {
  return { ledger, indexes, door, version, witnesses, demo };
}

function newFastify({ world, log, tls }: ApiDeps): FastifyInstance {
  const options = {
    loggerInstance: log,
    logController: new LogController({ disableRequestLogging: true }),
    genReqId: requestIds(world),
    requestIdHeader: false,
    bodyLimit: jsonBytesMax,
    connectionTimeout: silenceMsMax,
    requestTimeout: requestMsMax,
    keepAliveTimeout: keepAliveMs,
    exposeHeadRoutes: false,
    forceCloseConnections: true,
    routerOptions: { maxParamLength: 512, caseSensitive: true },
    frameworkErrors: answerUnrouted,
  } satisfies FastifyServerOptions;
  if (tls === undefined) return fastify(options) as unknown as FastifyInstance;
  const { cert, key } = tls;
  return fastify({
    ...options,
    https: { cert: Buffer.from(cert), key: Buffer.from(key), minVersion: 'TLSv1.2' },
  }) as unknown as FastifyInstance;
}

/** Unique, not secret: random for the process, then counted, so that a request needs no call of the generator. */
function requestIds({ random }: ApiDeps['world']): () => string {
  const process = Buffer.from(random.bytes(9)).toString('base64url');
  let count = 0;
  return () => `${process}-${(++count).toString(36)}`;
}

/** Before routing there is no handler to throw in: an URL that can't be read, say. */
function answerUnrouted(error: FastifyError, request: FastifyRequest, reply: FastifyReply): void {
  const problem = problemOf(asServerError(error), request.id);
  reply.code(problem.status).header('content-type', problemType).send(JSON.stringify(problem));
}
