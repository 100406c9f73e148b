/**
 * The embedded identity provider, for the demo and for small sites: people live in access/, this signs them in (OpenID
 * Connect, code + PKCE) and gives them access tokens. It listens on a port of its own.
 *
 * Whatever a request says about host, scheme or client address in its headers is replaced by what the configuration, the
 * socket and a proxy that the operator trusts say, before the provider sees it.
 */
import {
  createServer as createHttpServer,
  type IncomingMessage,
  type RequestListener,
  type Server,
  type ServerResponse,
} from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import type { TenantId } from '@watchglass/record';
import { TrustedProxies } from '@watchglass/record/source';
import type { Access, RecordOwn } from '../access/access.ts';
import { freshSecret, keepKeyFile } from '../access/key-file.ts';
import type { Tracing } from '../trace/tracing.ts';
import type { World } from '../world/world.ts';
import { accountPath, createAccount } from './account.ts';
import { createAttemptLimit } from './attempt-limit.ts';
import { authorizationPath, postedAuthorization } from './authorization-checks.ts';
import { createBackChannel } from './back-channel.ts';
import { grantScopes } from './claims.ts';
import { createEndSession, endSessionPath } from './end-session.ts';
import { createInteraction, sendPage, setPageHeaders } from './interaction.ts';
import type { IssuerClient } from './issuer-client.ts';
import { createLaunchDoor, launchesPath } from './launch-door.ts';
import { createLaunchStep } from './launch-step.ts';
import { createLaunches } from './launches.ts';
import { mintAccessToken, type TokenOrder } from './mint.ts';
import { renderErrorPage } from './pages.ts';
import { createPasskeys } from './passkeys.ts';
import { createPatientSearch } from './patient-search.ts';
import { createProvider } from './provider.ts';
import { countedAs, noteSource } from './request.ts';
import { createSessionsEnd } from './sessions-end.ts';
import { createSignInSteps, tooManySentence } from './sign-in-steps.ts';
import { createSignIns } from './sign-ins.ts';
import type { SigningKey } from './signing-key.ts';
import type { SmartSettings } from './smart.ts';
import { traceListener } from './traced-listener.ts';

const headersTimeoutMs = 10_000;
const requestTimeoutMs = 20_000;
const connectionsMax = 1_000;
const headerBytesMax = 16_384;
/** The client in the tokens with which the issuer looks patients up for whoever has to choose one. */
const ownClientId = 'watchglass-issuer';
const lookupSeconds = 60;
/** Sign-ins that one address may begin: what was begun is kept for a while, and whoever began without end would push out what others are in the middle of. */
const beginningsPerMinuteMax = 120;
/** What the provider answers, as its metadata has it. */
const providerPaths = [
  authorizationPath,
  `${authorizationPath}/`,
  '/token',
  '/token/revocation',
  '/jwks',
  '/.well-known/openid-configuration',
  '/.well-known/oauth-authorization-server',
] as const;
const lookupScope = 'user/Patient.rs';

type Door = (request: IncomingMessage, response: ServerResponse) => Promise<void>;

export interface IssuerOptions {
  /** Issuer identifier and public URL, without trailing slash. */
  readonly url: string;
  readonly world: World;
  readonly keysDir: string;
  readonly signingKey: SigningKey;
  readonly people: Access['people'];
  readonly factors: Access['factors'];
  /** Those that are still to be heard. */
  readonly logouts: Access['logouts'];
  readonly issued: Access['issued'];
  readonly record: RecordOwn;
  /** Whose log takes what concerns no person. */
  readonly homeTenant: TenantId;
  readonly clients: readonly IssuerClient[];
  /** The FHIR API that applications are launched for. */
  readonly smart?: SmartSettings;
  /** PEM of the authorities to trust, instead of the system's, when the issuer calls others: the gateway, and who hears of logouts. */
  readonly ca?: string;
  /** Whose `X-Forwarded-For` is believed; nobody's without. */
  readonly proxies?: TrustedProxies;
  readonly demo: boolean;
  /** Where its requests are spans. */
  readonly tracing?: Tracing;
  /** PEM; plain HTTP without. */
  readonly tls?: { readonly cert: string | Uint8Array; readonly key: string | Uint8Array };
  /** Told of errors that are ours; no PHI. */
  readonly report: (message: string, error: unknown) => void;
}

