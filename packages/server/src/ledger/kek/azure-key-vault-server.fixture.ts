/** Azure Key Vault with soft delete, and the identity service, as their REST references say they are, as far as we use them. */
import {
  constants,
  generateKeyPairSync,
  type KeyObject,
  privateDecrypt,
  publicEncrypt,
  randomBytes,
} from 'node:crypto';
import { type KeeperServer, type Received, type Reply, startKeeper } from './keeper-server.fixture.ts';
import type { AzureKeyVaultSettings } from './settings.ts';

export interface AzureKeeper extends KeeperServer {
  readonly settings: AzureKeyVaultSettings;
  /** By name. */
  readonly keys: Map<string, AzureKey>;
  readonly allowed: Set<string>;
}

export interface AzureKey {
  readonly versions: Map<string, { readonly privateKey: KeyObject; readonly publicKey: KeyObject }>;
  enabled: boolean;
  /** When it will be purged, once it is deleted. */
  purgeMs: number | undefined;
}

export const throttled: Reply = {
  status: 429,
  body: { error: { code: 'Throttled', message: 'slow' } },
  headers: { 'retry-after': '1' },
};

export async function startAzureKeyVault(): Promise<AzureKeeper> {
  const keys = new Map<string, AzureKey>();
  const allowed = new Set(['wrapkey', 'unwrapkey', 'create', 'delete', 'get']);
  const server = await startKeeper(
    (request) => {
      if (request.path.endsWith('/oauth2/v2.0/token')) return tokenFor(request);
      if (request.path === '/metadata/identity/oauth2/token') return managedToken(request);
      if (request.query.get('api-version') !== '7.4') return failure(400, 'BadParameter');
      if (request.headers.authorization !== 'Bearer an-access-token') return failure(401, 'Unauthorized');
      return operate(request, { keys, allowed, origin: server.origin, nowMs: server.clock.now() });
    },
    { AZURE: JSON.stringify({ tenantId: 'a-directory', clientId: 'watchglass', clientSecret: 'a-secret' }) },
  );
  const key = `${server.origin}/keys/kek/${addVersion(keys, 'kek')}`;
  return Object.assign(server, {
    keys,
    allowed,
    settings: {
      provider: 'azure-key-vault',
      key,
      algorithm: 'RSA-OAEP-256',
      authority: server.origin,
      credentials: { kind: 'environment', name: 'AZURE' },
    } as const,
  });
}

export function addVersion(keys: Map<string, AzureKey>, name: string): string {
  const version = randomBytes(16).toString('hex');
  const key = keys.get(name) ?? { versions: new Map(), enabled: true, purgeMs: undefined };
  key.versions.set(version, generateKeyPairSync('rsa', { modulusLength: 2048 }));
  keys.set(name, key);
  return version;
}

const token = (life: number | string): Reply => ({
  status: 200,
  body: { access_token: 'an-access-token', expires_in: life },
});

function tokenFor({ path, body }: Received): Reply {
  const form = new URLSearchParams(body);
  const right =
    path === '/a-directory/oauth2/v2.0/token' &&
    form.get('grant_type') === 'client_credentials' &&
    form.get('client_id') === 'watchglass' &&
    form.get('client_secret') === 'a-secret' &&
    form.get('scope') === 'https://vault.azure.net/.default';
  return right ? token(3_599) : { status: 401, body: { error: 'invalid_client' } };
}

function managedToken({ headers, query }: Received): Reply {
  const right =
    headers.metadata === 'true' && query.get('resource') === 'https://vault.azure.net' && query.has('api-version');
  return right ? token('3599') : { status: 400, body: { error: 'invalid_request' } };
}

function failure(status: number, code: string, inner?: string): Reply {
  return {
    status,
    body: { error: { code, message: 'no', ...(inner === undefined ? {} : { innererror: { code: inner } }) } },
  };
}

function operate(
  { method, path, json }: Received,
  {
    keys,
    allowed,
    origin,
    nowMs,
  }: { keys: Map<string, AzureKey>; allowed: Set<string>; origin: string; nowMs: number },
): Reply {
  const [, folder, name = '', version = '', verb = ''] = path.split('/');
  const key = keys.get(name);
  if (folder === 'deletedkeys') {
    return key?.purgeMs === undefined || key.purgeMs <= nowMs
      ? failure(404, 'KeyNotFound')
      : { status: 200, body: deleted(key, name, origin) };
  }
  const operation = verb !== '' ? verb : version === 'create' ? 'create' : method === 'DELETE' ? 'delete' : 'get';
  if (!allowed.has(operation)) return failure(403, 'Forbidden', 'ForbiddenByRbac');
  if (operation === 'create')
    return { status: 200, body: { key: { kid: `${origin}/keys/${name}/${addVersion(keys, name)}`, kty: json.kty } } };
  if (key === undefined || key.purgeMs !== undefined) return failure(404, 'KeyNotFound');
  if (version === 'versions')
    return {
      status: 200,
      body: { value: [...key.versions.keys()].map((one) => ({ kid: `${origin}/keys/${name}/${one}` })) },
    };
  if (operation === 'delete') {
    key.purgeMs = nowMs + 90 * 86_400_000;
    return { status: 200, body: deleted(key, name, origin) };
  }
  const pair = key.versions.get(version);
  if (pair === undefined) return failure(404, 'KeyNotFound');
  if (!key.enabled) return failure(403, 'Forbidden', 'KeyDisabled');
  if (json.alg !== 'RSA-OAEP-256') return failure(400, 'BadParameter');
  const value = Buffer.from(String(json.value), 'base64url');
  const padding = { padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: 'sha256' };
  try {
    const result =
      operation === 'wrapkey'
        ? publicEncrypt({ key: pair.publicKey, ...padding }, value)
        : privateDecrypt({ key: pair.privateKey, ...padding }, value);
    return { status: 200, body: { kid: `${origin}${path}`, value: result.toString('base64url') } };
  } catch {
    return failure(400, 'BadParameter');
  }
}

function deleted({ purgeMs }: AzureKey, name: string, origin: string): object {
  return { recoveryId: `${origin}/deletedkeys/${name}`, scheduledPurgeDate: (purgeMs ?? 0) / 1_000 };
}
