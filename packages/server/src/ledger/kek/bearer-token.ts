/**
 * Bearer tokens for clouds, fetched with what the configuration gives and kept until shortly before they end. One fetch is under way at a time.
 */
import { createSign } from 'node:crypto';
import { RecordError } from '@watchglass/record';
import type { HttpRequest } from '../../world/http-call.ts';
import { callKeeper, memberOf, problemOfStatus } from './keeper-call.ts';
import { type ProviderDeps, parseSecret, readSecret } from './provider.ts';
import type { CloudCredentials } from './settings.ts';

const renewBeforeMs = 2 * 60_000;
const assertionSeconds = 3_600;
const formType = 'application/x-www-form-urlencoded';

export type TokenSource = () => Promise<string>;

/** The machine's own identity services; other origins for machines where they lie elsewhere. */
export interface IdentityOrigins {
  readonly google?: string;
  readonly azure?: string;
}

/** OAuth 2 with a service account's key (RFC 7523), or the machine's own service account. */
export function googleToken(
  deps: ProviderDeps,
  source: CloudCredentials,
  origin = 'http://metadata.google.internal',
): TokenSource {
  if (source.kind === 'instance') {
    return kept(deps, 'the metadata service of this machine', async () => ({
      method: 'GET',
      url: new URL('/computeMetadata/v1/instance/service-accounts/default/token', origin),
      headers: { 'metadata-flavor': 'Google' },
    }));
  }
  return kept(deps, 'the token service of Google', async () => {
    const what = 'the key of a service account';
    const account = parseSecret(await readSecret(deps, source, what), what, [
      'client_email',
      'private_key',
      'token_uri',
    ]);
    const now = Math.floor(deps.world.clock.now() / 1_000);
    const assertion = signedAssertion(account.private_key, {
      iss: account.client_email,
      scope: 'https://www.googleapis.com/auth/cloudkms',
      aud: account.token_uri,
      iat: now,
      exp: now + assertionSeconds,
    });
    const body = new URLSearchParams({ grant_type: 'urn:ietf:params:oauth:grant-type:jwt-bearer', assertion });
    return {
      method: 'POST',
      url: urlOf(account.token_uri, what),
      headers: { 'content-type': formType },
      body: body.toString(),
    };
  });
}

/** OAuth 2 client credentials, or the machine's managed identity. */
export function azureToken(
  deps: ProviderDeps,
  source: CloudCredentials,
  {
    resource,
    authority = 'https://login.microsoftonline.com',
    origin = 'http://169.254.169.254',
  }: { readonly resource: string; readonly authority?: string | undefined; readonly origin?: string | undefined },
): TokenSource {
  if (source.kind === 'instance') {
    return kept(deps, 'the identity service of this machine', async () => {
      const url = new URL('/metadata/identity/oauth2/token', origin);
      url.searchParams.set('api-version', '2018-02-01');
      url.searchParams.set('resource', resource);
      return { method: 'GET', url, headers: { metadata: 'true' } };
    });
  }
  return kept(deps, 'the identity service of Azure', async () => {
    const what = 'the credentials for Azure';
    const { tenantId, clientId, clientSecret } = parseSecret(await readSecret(deps, source, what), what, [
      'tenantId',
      'clientId',
      'clientSecret',
    ]);
    const body = new URLSearchParams({
      grant_type: 'client_credentials',
      client_id: clientId,
      client_secret: clientSecret,
      scope: `${resource}/.default`,
    });
    const url = new URL(`/${encodeURIComponent(tenantId)}/oauth2/v2.0/token`, authority);
    return { method: 'POST', url, headers: { 'content-type': formType }, body: body.toString() };
  });
}

function kept({ world }: ProviderDeps, who: string, request: () => Promise<HttpRequest>): TokenSource {
  let held: { readonly token: string; readonly untilMs: number } | undefined;
  let asking: Promise<string> | undefined;
  const ask = async (): Promise<string> => {
    const body = await callKeeper(world, {
      who,
      request,
      problemOf: ({ status }, answer) => {
        const said = (answer as { error?: unknown } | undefined)?.error;
        // RFC 6749 §5.2: what is wrong with the client is told with 400.
        if (status === 400 || status === 401)
          return { code: 'kek-refused', said: typeof said === 'string' ? said : '' };
        return problemOfStatus(status, '');
      },
    });
    // A number, or a text of digits at Azure's machines.
    const seconds = Number((body as { expires_in?: unknown }).expires_in);
    const lifeMs = Number.isFinite(seconds) && seconds > 0 ? seconds * 1_000 : 0;
    held = { token: memberOf(body, 'access_token', who), untilMs: world.clock.now() + lifeMs };
    return held.token;
  };
  return () => {
    if (held !== undefined && held.untilMs - renewBeforeMs > world.clock.now()) return Promise.resolve(held.token);
    asking ??= ask().finally(() => {
      asking = undefined;
    });
    return asking;
  };
}

function signedAssertion(privateKey: string, claims: object): string {
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  const signed = `${part({ alg: 'RS256', typ: 'JWT' })}.${part(claims)}`;
  try {
    return `${signed}.${createSign('sha256').update(signed).sign(privateKey, 'base64url')}`;
  } catch {
    // The cause could quote the key.
    throw new RecordError('kek-refused', 'expected an RSA private key as `private_key` of the service account');
  }
}

function urlOf(text: string, what: string): URL {
  if (!URL.canParse(text)) throw new RecordError('kek-refused', `expected ${what} with a URL as \`token_uri\``);
  return new URL(text);
}
