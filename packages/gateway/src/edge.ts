/**
 * Builds what judges requests by address and number, and tells the record, the log and the metrics what becomes of it: lists that were exchanged or could not
 * be, lock-outs that begin and end.
 */
import { join } from 'node:path';
import type { Logger } from 'pino';

import { ownEvent } from './capture/own-event.ts';
import type { Recorder } from './capture/recorder.ts';
import type { GatewayConfig } from './config.ts';
import { Breaker, type BreakerNews } from './limits/breaker.ts';
import { Concurrency } from './limits/concurrency.ts';
import { startDecisionFeed } from './limits/decision-feed.ts';
import { type DecisionNews, Decisions } from './limits/decisions.ts';
import { type FilterNews, Filters } from './limits/filters.ts';
import { Lockout, type LockoutNews } from './limits/lockout.ts';
import { type Party, partyOf } from './limits/party.ts';
import { Rates } from './limits/rates.ts';
import { RedisRates, type RedisRatesSettings } from './limits/redis-rates.ts';
import { Limiting } from './passage/limiting.ts';
import type { Metrics } from './watch/metrics.ts';

const sweepEveryMs = 1_000;

export interface Edge extends AsyncDisposable {
  readonly limiting: Limiting;
  /** Of the API behind the gateway. */
  readonly breaker: Breaker;
  /** Those of readiness. */
  problems(): readonly string[];
}

