/** For tests only: a whole road of real parts on 127.0.0.1: issuer, upstream, event server, and the gateway between them. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach } from 'node:test';
import { connect as connectTls } from 'node:tls';

import { type Event, parseEvent } from '@watchglass/record';
import { realDisk, type SpoolDisk } from '@watchglass/sdk';
import { exportJWK, generateKeyPair, type JWK, SignJWT } from 'jose';
import { type Logger, pino } from 'pino';
import { Agent, request as undiciRequest } from 'undici';
import { stringify } from 'yaml';

import { selfSigned } from './certificate.fixture.ts';
import { type GatewayConfig, readGatewayConfig } from './config/config.ts';
import { startGateway } from './main.ts';
import type { RunningGateway } from './running-gateway.ts';

export const audience = 'urn:watchglass:api';

export interface Listening extends AsyncDisposable {
  readonly url: string;
  readonly port: number;
  close(): Promise<void>;
}

export async function serve(listener: RequestListener): Promise<Listening> {
  const server: Server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const close = (): Promise<void> =>
    new Promise((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
  return { url: `http://127.0.0.1:${port}`, port, close, [Symbol.asyncDispose]: close };
}

/** As `start`, and what a test started so is ended after it, the last one first. */
export function endedAfterEach<Options extends unknown[], Started extends AsyncDisposable>(
  start: (...options: Options) => Promise<Started>,
): (...options: Options) => Promise<Started> {
  let started = new AsyncDisposableStack();
  afterEach(async () => {
    await using _ended = started;
    started = new AsyncDisposableStack();
  });
  return async (...options) => started.use(await start(...options));
}

export interface TestIssuer extends Listening {
  readonly issuer: string;
  readonly jwk: JWK;
  readonly publicKey: CryptoKey;
  readonly privateKey: CryptoKey;
  /** Requests for the keys so far. */
  readonly fetches: { count: number };
  /** Set `is`, and it hangs up on everybody. */
  readonly down: { is: boolean };
  /** More of its metadata. */
  readonly metadata: Record<string, unknown>;
  /** A good token, except for what is given. */
  mint(
    claims?: Record<string, unknown>,
    header?: Record<string, unknown>,
    key?: CryptoKey | Uint8Array,
  ): Promise<string>;
}

/** One pair for all issuers of a test's process: making one takes as long as many a test. */
let issuerKeys: Promise<{ readonly publicKey: CryptoKey; readonly privateKey: CryptoKey }> | undefined;

export async function startIssuer(): Promise<TestIssuer> {
  issuerKeys ??= generateKeyPair('RS256', { extractable: true });
  const { publicKey, privateKey } = await issuerKeys;
  const jwk: JWK = { ...(await exportJWK(publicKey)), kid: 'k1', alg: 'RS256', use: 'sig' };
  const fetches = { count: 0 };
  const down = { is: false };
  const metadata: Record<string, unknown> = {};
  let issuer = '';
  const listening = await serve((request, response) => {
    if (down.is) {
      request.socket.destroy();
      return;
    }
    response.setHeader('content-type', 'application/json');
    if (request.url === '/.well-known/openid-configuration') {
      response.end(JSON.stringify({ issuer, jwks_uri: `${issuer}/jwks`, ...metadata }));
      return;
    }
    fetches.count += 1;
    response.end(JSON.stringify({ keys: [jwk] }));
  });
  issuer = listening.url;
  return {
    ...listening,
    issuer,
    jwk,
    publicKey,
    privateKey,
    fetches,
    down,
    metadata,
    mint(claims = {}, header = {}, key = privateKey) {
      const nowSeconds = Math.floor(Date.now() / 1_000);
      const payload = {
        iss: issuer,
        aud: audience,
        sub: 'person-1',
        iat: nowSeconds,
        exp: nowSeconds + 3_600,
        jti: 'token-1',
        client_id: 'demo-cli',
        roles: ['physician'],
        scope: 'openid user/*.cruds',
        tenant: 'clinic',
        acr: 'urn:test:acr',
        amr: ['pwd', 'otp'],
        auth_time: nowSeconds - 60,
        ...claims,
      };
      const kept = Object.fromEntries(Object.entries(payload).filter(([, value]) => value !== undefined));
      return new SignJWT(kept).setProtectedHeader({ alg: 'RS256', kid: 'k1', typ: 'at+jwt', ...header }).sign(key);
    },
  };
}

