/**
 * The sections of `gateway.yaml` about who is heard how often, and from where: `rates`, `filters`, `lockout`, `concurrency`, and `limits.bodies`. The files of
 * address lists are read here; a bad one stops the start, while one that goes bad later changes nothing.
 */
import { z } from 'zod';
import { GatewayError } from '../errors.ts';
import { interactionNames } from '../fhir/fhir-interaction.ts';
import { type AddressEntry, parseAddressList, parseAddressRange } from '../limits/address-list.ts';
import type { BreakerSettings } from '../limits/breaker.ts';
import type { ConcurrencySettings } from '../limits/concurrency.ts';
import type { FilterSettings, FilterSource } from '../limits/filters.ts';
import type { LockoutSettings } from '../limits/lockout.ts';
import type { RateRule } from '../limits/rates.ts';
import type { RedisRatesSettings } from '../limits/redis-rates.ts';
import type { ConfigFiles } from './identity.ts';

const name = z.string().regex(/^[a-z0-9][a-z0-9-]{0,62}$/, { error: 'expected small letters, digits and hyphens' });
const interactions = z.array(z.enum(interactionNames)).min(1).optional();
const routes = z.array(z.string().startsWith('/').max(256)).min(1).optional();
const redisUrl = /^rediss?:\/\/(?:[A-Za-z0-9.-]+|\[[0-9a-fA-F:]+\])(?::\d{1,5})?(?:\/\d{1,4})?$/;
const dayMs = 86_400_000;
const milliseconds = z.int().min(1).max(dayMs);
const range = z.string().refine((text) => parseAddressRange(text) !== undefined, {
  error: 'expected an address or a CIDR range',
});

const rateSchema = z
  .strictObject({
    name,
    by: z.enum(['address', 'user', 'client', 'tenant', 'route']),
    limit: z.int().min(1).max(1_000_000_000),
    windowMs: milliseconds.default(60_000),
    burst: z.int().min(1).max(1_000_000_000).optional(),
    interactions,
    routes,
  })
  .refine((rule) => rule.by !== 'address' || (rule.interactions === undefined && rule.routes === undefined), {
    error: 'expected no interactions and routes with by: address, since it counts before those are known',
  });

interface RedisSection {
  readonly url: string;
  readonly username?: string | undefined;
  readonly passwordFile?: string | undefined;
  readonly ca?: string | undefined;
  readonly deadlineMs: number;
  readonly share: number;
  readonly prefix: string;
}

/** As they stand in the file. */
interface EdgeSections {
  readonly rates: {
    readonly keysMax: number;
    readonly rules: readonly RateRule[];
    readonly redis?: RedisSection | undefined;
  };
  readonly filters: {
    readonly allow: readonly string[];
    readonly deny: readonly string[];
    readonly allowFile?: string | undefined;
    readonly denyFile?: string | undefined;
    readonly reloadEveryMs: number;
  };
  readonly lockout?: LockoutSettings | undefined;
  readonly concurrency: ConcurrencySettings;
}

type SectionSchemas = {
  readonly [Key in Exclude<keyof EdgeSections, 'lockout'>]: z.ZodType<EdgeSections[Key]>;
} & { readonly lockout: z.ZodOptional<z.ZodType<LockoutSettings>> };

/** The keys of the whole that belong here. */
export const edgeSections: SectionSchemas = {
  rates: z
    .strictObject({
      keysMax: z.int().min(100).max(10_000_000).default(100_000),
      redis: z
        .strictObject({
          url: z.string().regex(redisUrl, { error: 'expected redis://host:port/0 or rediss://…, without credentials' }),
          username: z.string().min(1).max(256).optional(),
          passwordFile: z.string().optional(),
          ca: z.string().optional(),
          deadlineMs: z.int().min(1).max(10_000).default(50),
          share: z.number().min(0.001).max(1).default(0.5),
          prefix: z
            .string()
            .regex(/^[!-~]{0,64}$/)
            .default('watchglass:rate:'),
        })
        .optional(),
      rules: z
        .array(rateSchema)
        .max(64)
        .refine((rules) => new Set(rules.map((rule) => rule.name)).size === rules.length, {
          error: 'expected each name once',
        })
        .default([]),
    })
    .prefault({}),
  filters: z
    .strictObject({
      allow: z.array(range).default([]),
      deny: z.array(range).default([]),
      allowFile: z.string().optional(),
      denyFile: z.string().optional(),
      reloadEveryMs: z.int().min(10).max(3_600_000).default(2_000),
    })
    .prefault({}),
  lockout: z
    .strictObject({
      failuresMax: z.int().min(3).max(1_000_000).default(100),
      windowMs: milliseconds.default(60_000),
      blockMs: milliseconds.default(60_000),
      blockMsMax: milliseconds.default(3_600_000),
      keysMax: z.int().min(100).max(1_000_000).default(50_000),
    })
    .optional() as z.ZodOptional<z.ZodType<LockoutSettings>>,
  concurrency: z
    .strictObject({
      userMax: z.int().min(1).max(1_000_000).optional(),
      clientMax: z.int().min(1).max(1_000_000).optional(),
    })
    .prefault({}),
};

