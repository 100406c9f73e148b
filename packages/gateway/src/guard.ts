/**
 * What serves requests in one process: built floor by floor from the configuration, the way to the record and what all processes have in common; taken down in
 * reverse: the door first, then what is under way, then what it needed.
 */
import { readFile } from 'node:fs/promises';
import type { Server } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';

import { countersOperation, countersToChanges } from '@watchglass/record';
import type { Spans } from '@watchglass/trace';
import type { Logger } from 'pino';

import { RequestCounters } from './capture/counters.ts';
import { ownEvent } from './capture/own-event.ts';
import { type Recorder, smallEventBytesMax } from './capture/recorder.ts';
import type { GatewayConfig } from './config/config.ts';
import { GatewayError } from './errors.ts';
import { PageLinks } from './exposure/page-links.ts';
import { type Fronts, type FrontsTogether, openFronts } from './fronts/fronts.ts';
import { Cors } from './http/cors.ts';
import { closeServer, hostForUrl, kernelShares, listen } from './http/listening.ts';
import { identify } from './identify.ts';
import { openDoors } from './passage/doors.ts';
import { Limiting } from './passage/limiting.ts';
import { createListener } from './passage/listener.ts';
import { Pipeline } from './passage/pipeline.ts';
import { ConsentDesk } from './policy/consent.ts';
import { openReach, type Reach } from './reach.ts';
import { connectorsOf, securityHeadersOf, type UpstreamConnector, watchCertificates } from './secure.ts';
import { Tracing } from './trace/tracing.ts';
import { LastingOnes } from './tunnel/lasting.ts';
import type { Metrics } from './watch/metrics.ts';
import type { Commons } from './workers/commons.ts';

export interface Guard extends AsyncDisposable {
  /** How clients reach it, without a slash at the end. */
  readonly url: string;
  readonly port: number;
  readonly fronts: Fronts | undefined;
  /** Why it would refuse; empty when it wouldn't. */
  problems(): Promise<readonly string[]>;
  /** How each origin of the APIs is, where there is more to say than that they are down. */
  readonly upstreams: Reach['states'];
}

export interface GuardParts {
  readonly recorder: Recorder;
  readonly commons: Commons;
  readonly logger: Logger;
  readonly metrics: Metrics;
  /** What is shown to each upstream, by its name, where others show it as well. */
  readonly connectors?: ReadonlyMap<string, UpstreamConnector> | undefined;
  /** One of many processes that listen at the same places, under a primary. */
  readonly together?: FrontsTogether | undefined;
  readonly spans?: Spans | undefined;
  /** The clock by which keys of issuers age and an API that is down is spared: the machine's own, unless a test hands in one that runs ahead. */
  readonly now?: (() => number) | undefined;
}

/** Requests that were cut off get this long to be recorded. */
export const lastEventsMs = 5_000;
const linkSecretBytesMin = 32;
/** Of the spool: room for the ends of what lasts, which stays taken for as long. */
const lastingSpoolShare = 1 / 4;