export interface Road extends AsyncDisposable {
  readonly gateway: RunningGateway;
  readonly issuer: TestIssuer;
  readonly folder: string;
  /** Events that reached the server, in order of `seq`. */
  readonly events: Event[];
  /** What the upstream was asked, in order. */
  readonly asked: {
    readonly method: string;
    readonly target: string;
    readonly headers: IncomingMessage['headers'];
    readonly body: string;
  }[];
  readonly token: string;
  readonly tls: { readonly cert: string };
  /** All events so far, once they are at the server. */
  settled(): Promise<readonly Event[]>;
  fetch(path: string, options?: FetchOptions): Promise<Fetched>;
  /** Sends bytes as they are; resolves with all that came back until the connection ended. */
  raw(bytes: string | Uint8Array | readonly (string | Uint8Array)[]): Promise<string>;
  close(): Promise<void>;
}

export interface FetchOptions {
  readonly method?: string;
  readonly token?: string | null;
  readonly headers?: Record<string, string>;
  readonly body?: string | Buffer;
}

export interface Fetched {
  readonly status: number;
  readonly headers: Record<string, string | string[] | undefined>;
  readonly text: string;
  readonly json: Record<string, unknown>;
}

export const samplePolicy = `
version: 1
anonymous: [capabilities]
purposeOfUse: {header: X-Purpose-Of-Use, allow: [TREAT, BTG]}
roles:
  physician:
    allow:
      - {interactions: [read, vread, search, history, create, update, patch, delete], types: ['*']}
      - {operations: [$everything], types: [Patient]}
      - {interactions: [batch, capabilities]}
  nurse:
    allow:
      - {interactions: [read, search], types: [Patient, Observation]}
      - {interactions: [batch]}
`;

export interface RoadOptions {
  readonly upstream?: (request: IncomingMessage, response: ServerResponse, body: string) => void;
  /** Merged into gateway.yaml. */
  readonly config?: Record<string, unknown>;
  /** Merged into its upstream. */
  readonly api?: Record<string, unknown>;
  /** Merged into its issuer. */
  readonly issuer?: Record<string, unknown>;
  readonly policy?: string;
  readonly tls?: boolean;
  /** The disk under the spool. */
  readonly disk?: SpoolDisk;
  /** The clock by which keys of issuers age and an API that is down is spared. */
  readonly now?: () => number;
  /** Changes the configuration that was read. */
  readonly adjust?: (config: GatewayConfig) => GatewayConfig;
  readonly logger?: Logger;
  /** Answers 503 instead of taking events. */
  readonly serverDown?: boolean;
  /** What the server says that it decided; `again` once it has said something. */
  readonly decisions?: (again: boolean) => Promise<object>;
  /** Files that the configuration names, before it is read. */
  readonly prepare?: (folder: string) => Promise<void>;
}

