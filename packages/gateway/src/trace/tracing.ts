/** Requests and deliveries of the gateway as spans. Attributes are codes, names and numbers by the semantic conventions, of the list in `@watchglass/trace`. */
import type { OpenSpan, SpanAttributes, Spans } from '@watchglass/trace';

import type { Phase, PhaseFacts, RequestTrace, RequestTracer } from './request-trace.ts';

export class Tracing implements RequestTracer {
  readonly #spans: Spans;
  readonly #attributes: SpanAttributes;

  /** `publicUrl`: how clients reach the gateway. */
  constructor(spans: Spans, publicUrl: URL) {
    this.#spans = spans;
    this.#attributes = {
      'url.scheme': publicUrl.protocol.slice(0, -1),
      'server.address': publicUrl.hostname,
      'network.protocol.name': 'http',
    };
  }

  begin(request: Parameters<RequestTracer['begin']>[0]): RequestTrace {
    const { method, auditId, traceparent } = request;
    const attributes = {
      ...this.#attributes,
      'http.request.method': method === 'OTHER' ? '_OTHER' : method,
      'watchglass.audit.id': auditId,
    };
    const span = this.#spans.begin({ name: method, kind: 'server', attributes, parent: traceparent });
    return new SpanTrace(this.#spans, span, method);
  }
}

class SpanTrace implements RequestTrace {
  readonly traceparent: string;
  readonly #spans: Spans;
  readonly #span: OpenSpan;
  readonly #method: string;
  readonly #phases = new Map<Phase, OpenSpan>();

  constructor(spans: Spans, span: OpenSpan, method: string) {
    this.#spans = spans;
    this.#span = span;
    this.#method = method;
    this.traceparent = span.traceparent;
  }

  get outgoing(): string {
    return this.#phases.get('upstream')?.traceparent ?? this.traceparent;
  }

  begin(phase: Phase): void {
    if (!this.#span.recording) return;
    const name = phase === 'upstream' ? this.#method : phase;
    const kind = phase === 'upstream' ? 'client' : 'internal';
    const attributes = phase === 'upstream' ? { 'http.request.method': this.#method } : {};
    this.#phases.set(phase, this.#spans.begin({ name, kind, attributes, parent: this.#span }));
  }

  finish(phase: Phase, { status, fault, origin }: PhaseFacts = {}): void {
    const span = this.#phases.get(phase);
    if (span === undefined) return;
    this.#phases.delete(phase);
    if (status !== undefined) span.set({ 'http.response.status_code': status });
    if (origin !== undefined) span.set(addressOf(new URL(origin)));
    // Of a client's call an answer of 400 and above is an error.
    const error = fault ?? (status !== undefined && status >= 400 ? String(status) : undefined);
    if (error !== undefined) span.fail(error);
    span.end();
  }

  note({ route, interaction, status, refusal }: Parameters<RequestTrace['note']>[0]): void {
    const span = this.#span;
    if (!span.recording) return;
    if (route !== undefined) {
      span.rename(`${this.#method} ${route}`);
      span.set({ 'http.route': route });
    }
    if (interaction !== undefined) span.set({ 'watchglass.interaction': interaction });
    if (refusal !== undefined) span.set({ 'watchglass.refusal': refusal });
    if (status === undefined) return;
    span.set({ 'http.response.status_code': status });
    if (status >= 500) span.fail(refusal ?? String(status));
  }

  end(): void {
    for (const phase of this.#phases.keys()) this.finish(phase, { fault: 'refused' });
    this.#span.end();
  }
}

export function addressOf({ hostname, port, protocol }: URL): SpanAttributes {
  return { 'server.address': hostname, 'server.port': Number(port) || (protocol === 'https:' ? 443 : 80) };
}
