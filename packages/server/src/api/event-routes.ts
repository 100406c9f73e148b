/**
 * Reading events: search, summary, one event, its proof, the live tail. Every answer is recorded before it leaves.
 */
import type { FastifyInstance, FastifyReply } from 'fastify';
import { ServerError } from '../errors.ts';
import type { Asked, Review, ReviewEvent, SearchPage } from '../review/review.ts';
import type { World } from '../world/world.ts';
import { type Answer, type AskedRequest, type AuditDeps, mountAudited } from './audited.ts';

/** Streams open at the same time. */
const tailsMax = 64;
/** A comment goes out this often, so that a connection that is gone is found out; whether it is still allowed is looked at again, too. */
const tailBeatMs = 15_000;

export interface EventRoutesDeps extends AuditDeps {
  readonly review: Review;
  readonly world: World;
  /** Aborts when the server stops. */
  readonly stopping: AbortSignal;
}

export function mountEventRoutes(app: FastifyInstance, deps: EventRoutesDeps): void {
  const { review } = deps;
  mountAudited(app, deps, {
    method: 'GET',
    url: '/v1/events',
    operation: 'search',
    action: 'read',
    right: 'search',
    handle: async ({ request, tenant, signal }) => searched(await review.search(tenant, request.query, signal)),
  });
  mountAudited(app, deps, {
    method: 'POST',
    url: '/v1/events/search',
    operation: 'search',
    action: 'read',
    right: 'search',
    handle: async ({ request, tenant, signal }) => searched(await review.search(tenant, request.body ?? {}, signal)),
  });
  mountAudited(app, deps, {
    method: 'POST',
    url: '/v1/events/summary',
    operation: 'summary',
    action: 'read',
    right: 'search',
    handle: async ({ request, tenant, signal }) => {
      const { answer, filters, targets } = await review.summary(tenant, request.body ?? {}, signal);
      return { body: answer, audit: { filters, targets, count: 0 } };
    },
  });
  mountAudited(app, deps, {
    method: 'GET',
    url: '/v1/events/:index',
    operation: 'event-read',
    action: 'read',
    right: 'search',
    handle: async ({ request, tenant }) => {
      const index = indexOf(request.params);
      return { body: await review.read(tenant, index), audit: { targets: [eventTarget(index)], count: 1 } };
    },
  });
  mountAudited(app, deps, {
    method: 'GET',
    url: '/v1/events/:index/proof',
    operation: 'proof',
    action: 'read',
    right: 'search',
    handle: async ({ request, tenant, rights }) => {
      const index = indexOf(request.params);
      const withOpening = rights.has('open');
      return {
        body: await review.prove(tenant, index, withOpening),
        headers: { 'content-type': 'text/plain; charset=utf-8' },
        audit: {
          operation: withOpening ? 'proof-open' : 'proof',
          targets: [eventTarget(index)],
          count: withOpening ? 1 : 0,
        },
      };
    },
  });
  mountTail(app, deps);
}

function searched({ answer, filters, targets }: Asked<SearchPage>): Answer {
  return { body: answer, audit: { filters, targets, count: answer.events.length } };
}

function eventTarget(index: number): { readonly type: string; readonly id: string; readonly role: string } {
  return { type: 'Event', id: String(index), role: 'object' };
}

function indexOf(params: unknown): number {
  const { index } = params as { index: string };
  if (/^(0|[1-9]\d{0,14})$/.test(index)) return Number(index);
  throw new ServerError('bad-request', 'expected the index of an event: a whole number from 0 on');
}

function mountTail(app: FastifyInstance, deps: EventRoutesDeps): void {
  let open = 0;
  mountAudited(app, deps, {
    method: 'GET',
    url: '/v1/events/tail',
    operation: 'tail-open',
    action: 'read',
    right: 'tail',
    handle: async (asked) => {
      if (open >= tailsMax)
        throw new ServerError('over-capacity', `expected at most ${tailsMax} live tails`, { retryAfterMs: 10_000 });
      // Taken before anything is awaited, and given back with the connection, whatever becomes of the answer.
      if (!asked.signal.aborted) {
        open += 1;
        asked.signal.addEventListener(
          'abort',
          () => {
            open -= 1;
          },
          { once: true },
        );
      }
      return { audit: {}, stream: (reply) => streamTail(reply, asked, deps) };
    },
  });
}

/** Server-sent events (HTML §9.2): `id` is the index, `data` the event. Answers how many went out. */
async function streamTail(
  reply: FastifyReply,
  { tenant, signal, stillAllowed }: AskedRequest,
  deps: EventRoutesDeps,
): Promise<number> {
  const over = new AbortController();
  const end = (): void => over.abort(new Error('the tail is over'));
  const stopped = AbortSignal.any([signal, deps.stopping, over.signal]);
  reply.raw.writeHead(200, {
    ...(reply.getHeaders() as Record<string, string>),
    'content-type': 'text/event-stream; charset=utf-8',
    'cache-control': 'no-store',
    'x-accel-buffering': 'no',
  });
  reply.raw.write(': open\n\n');
  const beat = deps.world.clock.every(tailBeatMs, () => {
    if (!reply.raw.writableNeedDrain) reply.raw.write(': beat\n\n');
    stillAllowed().then((allowed) => {
      if (!allowed) end();
    }, end);
  });
  let count = 0;
  try {
    for await (const events of deps.review.tail(tenant, stopped)) {
      if (stopped.aborted || !(await stillAllowed())) break;
      count += events.length;
      if (!reply.raw.write(events.map(formatTailEvent).join(''))) await drained(reply, stopped);
    }
  } finally {
    beat.cancel();
  }
  return count;
}

function formatTailEvent(event: ReviewEvent): string {
  return `id: ${event.index}\ndata: ${JSON.stringify(event)}\n\n`;
}

function drained({ raw }: FastifyReply, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    const done = (): void => {
      raw.off('drain', done);
      signal.removeEventListener('abort', done);
      resolve();
    };
    raw.once('drain', done);
    signal.addEventListener('abort', done, { once: true });
  });
}
