/**
 * Builds what judges requests by address and number from what all processes have in common, and the breaker, which each process has for itself; tells the record,
 * the log and the metrics what becomes of the API.
 */
import type { Logger } from 'pino';

import { ownEvent } from './capture/own-event.ts';
import type { Recorder } from './capture/recorder.ts';
import type { GatewayConfig } from './config.ts';
import { Breaker, type BreakerNews } from './limits/breaker.ts';
import { Limiting } from './passage/limiting.ts';
import type { Metrics } from './watch/metrics.ts';
import type { Commons } from './workers/commons.ts';

export interface Edge {
  readonly limiting: Limiting;
  /** Of the API behind the gateway. */
  readonly breaker: Breaker;
  /** Those of readiness. */
  problems(): readonly string[];
}

export function openEdge(
  config: GatewayConfig,
  parts: {
    readonly commons: Commons;
    readonly recorder: Recorder;
    readonly logger: Logger;
    readonly metrics: Metrics;
  },
): Edge {
  const { metrics } = parts;
  const { filters, rates, lockout, decisions, concurrency } = parts.commons;
  const limiting = new Limiting({
    filters,
    rates,
    lockout,
    decisions,
    concurrency,
    bodies: config.edge.bodies,
    proxies: config.trustedProxies,
    tenant: config.tenant,
  });
  const breaker = new Breaker(config.upstream.breaker, { onNews: (news) => tellBreaker(config, news, parts) });
  metrics.watch(
    'watchglass_gateway_upstream_spared',
    '1 while the API is down and nothing is sent to it',
    () => (breaker.open ? 1 : 0),
    'max',
  );
  return {
    limiting,
    breaker,
    problems: () => (breaker.open ? ['upstream-unavailable'] : []),
  };
}

type Parts = { readonly recorder: Recorder; readonly logger: Logger };

function tellBreaker(config: GatewayConfig, news: BreakerNews, { recorder, logger }: Parts): void {
  const target = { type: 'Upstream', id: new URL(config.upstream.url).origin };
  if (news === 'opened') logger.error('the API fails too often; it is spared for a while');
  else logger.info('the API answers again');
  const [operation, status] = news === 'opened' ? openedEvent : closedEvent;
  void recorder.record([ownEvent(config, { operation, status, target })]);
}

const openedEvent = ['upstream-spared', 'failed'] as const;
const closedEvent = ['upstream-back', 'success'] as const;
