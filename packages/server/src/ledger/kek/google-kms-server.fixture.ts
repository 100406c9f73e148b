/** Google Cloud KMS and its token service as their references say they are, as far as we use them. */
import { createCipheriv, createDecipheriv, createVerify, generateKeyPairSync, randomBytes } from 'node:crypto';
import { type KeeperServer, type Received, type Reply, startKeeper } from './keeper-server.fixture.ts';
import type { GoogleKmsSettings } from './settings.ts';

export interface GoogleKeeper extends KeeperServer {
  readonly settings: GoogleKmsSettings;
  readonly versions: Map<string, GoogleVersion>;
  readonly allowed: Set<string>;
  /** Bytes are changed on their way back. */
  damage: boolean;
}

export interface GoogleVersion {
  readonly bytes: Buffer;
  state: 'ENABLED' | 'DISABLED' | 'DESTROY_SCHEDULED' | 'DESTROYED';
  destroyMs: number;
}

const keyName = 'projects/clinic/locations/europe-west3/keyRings/watchglass/cryptoKeys/kek';
export const throttled: Reply = {
  status: 429,
  body: { error: { code: 429, status: 'RESOURCE_EXHAUSTED', message: 'quota' } },
};

export async function startGoogleKms(): Promise<GoogleKeeper> {
  const versions = new Map<string, GoogleVersion>();
  const allowed = new Set(['encrypt', 'decrypt', 'destroy', 'get', 'create']);
  const account = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const add = (): string => {
    const name = `${keyName}/cryptoKeyVersions/${versions.size + 1}`;
    versions.set(name, { bytes: randomBytes(32), state: 'ENABLED', destroyMs: 0 });
    return name;
  };
  const key = add();
  const state = { damage: false };
  const server = await startKeeper((request) => {
    if (request.path === '/computeMetadata/v1/instance/service-accounts/default/token')
      return request.headers['metadata-flavor'] === 'Google' ? token : { status: 403 };
    if (request.path === '/token')
      return tokenFor(request, account.publicKey.export({ format: 'pem', type: 'spki' }) as string, server);
    if (request.headers.authorization !== 'Bearer an-access-token') return failure(401, 'UNAUTHENTICATED');
    return operate(request, { versions, allowed, add, nowMs: server.clock.now(), damage: state.damage });
  });
  const secret = JSON.stringify({
    type: 'service_account',
    client_email: 'watchglass@clinic.iam.gserviceaccount.com',
    private_key: account.privateKey.export({ format: 'pem', type: 'pkcs8' }),
    token_uri: `${server.origin}/token`,
  });
  Object.assign(server.deps.env, { GOOGLE: secret });
  const settings = {
    provider: 'google-kms',
    key,
    endpoint: server.origin,
    credentials: { kind: 'environment', name: 'GOOGLE' },
  } as const;
  return Object.defineProperty(Object.assign(server, { versions, allowed, settings }), 'damage', {
    get: () => state.damage,
    set: (damage: boolean) => {
      state.damage = damage;
    },
  }) as unknown as GoogleKeeper;
}

const token: Reply = { status: 200, body: { access_token: 'an-access-token', expires_in: 3600, token_type: 'Bearer' } };

/** RFC 7523 §2.1 and §3. */
function tokenFor({ body }: Received, publicKey: string, server: KeeperServer): Reply {
  const form = new URLSearchParams(body);
  const [head = '', claims = '', signature = ''] = (form.get('assertion') ?? '').split('.');
  const stated = JSON.parse(Buffer.from(claims, 'base64url').toString()) as Record<string, unknown>;
  const now = server.clock.now() / 1_000;
  const right =
    form.get('grant_type') === 'urn:ietf:params:oauth:grant-type:jwt-bearer' &&
    createVerify('sha256').update(`${head}.${claims}`).verify(publicKey, signature, 'base64url') &&
    stated.aud === `${server.origin}/token` &&
    Number(stated.exp) > now &&
    Number(stated.exp) <= now + 3_601 &&
    stated.scope === 'https://www.googleapis.com/auth/cloudkms';
  return right ? token : { status: 400, body: { error: 'invalid_grant' } };
}

