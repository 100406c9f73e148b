/**
 * A gateway from its configuration: one process, or a primary and its workers. Whatever way, it is built floor by floor, and taken down in reverse: the door first,
 * then what is under way, then the sender, the spool last.
 */
import { pino } from 'pino';

import type { GatewayConfig } from './config/config.ts';
import { standGuard } from './guard.ts';
import { sendLeftovers } from './leftovers.ts';
import { openCommons } from './open-commons.ts';
import { startPrimary } from './primary.ts';
import { keepRecord } from './record-keeping.ts';
import { openAdmin, type RunningGateway, type StartOptions, stopOnce } from './running-gateway.ts';
import { openTracing } from './spans.ts';
import { Metrics } from './watch/metrics.ts';

/** Resolves once it listens. Throws `GatewayError` and `SdkError`, having let go of everything. */
export async function startGateway(config: GatewayConfig, options: StartOptions = {}): Promise<RunningGateway> {
  if (config.workers > 1) return startPrimary(config, options);
  await using stack = new AsyncDisposableStack();
  const logger = options.logger ?? pino({ name: 'watchglass-gateway' });
  const metrics = new Metrics();
  const spans = await openTracing(config, { metrics, logger, stack });
  const record = stack.use(await keepRecord(config, { logger, metrics, spans, disk: options.disk }));
  const { spool, recorder, sender, receipts } = record;
  const commons = stack.use(await openCommons(config, { ...options, recorder, logger, metrics }));
  stack.use(sendLeftovers(config, 0, { logger }));
  const { connectors } = commons;
  const guard = stack.use(
    await standGuard(config, { recorder, commons, connectors, logger, metrics, spans, now: options.now }),
  );
  const adminUrl = await openAdmin(config.admin, stack, {
    problems: () => guard.problems(),
    upstreams: () => guard.upstreams(),
    receipts: () => receipts.status,
    metrics: { contentType: metrics.registry.contentType, text: () => metrics.registry.metrics() },
  });
  logger.info(
    { url: guard.url, mode: config.audit.mode, emitter: config.emitter, waiting: spool.status.waitingCount },
    'gateway listens',
  );
  const stop = await stopOnce(stack.move(), options.signal);
  return {
    url: guard.url,
    port: guard.port,
    adminUrl,
    spool,
    sender,
    receipts,
    fronts: guard.fronts,
    workers: [],
    failed: new Promise(() => undefined),
    revoke: commons.revoke,
    reloadPolicy: () => commons.policies.look(),
    [Symbol.asyncDispose]: stop,
  };
}
