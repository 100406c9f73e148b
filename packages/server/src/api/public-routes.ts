/**
 * The routes that need no right and leave no review event, each with its reason. A test holds this list equal to the routes.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest, HTTPMethods } from 'fastify';

export type PublicRoute =
  | 'POST /v1/events'
  | 'GET /v1/gateway/decisions'
  | 'GET /v1/session'
  | 'GET /auth/login'
  | 'GET /auth/callback'
  | 'POST /auth/logout'
  | 'GET /log'
  | 'GET /log/:tenant/checkpoint'
  | 'GET /log/:tenant/cosigned'
  | 'GET /log/:tenant/vkey'
  | 'GET /log/:tenant/predecessor'
  | `GET /log/:tenant/${'seals' | 'rotations'}${'' | '/:number'}`
  | 'GET /log/:tenant/tile/*'
  | 'GET /healthz'
  | 'GET /readyz'
  | 'GET /metrics'
  | 'GET /openapi.json'
  | 'GET /*';

export const publicRoutes: Readonly<Record<PublicRoute, string>> = {
  'POST /v1/events': 'the door for events: a write key, checked by the intake; what it stores is the record',
  'GET /v1/gateway/decisions':
    'for gateways, with a write key: what they have to follow; what they do with it are events of theirs',
  'GET /v1/session': 'tells a person about that person',
  'GET /auth/login': 'begins signing in',
  'GET /auth/callback': 'ends signing in; the session is recorded as `login`',
  'POST /auth/logout': 'recorded as `logout`',
  'GET /log': 'names of the public logs',
  'GET /log/:tenant/checkpoint': 'public by design: what a verifier or witness reads (c2sp.org/tlog-tiles)',
  'GET /log/:tenant/cosigned': 'what witnesses vouch for is public, or it would be worth nothing',
  'GET /log/:tenant/vkey': 'public by design: the verifier keys',
  'GET /log/:tenant/predecessor': 'public by design: which log this one goes on from, with public keys only',
  'GET /log/:tenant/seals': 'public by design: which epochs are sealed',
  'GET /log/:tenant/seals/:number': 'public by design: sizes, roots and public keys only',
  'GET /log/:tenant/rotations': 'public by design: which statements there are on the keys of the log',
  'GET /log/:tenant/rotations/:number': 'public by design: sizes, roots and public keys only',
  'GET /log/:tenant/tile/*': 'public by design: hiding commitments only',
  'GET /healthz': 'whether the process runs',
  'GET /readyz': 'whether it can do its work',
  'GET /metrics': 'counters without names of people or patients',
  'GET /openapi.json': 'the description of this API',
  'GET /*': 'the files of the console, which hold no data',
};

/** HEAD of these begins or ends something, or would be a read of somebody. */
const withoutHead: ReadonlySet<PublicRoute> = new Set([
  'GET /v1/gateway/decisions',
  'GET /v1/session',
  'GET /auth/login',
  'GET /auth/callback',
]);

export function mountPublic(
  app: FastifyInstance,
  route: PublicRoute,
  handler: (request: FastifyRequest, reply: FastifyReply) => unknown,
): void {
  const [method = '', url = ''] = route.split(' ');
  app.route({
    method: method as HTTPMethods,
    url,
    config: { public: publicRoutes[route] },
    exposeHeadRoute: method === 'GET' && !withoutHead.has(route),
    handler,
  });
}