function failure(code: number, status: string): Reply {
  return { status: code, body: { error: { code, status, message: 'no' } } };
}

function operate(
  { method, path, json }: Received,
  place: {
    versions: Map<string, GoogleVersion>;
    allowed: Set<string>;
    add: () => string;
    nowMs: number;
    damage: boolean;
  },
): Reply {
  const { versions, allowed, nowMs } = place;
  const name = path.replace(/^\/v1\//, '').split(':')[0] as string;
  const verb = path.split(':')[1] ?? (method === 'GET' ? 'get' : 'create');
  if (!allowed.has(verb)) return failure(403, 'PERMISSION_DENIED');
  if (verb === 'create') return { status: 200, body: { name: place.add(), state: 'ENABLED' } };
  if (verb === 'decrypt') return name === keyName ? decrypt(json, versions) : failure(404, 'NOT_FOUND');
  const version = versions.get(name);
  if (version === undefined) return failure(404, 'NOT_FOUND');
  const shown = (): Reply => ({
    status: 200,
    body: { name, state: version.state, destroyTime: new Date(version.destroyMs).toISOString() },
  });
  if (verb === 'get') return shown();
  if (verb === 'destroy') {
    if (version.state !== 'ENABLED' && version.state !== 'DISABLED') return failure(400, 'FAILED_PRECONDITION');
    version.state = 'DESTROY_SCHEDULED';
    version.destroyMs = nowMs + 30 * 86_400_000;
    return shown();
  }
  if (version.state !== 'ENABLED') return failure(400, 'FAILED_PRECONDITION');
  const plaintext = Buffer.from(String(json.plaintext), 'base64');
  const aad = Buffer.from(String(json.additionalAuthenticatedData), 'base64');
  if (
    Number(json.plaintextCrc32c) !== checksum(plaintext) ||
    Number(json.additionalAuthenticatedDataCrc32c) !== checksum(aad)
  )
    return failure(400, 'INVALID_ARGUMENT');
  const iv = randomBytes(12);
  const cipher = createCipheriv('aes-256-gcm', version.bytes, iv);
  cipher.setAAD(aad);
  const number = Buffer.from([Number(name.split('/').at(-1))]);
  const ciphertext = Buffer.concat([number, iv, cipher.update(plaintext), cipher.final(), cipher.getAuthTag()]);
  const sum = checksum(ciphertext);
  if (place.damage) ciphertext[20] = (ciphertext[20] as number) ^ 1;
  const body = {
    name,
    ciphertext: ciphertext.toString('base64'),
    ciphertextCrc32c: String(sum),
    verifiedPlaintextCrc32c: true,
    verifiedAdditionalAuthenticatedDataCrc32c: true,
  };
  return { status: 200, body };
}

function decrypt(json: Record<string, unknown>, versions: Map<string, GoogleVersion>): Reply {
  const sealed = Buffer.from(String(json.ciphertext), 'base64');
  const version = versions.get(`${keyName}/cryptoKeyVersions/${sealed[0]}`);
  if (version === undefined || Number(json.ciphertextCrc32c) !== checksum(sealed))
    return failure(400, 'INVALID_ARGUMENT');
  if (version.state !== 'ENABLED') return failure(400, 'FAILED_PRECONDITION');
  try {
    const decipher = createDecipheriv('aes-256-gcm', version.bytes, sealed.subarray(1, 13), { authTagLength: 16 });
    decipher.setAAD(Buffer.from(String(json.additionalAuthenticatedData), 'base64'));
    decipher.setAuthTag(sealed.subarray(-16));
    const plain = Buffer.concat([decipher.update(sealed.subarray(13, -16)), decipher.final()]);
    return { status: 200, body: { plaintext: plain.toString('base64'), plaintextCrc32c: String(checksum(plain)) } };
  } catch {
    return failure(400, 'INVALID_ARGUMENT');
  }
}

/** CRC-32C bit by bit, as its polynomial says. */
function checksum(bytes: Uint8Array): number {
  let crc = 0xffff_ffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
  }
  return ~crc >>> 0;
}