export async function openEdge(
  config: GatewayConfig,
  parts: { readonly recorder: Recorder; readonly logger: Logger; readonly metrics: Metrics },
): Promise<Edge> {
  await using stack = new AsyncDisposableStack();
  const { metrics } = parts;
  const { edge } = config;
  const filters = stack.use(new Filters(edge.filters, { onNews: (news) => tellFilter(config, news, parts) }));
  if (edge.filters.allow.file !== undefined || edge.filters.deny.file !== undefined) {
    const onHangUp = (): void => void filters.check();
    process.on('SIGHUP', onHangUp);
    stack.defer(() => void process.off('SIGHUP', onHangUp));
  }
  const lockout =
    edge.lockout === undefined
      ? undefined
      : new Lockout(edge.lockout, { onNews: (news) => tellLockout(config, news, parts) });
  if (lockout !== undefined) {
    const sweeping = setInterval(() => lockout.sweep(), sweepEveryMs);
    sweeping.unref();
    stack.defer(() => clearInterval(sweeping));
    metrics.watch(
      'watchglass_gateway_locked_out',
      'Addresses, clients and persons that are locked out now',
      () => lockout.blockedCount,
    );
  }
  const decisions = await Decisions.open({
    file: join(config.spool.dir, 'decisions.json'),
    onNews: (news) => tellDecision(config, news, parts),
  });
  const sweeping = setInterval(() => decisions.sweep(), sweepEveryMs);
  sweeping.unref();
  stack.defer(() => clearInterval(sweeping));
  if (config.server.decisions) stack.use(followDecisions(config, decisions, parts));
  metrics.watch('watchglass_gateway_decisions', 'Decisions of the server in force', () => decisions.size);
  const shared = edge.rates.redis === undefined ? undefined : stack.use(shareRates(config, edge.rates.redis, parts));
  const rates = new Rates(edge.rates.rules, { keysMax: edge.rates.keysMax, shared });
  metrics.watch('watchglass_gateway_rate_keys', 'Keys that rates are counted for', () => rates.keysCount);
  metrics.watch('watchglass_gateway_filter_deny_entries', 'Entries of the deny list', () => filters.sizeOf('deny'));
  const limiting = new Limiting({
    filters,
    rates,
    lockout,
    decisions,
    concurrency: new Concurrency(edge.concurrency),
    bodies: edge.bodies,
    proxies: config.trustedProxies,
    tenant: config.tenant,
  });
  const breaker = new Breaker(config.upstream.breaker, { onNews: (news) => tellBreaker(config, news, parts) });
  metrics.watch('watchglass_gateway_upstream_spared', '1 while the API is down and nothing is sent to it', () =>
    breaker.open ? 1 : 0,
  );
  const moved = stack.move();
  return {
    limiting,
    breaker,
    problems: () => (breaker.open ? ['upstream-unavailable'] : []),
    [Symbol.asyncDispose]: () => moved.disposeAsync(),
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

function tellFilter(config: GatewayConfig, news: FilterNews, { recorder, logger }: Parts): void {
  const target = { type: 'AddressList', id: news.list };
  if (news.kind === 'replaced') {
    logger.info({ list: news.list, entries: news.entriesCount }, 'another address list is in force');
    void recorder.record([ownEvent(config, { operation: 'filter-replaced', status: 'success', target })]);
    return;
  }
  const { list, fault, line } = news;
  logger.error({ list, fault, line }, 'the file of an address list cannot be used; the list in force stays');
  void recorder.record([ownEvent(config, { operation: 'filter-refused', status: 'failed', reason: fault, target })]);
}

function tellLockout(config: GatewayConfig, { kind, key, blockMs }: LockoutNews, { recorder, logger }: Parts): void {
  const party = partyOf(key);
  const { by } = party;
  const words = kind === 'begin' ? 'locked out after too many failures' : 'a lock-out has ended';
  logger[kind === 'begin' ? 'warn' : 'info']({ by, seconds: Math.round(blockMs / 1_000) }, words);
  const operation = kind === 'begin' ? 'lockout-begun' : 'lockout-ended';
  void recorder.record([
    ownEvent(config, { operation, status: 'success', reason: `lockout-${by}`, ...targetsOf(party) }),
  ]);
}

function shareRates(
  config: GatewayConfig,
  settings: RedisRatesSettings,
  { recorder, logger, metrics }: Parts & { readonly metrics: Metrics },
): RedisRates {
  const rates = new RedisRates(settings, {
    onChange(answers) {
      const target = { type: 'Redis', id: `${settings.host}:${settings.port}` };
      if (answers) logger.info('rates are counted together with other gateways');
      else logger.warn({ share: settings.share }, 'Redis does not answer; rates are counted here, each with its share');
      void recorder.record([
        answers
          ? ownEvent(config, { operation: 'rates-shared', status: 'success', target })
          : ownEvent(config, { operation: 'rates-alone', status: 'failed', target }),
      ]);
    },
  });
  metrics.watch('watchglass_gateway_rates_alone', '1 while Redis does not answer and rates are counted here', () =>
    rates.answers ? 0 : 1,
  );
  return rates;
}

function followDecisions(
  { server }: GatewayConfig,
  decisions: Decisions,
  { logger, metrics }: { readonly logger: Logger; readonly metrics: Metrics },
): AsyncDisposable {
  const feed = startDecisionFeed({
    decisions,
    serverUrl: server.url,
    writeKey: server.writeKey,
    ca: server.ca,
    onProblem(problem) {
      if (problem === undefined) logger.info('decisions of the server arrive');
      else logger.warn({ problem }, 'decisions of the server do not arrive; what was decided before stays in force');
    },
  });
  metrics.watch('watchglass_gateway_decisions_unheard', '1 while decisions of the server do not arrive', () =>
    feed.problem() === undefined ? 0 : 1,
  );
  return feed;
}

function tellDecision(config: GatewayConfig, { kind, decision }: DecisionNews, { recorder, logger }: Parts): void {
  const { id, effect, subject } = decision;
  logger.info({ decision: id, effect, subject }, `a decision of the server is ${kind}`);
  const operation = decisionOperations[kind];
  const target = { type: 'Decision', id };
  void recorder.record([ownEvent(config, { operation, status: 'success', reason: `${effect}-${subject}`, target })]);
}

const decisionOperations = {
  applied: 'decision-applied',
  lifted: 'decision-lifted',
  expired: 'decision-expired',
} as const;

/** Of a person the client is named as well: nobody is shut out of another one. */
function targetsOf(party: Party): Pick<Parameters<typeof ownEvent>[1], 'target' | 'targets'> {
  switch (party.by) {
    case 'address':
      return { target: { type: 'Address', id: addressOf(party.around) } };
    case 'client':
      return { target: { type: 'Client', id: party.client } };
    case 'person':
      return {
        target: { type: 'Actor', id: party.id },
        ...(/^[!-~]{1,256}$/.test(party.client)
          ? { targets: [{ type: 'Client', id: party.client, role: 'object' }] }
          : {}),
      };
    default:
      return party satisfies never;
  }
}

/** Of an IPv6 neighbourhood its range. */
function addressOf(around: string): string {
  return around.includes(':') ? `${around}::/64` : around;
}
