/**
 * The SDK's exporter with an end: its own time counts from the last byte, so a collector that answers a byte now and then would hold a batch, and whoever stops the program, for as
 * long as it likes. Here a batch has `timeoutMs` from beginning to end, attempts and answer together; then its connection is closed.
 */
import { Agent as HttpAgent } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import type { ReadableSpan, SpanExporter } from '@opentelemetry/sdk-trace';

import { batchMax } from './bounded-processor.ts';
import type { TracingSettings } from './settings.ts';

const connectionsMax = 2;

export class DeadlineExporter implements SpanExporter {
  readonly #exporter: OTLPTraceExporter;
  readonly #agent: HttpAgent;
  readonly #timeoutMs: number;

  constructor({ endpoint, headers, ca, queueMax, timeoutMs }: TracingSettings) {
    const keepAlive = { keepAlive: true, maxSockets: connectionsMax };
    this.#agent = endpoint.startsWith('https:')
      ? new HttpsAgent({ ...keepAlive, ...(ca === undefined ? {} : { ca }) })
      : new HttpAgent(keepAlive);
    this.#timeoutMs = timeoutMs;
    this.#exporter = new OTLPTraceExporter({
      url: endpoint,
      headers: { ...headers },
      timeoutMillis: timeoutMs,
      // Room for all that may wait: whoever stops sends it at once, over the same two connections.
      concurrencyLimit: Math.ceil(queueMax / batchMax) + 1,
      httpAgentOptions: () => this.#agent,
    });
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