export async function startRoad(options: RoadOptions = {}): Promise<Road> {
  const folder = await mkdtemp(join(tmpdir(), 'watchglass-gateway-'));
  const issuer = await startIssuer();
  const asked: Road['asked'] = [];
  const upstream = await serve((request, response) => {
    readText(request).then(
      (body) => {
        asked.push({ method: request.method ?? '', target: request.url ?? '', headers: request.headers, body });
        (options.upstream ?? answerPatient)(request, response, body);
      },
      () => response.destroy(),
    );
  });
  const events: Event[] = [];
  const eventServer = await serve((request, response) => {
    const take = async (): Promise<void> => {
      const body = await readText(request);
      if (options.decisions !== undefined && request.url?.startsWith('/v1/gateway/decisions') === true) {
        response.end(JSON.stringify(await options.decisions(request.url.includes('after='))));
        return;
      }
      if (options.serverDown === true) {
        response.writeHead(503, { 'retry-after': '1' }).end();
        return;
      }
      const lines = body.trim().split('\n');
      for (const line of lines) {
        // The door takes nothing else, so neither does this one.
        const event = parseEvent({ ...(JSON.parse(line) as object), tenant: 'clinic' });
        if (!events.some(({ id }) => id === event.id)) events.push(event);
      }
      response
        .writeHead(201, { 'content-type': 'application/json' })
        .end(JSON.stringify({ receipts: lines.map(() => ({})), checkpoint: '' }));
    };
    take().catch(() => response.writeHead(422).end('{}'));
  });
  const tls = selfSigned();
  await writeFile(join(folder, 'cert.pem'), tls.cert);
  await writeFile(join(folder, 'key.pem'), tls.key, { mode: 0o600 });
  await writeFile(join(folder, 'policy.yaml'), options.policy ?? samplePolicy);
  await writeFile(join(folder, 'write.key'), 'wgk_0123456789abcdefghijklmnop\n', { mode: 0o600 });
  const secure = options.tls ?? false;
  const yaml = {
    listen: { host: '127.0.0.1', port: 0 },
    ...(secure ? { tls: { cert: 'cert.pem', key: 'key.pem' } } : {}),
    upstream: { url: upstream.url, timeoutMs: 2_000, ...options.api },
    issuers: [{ issuer: issuer.issuer, audience, algorithms: ['RS256'], ...options.issuer }],
    policy: 'policy.yaml',
    routes: [{ prefix: '/fhir', kind: 'fhir' }],
    server: { url: eventServer.url, writeKeyFile: 'write.key' },
    spool: { dir: 'spool', maxBytes: 32 * 1024 * 1024 },
    site: 'test-hospital',
    emitter: 'test-gateway',
    ...options.config,
  };
  await options.prepare?.(folder);
  await writeFile(join(folder, 'gateway.yaml'), stringify(yaml));
  const config = readGatewayConfig(join(folder, 'gateway.yaml'));
  const gateway = await startGateway((options.adjust ?? ((same) => same))(config), {
    logger: options.logger ?? pino({ level: 'silent' }),
    ...(options.disk === undefined ? {} : { disk: options.disk }),
    ...(options.now === undefined ? {} : { now: options.now }),
  });
  const { port } = gateway;
  const agent = new Agent({ connect: { ca: tls.cert, servername: 'localhost' }, allowH2: false });
  const token = await issuer.mint();
  const close = async (): Promise<void> => {
    await agent.destroy();
    await gateway[Symbol.asyncDispose]();
    await upstream.close();
    await eventServer.close();
    await issuer.close();
    await rm(folder, { recursive: true, force: true });
  };

  return {
    gateway,
    issuer,
    folder,
    events,
    asked,
    token,
    tls,
    async settled() {
      await gateway.sender.drain(AbortSignal.timeout(60_000));
      return events;
    },
    async fetch(path, fetchOptions = {}) {
      const { method = 'GET', headers = {}, body } = fetchOptions;
      const bearer = fetchOptions.token === undefined ? token : fetchOptions.token;
      const answer = await undiciRequest(`${gateway.url}${path}`, {
        dispatcher: agent,
        method: method as 'GET',
        headers: { ...(bearer === null ? {} : { authorization: `Bearer ${bearer}` }), ...headers },
        ...(body === undefined ? {} : { body }),
      });
      const text = await answer.body.text();
      let json: Record<string, unknown> = {};
      if (/json/.test(String(answer.headers['content-type']).replace('ndjson', '')) && text.startsWith('{'))
        json = JSON.parse(text) as Record<string, unknown>;
      return { status: answer.statusCode, headers: answer.headers, text, json };
    },
    raw(bytes) {
      const { promise, resolve, reject } = Promise.withResolvers<string>();
      const socket = secure
        ? connectTls({ port: port, host: '127.0.0.1', ca: tls.cert, servername: 'localhost' })
        : connect({ port: port, host: '127.0.0.1' });
      const chunks: Buffer[] = [];
      socket.on('data', (chunk: Buffer) => chunks.push(chunk));
      socket.on('close', () => resolve(Buffer.concat(chunks).toString('latin1')));
      // A reset after the answer is a way of closing, too.
      socket.on('error', (error) => (chunks.length > 0 ? undefined : reject(error)));
      socket.setTimeout(60_000, () => socket.destroy(new Error('the gateway kept the connection open')));
      for (const part of typeof bytes === 'string' || bytes instanceof Uint8Array ? [bytes] : bytes)
        socket.write(part as string, 'latin1');
      return promise;
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}

/** `GET /fhir/Patient/1` and the like, with the id that was asked for. */
export function answerPatient(request: IncomingMessage, response: ServerResponse): void {
  const id = /\/Patient\/([A-Za-z0-9.-]+)/.exec(request.url ?? '')?.[1] ?? 'p-1';
  sendJson(response, 200, { resourceType: 'Patient', id, name: [{ family: 'Tester' }] });
}

export function sendJson(
  response: ServerResponse,
  status: number,
  body: unknown,
  headers: Record<string, string> = {},
): void {
  const text = JSON.stringify(body);
  response.writeHead(status, {
    'content-type': 'application/fhir+json',
    'content-length': Buffer.byteLength(text),
    ...headers,
  });
  response.end(text);
}

async function readText(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
  return Buffer.concat(chunks).toString('utf8');
}

/** Status codes of all responses in a raw text, in order. */
export function statusesOf(raw: string): number[] {
  // A body may end without a line end, right before the next status line.
  return [...raw.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map((match) => Number(match[1]));
}

/** The real disk, until a test switches a fault on. */
export class FaultyDisk {
  datasyncError: Error | undefined;
  writeError: Error | undefined;
  hang: Promise<void> | undefined;
  /** Told when a datasync begins to hang. */
  onHang: (() => void) | undefined;

  readonly disk: SpoolDisk = {
    ...realDisk,
    create: async (path) => {
      const file = await realDisk.create(path);
      return {
        write: async (bytes, position) => {
          if (this.writeError !== undefined) throw this.writeError;
          await file.write(bytes, position);
        },
        datasync: async () => {
          if (this.hang !== undefined) this.onHang?.();
          await this.hang;
          if (this.datasyncError !== undefined) throw this.datasyncError;
          await file.datasync();
        },
        truncate: (size) => file.truncate(size),
        linked: () => file.linked(),
        close: () => file.close(),
      };
    },
    freeBytes: () => Number.POSITIVE_INFINITY,
  };
}

export function systemError(code: string): Error {
  return Object.assign(new Error(`${code}: made by a test`), { code });
}

/** Events of requests, without the gateway's own start and without the first use of a token. */
export async function eventsOf(of: Road): Promise<Event[]> {
  return (await of.settled()).filter((event) => event.kind !== 'system' && !isFirstUse(event));
}

/** A token was let in for the first time. */
export function isFirstUse({ operation, outcome }: Event): boolean {
  return operation === 'authenticate' && outcome.status === 'success';
}

/** The same, once there are that many: what comes after an answer takes a moment longer. */
export async function eventsUpTo(of: Road, count: number): Promise<Event[]> {
  for (;;) {
    const events = await eventsOf(of);
    if (events.length >= count) return events;
    await new Promise((resolve) => setImmediate(resolve));
  }
}

export const observation = (id: string, patient: string): object => ({
  resourceType: 'Observation',
  id,
  subject: { reference: `Patient/${patient}` },
});

export function searchset(...resources: object[]): object {
  return { resourceType: 'Bundle', type: 'searchset', entry: resources.map((resource) => ({ resource })) };
}
