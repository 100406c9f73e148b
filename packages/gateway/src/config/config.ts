/**
 * `gateway.yaml`, read once: unknown keys refused, files it names read, paths resolved against its own folder. What comes out has everything the
 * gateway needs, and is the only thing it reads.
 */
import { dirname, isAbsolute, join, resolve } from 'node:path';

import { parseVerifierKey } from '@watchglass/record';
import { TrustedProxies } from '@watchglass/record/source';
import { type TracingSettings, tracingSchema } from '@watchglass/trace';
import { z } from 'zod';
import type { AuditMode } from '../capture/recorder.ts';
import { GatewayError } from '../errors.ts';
import type { Route } from '../exposure/route.ts';
import type { FrontSettings } from '../fronts/fronts.ts';
import type { IdentitySettings, IssuerSettings } from '../identity/identity.ts';
import type { SmartSettings } from '../identity/smart-discovery.ts';
import type { ListenerLimits } from '../passage/listener.ts';
import { loadPolicy, type PolicyTexts, policyFromTexts } from '../policy/load-policy.ts';
import { readNamedFile } from '../policy/named-file.ts';
import { parseStrictYaml } from '../policy/strict-yaml.ts';
import type { Policy } from '../policy/tables.ts';
import { isLoopbackHost, safeUrl, url } from './address.ts';
import { type CorsSection, corsSchema } from './cors.ts';
import { bodiesSchema, type EdgeSettings, edgeSections, readEdge } from './edge.ts';
import { exportsSchema } from './exports.ts';
import { frontsSchema, readFronts } from './fronts.ts';
import { identitySchema, issuersSchema, readIssuers } from './identity.ts';
import { type PagingSection, pagingSchema, parametersSchema } from './paging.ts';
import { readRoutes, routesSchema } from './routes.ts';
import { readSmart, smartSchema } from './smart.ts';
import { readTls, type TlsConfig, tlsSchema } from './tls.ts';
import { readTracing } from './tracing.ts';
import {
  firstUpstream,
  readUpstream,
  readUpstreams,
  type UpstreamConfig,
  upstreamSchema,
  upstreamsSchema,
} from './upstream.ts';
import { type WebSocketsSection, webSocketsSchema } from './websockets.ts';
import { readWorkers, spoolBytesMin, workersSchema } from './workers.ts';

export type IssuerConfig = IssuerSettings;

export interface GatewayConfig {
  /** The file it was read from, and what stood in it: a worker that is started later begins with the same. */
  readonly source: { readonly file: string; readonly text: string };
  /** How many processes serve requests; one needs no primary. */
  readonly workers: number;
  readonly listen: { readonly host: string; readonly port: number };
  readonly tls: TlsConfig | undefined;
  /** How clients reach it; made from `listen` where the configuration doesn't say. */
  readonly url: string | undefined;
  /** Where routes lead that name no other. */
  readonly upstream: UpstreamConfig;
  /** Further ones, by name. */
  readonly upstreams: ReadonlyMap<string, UpstreamConfig>;
  readonly issuers: readonly IssuerConfig[];
  readonly identity: IdentitySettings;
  /** At which issuer SMART applications sign people in. */
  readonly smart: SmartSettings | undefined;
  /** Of pages whose scripts may call the APIs. */
  readonly cors: CorsSection;
  readonly policy: Policy;
  /** Where it was read from, and is watched. */
  readonly policyFile: string;
  readonly routes: readonly Route[];
  readonly server: {
    readonly url: string;
    readonly writeKey: string;
    readonly ca: string | undefined;
    /** Of the log that the receipts are checked against. */
    readonly vkey: string | undefined;
    /** Whether it is asked what it decided. */
    readonly decisions: boolean;
  };
  readonly spool: { readonly dir: string; readonly keyFile: string; readonly maxBytes: number };
  readonly audit: {
    readonly mode: AuditMode;
    readonly deadlineMs: number;
    readonly countersEveryMs: number;
    readonly parameters: readonly string[];
  };
  readonly exposureBytesMax: number;
  readonly exports: { readonly origins: readonly string[]; readonly keyFile: string | undefined };
  readonly paging: PagingSection;
  readonly site: string | undefined;
  readonly tenant: string | undefined;
  readonly emitter: string;
  readonly admin: { readonly host: string; readonly port: number } | undefined;
  /** Other proxies that ask for decisions. */
  readonly fronts: FrontSettings | undefined;
  readonly trustedProxies: TrustedProxies;
  readonly edge: EdgeSettings;
  readonly websockets: WebSocketsSection;
  /** Where spans are sent, if anywhere. */
  readonly tracing: TracingSettings | undefined;
  readonly limits: ListenerLimits & {
    readonly inFlightMax: number;
    readonly requestBytesMax: number;
    readonly drainMs: number;
  };
}

