/**
 * Builds the gateway from its configuration, floor by floor, and takes it down in reverse: the door first, then what is under way, then the sender, the
 * spool last.
 */
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { countersOperation, countersToChanges } from '@watchglass/record';
import {
  openSpool,
  type ReceiptFailure,
  type Rechecker,
  SdkError,
  type Sender,
  type Spool,
  type SpoolDisk,
  startRechecker,
  startSender,
} from '@watchglass/sdk';
import { type Logger, pino } from 'pino';
import { Pool } from 'undici';
import { RequestCounters } from './capture/counters.ts';
import { type Flood, FloodGate } from './capture/flood.ts';
import { lapseEvents, ownEvent } from './capture/own-event.ts';
import { type EventDraftFacts, Recorder } from './capture/recorder.ts';
import type { GatewayConfig } from './config.ts';
import { openEdge } from './edge.ts';
import { GatewayError } from './errors.ts';
import { ExportLinks } from './exposure/export-links.ts';
import { type Fronts, openFronts } from './fronts/fronts.ts';
import { identify } from './identify.ts';
import type { Revoke } from './identity/identity.ts';
import type { ReplayStore } from './identity/replay-store.ts';
import { createListener } from './passage/listener.ts';
import { LogoutDoor } from './passage/logout-door.ts';
import { Pipeline } from './passage/pipeline.ts';
import { type PolicyChangeParts, policyTargets, tellPolicyChange } from './passage/policy-changes.ts';
import { ConsentDesk, type ConsentHook } from './policy/consent.ts';
import { GlassCase } from './policy/glass.ts';
import { type PolicyChange, PolicyKeeper } from './policy/policy-keeper.ts';
import { makeUpstreamConnector, securityHeadersOf, type UpstreamConnector, watchCertificates } from './secure.ts';
import { createAdmin } from './watch/admin.ts';
import { Metrics } from './watch/metrics.ts';

export interface RunningGateway extends AsyncDisposable {
  /** How clients reach it, without a slash at the end. */
  readonly url: string;
  /** Where it listens. */
  readonly port: number;
  readonly adminUrl: string | undefined;
  readonly spool: Spool;
  readonly sender: Sender;
  /** Lets a person, session, token or client in no longer. In force at once; resolves once it outlives the process. */
  revoke(what: Revoke): Promise<void>;
  readonly receipts: Rechecker;
  /** Looks at the policy's files now: resolves when what they say is in force, or refused. */
  reloadPolicy(): Promise<void>;
  /** Where other proxies ask, if any do. */
  readonly fronts: Fronts | undefined;
}

export interface StartOptions {
  /** Aborting it is the same as disposing. */
  readonly signal?: AbortSignal;
  readonly logger?: Logger;
  /** Asked for a patient's consent, instead of the URL in the policy. Only where the policy has `consent`. */
  readonly consent?: ConsentHook;
  /** Remembers proofs of possession for many gateways; this process alone does it for itself. */
  readonly replayStore?: ReplayStore;
  /** The disk under the spool: the machine's own, unless a test hands in one that fails. */
  readonly disk?: SpoolDisk;
  /** The clock by which keys of issuers age: the machine's own, unless a test hands in one that runs ahead. */
  readonly now?: () => number;
}

/** At most this long the events of the last moments get to reach the server; the rest stays in the spool. */
const lastSendingMs = 3_000;
/** How often the policy's files are looked at, whatever the file system tells, and how long they have to hold still. */
const policyPollMs = 5_000;
const policySettleMs = 100;
/** Requests that were cut off get this long to be recorded. */
const lastEventsMs = 5_000;
const exportSecretBytesMin = 32;

