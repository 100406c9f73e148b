/**
 * `watchglass.yaml`: read once, checked whole, and refused with the place and what to do. An unknown key is an error:
 * a misspelt safeguard must not be silently off. Relative paths count from the configuration file's folder.
 */
import { dirname, resolve } from 'node:path';
import { parseTenantId, type TenantId } from '@watchglass/record';
import { TrustedProxies } from '@watchglass/record/source';
import { type TracingSection, tracingSchema } from '@watchglass/trace';
import { z } from 'zod';
import type { KeysSettings } from '../ledger/kek/settings.ts';
import type { RetentionSettings } from '../retention/policy.ts';
import { realDisk } from '../world/real-disk.ts';
import { readDocument } from './document.ts';
import { ConfigError } from './error.ts';
import {
  buildEmbedded,
  type EmbeddedSettings,
  fhirUrlSchema,
  issuerCaSchema,
  issuerClientsSchema,
  issuerClientsWords,
} from './issuer.ts';
import { type ConfigKey, keysOf } from './key-list.ts';
import { buildKeys, contradictionsInKeys, keysSchema } from './keys.ts';
import { contradictionsInProxies, trustedProxiesSchema } from './proxies.ts';
import { buildRetention, contradictionsInRetention, retentionSchema } from './retention.ts';
import { readPolicies, type WitnessSettings } from './witness-policies.ts';
import { buildWitnesses, contradictionsInWitnesses, witnessesSchema } from './witnesses.ts';

/** The configuration, checked; paths are absolute. */
export interface ServerConfig {
  readonly dataDir: string;
  readonly listen: Listen;
  /** Public URL of the server, without trailing slash. */
  readonly url: string;
  readonly tls?: TlsFiles;
  /** Whose `X-Forwarded-For` is believed; nobody's when left out. */
  readonly trustedProxies?: TrustedProxies;
  readonly tenants: readonly TenantId[];
  /** Those whose new logs have leaves of type 0x02. */
  readonly withholding?: readonly TenantId[];
  /** Log origins are `<origin>/<tenant>`. */
  readonly origin: string;
  readonly issuer: EmbeddedIssuer | ForeignIssuer;
  /** Directory of the built console; the one that comes with the package when left out. */
  readonly consoleDir?: string;
  readonly demo?: { readonly peopleFile: string };
  /** Who keeps the key-encryption keys; a file in `keys/` when left out. */
  readonly keys?: KeysSettings;
  readonly witnesses?: WitnessSettings;
  readonly timestamps?: TimestampSettings;
  /** How long what is kept; six years for all when left out. */
  readonly retention?: RetentionSettings;
  /** Where spans of requests go; nowhere when left out. The paths are absolute. */
  readonly tracing?: TracingSection;
  readonly log: { readonly level: LogLevel };
}

/** An authority that stamps checkpoints with its time (RFC 3161). */
export interface TimestampSettings {
  readonly url: string;
  readonly periodMs: number;
  readonly caFile?: string;
}

export interface Listen {
  readonly host: string;
  readonly port: number;
}

export interface TlsFiles {
  readonly certFile: string;
  readonly keyFile: string;
  readonly caFile?: string;
}

export interface EmbeddedIssuer extends EmbeddedSettings {
  readonly kind: 'embedded';
  readonly url: string;
  readonly listen: Listen;
}

export interface ForeignIssuer {
  readonly kind: 'foreign';
  readonly url: string;
  readonly clientId: string;
  readonly clientSecretFile: string;
  readonly audience: string;
  readonly algorithms: readonly string[];
}

export const logLevels = ['debug', 'info', 'warn', 'error', 'silent'] as const;
export type LogLevel = (typeof logLevels)[number];