export interface Issuer extends AsyncDisposable {
  /** Resolves to the address it listens at. Port 0 takes a free one. */
  listen(at: { readonly host: string; readonly port: number }): Promise<string>;
  /** An access token without a sign-in; for the demo. */
  mint(order: TokenOrder): Promise<string>;
  /** Resolves once everybody heard of the sessions that ended, or was given up; for tests. */
  idle(): Promise<void>;
}

export async function openIssuer(options: IssuerOptions): Promise<Issuer> {
  const { world, signingKey } = options;
  const cookieKey = await keepKeyFile({
    world,
    path: join(options.keysDir, 'issuer-cookie.key'),
    make: () => freshSecret(world, ''),
    valid: (text) => text.length >= 43,
  });
  const { people, factors, issued, demo, clients, smart, record, report } = options;
  const { origin } = new URL(options.url);
  const [signIns, launches] = [createSignIns(world, issued), createLaunches(world, issued)];
  const provider = createProvider({
    ...options,
    issuer: options.url,
    cookieKeys: [cookieKey],
    signIns,
    launches,
    smart,
  });
  provider.on('server_error', (_ctx, error) => report('issuer: a request failed', error));
  const calls = { issuer: options.url, signingKey, world, record, report };
  const backChannel = createBackChannel({
    ...calls,
    logouts: options.logouts,
    ...(options.ca === undefined ? {} : { ca: options.ca }),
  });
  const sessionsEnd = createSessionsEnd({ provider, people, signIns, issued, clients, backChannel, record });
  people.onEnd((end) => sessionsEnd.all(end));
  const passkeys = createPasskeys({ world, factors, origin });
  const steps = createSignInSteps({ people, factors, passkeys, world, demo, accountUrl: accountPath });
  const clientName = (id: string): string => clients.find((one) => one.id === id)?.name ?? 'the application';
  const mint = (order: TokenOrder): Promise<string> => mintAccessToken(calls, order);
  const launchStep = createLaunchStep({
    ...{ people, launches, world, record },
    patients:
      smart === undefined ? undefined : createPatientSearch({ ...smart, ...(options.ca ? { ca: options.ca } : {}) }),
    mint: (person, assurance, authTimeSeconds) =>
      mint({
        ...{ person, clientId: ownClientId, lifetimeSeconds: lookupSeconds, assurance, authTimeSeconds },
        // A gateway may pass tokens on to the API behind it: this one is good for nothing else.
        scope: grantScopes([lookupScope], { roles: person.roles, client: undefined, patient: undefined }).join(' '),
      }),
  });
  const doors: readonly (readonly [path: string, handle: Door])[] = [
    ['/interaction/', createInteraction({ provider, steps, launchStep, world, origin, clientName })],
    [accountPath, createAccount({ people, factors, passkeys, steps, world, origin })],
    [launchesPath, createLaunchDoor({ ...calls, people, clients, launches, homeTenant: options.homeTenant })],
    [
      endSessionPath,
      createEndSession({ ...calls, origin, clients, signIns, sessionsEnd, now: () => world.clock.now() }),
    ],
  ];
  const proxies = options.proxies ?? new TrustedProxies([]);
  const toProvider = provider.callback();
  const beginnings = createAttemptLimit(world.clock, beginningsPerMinuteMax);

  const handle: RequestListener = (request, response) => {
    noteSource(request, proxies);
    canonicalise(request, new URL(options.url));
    const [path = ''] = request.url?.split('?') ?? [];
    const door = doors.find(([at]) => (at.endsWith('/') ? path.startsWith(at) : path === at));
    if (door !== undefined) {
      door[1](request, response).catch((error: unknown) => fail(response, error));
      return;
    }
    const waitMs = path === authorizationPath ? beginnings.take(countedAs(request)) : 0;
    if (waitMs > 0) {
      response.setHeader('retry-after', String(Math.ceil(waitMs / 1_000)));
      sendPage(response, 429, renderErrorPage(tooManySentence(waitMs)));
      return;
    }
    if (request.method === 'POST' && path === authorizationPath) {
      redirectPosted(request, response).catch((error: unknown) => fail(response, error));
      return;
    }
    setPageHeaders(response, "'none'");
    toProvider(request, response).catch((error: unknown) => fail(response, error));
  };
  const fail = (response: ServerResponse, error: unknown): void => {
    options.report('issuer: a request failed', error);
    if (response.headersSent) {
      response.destroy();
      return;
    }
    setPageHeaders(response, "'none'");
    response.writeHead(500, { 'content-type': 'text/html; charset=utf-8' });
    response.end(renderErrorPage('Something went wrong here. Try again, and tell the operator if it stays so.'));
  };

  const server = createListener(
    options,
    options.tracing === undefined
      ? handle
      : traceListener(handle, {
          tracing: options.tracing,
          url: options.url,
          paths: [...doors.map(([at]) => at), ...providerPaths],
        }),
  );
  return {
    listen: (at) => listen(server, at, options.tls === undefined ? 'http' : 'https'),
    mint,
    idle: () => backChannel.idle(),
    async [Symbol.asyncDispose]() {
      await close(server);
      await backChannel[Symbol.asyncDispose]();
    },
  };
}