/** Resolves once it listens. Throws `GatewayError` and `SdkError`, having let go of everything. */
export async function startGateway(config: GatewayConfig, options: StartOptions = {}): Promise<RunningGateway> {
  await using stack = new AsyncDisposableStack();
  const logger = options.logger ?? pino({ name: 'watchglass-gateway' });
  const spool = stack.use(
    await openSpool({
      dir: config.spool.dir,
      keyFile: config.spool.keyFile,
      maxBytes: config.spool.maxBytes,
      emitterId: config.emitter,
      stallMs: config.audit.deadlineMs,
      ...(options.disk === undefined ? {} : { disk: options.disk }),
    }),
  );
  const server = { serverUrl: config.server.url, ...(config.server.ca === undefined ? {} : { ca: config.server.ca }) };
  const recorder = new Recorder({
    spool,
    mode: config.audit.mode,
    deadlineMs: config.audit.deadlineMs,
    ...(config.tenant === undefined ? {} : { tenant: config.tenant }),
    lapseEvents: (lapse) => lapseEvents(config, lapse),
  });
  const receipts = stack.use(
    await startRechecker({
      ...server,
      dir: config.spool.dir,
      ...(config.server.vkey === undefined ? {} : { vkey: config.server.vkey }),
      onReceiptFailed: (failure) => {
        logger.error(failure, 'what the server acknowledged does not hold: its log is not the one it was');
        void recordOwn(recorder, config, 'receipt-failed', failure).catch(() => undefined);
      },
      onProblem: (problem) => {
        if (problem === undefined) logger.info('receipts can be checked again');
        else logger.warn({ problem }, 'receipts of the server can not be checked');
      },
    }),
  );
  const sender = stack.use(
    startSender({
      spool,
      ...server,
      writeKey: config.server.writeKey,
      onReceipts: (given, checkpoint) => receipts.note(given, checkpoint),
      onProblem: (problem) => {
        if (problem === undefined) logger.info('events reach the server again');
        else
          logger.warn(
            { problem, waiting: spool.status.waitingCount },
            'events do not reach the server; they wait in the spool',
          );
      },
      onDeadLetter: (letter) => logger.error(letter, 'the server refused an event for good; it was set aside'),
    }),
  );
  stack.defer(() => sender.drain(AbortSignal.timeout(lastSendingMs)).catch(() => undefined));
  await recordOwn(recorder, config, 'start');
  if (spool.status.cutBytes > 0) {
    logger.warn({ cutBytes: spool.status.cutBytes }, 'an unfinished group at the end of the spool was cut off');
    await recordOwn(recorder, config, 'spool-cut');
  }
  const counters = new RequestCounters(Date.now());
  stack.defer(async () => {
    await recordCounters(recorder, config, counters);
    await recordOwn(recorder, config, 'stop').catch(() => undefined);
  });
  const floods = stack.use(new FloodGate<EventDraftFacts>((found) => recordFloods(recorder, found)));
  const counting = setInterval(() => void recordCounters(recorder, config, counters), config.audit.countersEveryMs);
  counting.unref();
  stack.defer(() => clearInterval(counting));
  const metrics = new Metrics();
  metrics.observe({ spool, sender, receipts, recorder });
  const identity = stack.use(await identify(config, { ...options, recorder, logger, metrics }));
  const policies = keepPolicy(config, { recorder, logger, metrics, stack });
  const edge = stack.use(await openEdge(config, { recorder, logger, metrics }));
  const glass = await openGlass(config, { stack, logger });
  const consent = stack.use(new ConsentDesk(options.consent === undefined ? {} : { hook: options.consent }));
  // What still waits for the upstream, or for a consent, when those are let go of has its event before the spool closes.
  let built: Pipeline | undefined;
  stack.defer(async () => {
    if (built !== undefined) await idleWithin(built, lastEventsMs);
  });
  const upstream = makeUpstreamConnector(config);
  const pool = stack.adopt(makePool(config, upstream), (made) => made.destroy());
  const upstreamOrigin = new URL(config.upstream.url).origin;
  const exportLinks = new ExportLinks(await readExportSecret(config), [upstreamOrigin, ...config.exports.origins]);
  const filePools = new Map(
    config.exports.origins
      .filter((origin) => origin !== upstreamOrigin)
      .map((origin) => [origin, stack.adopt(new Pool(origin, { connections: 16 }), (made) => made.destroy())]),
  );
  const publicUrl = new URL(
    config.url ?? `${config.tls === undefined ? 'http' : 'https'}://${hostForUrl(config.listen.host)}`,
  );
  const securityHeaders = securityHeadersOf(publicUrl);
  const admission = {
    routes: config.routes,
    exportLinks,
    filePools,
    authenticator: identity.authenticator,
    policies,
    glass,
    consent,
    logger,
    limiting: edge.limiting,
    breaker: edge.breaker,
    recorder,
    proxies: config.trustedProxies,
    floods,
    counters,
    metrics,
    publicUrl,
    site: config.site,
    exposureBytesMax: config.exposureBytesMax,
    requestBytesMax: config.limits.requestBytesMax,
  };
  const pipeline = new Pipeline({
    ...admission,
    pool,
    securityHeaders,
    logoutDoor:
      identity.logout === undefined || config.identity.logoutPath === undefined
        ? undefined
        : new LogoutDoor(config.identity.logoutPath, identity.logout),
    upstreamOrigin,
    forwardAuthorization: config.upstream.forwardAuthorization,
    forwardHeaders: config.upstream.forwardHeaders,
    inFlightMax: config.limits.inFlightMax,
    upstreamTimeoutMs: config.upstream.timeoutMs,
  });
  built = pipeline;
  const onFault = (error: unknown): void =>
    logger.error({ fault: faultOf(error) }, 'a request ended in a fault of the gateway itself');
  const fronts =
    config.fronts === undefined
      ? undefined
      : stack.use(await openFronts(config.fronts, { ...admission, own: config, tenant: config.tenant, onFault }));
  const listener = createListener({
    pipeline,
    tls: config.tls,
    limits: config.limits,
    securityHeaders,
    onFault,
  });
  const certificates = stack.use(watchCertificates(config, { server: listener, upstream, recorder, logger, metrics }));
  const listenPort = await listen(listener, config.listen);
  stack.defer(() => idleWithin(pipeline, config.limits.drainMs));
  stack.defer(() => closeServer(listener, config.limits.drainMs));
  if (config.url === undefined) publicUrl.port = String(listenPort);
  const problems = async (): Promise<readonly string[]> => [
    ...recorder.problems(),
    ...certificates.problems(),
    ...edge.problems(),
    ...((await identity.isReady()) ? [] : ['issuer-keys']),
  ];
  const adminUrl =
    config.admin === undefined ? undefined : await startAdmin(config.admin, { problems, receipts, metrics, stack });
  const url = publicUrl.href.replace(/\/+$/, '');
  logger.info(
    { url, mode: config.audit.mode, emitter: config.emitter, waiting: spool.status.waitingCount },
    'gateway listens',
  );
  const resources = stack.move();
  const stop = onlyOnce(() => resources.disposeAsync());
  options.signal?.addEventListener('abort', () => void stop(), { once: true });
  if (options.signal?.aborted === true) await stop();
  return {
    url,
    port: listenPort,
    adminUrl,
    spool,
    sender,
    receipts,
    fronts,
    revoke: identity.revoke,
    reloadPolicy: () => policies.look(),
    [Symbol.asyncDispose]: stop,
  };
}

