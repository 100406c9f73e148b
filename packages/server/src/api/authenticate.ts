/**
 * Who is at the door: the local operator, a person with an access token, or a person with a console session. A credential that is wrong is never overlooked in favour of
 * another.
 */
import { clientAddress, type TrustedProxies } from '@watchglass/record/source';
import type { FastifyRequest } from 'fastify';
import type { Access, Origin, Principal } from '../access/access.ts';
import { ServerError } from '../errors.ts';

export const sessionCookie = '__Host-watchglass';
const safeMethods: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS']);

declare module 'fastify' {
  interface FastifyInstance {
    /** Whose `X-Forwarded-For` is believed. */
    trustedProxies: TrustedProxies;
  }
}

/** Where a request came from, for its event. */
export function originOf(request: FastifyRequest): Origin {
  const userAgent = request.headers['user-agent'];
  const address = clientAddress(request.raw, request.server.trustedProxies);
  return {
    ...(address === undefined ? {} : { address }),
    ...(userAgent === undefined ? {} : { userAgent: userAgent.slice(0, 512) }),
  };
}

/**
 * Undefined when there is no credential. With `look` a session is only looked at, and goes on idling.
 * @throws ServerError `unauthenticated` for a wrong one, `origin-refused`
 */
export async function authenticate(
  request: FastifyRequest,
  access: Access,
  url: string,
  how: 'use' | 'look' = 'use',
): Promise<Principal | undefined> {
  const { authorization } = request.headers;
  if (authorization !== undefined) {
    const [, secret] = /^Bearer ([\x21-\x7e]{1,16384})$/i.exec(authorization) ?? [];
    const principal = secret === undefined ? undefined : await bearer(secret, access);
    if (principal === undefined)
      throw new ServerError('unauthenticated', 'expected a valid access token or operator token; sign in again');
    return principal;
  }
  const cookie = request.cookies[sessionCookie];
  if (cookie === undefined) return undefined;
  const session = how === 'use' ? access.sessions.get(cookie) : access.sessions.look(cookie);
  if (session === undefined) throw new ServerError('unauthenticated', 'the session has ended; sign in again');
  if (safeMethods.has(request.method)) checkSite(request);
  else checkOrigin(request, url);
  return session.principal;
}

/** A link on another site must not make a person read what that person then is on record for. @throws ServerError `origin-refused` */
function checkSite({ headers }: FastifyRequest): void {
  const site = headers['sec-fetch-site'];
  // `none` is an address somebody typed; what isn't a browser sends nothing.
  if (site !== undefined && site !== 'same-origin' && site !== 'none') throw new ServerError('origin-refused');
}

/** A cookie goes along with what other sites make a browser send: only our own pages may change anything with it. @throws ServerError `origin-refused` */
export function checkOrigin(request: FastifyRequest, url: string): void {
  const { origin } = request.headers;
  const own =
    origin === undefined ? request.headers['sec-fetch-site'] === 'same-origin' : origin === new URL(url).origin;
  if (!own) throw new ServerError('origin-refused');
}

async function bearer(secret: string, access: Access): Promise<Principal | undefined> {
  if (secret.startsWith('wgo_')) return access.operator.verify(secret);
  if (secret.startsWith('wgk_'))
    throw new ServerError(
      'unauthenticated',
      'expected an access token, got a write key, which writes events and reads nothing',
    );
  return await access.tokens.verify(secret);
}