async function redirectPosted(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const location = await postedAuthorization(request);
  setPageHeaders(response, "'none'");
  if (location !== undefined) response.writeHead(303, { location }).end();
  else {
    response.writeHead(400, { 'content-type': 'text/html; charset=utf-8' });
    response.end(renderErrorPage('The application sent you here with something that can’t be read.'));
  }
}

function createListener(options: IssuerOptions, handle: RequestListener): Server {
  const limits = { headersTimeout: headersTimeoutMs, requestTimeout: requestTimeoutMs, maxHeaderSize: headerBytesMax };
  const server =
    options.tls === undefined
      ? createHttpServer(limits, handle)
      : createHttpsServer(
          { ...limits, cert: asPem(options.tls.cert), key: asPem(options.tls.key), minVersion: 'TLSv1.2' },
          handle,
        );
  server.maxConnections = connectionsMax;
  return server;
}

function asPem(pem: string | Uint8Array): string | Buffer {
  return typeof pem === 'string' ? pem : Buffer.from(pem);
}

/** Headers that a client or a proxy could use to say who we are or who it is. */
const untrusted = ['forwarded', 'x-forwarded-for', 'x-forwarded-host', 'x-forwarded-port', 'x-real-ip', 'x-url-scheme'];

function canonicalise(request: IncomingMessage, url: URL): void {
  for (const name of untrusted) delete request.headers[name];
  request.headers.host = url.host;
  request.headers['x-forwarded-proto'] = url.protocol.slice(0, -1);
  // No single sign-on: a session of the issuer is never picked up again, so each sign-in asks for the password.
  const cookies = request.headers.cookie
    ?.split('; ')
    .filter((cookie) => !cookie.startsWith('watchglass-issuer-session'));
  if (cookies !== undefined) request.headers.cookie = cookies.join('; ');
}

function listen(server: Server, at: { host: string; port: number }, scheme: string): Promise<string> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host: at.host, port: at.port }, () => {
      server.off('error', reject);
      const { address, family, port } = server.address() as AddressInfo;
      resolve(`${scheme}://${family === 'IPv6' ? `[${address}]` : address}:${port}`);
    });
  });
}

function close(server: Server): Promise<void> {
  return new Promise((resolve) => {
    // Never listened: there is nothing to wait for.
    if (!server.listening) {
      resolve();
      return;
    }
    server.close(() => resolve());
    server.closeAllConnections();
  });
}