/** A file of its own, or the spool's key, which is there by now. */
async function readExportSecret({ exports, spool }: GatewayConfig): Promise<Uint8Array> {
  const { keyFile = spool.keyFile } = exports;
  const secret = await readFile(keyFile).catch((cause: NodeJS.ErrnoException) => {
    throw new GatewayError(
      'config-unreadable',
      `expected exports.keyFile in ${keyFile}, got ${cause.code ?? 'an error'}; check the path and who may read it`,
      { cause },
    );
  });
  if (secret.length >= exportSecretBytesMin) return secret;
  throw new GatewayError(
    'config-invalid',
    `expected at least ${exportSecretBytesMin} random bytes in ${keyFile}, got ${secret.length}; make them anew`,
  );
}

/** Its key comes from the spool's, which is there by now and stays on this machine. */
async function openGlass(
  { spool }: GatewayConfig,
  parts: { readonly stack: AsyncDisposableStack; readonly logger: Logger },
): Promise<GlassCase> {
  const { stack, logger } = parts;
  const onFault = (): void =>
    logger.warn('which glass is broken could not be kept or read again; after a restart reasons are asked for again');
  const secret = await readFile(spool.keyFile);
  return stack.use(await GlassCase.load({ file: join(spool.dir, 'break-glass.json'), secret, onFault }));
}

function keepPolicy(
  config: GatewayConfig,
  parts: Pick<PolicyChangeParts, 'recorder' | 'logger' | 'metrics'> & { readonly stack: AsyncDisposableStack },
): PolicyKeeper {
  const { policy, policyFile: file } = config;
  const record = (change: PolicyChange): Promise<boolean> => tellPolicyChange(change, { ...parts, file, own: config });
  return parts.stack.use(new PolicyKeeper({ file, policy, pollMs: policyPollMs, settleMs: policySettleMs, record }));
}

async function idleWithin(pipeline: Pipeline, boundMs: number): Promise<void> {
  const late = new AbortController();
  await Promise.race([pipeline.idle(), sleep(boundMs, undefined, { signal: late.signal }).catch(() => undefined)]);
  late.abort();
}

