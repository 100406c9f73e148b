/** Vault's transit engine as its API documentation says it is, as far as we use it. */
import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import { type KeeperServer, type Received, type Reply, startKeeper } from './keeper-server.fixture.ts';
import type { VaultTransitSettings } from './settings.ts';

export interface VaultKeeper extends KeeperServer {
  readonly settings: VaultTransitSettings;
  readonly keys: Map<string, VaultKey>;
  /** Paths below the mount, by their first part, that the token's policy lets it update. */
  readonly allowed: Set<string>;
}

export interface VaultKey {
  readonly bytes: Buffer;
  deletionAllowed: boolean;
}

export const throttled: Reply = {
  status: 429,
  body: { errors: ['request path "transit": rate limit quota exceeded'] },
};

export async function startVault(): Promise<VaultKeeper> {
  const keys = new Map<string, VaultKey>([['watchglass', { bytes: randomBytes(32), deletionAllowed: false }]]);
  const allowed = new Set(['encrypt', 'decrypt', 'keys']);
  const server = await startKeeper((request) => operate(request, keys, allowed), { VAULT_TOKEN: 'hvs.a-token' });
  return Object.assign(server, {
    keys,
    allowed,
    settings: {
      provider: 'vault-transit',
      key: 'watchglass',
      address: server.origin,
      mount: 'transit',
      namespace: 'clinic',
      token: { kind: 'environment', name: 'VAULT_TOKEN' },
    } as const,
  });
}

const failure = (status: number, ...errors: string[]): Reply => ({ status, body: { errors } });

function operate({ method, path, headers, json }: Received, keys: Map<string, VaultKey>, allowed: Set<string>): Reply {
  const [, version, mount, folder = '', name = '', rest] = path.split('/');
  if (headers['x-vault-token'] !== 'hvs.a-token' || headers['x-vault-namespace'] !== 'clinic')
    return failure(403, '2 errors occurred: * permission denied * invalid token');
  if (version !== 'v1' || mount !== 'transit' || !allowed.has(folder))
    return failure(403, '1 error occurred: * permission denied');
  const key = keys.get(name);
  if (folder === 'keys' && rest === undefined && method === 'POST') {
    if (key === undefined) keys.set(name, { bytes: randomBytes(32), deletionAllowed: false });
    return { status: 200, body: { data: { name, type: json.type } } };
  }
  if (key === undefined)
    return failure(
      400,
      folder === 'keys' ? `no existing key named ${name} could be found` : 'encryption key not found',
    );
  if (folder === 'keys' && rest === 'config') {
    key.deletionAllowed = json.deletion_allowed === true;
    return { status: 204 };
  }
  if (folder === 'keys') {
    if (!key.deletionAllowed)
      return failure(400, `error deleting policy ${name}: could not delete key; deletion is not allowed for this key`);
    keys.delete(name);
    return { status: 204 };
  }
  const aad = Buffer.from(String(json.associated_data), 'base64');
  if (folder === 'encrypt') {
    const iv = randomBytes(12);
    const cipher = createCipheriv('aes-256-gcm', key.bytes, iv);
    cipher.setAAD(aad);
    const sealed = Buffer.concat([
      iv,
      cipher.update(Buffer.from(String(json.plaintext), 'base64')),
      cipher.final(),
      cipher.getAuthTag(),
    ]);
    return { status: 200, body: { data: { ciphertext: `vault:v1:${sealed.toString('base64')}`, key_version: 1 } } };
  }
  const sealed = Buffer.from(String(json.ciphertext).replace(/^vault:v1:/, ''), 'base64');
  try {
    const decipher = createDecipheriv('aes-256-gcm', key.bytes, sealed.subarray(0, 12), { authTagLength: 16 });
    decipher.setAAD(aad);
    decipher.setAuthTag(sealed.subarray(-16));
    const plain = Buffer.concat([decipher.update(sealed.subarray(12, -16)), decipher.final()]);
    return { status: 200, body: { data: { plaintext: plain.toString('base64') } } };
  } catch {
    return failure(400, 'cipher: message authentication failed');
  }
}