const mebibyte = 1024 * 1024;
const port = z.int().min(0).max(65_535);
const address = z.strictObject({ host: z.string().min(1).default('127.0.0.1'), port });
const line = z
  .string()
  .min(1)
  .max(128)
  .regex(/^[!-~]+$/, { error: 'expected printable ASCII without spaces' });

const milliseconds = (fallback: number): z.ZodDefault<z.ZodInt> => z.int().min(1).max(3_600_000).default(fallback);

const schema = z.strictObject({
  listen: address,
  workers: workersSchema,
  tls: tlsSchema.optional(),
  url: url.optional(),
  upstream: upstreamSchema,
  upstreams: upstreamsSchema,
  issuers: issuersSchema,
  identity: identitySchema,
  smart: smartSchema,
  cors: corsSchema,
  policy: z.string(),
  routes: routesSchema,
  server: z.strictObject({
    url: safeUrl,
    writeKeyFile: z.string(),
    ca: z.string().optional(),
    vkey: z.string().max(4_096).refine(isVerifierKey, { error: 'expected a verifier key: name+hash+key' }).optional(),
    decisions: z.boolean().default(true),
  }),
  spool: z.strictObject({
    dir: z.string(),
    keyFile: z.string().optional(),
    maxBytes: z
      .int()
      .min(spoolBytesMin, { error: `expected at least ${spoolBytesMin}` })
      .default(256 * mebibyte),
  }),
  audit: z
    .strictObject({
      mode: z.enum(['strict', 'available']).default('strict'),
      deadlineMs: milliseconds(2_000),
      countersEveryMs: milliseconds(60_000),
      parameters: parametersSchema,
    })
    .prefault({}),
  exposure: z
    .strictObject({
      maxBytes: z
        .int()
        .min(1_024)
        .max(64 * mebibyte)
        .default(mebibyte),
    })
    .prefault({}),
  exports: exportsSchema,
  paging: pagingSchema,
  site: z.string().min(1).max(128).optional(),
  tenant: z.string().min(1).max(63).optional(),
  emitter: line.default('gateway'),
  admin: address.optional(),
  fronts: frontsSchema.optional(),
  trustedProxies: z.array(z.string()).default([]),
  ...edgeSections,
  websockets: webSocketsSchema,
  tracing: tracingSchema('watchglass-gateway').optional(),
  limits: z
    .strictObject({
      headersTimeoutMs: milliseconds(10_000),
      requestTimeoutMs: milliseconds(60_000),
      keepAliveTimeoutMs: milliseconds(30_000),
      stallTimeoutMs: milliseconds(120_000),
      checkIntervalMs: milliseconds(2_000),
      connectionsMax: z.int().min(1).default(10_000),
      inFlightMax: z.int().min(1).default(256),
      requestBytesMax: z
        .int()
        .min(1_024)
        .default(16 * mebibyte),
      drainMs: milliseconds(10_000),
      bodies: bodiesSchema,
    })
    .prefault({}),
});