/** An event of the gateway itself. In strict mode a gateway that can't record doesn't start. */
async function recordOwn(
  recorder: Recorder,
  config: GatewayConfig,
  operation: 'start' | 'stop' | 'spool-cut' | 'receipt-failed',
  failure?: ReceiptFailure,
): Promise<void> {
  const recorded = await recorder.recordDurably([
    ownEvent(config, {
      operation,
      status: operation === 'start' || operation === 'stop' ? 'success' : 'failed',
      ...(failure === undefined ? {} : { reason: failure.code }),
      ...(failure?.index === undefined ? {} : { target: { type: 'Event', id: String(failure.index) } }),
      ...(operation === 'start' ? { targets: policyTargets(config.policy, config.policyFile) } : {}),
    }),
  ]);
  if (recorded.kind === 'unrecorded' && operation === 'start') {
    throw new SdkError(
      'spool-failed',
      `expected to record the start, got ${recorded.reason}; check the spool in ${config.spool.dir}`,
    );
  }
}

/** The gateway's own count of its requests, for whoever holds the ledger against it. Never rejects. */
async function recordCounters(recorder: Recorder, config: GatewayConfig, counters: RequestCounters): Promise<void> {
  const changes = countersToChanges(counters.read(recorder));
  await recorder.recordDurably([ownEvent(config, { operation: countersOperation, status: 'success', changes })]);
}

/** What was counted instead of being recorded one by one, as one event each: `repeated-123-times`. */
function recordFloods(recorder: Recorder, floods: readonly Flood<EventDraftFacts>[]): void {
  for (const { sample, count } of floods) {
    const times = count < 1_000 ? String(count) : `${Math.floor(count / 1_000)}k`;
    const { id: _id, ...rest } = sample;
    void recorder.record([
      { ...rest, time: new Date().toISOString(), outcome: { ...sample.outcome, reason: `repeated-${times}-times` } },
    ]);
  }
}

function makePool({ upstream }: GatewayConfig, { connect }: UpstreamConnector): Pool {
  return new Pool(new URL(upstream.url).origin, {
    connections: upstream.connectionsMax,
    pipelining: 1,
    allowH2: false,
    // The pipeline has a deadline of its own for everything up to the first release; this one is for the stream after it.
    headersTimeout: 0,
    bodyTimeout: upstream.timeoutMs,
    connect,
  });
}

async function listen(server: Server, address: { readonly host: string; readonly port: number }): Promise<number> {
  server.listen(address.port, address.host);
  try {
    await once(server, 'listening');
  } catch (cause) {
    throw new GatewayError(
      'listen-failed',
      `expected to listen on ${address.host}:${address.port}, got ${(cause as NodeJS.ErrnoException).code ?? 'an error'}; choose another port or stop who has it`,
      { cause },
    );
  }
  return (server.address() as AddressInfo).port;
}

async function startAdmin(
  address: { readonly host: string; readonly port: number },
  parts: {
    readonly problems: () => Promise<readonly string[]>;
    readonly receipts: Rechecker;
    readonly metrics: Metrics;
    readonly stack: AsyncDisposableStack;
  },
): Promise<string> {
  const admin = createAdmin({
    problems: parts.problems,
    receipts: () => parts.receipts.status,
    registry: parts.metrics.registry,
  });
  const port = await listen(admin, address);
  parts.stack.defer(() => closeServer(admin, 1_000));
  return `http://${hostForUrl(address.host)}:${port}`;
}

/** Takes no more connections, lets what is under way finish, and hangs up on the rest after the bound. */
async function closeServer(server: Server, drainMs: number): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  // A kept-alive connection becomes idle only once its last answer is out.
  const idle = setInterval(() => server.closeIdleConnections(), 25);
  server.closeIdleConnections();
  const timer = setTimeout(() => server.closeAllConnections(), drainMs);
  await closed;
  clearTimeout(timer);
  clearInterval(idle);
}

function hostForUrl(host: string): string {
  return host.includes(':') ? `[${host}]` : host;
}

function onlyOnce<T>(make: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | undefined;
  return () => {
    made ??= make();
    return made;
  };
}

/** Class and place of a fault; its message could hold a part of a request. */
function faultOf(error: unknown): string {
  if (!(error instanceof Error)) return typeof error;
  const place = error.stack
    ?.split('\n')
    .find((frame) => frame.trimStart().startsWith('at '))
    ?.trim();
  return `${error.name} ${place ?? ''}`;
}
