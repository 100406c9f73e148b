/**
 * Spans by OpenTelemetry's SDK, sent to a collector by OTLP over HTTP. Loaded only where it is configured. Bounded: when the collector is slow, away or hostile, spans are dropped and
 * counted, and nobody ever waits for one.
 */
import {
  type Attributes,
  type Context,
  type Link,
  ROOT_CONTEXT,
  type Span,
  type SpanContext,
  SpanKind,
  SpanStatusCode,
  type Tracer,
  trace,
} from '@opentelemetry/api';
import { resourceFromAttributes } from '@opentelemetry/resources';
import {
  ParentBasedSampler,
  type Sampler,
  SamplingDecision,
  type SamplingResult,
  TraceIdRatioBasedSampler,
  TracerProvider,
} from '@opentelemetry/sdk-trace';

import { BoundedProcessor } from './bounded-processor.ts';
import { DeadlineExporter } from './deadline-exporter.ts';
import type { TracingSettings } from './settings.ts';
import {
  linksMax,
  type OpenSpan,
  type SpanAttributes,
  type SpanBeginning,
  type Spans,
  type SpansOptions,
} from './span.ts';
import { isSampled, parseTraceparent } from './traceparent.ts';

const kinds = { server: SpanKind.SERVER, client: SpanKind.CLIENT, internal: SpanKind.INTERNAL } as const;

export class OtelSpans implements Spans {
  readonly #provider: TracerProvider;
  readonly #tracer: Tracer;
  readonly #settings: Pick<TracingSettings, 'callersSample' | 'sampleRatio'>;

  constructor(settings: TracingSettings, { scope, instance, onSpans }: Omit<SpansOptions, 'onReach'>) {
    this.#provider = new TracerProvider({
      resource: resourceFromAttributes({ 'service.name': settings.serviceName, 'service.instance.id': instance }),
      sampler: new ParentBasedSampler({ root: new LinkedSampler(settings.sampleRatio) }),
      spanLimits: { linkCountLimit: linksMax },
      spanProcessors: [new BoundedProcessor(new DeadlineExporter(settings), { ...settings, onSpans })],
    });
    this.#tracer = this.#provider.getTracer(scope);
    this.#settings = settings;
  }

  begin({ name, kind, attributes = {}, parent, links = [] }: SpanBeginning): OpenSpan {
    const context = contextOf(kind === 'server' ? this.#heard(parent) : parent);
    const span = this.#tracer.startSpan(
      name,
      { kind: kinds[kind], attributes: attributes as Attributes, links: linksTo(links) },
      context,
    );
    return new OtelSpan(span, trace.setSpan(context, span));
  }

  /** By chance, and not by the trace's id, which is the caller's to choose. */
  #heard(parent: SpanBeginning['parent']): SpanBeginning['parent'] {
    const told = typeof parent === 'string' ? parseTraceparent(parent) : undefined;
    const { callersSample, sampleRatio } = this.#settings;
    if (callersSample || told === undefined || !isSampled(told) || Math.random() < sampleRatio) return parent;
    return `00-${told.traceId}-${told.spanId}-00`;
  }

  /** What waits is sent within `timeoutMs`, or dropped. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#provider.shutdown().catch(() => undefined);
  }
}

class OtelSpan implements OpenSpan {
  readonly traceparent: string;
  /** For what begins inside of it. */
  readonly context: Context;
  readonly #span: Span;
  #ended = false;

  constructor(span: Span, context: Context) {
    const { traceId, spanId, traceFlags } = span.spanContext();
    this.traceparent = `00-${traceId}-${spanId}-${traceFlags.toString(16).padStart(2, '0')}`;
    this.context = context;
    this.#span = span;
  }

  get recording(): boolean {
    return this.#span.isRecording();
  }

  rename(name: string): void {
    this.#span.updateName(name);
  }

  set(attributes: SpanAttributes): void {
    this.#span.setAttributes(attributes as Attributes);
  }

  link(traceparents: readonly string[]): void {
    if (this.recording) this.#span.addLinks(linksTo(traceparents));
  }

  fail(code: string): void {
    this.#span.setAttribute('error.type', code).setStatus({ code: SpanStatusCode.ERROR });
  }

  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#span.end();
  }
}

/** What begins here is sampled by the ratio, and where it is about something that is sampled: a batch is part of the stories of what is in it. */
class LinkedSampler implements Sampler {
  readonly #byRatio: TraceIdRatioBasedSampler;

  constructor(ratio: number) {
    this.#byRatio = new TraceIdRatioBasedSampler(ratio);
  }

  shouldSample(...asked: Parameters<Sampler['shouldSample']>): SamplingResult {
    const [context, traceId, , , , links] = asked;
    if (links.some((link) => (link.context.traceFlags & 1) === 1))
      return { decision: SamplingDecision.RECORD_AND_SAMPLED };
    return this.#byRatio.shouldSample(context, traceId);
  }

  toString(): string {
    return `Linked{${this.#byRatio.toString()}}`;
  }
}

function contextOf(parent: SpanBeginning['parent']): Context {
  if (parent instanceof OtelSpan) return parent.context;
  const told = typeof parent === 'string' ? spanContextOf(parent) : undefined;
  return told === undefined ? ROOT_CONTEXT : trace.setSpanContext(ROOT_CONTEXT, told);
}

function linksTo(traceparents: readonly string[]): Link[] {
  return traceparents
    .slice(0, linksMax)
    .map(spanContextOf)
    .filter((context) => context !== undefined)
    .map((context) => ({ context }));
}

function spanContextOf(traceparent: string): SpanContext | undefined {
  const told = parseTraceparent(traceparent);
  if (told === undefined) return undefined;
  const { traceId, spanId, flags } = told;
  return { traceId, spanId, traceFlags: Number.parseInt(flags, 16) & 1, isRemote: true };
}