const host = z.string().min(1);
const port = z.int().min(1).max(65_535);
const httpUrl = z
  .url({ protocol: /^https?$/, hostname: /.+/ })
  .refine((url) => /^https?:\/\/[^/?#]+(\/[^?#]*)?$/.test(url), 'expected a URL without query');

const schema = z.strictObject({
  data: z
    .string()
    .min(1)
    .describe(
      'Directory of everything the server keeps: `ledger/`, `index/`, `keys/`, `state.sqlite`. One server a directory.',
    ),
  listen: z
    .strictObject({
      host: host.default('127.0.0.1').describe('Address to listen at. Anything but loopback needs `tls`.'),
      port: port.describe('Port of the HTTP API and the console.'),
    })
    .describe('Where the server listens.'),
  url: httpUrl.describe('Public URL of the server, as people and gateways reach it. `http:` only for a loopback host.'),
  tls: z
    .strictObject({
      cert: z.string().min(1).describe('File with the certificate chain, PEM.'),
      key: z.string().min(1).describe('File with the private key, PEM, mode 0600.'),
      ca: z
        .string()
        .min(1)
        .optional()
        .describe(
          'File with the CA certificate, where the system doesn’t know it; the command line on this machine trusts it through `server.json`.',
        ),
    })
    .optional()
    .describe('Certificate of the server, and of the embedded issuer when its `url` is `https:`.'),
  trustedProxies: trustedProxiesSchema,
  tenants: z
    .array(z.string())
    .min(1)
    .describe(
      'Tenants, each with a log of its own: lower-case letters, digits and hyphens. The first also takes events that belong to none.',
    ),
  withholding: z
    .array(z.string())
    .optional()
    .describe(
      'Those of the tenants whose logs, from their first event on, let a field be withheld from a bundle and the rest be proven (leaf type 0x02). Slower; a log that is there already stays as it is.',
    ),
  origin: z
    .string()
    .regex(
      /^[^\s+/][^\s+]{0,199}$/,
      'expected 1 to 200 characters without spaces and `+`, such as `watchglass.example`',
    )
    .describe(
      'Begin of the log origins, `<origin>/<tenant>`; signed into every checkpoint, so choose once. Usually a domain of yours.',
    ),
  issuer: z
    .strictObject({
      embedded: z
        .boolean()
        .default(false)
        .describe('Run the identity provider inside this server, for the demo and small sites.'),
      url: httpUrl.describe('Issuer URL (`iss` of the tokens). `http:` only for a loopback host.'),
      listen: z
        .strictObject({
          host: host
            .default('127.0.0.1')
            .describe('Address the embedded issuer listens at. Anything but loopback needs `tls`.'),
          port: port.describe('Port of the embedded issuer.'),
        })
        .optional()
        .describe('Where the embedded issuer listens; required with `embedded: true`, refused without.'),
      clients: issuerClientsSchema.optional().describe(issuerClientsWords),
      fhirUrl: fhirUrlSchema,
      ca: issuerCaSchema,
      clientId: z
        .string()
        .min(1)
        .optional()
        .describe('Client id of the console at your own issuer; required without `embedded`.'),
      clientSecretFile: z
        .string()
        .min(1)
        .optional()
        .describe('File with the client secret, mode 0600; required without `embedded`.'),
      audience: z
        .string()
        .min(1)
        .optional()
        .describe('Audience of access tokens at your own issuer; `urn:watchglass:api` unless said.'),
      algorithms: z
        .array(z.enum(['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA']))
        .min(1)
        .optional()
        .describe('Signature algorithms of your own issuer; `[RS256, ES256, EdDSA]` unless said.'),
    })
    .describe('Who signs people in: the embedded issuer, or your own OpenID provider.'),
  retention: retentionSchema
    .optional()
    .describe(
      'How long events are kept, by class; six years (2,192 days) unless said. docs/retention.md tells how they end.',
    ),
  keys: keysSchema
    .optional()
    .describe(
      'Key-encryption keys: who keeps them, and what this server may do with them; a file in `<data>/keys` unless said.',
    ),
  console: z
    .strictObject({ dir: z.string().min(1).describe('Directory of a built console.') })
    .optional()
    .describe('The console’s files; those that come with the package unless said.'),
  demo: z
    .strictObject({ people: z.string().min(1).describe('Roster (JSON) of made-up staff to add at the first start.') })
    .optional()
    .describe(
      'Only in the demo: adds made-up people, and writes their passwords and tokens to `<data>/demo/tokens.json`.',
    ),
  witnesses: witnessesSchema,
  timestamps: z
    .strictObject({
      url: httpUrl.describe('URL of a timestamp authority (RFC 3161). Its answers are signed, so plain http is fine.'),
      everyMinutes: z
        .number()
        .min(1)
        .max(525_600)
        .default(1_440)
        .describe('A log that has grown is stamped at most this often.'),
      ca: z
        .string()
        .min(1)
        .optional()
        .describe(
          'File with the certificates, PEM, that the authority’s must lead to; without it any that is consistent is kept.',
        ),
    })
    .optional()
    .describe('Have checkpoints stamped with the time by an authority (docs/witnesses.md).'),
  tracing: tracingSchema('watchglass-server')
    .optional()
    .describe('Have requests traced, by OpenTelemetry (docs/gateway.md, “Traces”).'),
  log: z
    .strictObject({ level: z.enum(logLevels).default('info').describe('The least that is logged.') })
    .default({ level: 'info' })
    .describe('The server’s own log, JSON lines on stderr. It never holds PHI.'),
});
type Settings = z.infer<typeof schema>;

/** Reads and checks the file. @throws ConfigError naming every problem. */
export async function readConfig(path: string): Promise<ServerConfig> {
  const file = resolve(path);
  let bytes: Uint8Array | undefined;
  try {
    bytes = await realDisk.readFile(file);
  } catch (error) {
    throw new ConfigError(file, [`cannot be read (${codeOf(error)}); check its path and its mode`], error);
  }
  if (bytes === undefined) throw new ConfigError(file, ['there is no such file; `watchglass init` writes one']);
  const config = parseConfig(new TextDecoder().decode(bytes), file);
  await readPolicies(realDisk, config, file);
  return config;
}

/** Checks the text of a configuration; `file` names it in messages, and relative paths count from its folder. */
export function parseConfig(text: string, file: string): ServerConfig {
  const settings = readDocument(text, file, { schema, keys: configKeys() });
  const problems = [...contradictionsIn(settings)];
  if (problems.length > 0) throw new ConfigError(file, problems);
  return build(settings, dirname(resolve(file)));
}

function build(settings: Settings, folder: string): ServerConfig {
  const at = (path: string): string => resolve(folder, path);
  const { tls, demo } = settings;
  return {
    dataDir: at(settings.data),
    listen: settings.listen,
    url: withoutSlash(settings.url),
    ...(tls === undefined
      ? {}
      : {
          tls: {
            certFile: at(tls.cert),
            keyFile: at(tls.key),
            ...(tls.ca === undefined ? {} : { caFile: at(tls.ca) }),
          },
        }),
    ...(settings.trustedProxies === undefined ? {} : { trustedProxies: new TrustedProxies(settings.trustedProxies) }),
    tenants: settings.tenants.map((tenant) => parseTenantId(tenant)),
    ...(settings.withholding === undefined
      ? {}
      : { withholding: settings.withholding.map((tenant) => parseTenantId(tenant)) }),
    origin: settings.origin,
    issuer: buildIssuer(settings.issuer, at),
    ...(settings.console === undefined ? {} : { consoleDir: at(settings.console.dir) }),
    ...(demo === undefined ? {} : { demo: { peopleFile: at(demo.people) } }),
    ...(settings.retention === undefined ? {} : { retention: buildRetention(settings.retention) }),
    ...(settings.keys === undefined ? {} : { keys: buildKeys(settings.keys, at) }),
    ...(settings.witnesses === undefined ? {} : { witnesses: buildWitnesses(settings.witnesses, at) }),
    ...(settings.timestamps === undefined ? {} : { timestamps: buildTimestamps(settings.timestamps, at) }),
    ...(settings.tracing === undefined ? {} : { tracing: buildTracing(settings.tracing, at) }),
    log: settings.log,
  };
}

function buildTimestamps(
  { url, everyMinutes, ca }: NonNullable<Settings['timestamps']>,
  at: (path: string) => string,
): TimestampSettings {
  return { url, periodMs: everyMinutes * 60_000, ...(ca === undefined ? {} : { caFile: at(ca) }) };
}

function buildTracing({ headersFile, ca, ...rest }: TracingSection, at: (path: string) => string): TracingSection {
  return {
    ...rest,
    ...(headersFile === undefined ? {} : { headersFile: at(headersFile) }),
    ...(ca === undefined ? {} : { ca: at(ca) }),
  };
}

function buildIssuer(issuer: Settings['issuer'], at: (path: string) => string): EmbeddedIssuer | ForeignIssuer {
  const url = withoutSlash(issuer.url);
  if (issuer.embedded && issuer.listen !== undefined)
    return {
      kind: 'embedded',
      url,
      listen: issuer.listen,
      ...buildEmbedded(issuer, at),
    };
  return {
    kind: 'foreign',
    // An issuer identifier counts character by character: a slash at its end stays.
    url: issuer.url,
    clientId: issuer.clientId ?? '',
    clientSecretFile: at(issuer.clientSecretFile ?? ''),
    audience: issuer.audience ?? 'urn:watchglass:api',
    algorithms: issuer.algorithms ?? ['RS256', 'ES256', 'EdDSA'],
  };
}

/** What each key may be by itself but not beside the others. */
function* contradictionsIn(settings: Settings): Generator<string> {
  const { listen, url, tls, issuer, tenants } = settings;
  for (const [position, tenant] of tenants.entries()) {
    if (!isTenant(tenant)) {
      yield `tenants[${position}]: expected lower-case letters, digits and hyphens, at most 63, beginning with a letter`;
    }
    if (tenants.indexOf(tenant) !== position)
      yield `tenants[${position}]: \`${tenant}\` stands there twice; remove one`;
  }
  for (const [position, tenant] of (settings.withholding ?? []).entries()) {
    if (!tenants.includes(tenant)) yield `withholding[${position}]: expected one of \`tenants\``;
  }
  yield* contradictionsInProxies(settings.trustedProxies);
  if (tls === undefined && !isLoopback(listen.host)) {
    yield `listen.host: \`${listen.host}\` can be reached from other machines and needs TLS; set tls.cert and tls.key, or listen at 127.0.0.1`;
  }
  if (new URL(url).protocol === 'http:' && !isLoopback(new URL(url).hostname)) {
    yield 'url: plain http is for a loopback host only; use https, by `tls` here or by a proxy in front on this machine';
  }
  if (tls !== undefined && new URL(url).protocol === 'http:')
    yield 'url: with `tls` set the server speaks https; say so in the URL';
  if (new URL(issuer.url).protocol === 'http:' && !isLoopback(new URL(issuer.url).hostname)) {
    yield 'issuer.url: a plain http issuer is for a loopback host only, since whoever sits between could sign in as anybody; use https';
  }
  yield* contradictionsInWitnesses(settings.witnesses, tenants);
  yield* issuer.embedded ? embeddedContradictions(settings) : foreignContradictions(issuer);
  if (settings.retention !== undefined) yield* contradictionsInRetention(settings.retention, tenants);
  if (settings.keys !== undefined) yield* contradictionsInKeys(settings.keys, tenants);
  if (settings.demo !== undefined) {
    if (!issuer.embedded) yield 'demo: needs `issuer.embedded: true`, since the made-up people sign in there';
    if (!isLoopback(listen.host)) yield 'demo: its passwords lie in a file; listen at 127.0.0.1 only';
  }
}

function* embeddedContradictions({ issuer, tls }: Settings): Generator<string> {
  if (issuer.listen === undefined)
    yield 'issuer.listen: missing; the embedded issuer needs a port of its own, such as `{ host: 127.0.0.1, port: 9442 }`';
  else if (!isLoopback(issuer.listen.host) && tls === undefined) {
    yield `issuer.listen.host: \`${issuer.listen.host}\` can be reached from other machines and needs TLS; set tls.cert and tls.key, or listen at 127.0.0.1`;
  } else if (!isLoopback(issuer.listen.host) && new URL(issuer.url).protocol === 'http:') {
    yield 'issuer.url: with a listener that other machines reach it has to be https';
  }
  if (new URL(issuer.url).pathname !== '/')
    yield 'issuer.url: the embedded issuer has no path; leave it out of the URL';
  for (const key of ['clientId', 'clientSecretFile', 'audience', 'algorithms'] as const) {
    if (issuer[key] !== undefined)
      yield `issuer.${key}: is for an issuer of your own; the embedded one makes its own, so remove it`;
  }
}

function* foreignContradictions(issuer: Settings['issuer']): Generator<string> {
  if (issuer.listen !== undefined)
    yield 'issuer.listen: is for the embedded issuer; remove it, or set `embedded: true`';
  for (const key of ['clients', 'fhirUrl', 'ca'] as const) {
    if (issuer[key] !== undefined)
      yield `issuer.${key}: is for the embedded issuer; set it up at yours, and remove it here`;
  }
  if (issuer.clientId === undefined)
    yield 'issuer.clientId: missing; register the console at your issuer (redirect URI `<url>/auth/callback`) and put its client id here';
  if (issuer.clientSecretFile === undefined) {
    yield 'issuer.clientSecretFile: missing; put the client secret of the console into a file of mode 0600 and name it here (or set `embedded: true`)';
  }
}

function isTenant(text: string): boolean {
  try {
    parseTenantId(text);
    return true;
  } catch {
    return false;
  }
}

/** A host that only this machine reaches. */
export function isLoopback(name: string): boolean {
  return name === 'localhost' || name === '::1' || name === '[::1]' || /^127(\.\d{1,3}){3}$/.test(name);
}

function withoutSlash(url: string): string {
  return url.replace(/\/+$/, '');
}

/** Every key of the configuration, in the order of the schema; docs/configuration.md is held equal to it. */
export function configKeys(): readonly ConfigKey[] {
  return keysOf(schema);
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : 'unknown error';
}
