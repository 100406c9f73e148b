/**
 * The sections of `gateway.yaml` about the APIs behind the gateway: `upstream`, which is all that most need, and `upstreams`, further ones by name, which routes
 * name. Certificates are read here.
 */
import { z } from 'zod';
import { GatewayError } from '../errors.ts';
import type { Route } from '../exposure/route.ts';
import { isForwardable } from '../http/headers.ts';
import type { BreakerSettings } from '../limits/breaker.ts';
import type { HealthSettings } from '../upstream/condition.ts';
import type { Balance } from '../upstream/upstream.ts';
import { origin, url } from './address.ts';
import { breakerSchema } from './edge.ts';
import type { ConfigFiles } from './identity.ts';
import { readUpstreamCertificate, type UpstreamCertificate } from './tls.ts';

export interface UpstreamSection {
  readonly url: string;
  readonly replicas: readonly string[];
  readonly balance: Balance;
  readonly health?: (Omit<HealthSettings, 'everyMs'> & { readonly everySeconds: number }) | undefined;
  readonly ca?: string | undefined;
  readonly cert?: string | undefined;
  readonly key?: string | undefined;
  readonly timeoutMs: number;
  readonly connectionsMax: number;
  readonly breaker: BreakerSettings;
  readonly forwardAuthorization: boolean;
  readonly forwardHeaders: readonly string[];
}

export interface UpstreamConfig {
  readonly url: string;
  /** More origins of the same API. */
  readonly replicas: readonly string[];
  readonly balance: Balance;
  readonly health: HealthSettings | undefined;
  readonly ca: string | undefined;
  /** What the gateway shows the API. */
  readonly certificate: UpstreamCertificate | undefined;
  readonly timeoutMs: number;
  /** To each origin. */
  readonly connectionsMax: number;
  readonly breaker: BreakerSettings;
  readonly forwardAuthorization: boolean;
  /** Lower case; besides those every request may have. */
  readonly forwardHeaders: readonly string[];
}

/** Routes that name no upstream go to this one. */
export const firstUpstream = 'upstream';

const count = z.int().min(1).max(100);
const healthSchema = z.strictObject({
  path: z.string().regex(/^\/[!-~]{0,255}$/, { error: 'expected a path such as /metadata' }),
  everySeconds: z.number().min(0.1).max(3_600).default(5),
  timeoutMs: z.int().min(1).max(60_000).default(1_000),
  healthyAfter: count.default(2),
  unhealthyAfter: count.default(3),
});

export const upstreamSchema: z.ZodType<UpstreamSection> = z.strictObject({
  url,
  replicas: z.array(origin).max(64).default([]),
  balance: z.enum(['round-robin', 'least-pending']).default('round-robin'),
  health: healthSchema.optional(),
  ca: z.string().optional(),
  cert: z.string().optional(),
  key: z.string().optional(),
  timeoutMs: z.int().min(1).max(3_600_000).default(30_000),
  connectionsMax: z.int().min(1).max(4_096).default(128),
  breaker: breakerSchema,
  forwardAuthorization: z.boolean().default(false),
  forwardHeaders: z
    .array(
      z
        .string()
        .regex(/^[A-Za-z][A-Za-z0-9-]{0,63}$/, { error: 'expected the name of a header' })
        .toLowerCase()
        .refine(isForwardable, { error: 'expected a header that the gateway does not set, read or remove itself' }),
    )
    .max(32)
    .default([]),
});

export const upstreamsSchema: z.ZodType<Readonly<Record<string, UpstreamSection>>> = z
  .record(
    z
      .string()
      .regex(/^[a-z][a-z0-9-]{0,62}$/, { error: 'expected a name: small letters, digits and hyphens' })
      .refine((name) => name !== firstUpstream, { error: `expected another name than ${firstUpstream}` }),
    upstreamSchema,
  )
  .default({});

export function readUpstream(section: UpstreamSection, name: string, files: ConfigFiles): UpstreamConfig {
  const { health, ca, cert: _cert, key: _key, ...rest } = section;
  const origins = [new URL(section.url).origin, ...section.replicas];
  if (new Set(origins).size !== origins.length)
    throw new GatewayError('config-invalid', `${files.file}: ${name}.replicas: expected each origin once`);
  return {
    ...rest,
    health: health === undefined ? undefined : healthOf(health),
    ca: ca === undefined ? undefined : files.read(ca, `${name}.ca`),
    certificate: readUpstreamCertificate(section, name, files),
  };
}

function healthOf({ everySeconds, ...rest }: NonNullable<UpstreamSection['health']>): HealthSettings {
  return { ...rest, everyMs: Math.round(everySeconds * 1_000) };
}

export function readUpstreams(
  sections: Readonly<Record<string, UpstreamSection>>,
  routes: readonly Route[],
  files: ConfigFiles,
): ReadonlyMap<string, UpstreamConfig> {
  for (const { upstream, prefix } of routes) {
    if (upstream === undefined || upstream === firstUpstream || Object.hasOwn(sections, upstream)) continue;
    throw new GatewayError(
      'config-invalid',
      `${files.file}: routes: expected ${prefix} to name one of upstreams, got ${upstream}; add it there`,
    );
  }
  return new Map(
    Object.entries(sections).map(([name, section]) => [name, readUpstream(section, `upstreams.${name}`, files)]),
  );
}
