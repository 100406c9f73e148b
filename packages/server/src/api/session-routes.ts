/**
 * Signing in and out of the console, and who is signed in.
 */
import type { CookieSerializeOptions } from '@fastify/cookie';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { Principal } from '../access/access.ts';
import { ServerError } from '../errors.ts';
import type { RefusalTally } from '../review/refusal-tally.ts';
import { authenticate, checkOrigin, originOf, sessionCookie } from './authenticate.ts';
import { asServerError } from './problems.ts';
import { mountPublic } from './public-routes.ts';
import type { ApiDeps } from './server.ts';
import { createSignIn, isThisMachine, loginCookie, loginCookieSeconds } from './sign-in.ts';

const cookieOptions: CookieSerializeOptions = { path: '/', httpOnly: true, secure: true, sameSite: 'lax' };
const sessionSeconds = 12 * 60 * 60;

export interface SessionRoutesDeps extends Pick<ApiDeps, 'access' | 'ledger' | 'world' | 'url' | 'demo' | 'signIn'> {
  readonly tally: RefusalTally;
}

export function mountSessionRoutes(app: FastifyInstance, deps: SessionRoutesDeps): void {
  const { access, world, url, demo, tally } = deps;
  const signIn = deps.signIn === undefined ? undefined : createSignIn({ settings: deps.signIn, access, world, url });
  const provider = (): NonNullable<typeof signIn> => {
    if (signIn === undefined)
      throw new ServerError('not-found', 'no identity provider is configured; see docs/configuration.md, `issuer`');
    return signIn;
  };

  mountPublic(app, 'GET /v1/session', async (request, reply) => {
    reply.header('cache-control', 'no-store');
    try {
      const principal = await authenticate(request, access, url);
      return principal === undefined ? { signedIn: false, demo } : sessionOf(principal, deps);
    } catch (error) {
      if (asServerError(error).status !== 401) throw error;
      return { signedIn: false, demo };
    }
  });

  mountPublic(app, 'GET /auth/login', async (request, reply) => {
    const { to } = request.query as { to?: unknown };
    if (isOtherNameOfThisMachine(request.headers.host, url)) {
      const query = typeof to === 'string' ? `?to=${encodeURIComponent(to)}` : '';
      return reply.header('cache-control', 'no-store').redirect(`${url}/auth/login${query}`, 302);
    }
    const { location, cookie } = await provider().begin(typeof to === 'string' ? to : undefined);
    return reply
      .setCookie(loginCookie, cookie, { ...cookieOptions, maxAge: loginCookieSeconds })
      .header('cache-control', 'no-store')
      .redirect(location, 302);
  });

  mountPublic(app, 'GET /auth/callback', async (request, reply) => {
    const query = request.raw.url?.indexOf('?') ?? -1;
    const origin = originOf(request);
    try {
      const { session, to } = await provider().finish({
        search: query < 0 ? '' : (request.raw.url?.slice(query) ?? ''),
        cookie: request.cookies[loginCookie],
        origin,
      });
      return await reply
        .setCookie(sessionCookie, session, { ...cookieOptions, maxAge: sessionSeconds })
        .clearCookie(loginCookie, cookieOptions)
        .header('cache-control', 'no-store')
        .redirect(to, 302);
    } catch (error) {
      const { code } = asServerError(error);
      if (code === 'sign-in-failed') tally.add({ operation: 'sign-in', code, address: origin.address });
      reply.clearCookie(loginCookie, cookieOptions);
      if (!isPage(request)) throw error;
      return await reply.header('cache-control', 'no-store').redirect(`/?signin=${code}`, 302);
    }
  });

  mountPublic(app, 'POST /auth/logout', async (request, reply) => {
    const cookie = request.cookies[sessionCookie];
    if (cookie !== undefined) {
      checkOrigin(request, url);
      await access.sessions.end(cookie, originOf(request));
    }
    return reply.clearCookie(sessionCookie, cookieOptions).header('cache-control', 'no-store').code(204).send();
  });
}

/**
 * Somebody came to `127.0.0.1` where the way back leads to `localhost`, or the other way round: the cookies of the one are none of the other's,
 * and the sign-in would end in another browser, as it seems.
 */
function isOtherNameOfThisMachine(host: string | undefined, url: string): boolean {
  const here = new URL(url);
  if (host === undefined || host === here.host || !isThisMachine(here.hostname)) return false;
  const asked = `${here.protocol}//${host}`;
  return URL.canParse(asked) && isThisMachine(new URL(asked).hostname) && new URL(asked).port === here.port;
}

/** A person's browser going to a page, for whom a problem in JSON is nothing: the console says it in words. */
function isPage({ headers }: FastifyRequest): boolean {
  return headers.accept?.includes('text/html') === true;
}

function sessionOf(principal: Principal, { access, ledger, demo }: SessionRoutesDeps): object {
  const logs = ledger.tenants();
  const tenants = principal.kind === 'person' ? logs.filter((one) => one === principal.tenant) : logs;
  return {
    signedIn: true,
    person: {
      id: principal.id,
      username: principal.username,
      name: principal.name,
      roles: principal.roles,
      rights: [...access.rightsOf(principal)],
    },
    tenant: principal.kind === 'person' ? principal.tenant : (tenants[0] ?? null),
    tenants,
    vkeys: Object.fromEntries(tenants.map((tenant) => [tenant, ledger.vkey(tenant)])),
    demo,
  };
}
