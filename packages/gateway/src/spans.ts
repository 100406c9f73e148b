/** Opens the way of spans to a collector, where there is one. What becomes of the spans is counted. */
import { openSpans, type Spans } from '@watchglass/trace';
import type { Logger } from 'pino';

import type { GatewayConfig } from './config/config.ts';
import type { Metrics } from './watch/metrics.ts';

/** Opened before anything that has something to tell, and closed after it. */
export async function openTracing(
  config: GatewayConfig,
  {
    metrics,
    logger,
    stack,
  }: { readonly metrics: Metrics; readonly logger: Logger; readonly stack: AsyncDisposableStack },
): Promise<Spans | undefined> {
  if (config.tracing === undefined) return undefined;
  const spans = await openSpans(config.tracing, {
    scope: 'watchglass-gateway',
    instance: config.emitter,
    onSpans: (fate, count) => metrics.spans.inc({ fate }, count),
    onReach(reached) {
      if (reached) logger.info('spans reach the collector again');
      else logger.warn('spans do not reach the collector; they are dropped and counted');
    },
  });
  return stack.use(spans);
}