/** Resolves once it listens. Throws `GatewayError`, having let go of everything. */
export async function standGuard(config: GatewayConfig, parts: GuardParts): Promise<Guard> {
  await using stack = new AsyncDisposableStack();
  const { recorder, commons, logger, metrics, together } = parts;
  const counters = new RequestCounters(Date.now());
  stack.defer(() => recordCounters(recorder, config, counters));
  const { floods } = commons;
  stack.defer(() => floods.flush());
  const counting = setInterval(() => void recordCounters(recorder, config, counters), config.audit.countersEveryMs);
  counting.unref();
  stack.defer(() => clearInterval(counting));
  const identity = stack.use(await identify(config, { ...parts, memory: commons.memory }));
  const consent = stack.use(new ConsentDesk(commons.consent === undefined ? {} : { hook: commons.consent }));
  // What still waits for the upstream, or for a consent, when those are let go of has its event before the spool closes.
  let built: Pipeline | undefined;
  stack.defer(async () => {
    if (built !== undefined) await idleWithin(built, lastEventsMs);
  });
  const linkSecret = await readLinkSecret(config);
  const { connectors = connectorsOf(config) } = parts;
  const { conditions } = commons;
  const reach = stack.use(await openReach(config, { metrics, conditions, connectors, exportSecret: linkSecret }));
  const publicUrl = new URL(
    config.url ?? `${config.tls === undefined ? 'http' : 'https'}://${hostForUrl(config.listen.host)}`,
  );
  const securityHeaders = securityHeadersOf(publicUrl);
  const cors = new Cors(config.cors.origins);
  const admission = {
    routes: config.routes,
    exportLinks: reach.upstreams.exportLinks,
    pageLinks: new PageLinks(linkSecret, { tenant: config.tenant, validMs: config.paging.validMs }),
    authenticator: identity.authenticator,
    policies: commons.policies,
    glass: commons.glass,
    consent,
    logger,
    limiting: new Limiting({
      ...commons,
      bodies: config.edge.bodies,
      proxies: config.trustedProxies,
      tenant: config.tenant,
    }),
    recorder,
    proxies: config.trustedProxies,
    floods,
    counters,
    metrics,
    publicUrl,
    site: config.site,
    knownParameters: knownParametersOf(config),
    opaqueParameters: new Set(config.paging.opaqueParameters.map((name) => name.toLowerCase())),
    exposureBytesMax: config.exposureBytesMax,
    requestBytesMax: config.limits.requestBytesMax,
  };
  const tracing = parts.spans === undefined ? undefined : new Tracing(parts.spans, publicUrl);
  const roomFor = Math.floor((config.spool.maxBytes * lastingSpoolShare) / smallEventBytesMax);
  const lasting = new LastingOnes({ places: commons.places, countMax: roomFor });
  metrics.watch('watchglass_gateway_lasting', 'WebSockets and event streams that are open', () => lasting.count);
  const pipeline = new Pipeline({
    ...admission,
    tracing,
    lasting,
    webSockets: config.websockets,
    upstreams: reach.upstreams,
    filePools: reach.filePools,
    securityHeaders,
    doors: openDoors(config, { ...identity, cors }),
    cors,
    inFlightMax: config.limits.inFlightMax,
  });
  built = pipeline;
  const onFault = (error: unknown): void =>
    logger.error({ fault: faultOf(error) }, 'a request ended in a fault of the gateway itself');
  const fronts =
    config.fronts === undefined
      ? undefined
      : stack.use(
          await openFronts(config.fronts, {
            ...admission,
            own: config,
            tenant: config.tenant,
            forwardHeaders: config.upstream.forwardHeaders,
            onFault,
            together,
          }),
        );
  const listener = createListener({
    pipeline,
    tls: config.tls,
    limits: config.limits,
    securityHeaders,
    onFault,
  });
  const certificates = stack.use(
    watchCertificates(config, {
      ...parts,
      server: listener,
      connectors,
      quiet: together !== undefined,
    }),
  );
  const port = await listen(listener, config.listen, { together: together !== undefined && kernelShares });
  stack.defer(() => drain(listener, pipeline, config.limits.drainMs));
  stack.use(lasting);
  if (config.url === undefined) publicUrl.port = String(port);
  const resources = stack.move();
  return {
    url: publicUrl.href.replace(/\/+$/, ''),
    port,
    fronts,
    problems: async () => [
      ...recorder.problems(),
      ...certificates.problems(),
      ...reach.problems(),
      ...((await identity.isReady()) ? [] : ['issuer-keys']),
    ],
    upstreams: reach.states,
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  };
}

/** A file of its own, or the spool's key, which is there by now. */
async function readLinkSecret({ exports, spool }: GatewayConfig): Promise<Uint8Array> {
  const { keyFile = spool.keyFile } = exports;
  const secret = await readFile(keyFile).catch((cause: NodeJS.ErrnoException) => {
    throw new GatewayError(
      'config-unreadable',
      `expected exports.keyFile in ${keyFile}, got ${cause.code ?? 'an error'}; check the path and who may read it`,
      { cause },
    );
  });
  if (secret.length >= linkSecretBytesMin) return secret;
  throw new GatewayError(
    'config-invalid',
    `expected at least ${linkSecretBytesMin} random bytes in ${keyFile}, got ${secret.length}; make them anew`,
  );
}

/** One patience for the connections and for what is under way behind them: a change is seen to its end also when its client is gone. */
async function drain(listener: Server, pipeline: Pipeline, drainMs: number): Promise<void> {
  const untilMs = performance.now() + drainMs;
  await closeServer(listener, drainMs);
  await idleWithin(pipeline, Math.max(0, untilMs - performance.now()));
}

async function idleWithin(pipeline: Pipeline, boundMs: number): Promise<void> {
  const late = new AbortController();
  await Promise.race([pipeline.idle(), sleep(boundMs, undefined, { signal: late.signal }).catch(() => undefined)]);
  late.abort();
}

/** The gateway's own count of its requests, for whoever holds the ledger against it. Never rejects. */
async function recordCounters(recorder: Recorder, config: GatewayConfig, counters: RequestCounters): Promise<void> {
  const changes = countersToChanges(counters.read(recorder));
  await recorder.recordDurably([ownEvent(config, { operation: countersOperation, status: 'success', changes })]);
}

/** What the configuration calls by name means something: no name of a person is written there. */
function knownParametersOf({ audit, paging, routes }: GatewayConfig): ReadonlySet<string> {
  const inUrls = routes.flatMap((route) => (route.kind === 'fhir' ? [...(route.urlParameters ?? [])] : []));
  return new Set([...audit.parameters, ...paging.opaqueParameters, ...inUrls]);
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
