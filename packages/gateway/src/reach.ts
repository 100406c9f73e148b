/**
 * Builds one process's ways to the APIs behind the gateway: connections to each origin, and where else files of exports lie. How the origins are it is told (conditions.ts).
 */
import { Pool } from 'undici';

import type { GatewayConfig } from './config/config.ts';
import { firstUpstream, type UpstreamConfig } from './config/upstream.ts';
import { ExportLinks } from './exposure/export-links.ts';
import type { UpstreamConnector } from './secure.ts';
import type { Conditions } from './upstream/condition.ts';
import { Replica } from './upstream/replica.ts';
import { Upstream } from './upstream/upstream.ts';
import { Upstreams } from './upstream/upstreams.ts';
import type { Across, Metrics } from './watch/metrics.ts';

const filePoolConnectionsMax = 16;

interface Parts {
  readonly metrics: Metrics;
  readonly conditions: Conditions;
  /** What is shown to each upstream, by its name. */
  readonly connectors: ReadonlyMap<string, UpstreamConnector>;
  /** Seals the ways to the files of exports. */
  readonly exportSecret: Uint8Array;
}

export interface Reach extends AsyncDisposable {
  readonly upstreams: Upstreams;
  /** Of the other origins that files of exports may lie at. */
  readonly filePools: ReadonlyMap<string, Pool>;
  /** Those of readiness: a gateway with one API that answers serves. */
  problems(): readonly string[];
  /** How each origin is, where there are several to tell apart. */
  states(): readonly OriginState[] | undefined;
}

export interface OriginState {
  readonly upstream: string;
  readonly origin: string;
  readonly up: boolean;
}

export async function openReach(config: GatewayConfig, parts: Parts): Promise<Reach> {
  await using stack = new AsyncDisposableStack();
  const build = ([name, upstream]: readonly [string, UpstreamConfig]): Upstream =>
    buildUpstream(name, upstream, { config, stack, ...parts });
  const first = build([firstUpstream, config.upstream]);
  const others = [...config.upstreams].map(build);
  const origins = [first, ...others].flatMap((upstream) => upstream.origins);
  const upstreams = new Upstreams({
    first,
    others,
    routes: config.routes,
    exportLinks: new ExportLinks(parts.exportSecret, [...origins, ...config.exports.origins]),
  });
  const filePools = new Map(
    config.exports.origins
      .filter((origin) => !origins.includes(origin))
      .map((origin) => [
        origin,
        stack.adopt(new Pool(origin, { connections: filePoolConnectionsMax }), (made) => made.destroy()),
      ]),
  );
  watch(upstreams, parts.metrics);
  const resources = stack.move();
  return {
    upstreams,
    filePools,
    problems: () => (upstreams.allDown ? ['upstream-unavailable'] : []),
    states: () => (origins.length === 1 && config.upstream.health === undefined ? undefined : statesOf(upstreams)),
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  };
}

function buildUpstream(
  name: string,
  settings: UpstreamConfig,
  parts: Parts & { readonly config: GatewayConfig; readonly stack: AsyncDisposableStack },
): Upstream {
  const { config, connectors, conditions, stack } = parts;
  const { health } = settings;
  const connector = connectors.get(name);
  if (connector === undefined) throw new Error(`expected a connector of ${name}, got none`);
  const origins = [new URL(settings.url).origin, ...settings.replicas];
  const replicas = origins.map((origin) => {
    const open = (connections: number): Pool =>
      stack.adopt(makePool(origin, { ...settings, connections }, connector), (made) => made.destroy());
    const [pool, lastingPool] = [open(settings.connectionsMax), open(config.websockets.connectionsMax)];
    return new Replica({ origin, pool, lastingPool, condition: conditions.of(name, origin) });
  });
  return new Upstream({
    ...settings,
    name,
    replicas,
    exportLinks: new ExportLinks(parts.exportSecret, [...origins, ...config.exports.origins]),
    probedEveryMs: health?.everyMs ?? 0,
  });
}

function makePool(
  origin: string,
  { connections, timeoutMs }: { readonly connections: number; readonly timeoutMs: number },
  { connect }: UpstreamConnector,
): Pool {
  return new Pool(origin, {
    connections,
    pipelining: 1,
    allowH2: false,
    // The pipeline has a deadline of its own for everything up to the first release; this one is for the stream after it.
    headersTimeout: 0,
    bodyTimeout: timeoutMs,
    connect,
  });
}

/** What a worker has not heard yet it can't say: of several the most careful is believed. */
function watch(upstreams: Upstreams, metrics: Metrics): void {
  metrics.watch(
    'watchglass_gateway_upstream_spared',
    '1 while an API is down and nothing is sent to it',
    () => (upstreams.all.every(({ available }) => available) ? 0 : 1),
    'max',
  );
  const watchEach = (
    name: string,
    help: string,
    { across, read }: { readonly across: Across; readonly read: (replica: Replica) => number },
  ): void =>
    metrics.watchEach(name, help, {
      labelNames: ['upstream', 'origin'],
      across,
      read: () =>
        upstreams.all.flatMap(({ name: upstream, replicas }) =>
          replicas.map((replica) => ({ labels: { upstream, origin: replica.origin }, value: read(replica) })),
        ),
    });
  watchEach('watchglass_gateway_upstream_up', '1 while an origin of an API is asked', {
    across: 'min',
    read: ({ usable }) => (usable ? 1 : 0),
  });
  watchEach('watchglass_gateway_upstream_pending', 'Requests under way to an origin', {
    across: 'sum',
    read: ({ pendingCount }) => pendingCount,
  });
}

function statesOf({ all }: Upstreams): readonly OriginState[] {
  return all.flatMap(({ name: upstream, replicas }) =>
    replicas.map(({ origin, usable }) => ({ upstream, origin, up: usable })),
  );
}