/** `upstream.breaker`. */
export const breakerSchema: z.ZodType<BreakerSettings> = z
  .strictObject({
    failuresMax: z.int().min(1).max(1_000_000).default(20),
    windowMs: milliseconds.default(10_000),
    openMs: milliseconds.default(2_000),
    openMsMax: milliseconds.default(30_000),
  })
  .prefault({});

/** `limits.bodies`: the first that fits a request bounds its body, if that is less than `limits.requestBytesMax`. */
export const bodiesSchema: z.ZodDefault<z.ZodArray<z.ZodType<BodyLimit>>> = z
  .array(z.strictObject({ interactions, routes, bytesMax: z.int().min(1) }) as z.ZodType<BodyLimit>)
  .max(64)
  .default([]);

export interface BodyLimit {
  readonly interactions?: readonly string[] | undefined;
  readonly routes?: readonly string[] | undefined;
  readonly bytesMax: number;
}

export interface EdgeSettings {
  readonly rates: {
    readonly keysMax: number;
    readonly rules: readonly RateRule[];
    /** Where many gateways count together. */
    readonly redis: RedisRatesSettings | undefined;
  };
  readonly filters: FilterSettings;
  readonly lockout: LockoutSettings | undefined;
  readonly concurrency: ConcurrencySettings;
  readonly bodies: readonly BodyLimit[];
}

export function readEdge(raw: EdgeSections, bodies: readonly BodyLimit[], files: ConfigFiles): EdgeSettings {
  const { allow, allowFile, deny, denyFile, reloadEveryMs } = raw.filters;
  return {
    rates: { ...raw.rates, redis: raw.rates.redis === undefined ? undefined : readRedis(raw.rates.redis, files) },
    filters: {
      allow: readFilter(allow, allowFile, 'filters.allowFile', files),
      deny: readFilter(deny, denyFile, 'filters.denyFile', files),
      reloadEveryMs,
    },
    lockout: raw.lockout,
    concurrency: raw.concurrency,
    bodies,
  };
}

function readRedis({ passwordFile, ca, url, ...rest }: RedisSection, { read }: ConfigFiles): RedisRatesSettings {
  const { protocol, hostname, port, pathname } = new URL(url);
  return {
    ...rest,
    host: hostname.replace(/^\[|\]$/g, ''),
    port: port === '' ? 6_379 : Number(port),
    tls: protocol === 'rediss:',
    database: Number(pathname.slice(1)),
    password: passwordFile === undefined ? undefined : read(passwordFile, 'rates.redis.passwordFile').trim(),
    ca: ca === undefined ? undefined : read(ca, 'rates.redis.ca'),
  };
}

function readFilter(
  ranges: readonly string[],
  file: string | undefined,
  place: string,
  files: ConfigFiles,
): FilterSource {
  const entries = ranges.map(parseAddressRange).filter((entry): entry is AddressEntry => entry !== undefined);
  if (file === undefined) return { entries };
  const path = files.from(file);
  const text = files.read(file, place);
  const parsed = parseAddressList(text);
  if (parsed.kind === 'bad') {
    throw new GatewayError(
      'config-invalid',
      `${path}: line ${parsed.line}: expected an address or a CIDR range, and until= with a moment if it ends; see docs/limits.md`,
    );
  }
  if (place === 'filters.allowFile' && parsed.entries.length === 0) {
    throw new GatewayError(
      'config-invalid',
      `${path}: expected at least one range, got none; remove filters.allowFile to let everybody in`,
    );
  }
  return { entries, file: { path, text, entries: parsed.entries } };
}
