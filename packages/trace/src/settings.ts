/** The section `tracing` of a configuration: where spans are sent, with which secret, and how many of them. The same words, bounds and refusals in each program that has it. */
import { z } from 'zod';

export interface TracingSection {
  readonly endpoint: string;
  readonly headersFile?: string | undefined;
  readonly ca?: string | undefined;
  readonly sampleRatio: number;
  readonly callersSample: boolean;
  readonly serviceName: string;
  readonly queueMax: number;
  readonly timeoutMs: number;
}

export interface TracingSettings {
  /** Where spans are posted, `/v1/traces` included. */
  readonly endpoint: string;
  readonly headers: Readonly<Record<string, string>>;
  /** PEM. */
  readonly ca: string | undefined;
  /** Of traces that begin here; what comes with a traceparent is sampled if its sender did. */
  readonly sampleRatio: number;
  /** Otherwise `sampleRatio` is for them, too. */
  readonly callersSample: boolean;
  readonly serviceName: string;
  /** Spans that wait to be sent. */
  readonly queueMax: number;
  readonly timeoutMs: number;
}

export function tracingSchema(serviceName: string): z.ZodType<TracingSection> {
  return z.strictObject({
    endpoint: z
      .url({ protocol: /^https?$/, error: 'expected an http or https URL' })
      .describe('Collector of spans, OTLP over HTTP; without a path `/v1/traces`.'),
    headersFile: z
      .string()
      .min(1)
      .optional()
      .describe('File with fields of the requests to it, such as `authorization: Bearer …`, a line each.'),
    ca: z
      .string()
      .min(1)
      .optional()
      .describe('PEM file of the authorities its certificate leads to; the system’s unless said.'),
    sampleRatio: z
      .number()
      .min(0)
      .max(1)
      .default(1)
      .describe('Of traces that begin here; what comes with a `traceparent` is sampled as its sender says.'),
    callersSample: z
      .boolean()
      .default(true)
      .describe(
        'Whether who calls may have their trace sampled; `false` where anybody can call: `sampleRatio` is for them, too.',
      ),
    serviceName: z
      .string()
      .regex(/^[!-~]{1,128}$/, { error: 'expected printable ASCII without spaces' })
      .default(serviceName)
      .describe('`service.name` of the spans.'),
    queueMax: z.int().min(16).max(100_000).default(2_048).describe('Spans that wait; more are dropped and counted.'),
    timeoutMs: z.int().min(1).max(60_000).default(5_000).describe('For one batch, from its first byte to its answer.'),
  });
}

/** The settings of a section and of the texts of its files; or what is wrong with the headers, without a word of them. */
export function readTracing(
  section: TracingSection,
  texts: { readonly headers: string | undefined; readonly ca: string | undefined },
): { readonly settings: TracingSettings } | { readonly problem: string } {
  const { headersFile: _headersFile, ca: _ca, endpoint, ...rest } = section;
  const headers: Record<string, string> = {};
  for (const [position, line] of (texts.headers ?? '').split('\n').entries()) {
    if (line.trim() === '' || line.startsWith('#')) continue;
    const [, field, value] = /^([A-Za-z0-9-]{1,64}):[ \t]*([\x20-\x7e]{1,4096}?)[ \t\r]*$/.exec(line) ?? [];
    if (field === undefined || value === undefined)
      return { problem: `line ${position + 1}: expected the name of a header, a colon and its value` };
    headers[field.toLowerCase()] = value;
  }
  const address = new URL(endpoint);
  if (address.pathname === '/') address.pathname = '/v1/traces';
  return { settings: { ...rest, endpoint: address.href, headers, ca: texts.ca } };
}
