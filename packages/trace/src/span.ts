/**
 * A span as the rest of the program has it. What may stand in one is a list of names: codes, routes as templates, and numbers. There is no name for a path, a query, an address of
 * a client, a person or a patient, and none can be made up by who writes a span.
 */

/** By the semantic conventions for HTTP and RPC; `watchglass.*` are ours (docs/gateway.md, "Traces"). */
export const attributeNames = [
  'error.type',
  'http.request.method',
  'http.response.status_code',
  'http.route',
  'network.protocol.name',
  'server.address',
  'server.port',
  'url.scheme',
  'watchglass.audit.id',
  'watchglass.events',
  'watchglass.interaction',
  'watchglass.operation',
  'watchglass.refusal',
  'watchglass.request.id',
] as const;

export type AttributeName = (typeof attributeNames)[number];
export type SpanAttributes = Readonly<Partial<Record<AttributeName, string | number>>>;
export type SpanKindName = 'server' | 'client' | 'internal';

/** Links of one span: a batch of more traces than that names the first. */
export const linksMax = 128;

export interface SpanBeginning {
  readonly name: string;
  readonly kind: SpanKindName;
  readonly attributes?: SpanAttributes;
  /** A span of ours, or what another party said; a new trace begins for what cannot be believed. */
  readonly parent?: OpenSpan | string | string[] | undefined;
  /** Traceparents of what it is about. Where one of them is sampled, so is a trace that begins here. */
  readonly links?: readonly string[];
}

export interface OpenSpan {
  /** What others are told (W3C Trace Context §3.2). */
  readonly traceparent: string;
  /** False for one that is not sampled: nothing that is said of it is kept. */
  readonly recording: boolean;
  rename(name: string): void;
  set(attributes: SpanAttributes): void;
  /** What is found to belong to it only after it began: traceparents, `linksMax` at most. */
  link(traceparents: readonly string[]): void;
  /** It came to nothing, by its code. */
  fail(code: string): void;
  /** More than once does no harm. */
  end(): void;
}

export type SpanFate = 'sent' | 'queue-full' | 'refused';

export interface SpansOptions {
  /** Whose spans they are, e.g. `watchglass-gateway`: the instrumentation scope. */
  readonly scope: string;
  /** Tells one process from another. */
  readonly instance: string;
  readonly onSpans: (fate: SpanFate, count: number) => void;
  /** Told when spans stop reaching the collector, and when they reach it again. */
  readonly onReach: (reached: boolean) => void;
}

export interface Spans extends AsyncDisposable {
  begin(beginning: SpanBeginning): OpenSpan;
}
