/**
 * `witness.yaml`: the configuration of a witness, checked whole. An unknown key is an error. Relative paths count from the file's folder.
 */
import { dirname, resolve } from 'node:path';
import { z } from 'zod';
import { realDisk } from '../world/real-disk.ts';
import { type Listen, type LogLevel, logLevels, type TlsFiles } from './config.ts';
import { readDocument } from './document.ts';
import { ConfigError } from './error.ts';

/** The configuration, checked; paths are absolute. */
export interface WitnessConfig {
  readonly dataDir: string;
  readonly keyFile: string;
  readonly logsFile: string;
  readonly listen: Listen;
  /** Begins with a slash and has none at its end; empty for none. */
  readonly prefix: string;
  readonly tls?: TlsFiles;
  readonly limits: { readonly perSecond: number; readonly burst: number };
  readonly log: { readonly level: LogLevel };
}

const schema = z.strictObject({
  data: z
    .string()
    .min(1)
    .describe('Directory of what the witness must not forget. One witness a directory; never restore an older copy.'),
  key: z.string().min(1).describe('File with the signer key, mode 0600; `watchglass witness init` makes it.'),
  logs: z.string().min(1).describe('File with the logs it knows, a verifier key a line; read again when it changes.'),
  listen: z
    .strictObject({
      host: z
        .string()
        .min(1)
        .default('127.0.0.1')
        .describe('Address to listen at. What goes over it is public and signed, so TLS is a choice.'),
      port: z.int().min(0).max(65_535).describe('Port to listen at; 0 takes a free one.'),
    })
    .describe('Where the witness listens.'),
  prefix: z
    .string()
    .regex(/^(\/[A-Za-z0-9._~-]+)*$/, 'expected a path such as `/witness`, without a slash at its end')
    .default('')
    .describe('Path before `/add-checkpoint`.'),
  tls: z
    .strictObject({
      cert: z.string().min(1).describe('File with the certificate chain, PEM.'),
      key: z.string().min(1).describe('File with the private key, PEM, mode 0600.'),
    })
    .optional()
    .describe('Certificate of the witness.'),
  limits: z
    .strictObject({
      perSecond: z.number().positive().max(100_000).default(20).describe('Requests a second from one address.'),
      burst: z.int().min(1).max(100_000).default(200).describe('Requests at once from one address.'),
    })
    .default({ perSecond: 20, burst: 200 })
    .describe('How often one address may ask; more is answered 429.'),
  log: z
    .strictObject({ level: z.enum(logLevels).default('info').describe('The least that is logged.') })
    .default({ level: 'info' })
    .describe('The witness’s own log, JSON lines on stderr.'),
});

/** Reads and checks the file. @throws ConfigError naming every problem. */
export async function readWitnessConfig(path: string): Promise<WitnessConfig> {
  const file = resolve(path);
  const bytes = await realDisk.readFile(file);
  if (bytes === undefined) throw new ConfigError(file, ['there is no such file; `watchglass witness init` writes one']);
  return parseWitnessConfig(new TextDecoder().decode(bytes), file);
}

/** Checks the text of a configuration; `file` names it in messages, and relative paths count from its folder. */
export function parseWitnessConfig(text: string, file: string): WitnessConfig {
  const { data, key, logs, listen, prefix, tls, limits, log } = readDocument(text, file, { schema, keys: [] });
  const at = (name: string): string => resolve(dirname(file), name);
  return {
    dataDir: at(data),
    keyFile: at(key),
    logsFile: at(logs),
    listen,
    prefix,
    ...(tls === undefined ? {} : { tls: { certFile: at(tls.cert), keyFile: at(tls.key) } }),
    limits,
    log,
  };
}

/** How others reach it, where it listens at `port`. */
export function witnessUrl({ listen, prefix, tls }: WitnessConfig, port: number): string {
  const everywhere = listen.host === '0.0.0.0' || listen.host === '::';
  const host = everywhere ? 'localhost' : listen.host.includes(':') ? `[${listen.host}]` : listen.host;
  return `${tls === undefined ? 'http' : 'https'}://${host}:${port}${prefix}`;
}
