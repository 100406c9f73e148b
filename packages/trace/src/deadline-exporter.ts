/**
 * The SDK's exporter with an end: its own time counts from the last byte, so a collector that answers a byte now and then would hold a batch, and whoever stops the program, for as
 * long as it likes. Here a batch has `timeoutMs` from beginning to end, attempts and answer together; then its connection is closed.
 *
 * It is put together from the SDK's parts, since the exporter made of them heeds `OTEL_EXPORTER_OTLP_…` of the environment, which in a container may be there for another program: whose secrets
 * would go to our collector, or our spans in another form than was configured.
 */
import { Agent as HttpAgent } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import { OTLPExporterBase } from '@opentelemetry/otlp-exporter-base';
import { createOtlpHttpExportDelegate } from '@opentelemetry/otlp-exporter-base/node-http';
import { JsonTraceSerializer, TraceExporterMetricsHelper } from '@opentelemetry/otlp-transformer';
import type { ReadableSpan, SpanExporter } from '@opentelemetry/sdk-trace';

import { batchMax } from './bounded-processor.ts';
import type { TracingSettings } from './settings.ts';

const connectionsMax = 2;
/** As semantic conventions name it. */
const component = 'otlp_http_span_exporter';

export class DeadlineExporter implements SpanExporter {
  readonly #exporter: OTLPExporterBase<ReadableSpan[]>;
  readonly #agent: HttpAgent;
  readonly #timeoutMs: number;

  constructor({ endpoint, headers, ca, queueMax, timeoutMs }: TracingSettings) {
    const keepAlive = { keepAlive: true, maxSockets: connectionsMax };
    this.#agent = endpoint.startsWith('https:')
      ? new HttpsAgent({ ...keepAlive, ...(ca === undefined ? {} : { ca }) })
      : new HttpAgent(keepAlive);
    this.#timeoutMs = timeoutMs;
    const settings = {
      url: endpoint,
      headers: () => Promise.resolve({ ...headers, 'content-type': 'application/json' }),
      timeoutMillis: timeoutMs,
      // Room for all that may wait: whoever stops sends it at once, over the same two connections.
      concurrencyLimit: Math.ceil(queueMax / batchMax) + 1,
      compression: 'none',
      agentFactory: () => this.#agent,
    } as const;
    this.#exporter = new OTLPExporterBase(
      createOtlpHttpExportDelegate(settings, JsonTraceSerializer, component, TraceExporterMetricsHelper, undefined),
    );
  }

  export(spans: ReadableSpan[], done: Parameters<SpanExporter['export']>[1]): void {
    // Everything under way goes down with the late one: it is to the same collector, and late by as much.
    const late = setTimeout(() => this.#agent.destroy(), this.#timeoutMs);
    late.unref();
    this.#exporter.export(spans, (result) => {
      clearTimeout(late);
      done(result);
    });
  }

  async shutdown(): Promise<void> {
    await this.#exporter.shutdown();
    this.#agent.destroy();
  }
}
