/** Opens the way of spans to a collector. What is needed for it is loaded then, and not otherwise. */
import type { TracingSettings } from './settings.ts';
import type { Spans, SpansOptions } from './span.ts';

export async function openSpans(settings: TracingSettings, options: SpansOptions): Promise<Spans> {
  const { OtelSpans } = await import('./otel-spans.ts');
  let reached = true;
  return new OtelSpans(settings, {
    ...options,
    onSpans(fate, count) {
      options.onSpans(fate, count);
      if (fate === 'queue-full' || reached === (fate === 'sent')) return;
      reached = fate === 'sent';
      options.onReach(reached);
    },
  });
}