/** Paths of all keys, such as `audit.mode` and `issuers[].audience`; the documentation is held equal to them. */
export function configKeys(): readonly string[] {
  interface Node {
    readonly properties?: Readonly<Record<string, Node>>;
    readonly items?: Node;
  }
  const keys: string[] = [];
  const collect = (node: Node, prefix: string): void => {
    for (const [key, below] of Object.entries(node.properties ?? {})) {
      const leaf = below.properties === undefined && below.items?.properties === undefined;
      if (leaf) keys.push(`${prefix}${key}`);
      collect(below, `${prefix}${key}.`);
      if (below.items !== undefined) collect(below.items, `${prefix}${key}[].`);
    }
  };
  collect(z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' }) as Node, '');
  return keys;
}

/**
 * Reads the file and everything it names. Throws `config-unreadable`, `config-invalid` or `policy-invalid`, each naming the place. `held`: what stood in the file, and
 * the policy, where another process has both already.
 */
export function readGatewayConfig(
  path: string,
  held?: { readonly text: string; readonly policy: PolicyTexts },
): GatewayConfig {
  const file = resolve(path);
  const text = held?.text ?? readNamedFile(file, 'the configuration');
  const raw = parseStrictYaml(text, { schema, file, code: 'config-invalid' });
  const from = (name: string): string => (isAbsolute(name) ? name : join(dirname(file), name));
  const optional = (name: string | undefined, what: string): string | undefined =>
    name === undefined ? undefined : readNamedFile(from(name), what);
  const files = { file, from, read: (name: string, what: string): string => readNamedFile(from(name), what) };
  if (raw.tls === undefined && !isLoopbackHost(raw.listen.host)) {
    throw new GatewayError(
      'config-invalid',
      `${file}: expected tls: {cert, key}, since listen.host is not this machine only`,
    );
  }
  const spoolDirectory = from(raw.spool.dir);
  const routes = readRoutes(raw.routes, files);
  return {
    source: { file, text },
    workers: readWorkers(raw.workers, { file, emitter: raw.emitter, spoolBytesMax: raw.spool.maxBytes }),
    listen: raw.listen,
    tls: raw.tls === undefined ? undefined : readTls(raw.tls, files),
    url: raw.url?.replace(/\/+$/, ''),
    upstream: readUpstream(raw.upstream, firstUpstream, files),
    upstreams: readUpstreams(raw.upstreams, routes, files),
    issuers: readIssuers(raw.issuers, files),
    identity: raw.identity,
    smart: readSmart(raw.smart, { issuers: raw.issuers, file }),
    cors: raw.cors,
    policy: held === undefined ? loadPolicy(from(raw.policy)) : policyFromTexts(held.policy, from(raw.policy)),
    policyFile: from(raw.policy),
    routes,
    server: {
      url: raw.server.url,
      writeKey: readWriteKey(from(raw.server.writeKeyFile)),
      ca: optional(raw.server.ca, 'server.ca'),
      vkey: raw.server.vkey,
      decisions: raw.server.decisions,
    },
    spool: {
      dir: spoolDirectory,
      keyFile: raw.spool.keyFile === undefined ? join(spoolDirectory, 'spool.key') : from(raw.spool.keyFile),
      maxBytes: raw.spool.maxBytes,
    },
    audit: raw.audit,
    exposureBytesMax: raw.exposure.maxBytes,
    exports: {
      origins: raw.exports.origins,
      keyFile: raw.exports.keyFile === undefined ? undefined : from(raw.exports.keyFile),
    },
    paging: raw.paging,
    site: raw.site,
    tenant: raw.tenant,
    emitter: raw.emitter,
    admin: raw.admin,
    fronts: readFronts(raw.fronts, { url: raw.url, files }),
    trustedProxies: readProxies(raw.trustedProxies, file),
    edge: readEdge(raw, raw.limits.bodies, files),
    websockets: raw.websockets,
    tracing: raw.tracing === undefined ? undefined : readTracing(raw.tracing, files),
    limits: raw.limits,
  };
}

function readWriteKey(path: string): string {
  const key = readNamedFile(path, 'server.writeKeyFile').trim();
  if (/^wgk_[A-Za-z0-9_-]{16,}$/.test(key)) return key;
  throw new GatewayError(
    'config-invalid',
    `expected a write key (wgk_…) in ${path}, got something else; make one with POST /v1/write-keys on the server and put it there`,
  );
}

function isVerifierKey(text: string): boolean {
  try {
    parseVerifierKey(text);
    return true;
  } catch {
    return false;
  }
}

function readProxies(ranges: readonly string[], file: string): TrustedProxies {
  try {
    return new TrustedProxies(ranges);
  } catch (cause) {
    throw new GatewayError('config-invalid', `${file}: trustedProxies: ${(cause as Error).message}`, { cause });
  }
}
