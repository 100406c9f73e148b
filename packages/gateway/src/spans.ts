/** Opens the way of spans to a collector, where there is one; its packages are loaded then, and not otherwise. What becomes of the spans is counted. */
import type { Logger } from 'pino';

import type { GatewayConfig } from './config.ts';
import type { RequestTracer } from './trace/request-trace.ts';
import type { Metrics } from './watch/metrics.ts';

export async function openTracing(
  config: GatewayConfig,
  parts: {
    readonly publicUrl: URL;
    readonly metrics: Metrics;
    readonly logger: Logger;
    readonly stack: AsyncDisposableStack;
  },
): Promise<RequestTracer | undefined> {
  const { publicUrl, metrics, logger, stack } = parts;
  if (config.tracing === undefined) return undefined;
  const { Tracing } = await import('./trace/tracing.ts');
  let arriving = true;
  const tracing = new Tracing(config.tracing, {
    instance: config.emitter,
    publicUrl,
    onSpans(fate, count) {
      metrics.spans.inc({ fate }, count);
      if (fate === 'queue-full' || arriving === (fate === 'sent')) return;
      arriving = fate === 'sent';
      if (arriving) logger.info('spans reach the collector again');
      else logger.warn('spans do not reach the collector; they are dropped and counted');
    },
  });
  return stack.use(tracing);
}
