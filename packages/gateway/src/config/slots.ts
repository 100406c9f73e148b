/**
 * What each process of a gateway gets of its configuration, whose numbers are those of the whole. What bounds memory and connections is divided evenly; what is counted together
 * (workers/) isn't.
 */
import { join } from 'node:path';

import type { GatewayConfig } from './config.ts';
import type { UpstreamConfig } from './upstream.ts';
import { emitterOf, primarySpoolBytes } from './workers.ts';

export function spoolFolderOf(directory: string, slot: number): string {
  return join(directory, `worker-${slot}`);
}

/** What the primary keeps and sends: what the gateway does as a whole. */
export function primaryConfig(config: GatewayConfig): GatewayConfig {
  return { ...config, spool: { ...config.spool, maxBytes: primarySpoolBytes(config.spool.maxBytes) } };
}

export function workerConfig(
  config: GatewayConfig,
  worker: { slot: number; count: number; port: number },
): GatewayConfig {
  const { slot, count, port } = worker;
  // What doesn't divide goes to the first ones, so that all together have what was said. None has nothing: it would serve nobody.
  const share = (whole: number): number => Math.max(1, Math.floor(whole / count) + (slot <= whole % count ? 1 : 0));
  const { spool, upstream, upstreams, limits, fronts } = config;
  const upstreamShare = (of: UpstreamConfig): UpstreamConfig => ({ ...of, connectionsMax: share(of.connectionsMax) });
  return {
    ...config,
    workers: 1,
    listen: { ...config.listen, port },
    admin: undefined,
    emitter: emitterOf(config.emitter, slot),
    spool: {
      ...spool,
      dir: spoolFolderOf(spool.dir, slot),
      maxBytes: Math.floor((spool.maxBytes - primarySpoolBytes(spool.maxBytes)) / count),
    },
    upstream: upstreamShare(upstream),
    upstreams: new Map([...upstreams].map(([name, other]) => [name, upstreamShare(other)])),
    limits: {
      ...limits,
      connectionsMax: share(limits.connectionsMax),
      inFlightMax: share(limits.inFlightMax),
    },
    fronts: fronts && {
      ...fronts,
      inFlightMax: share(fronts.inFlightMax),
      outcomes: fronts.outcomes && { ...fronts.outcomes, openMax: share(fronts.outcomes.openMax) },
    },
  };
}
