/** The batches of the SDK, with a count of what is lost, which that doesn't give; and what is being sent counts as memory, too. */
import { BatchSpanProcessor, type ReadableSpan, type SpanExporter, type SpanProcessor } from '@opentelemetry/sdk-trace';

import type { SpanFate } from './span.ts';

/** Spans in one request. */
export const batchMax = 512;
const sendEveryMs = 1_000;

export class BoundedProcessor implements SpanProcessor {
  readonly #batches: BatchSpanProcessor;
  readonly #queueMax: number;
  readonly #onSpans: (fate: SpanFate, count: number) => void;
  #waitingCount = 0;

  constructor(
    exporter: SpanExporter,
    options: {
      readonly queueMax: number;
      readonly timeoutMs: number;
      readonly onSpans: (fate: SpanFate, count: number) => void;
    },
  ) {
    this.#queueMax = options.queueMax;
    this.#onSpans = options.onSpans;
    this.#batches = new BatchSpanProcessor({
      exporter: {
        export: (spans, done) =>
          exporter.export(spans, (result) => {
            this.#waitingCount -= spans.length;
            this.#onSpans(result.error === undefined ? 'sent' : 'refused', spans.length);
            done(result);
          }),
        shutdown: () => exporter.shutdown(),
      },
      maxQueueSize: options.queueMax,
      maxExportBatchSize: Math.min(batchMax, options.queueMax),
      scheduledDelayMillis: sendEveryMs,
      exportTimeoutMillis: options.timeoutMs,
    });
  }

  onStart(): void {}

  onEnd(span: ReadableSpan): void {
    // The SDK's queue forgets what it has given to the exporter.
    if (this.#waitingCount >= this.#queueMax) {
      this.#onSpans('queue-full', 1);
      return;
    }
    this.#waitingCount += 1;
    this.#batches.onEnd(span);
  }

  forceFlush(): Promise<void> {
    return this.#batches.forceFlush();
  }

  shutdown(): Promise<void> {
    return this.#batches.shutdown();
  }
}
