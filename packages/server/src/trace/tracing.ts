/**
 * Requests at the server's doors as spans, and what they wait for. Which request is under way is known to the asynchronous context, so that the rooms below need not hand it on. Only
 * made where `tracing` is configured: without it nothing here is on the way of a request.
 *
 * What stands in a span is of the list in `@watchglass/trace`: templates, codes, counts. Never a query, a token, a person or a patient.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import type { OpenSpan, SpanAttributes, SpanFate, Spans } from '@watchglass/trace';

/** What a request waits for. */
export type Phase = 'append' | 'record' | 'search' | 'summarise' | 'read' | 'prove' | 'bundle' | 'completeness';

export interface RequestBeginning {
  readonly method: string;
  /** A template such as `/v1/events/:index`; undefined where nothing was found for the path. */
  readonly route: string | undefined;
  readonly traceparent: string | string[] | undefined;
  readonly requestId?: string;
  /** Name of the interaction, as its event has it. */
  readonly operation?: string | undefined;
}

export class Tracing implements AsyncDisposable {
  readonly #spans: Spans;
  readonly #fates: ReadonlyMap<SpanFate, number>;
  readonly #under = new AsyncLocalStorage<RequestSpan>();

  constructor(spans: Spans, fates: ReadonlyMap<SpanFate, number>) {
    this.#spans = spans;
    this.#fates = fates;
  }

  /** The request under way, where there is one. */
  get current(): RequestSpan | undefined {
    return this.#under.getStore();
  }

  /** What became of the spans, since the start. */
  get fates(): ReadonlyMap<SpanFate, number> {
    return this.#fates;
  }

  /** `at`: how clients reach this door. */
  begin({ method, route, traceparent, requestId, operation }: RequestBeginning, at: URL): RequestSpan {
    const template = route?.replaceAll(/:([a-zA-Z]+)/g, '{$1}');
    const span = this.#spans.begin({
      name: template === undefined ? method : `${method} ${template}`,
      kind: 'server',
      attributes: {
        'http.request.method': method,
        'network.protocol.name': 'http',
        'server.address': at.hostname,
        'url.scheme': at.protocol.slice(0, -1),
        ...(template === undefined ? {} : { 'http.route': template }),
        ...(requestId === undefined ? {} : { 'watchglass.request.id': requestId }),
        ...(operation === undefined ? {} : { 'watchglass.operation': operation }),
      },
      parent: traceparent,
    });
    return new RequestSpan(span);
  }

  within<T>(span: RequestSpan, work: () => T): T {
    return this.#under.run(span, work);
  }

  /** Does some work as a span of the request under way; without one it is only done. */
  async phase<T>(name: Phase, work: () => Promise<T>, attributes: SpanAttributes = {}): Promise<T> {
    const parent = this.current?.span;
    if (parent?.recording !== true) return work();
    const span = this.#spans.begin({ name, kind: 'internal', attributes, parent });
    try {
      return await work();
    } catch (error) {
      span.fail(codeOf(error));
      throw error;
    } finally {
      span.end();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#spans[Symbol.asyncDispose]();
  }
}

export class RequestSpan {
  readonly span: OpenSpan;

  constructor(span: OpenSpan) {
    this.span = span;
  }

  /** Of the request itself; it stands in its event (W3C Trace Context §3.2). */
  get traceparent(): string {
    return this.span.traceparent;
  }

  refuse(code: string): void {
    this.span.set({ 'watchglass.refusal': code });
  }

  /** Of a server only its own faults are errors. */
  end({ status, code }: { readonly status: number; readonly code?: string | undefined }): void {
    this.span.set({ 'http.response.status_code': status });
    if (status >= 500) this.span.fail(code ?? String(status));
    this.span.end();
  }
}

/** The codes of our own tables and of the system are lower-case or upper-case words; anything else could hold what was sent. */
function codeOf(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  return typeof code === 'string' && /^[A-Za-z][A-Za-z_-]{0,63}$/.test(code) ? code : 'internal';
}
