/**
 * Whose sign-ins count: the embedded issuer's, which is started here with its clients, or those of an issuer elsewhere, as which the console is known there.
 */
import { join } from 'node:path';
import type { TenantId } from '@watchglass/record';
import type { Logger } from 'pino';
import type { Access, RecordOwn } from './access/access.ts';
import { freshSecret, keepKeyFile, readKeyFile } from './access/key-file.ts';
import type { TokenTrust } from './access/tokens.ts';
import type { SignInSettings } from './api/server.ts';
import type { ServerConfig } from './config/config.ts';
import { readIssuerClients } from './config/issuer-clients.ts';
import { ServerError } from './errors.ts';
import { apiAudience, watchglassScope } from './issuer/claims.ts';
import { demoClientId } from './issuer/demo.ts';
import { foreignKeys } from './issuer/foreign.ts';
import type { Issuer } from './issuer/issuer.ts';
import type { IssuerClient } from './issuer/issuer-client.ts';
import { loadIssuer } from './issuer/load-issuer.ts';
import { issuerAlgorithm, type SigningKey } from './issuer/signing-key.ts';
import { listenAt } from './listening.ts';
import type { Tracing } from './trace/tracing.ts';
import type { World } from './world/world.ts';

/** Whose tokens count. */
export function trustOf({ issuer }: ServerConfig, signingKey: SigningKey | undefined): TokenTrust {
  if (issuer.kind === 'foreign') {
    const { url, audience, algorithms } = issuer;
    return { issuer: url, audience, algorithms, keys: foreignKeys(url), knownPeopleOnly: false };
  }
  if (signingKey === undefined) throw new TypeError('the embedded issuer has a signing key');
  return {
    issuer: issuer.url,
    audience: apiAudience,
    algorithms: [issuerAlgorithm],
    keys: signingKey.publicKeys,
    knownPeopleOnly: true,
    scope: watchglassScope,
  };
}

/** As whom the console signs people in: at the embedded issuer with a secret of our own making. */
export async function signInOf(world: World, { issuer }: ServerConfig, keysDir: string): Promise<SignInSettings> {
  if (issuer.kind === 'foreign') {
    const clientSecret = await readKeyFile(world, issuer.clientSecretFile);
    if (clientSecret === undefined || clientSecret === '') {
      throw new ServerError(
        'config-invalid',
        `issuer.clientSecretFile: ${issuer.clientSecretFile} holds no secret; put the client secret of the console there, mode 0600`,
      );
    }
    return { issuer: issuer.url, clientId: issuer.clientId, clientSecret, audience: issuer.audience };
  }
  const clientSecret = await keepKeyFile({
    world,
    path: join(keysDir, 'console-client.secret'),
    make: () => freshSecret(world, ''),
    valid: (text) => text.length >= 43,
  });
  return { issuer: issuer.url, clientId: 'console', clientSecret, audience: apiAudience };
}

/** Resolves once the embedded issuer listens. */
export async function startIssuer(parts: {
  readonly config: ServerConfig;
  readonly world: World;
  readonly log: Logger;
  readonly record: RecordOwn;
  readonly homeTenant: TenantId;
  readonly access: Access;
  readonly signingKey: SigningKey;
  readonly tls: { readonly cert: Uint8Array; readonly key: Uint8Array } | undefined;
  readonly signIn: SignInSettings;
  readonly tracing: Tracing | undefined;
  readonly keysDir: string;
}): Promise<Issuer> {
  const { config, world, log, record, homeTenant, access, signingKey, tls, signIn, tracing, keysDir } = parts;
  if (config.issuer.kind !== 'embedded') throw new TypeError('only an embedded issuer is started here');
  const { url, listen } = config.issuer;
  const clients: IssuerClient[] = [
    {
      id: signIn.clientId,
      name: 'the console',
      redirectUris: [`${config.url}/auth/callback`],
      secret: signIn.clientSecret,
    },
  ];
  clients.push(...(await readIssuerClients(world, config.issuer.clients ?? [])));
  if (config.demo !== undefined) {
    clients.push({ id: demoClientId, name: 'the command line', redirectUris: ['http://127.0.0.1/callback'] });
  }
  const { fhirUrl, caFile } = config.issuer;
  const ca = caFile === undefined ? undefined : await readAuthorities(world, caFile);
  const { openIssuer } = await loadIssuer();
  const issuer = await openIssuer({
    ...{ url, world, keysDir, signingKey, record, homeTenant, clients },
    people: access.people,
    factors: access.factors,
    logouts: access.logouts,
    issued: access.issued,
    demo: config.demo !== undefined,
    ...(config.trustedProxies === undefined ? {} : { proxies: config.trustedProxies }),
    ...(fhirUrl === undefined ? {} : { smart: { fhirUrl } }),
    ...(ca === undefined ? {} : { ca }),
    ...(tracing === undefined ? {} : { tracing }),
    ...(tls !== undefined && new URL(url).protocol === 'https:' ? { tls } : {}),
    report: (message, error) => log.error({ err: error }, message),
  });
  await listenAt('issuer.listen', listen, (at) => issuer.listen(at)).catch(async (error: unknown) => {
    await issuer[Symbol.asyncDispose]();
    throw error;
  });
  return issuer;
}

async function readAuthorities(world: World, path: string): Promise<string> {
  const bytes = await world.disk.readFile(path);
  const text = bytes === undefined ? '' : new TextDecoder().decode(bytes);
  if (text.includes('-----BEGIN CERTIFICATE-----')) return text;
  throw new ServerError('config-invalid', `issuer.ca: expected certificates in PEM in ${path}; check the path`);
}
