/**
 * Spans of requests, sent to a collector by OTLP over HTTP. Loaded only where it is configured. Bounded: when the collector is slow or away spans are dropped and counted, and no request
 * ever waits for one. Attributes are codes, names and numbers by the semantic conventions, without those that could hold something about a patient (path, query, addresses, user agent).
 */
import {
  type Attributes,
  type Context,
  ROOT_CONTEXT,
  type Span,
  SpanKind,
  SpanStatusCode,
  type Tracer,
  trace,
} from '@opentelemetry/api';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { resourceFromAttributes } from '@opentelemetry/resources';
import {
  BatchSpanProcessor,
  ParentBasedSampler,
  type ReadableSpan,
  type SpanExporter,
  type SpanProcessor,
  TraceIdRatioBasedSampler,
  TracerProvider,
} from '@opentelemetry/sdk-trace';

import {
  type Phase,
  type PhaseFacts,
  parseTraceparent,
  type RequestTrace,
  type RequestTracer,
} from './request-trace.ts';

export interface TracingSettings {
  /** Where spans are posted, `/v1/traces` included. */
  readonly endpoint: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly ca: string | undefined;
  /** Of traces that begin here; what comes with a traceparent is sampled if its sender did. */
  readonly sampleRatio: number;
  readonly serviceName: string;
  /** Spans that wait to be sent. */
  readonly queueMax: number;
  readonly timeoutMs: number;
}

export type SpanFate = 'sent' | 'queue-full' | 'refused';

const batchMax = 512;
const sendEveryMs = 1_000;
const sendingMax = 2;

export class Tracing implements RequestTracer, AsyncDisposable {
  readonly #provider: TracerProvider;
  readonly #tracer: Tracer;
  readonly #attributes: Attributes;

  constructor(
    settings: TracingSettings,
    options: {
      /** Tells one gateway from another. */
      readonly instance: string;
      /** How clients reach it. */
      readonly publicUrl: URL;
      readonly onSpans: (fate: SpanFate, count: number) => void;
    },
  ) {
    const { onSpans, publicUrl, instance } = options;
    const exporter = new OTLPTraceExporter({
      url: settings.endpoint,
      headers: { ...settings.headers },
      timeoutMillis: settings.timeoutMs,
      concurrencyLimit: sendingMax,
      ...(settings.ca === undefined ? {} : { httpAgentOptions: { ca: settings.ca, keepAlive: true } }),
    });
    this.#provider = new TracerProvider({
      resource: resourceFromAttributes({ 'service.name': settings.serviceName, 'service.instance.id': instance }),
      sampler: new ParentBasedSampler({ root: new TraceIdRatioBasedSampler(settings.sampleRatio) }),
      spanProcessors: [new BoundedProcessor(exporter, { ...settings, onSpans })],
    });
    this.#tracer = this.#provider.getTracer('watchglass-gateway');
    this.#attributes = {
      'url.scheme': publicUrl.protocol.slice(0, -1),
      'server.address': publicUrl.hostname,
      'network.protocol.name': 'http',
    };
  }

  begin(request: Parameters<RequestTracer['begin']>[0]): RequestTrace {
    const { method, auditId } = request;
    const caller = parseTraceparent(request.traceparent);
    const parent =
      caller === undefined
        ? ROOT_CONTEXT
        : trace.setSpanContext(ROOT_CONTEXT, {
            traceId: caller.traceId,
            spanId: caller.spanId,
            traceFlags: Number.parseInt(caller.flags, 16) & 1,
            isRemote: true,
          });
    const attributes = {
      ...this.#attributes,
      'http.request.method': method === 'OTHER' ? '_OTHER' : method,
      'watchglass.audit.id': auditId,
    };
    const span = this.#tracer.startSpan(method, { kind: SpanKind.SERVER, attributes }, parent);
    return new OtelTrace(this.#tracer, span, trace.setSpan(parent, span), method);
  }

  /** What waits is sent within `timeoutMs`, or dropped. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#provider.shutdown().catch(() => undefined);
  }
}

class OtelTrace implements RequestTrace {
  readonly traceparent: string;
  readonly #tracer: Tracer;
  readonly #span: Span;
  readonly #context: Context;
  readonly #method: string;
  readonly #phases = new Map<Phase, Span>();

  constructor(tracer: Tracer, span: Span, context: Context, method: string) {
    this.#tracer = tracer;
    this.#span = span;
    this.#context = context;
    this.#method = method;
    this.traceparent = traceparentOf(span);
  }

  get outgoing(): string {
    const upstream = this.#phases.get('upstream');
    return upstream === undefined ? this.traceparent : traceparentOf(upstream);
  }

  begin(phase: Phase): void {
    if (!this.#span.isRecording()) return;
    const kind = phase === 'upstream' ? SpanKind.CLIENT : SpanKind.INTERNAL;
    const attributes = phase === 'upstream' ? { 'http.request.method': this.#method } : {};
    this.#phases.set(phase, this.#tracer.startSpan(nameOf(phase, this.#method), { kind, attributes }, this.#context));
  }

  finish(phase: Phase, { status, fault, origin }: PhaseFacts = {}): void {
    const span = this.#phases.get(phase);
    if (span === undefined) return;
    this.#phases.delete(phase);
    if (status !== undefined) span.setAttribute('http.response.status_code', status);
    if (origin !== undefined) span.setAttributes(addressOf(new URL(origin)));
    // Of a client's call an answer of 400 and above is an error.
    const error = fault ?? (status !== undefined && status >= 400 ? String(status) : undefined);
    if (error !== undefined) span.setAttribute('error.type', error).setStatus({ code: SpanStatusCode.ERROR });
    span.end();
  }

  note({ route, interaction, status, refusal }: Parameters<RequestTrace['note']>[0]): void {
    const span = this.#span;
    if (!span.isRecording()) return;
    if (route !== undefined) span.updateName(`${this.#method} ${route}`).setAttribute('http.route', route);
    if (interaction !== undefined) span.setAttribute('watchglass.interaction', interaction);
    if (refusal !== undefined) span.setAttribute('watchglass.refusal', refusal);
    if (status === undefined) return;
    span.setAttribute('http.response.status_code', status);
    if (status >= 500)
      span.setAttribute('error.type', refusal ?? String(status)).setStatus({ code: SpanStatusCode.ERROR });
  }

  end(): void {
    if (!this.#span.isRecording()) return;
    for (const phase of this.#phases.keys()) this.finish(phase, { fault: 'refused' });
    this.#span.end();
  }
}

function nameOf(phase: Phase, method: string): string {
  return phase === 'upstream' ? method : phase;
}

function addressOf({ hostname, port, protocol }: URL): Attributes {
  return { 'server.address': hostname, 'server.port': Number(port) || (protocol === 'https:' ? 443 : 80) };
}

function traceparentOf(span: Span): string {
  const { traceId, spanId, traceFlags } = span.spanContext();
  return `00-${traceId}-${spanId}-${traceFlags.toString(16).padStart(2, '0')}`;
}

/** The batches of the SDK, with a count of what is lost, which that doesn't give. */
class BoundedProcessor implements SpanProcessor {
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
    // Those that are being sent count, too: it is memory all the same.
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
