/** Everything that `@watchglass/trace` offers. */
export { openSpans } from './open-spans.ts';
export { readTracing, type TracingSection, type TracingSettings, tracingSchema } from './settings.ts';
export {
  type AttributeName,
  attributeNames,
  linksMax,
  type OpenSpan,
  type SpanAttributes,
  type SpanBeginning,
  type SpanFate,
  type SpanKindName,
  type Spans,
  type SpansOptions,
} from './span.ts';
export { isSampled, parseTraceparent, type Traceparent } from './traceparent.ts';
