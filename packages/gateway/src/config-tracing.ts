/** The section of `gateway.yaml` about traces: where spans are sent, with which secret, and how many of them. */
import { z } from 'zod';

import { url } from './config-address.ts';
import type { ConfigFiles } from './config-identity.ts';
import { GatewayError } from './errors.ts';
import type { TracingSettings } from './trace/tracing.ts';

export interface TracingSection {
  readonly endpoint: string;
  readonly headersFile?: string | undefined;
  readonly ca?: string | undefined;
  readonly sampleRatio: number;
  readonly serviceName: string;
  readonly queueMax: number;
  readonly timeoutMs: number;
}

export const tracingSchema: z.ZodType<TracingSection> = z.strictObject({
  endpoint: url,
  headersFile: z.string().optional(),
  ca: z.string().optional(),
  sampleRatio: z.number().min(0).max(1).default(1),
  serviceName: z
    .string()
    .regex(/^[!-~]{1,128}$/, { error: 'expected printable ASCII without spaces' })
    .default('watchglass-gateway'),
  queueMax: z.int().min(16).max(100_000).default(2_048),
  timeoutMs: z.int().min(1).max(60_000).default(5_000),
});

export function readTracing(section: TracingSection, files: ConfigFiles): TracingSettings {
  const { headersFile, ca, endpoint, ...rest } = section;
  const address = new URL(endpoint);
  if (address.pathname === '/') address.pathname = '/v1/traces';
  return {
    ...rest,
    endpoint: address.href,
    headers: headersFile === undefined ? {} : readHeaders(headersFile, files),
    ca: ca === undefined ? undefined : files.read(ca, 'tracing.ca'),
  };
}

/** A line a field, such as `authorization: Bearer …`. */
function readHeaders(name: string, files: ConfigFiles): Readonly<Record<string, string>> {
  const lines = files.read(name, 'tracing.headersFile').split('\n');
  const headers: Record<string, string> = {};
  for (const [position, line] of lines.entries()) {
    if (line.trim() === '' || line.startsWith('#')) continue;
    const [, field, value] = /^([A-Za-z0-9-]{1,64}):[ \t]*([\x20-\x7e]{1,4096}?)[ \t\r]*$/.exec(line) ?? [];
    if (field === undefined || value === undefined) {
      throw new GatewayError(
        'config-invalid',
        `${files.from(name)}: line ${position + 1}: expected the name of a header, a colon and its value`,
      );
    }
    headers[field.toLowerCase()] = value;
  }
  return headers;
}
