/** AWS KMS as its API reference says it is, as far as we use it: it verifies each signature by itself, and knows who may do what. */
import { createCipheriv, createDecipheriv, createHash, createHmac, randomBytes, randomUUID } from 'node:crypto';
import { type KeeperServer, type Received, type Reply, startKeeper } from './keeper-server.fixture.ts';
import type { AwsKmsSettings } from './settings.ts';

export interface AwsKeeper extends KeeperServer {
  readonly settings: AwsKmsSettings;
  readonly keys: Map<string, AwsKey>;
  /** Operations the caller may do. */
  readonly allowed: Set<string>;
}

export interface AwsKey {
  readonly bytes: Buffer;
  state: 'Enabled' | 'Disabled' | 'PendingDeletion';
  deletionMs: number;
}

const accessKeyId = 'AKIDEXAMPLE';
const secretAccessKey = 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY';
const region = 'eu-central-1';
export const throttled: Reply = { status: 400, body: { __type: 'ThrottlingException', message: 'Rate exceeded' } };

export async function startAwsKms(): Promise<AwsKeeper> {
  const keys = new Map<string, AwsKey>();
  const allowed = new Set(['Encrypt', 'Decrypt', 'CreateKey', 'ScheduleKeyDeletion', 'DescribeKey']);
  const add = (): string => {
    const arn = `arn:aws:kms:${region}:111122223333:key/${randomUUID()}`;
    keys.set(arn, { bytes: randomBytes(32), state: 'Enabled', deletionMs: 0 });
    return arn;
  };
  const environment = { AWS: JSON.stringify({ accessKeyId, secretAccessKey, sessionToken: 'a/session=token' }) };
  const server = await startKeeper((request) => {
    const metadata = metadataOf(request, server.clock.now());
    if (metadata !== undefined) return metadata;
    const wrong = wrongSignature(request, server.clock.now());
    if (wrong !== undefined) return failure(wrong);
    const operation = String(request.headers['x-amz-target']).replace('TrentService.', '');
    if (!allowed.has(operation)) return failure('AccessDeniedException');
    return operate(operation, request.json, { keys, add, nowMs: server.clock.now() });
  }, environment);
  return Object.assign(server, {
    keys,
    allowed,
    settings: {
      provider: 'aws-kms',
      key: add(),
      region,
      endpoint: server.origin,
      credentials: { kind: 'environment', name: 'AWS' },
    } as const,
  });
}

function failure(type: string, status = 400): Reply {
  return { status, body: { __type: `com.amazonaws.kms#${type}`, message: 'no' } };
}

function operate(
  operation: string,
  input: Record<string, unknown>,
  { keys, add, nowMs }: { keys: Map<string, AwsKey>; add: () => string; nowMs: number },
): Reply {
  if (operation === 'CreateKey') return { status: 200, body: { KeyMetadata: { Arn: add(), KeyState: 'Enabled' } } };
  const arn = String(input.KeyId);
  const key = keys.get(arn);
  if (key === undefined) return failure('NotFoundException');
  if (operation === 'DescribeKey')
    return {
      status: 200,
      body: { KeyMetadata: { Arn: arn, KeyState: key.state, DeletionDate: key.deletionMs / 1_000 } },
    };
  if (key.state === 'PendingDeletion') return failure('KMSInvalidStateException');
  if (operation === 'ScheduleKeyDeletion') {
    key.state = 'PendingDeletion';
    key.deletionMs = nowMs + Number(input.PendingWindowInDays) * 86_400_000;
    return { status: 200, body: { KeyId: arn, DeletionDate: key.deletionMs / 1_000, KeyState: key.state } };
  }
  if (key.state === 'Disabled') return failure('DisabledException');
  const aad = Buffer.from(JSON.stringify(input.EncryptionContext ?? {}));
  if (operation === 'Encrypt') {
    const iv = randomBytes(12);
    const cipher = createCipheriv('aes-256-gcm', key.bytes, iv);
    cipher.setAAD(aad);
    const sealed = Buffer.concat([
      iv,
      cipher.update(Buffer.from(String(input.Plaintext), 'base64')),
      cipher.final(),
      cipher.getAuthTag(),
    ]);
    return { status: 200, body: { CiphertextBlob: sealed.toString('base64'), KeyId: arn } };
  }
  const blob = Buffer.from(String(input.CiphertextBlob), 'base64');
  try {
    const decipher = createDecipheriv('aes-256-gcm', key.bytes, blob.subarray(0, 12), { authTagLength: 16 });
    decipher.setAAD(aad);
    decipher.setAuthTag(blob.subarray(-16));
    const plain = Buffer.concat([decipher.update(blob.subarray(12, -16)), decipher.final()]);
    return { status: 200, body: { Plaintext: plain.toString('base64'), KeyId: arn } };
  } catch {
    return failure('InvalidCiphertextException');
  }
}

/** Signature Version 4 as its documentation spells it out, step by step; undefined when it is right. */
function wrongSignature({ method, path, headers, body }: Received, nowMs: number): string | undefined {
  const match =
    /^AWS4-HMAC-SHA256 Credential=([^/]+)\/(\d{8})\/([^/]+)\/kms\/aws4_request, SignedHeaders=([a-z0-9;-]+), Signature=([0-9a-f]{64})$/.exec(
      String(headers.authorization),
    );
  if (match === null) return 'IncompleteSignature';
  const [, id, day = '', signedRegion, names = '', signature] = match;
  if (id !== accessKeyId) return 'UnrecognizedClientException';
  if (headers['x-amz-security-token'] !== 'a/session=token') return 'UnrecognizedClientException';
  const stamp = String(headers['x-amz-date']);
  const sentMs = Date.parse(stamp.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/, '$1-$2-$3T$4:$5:$6Z'));
  if (!(Math.abs(nowMs - sentMs) <= 300_000) || !stamp.startsWith(day) || signedRegion !== region)
    return 'InvalidSignatureException';
  for (const must of ['host', 'x-amz-date', 'x-amz-security-token'])
    if (!names.split(';').includes(must)) return 'InvalidSignatureException';
  const canonical = `${method}\n${path}\n\n${names
    .split(';')
    .map((name) => `${name}:${String(headers[name]).trim()}\n`)
    .join('')}\n${names}\n${createHash('sha256').update(body).digest('hex')}`;
  const toSign = `AWS4-HMAC-SHA256\n${stamp}\n${day}/${region}/kms/aws4_request\n${createHash('sha256').update(canonical).digest('hex')}`;
  let key: Buffer = Buffer.from(`AWS4${secretAccessKey}`);
  for (const part of [day, region, 'kms', 'aws4_request']) key = createHmac('sha256', key).update(part).digest();
  return createHmac('sha256', key).update(toSign).digest('hex') === signature ? undefined : 'InvalidSignatureException';
}

/** The instance metadata service, version 2, of a machine with the role `watchglass`. */
function metadataOf({ method, path, headers }: Received, nowMs: number): Reply | undefined {
  if (path === '/latest/api/token' && method === 'PUT')
    return headers['x-aws-ec2-metadata-token-ttl-seconds'] === undefined
      ? { status: 400 }
      : { status: 200, body: 'a-metadata-token' };
  if (!path.startsWith('/latest/meta-data/')) return undefined;
  if (headers['x-aws-ec2-metadata-token'] !== 'a-metadata-token') return { status: 401 };
  if (path.endsWith('/security-credentials/')) return { status: 200, body: 'watchglass' };
  const body = {
    Code: 'Success',
    AccessKeyId: accessKeyId,
    SecretAccessKey: secretAccessKey,
    Token: 'a/session=token',
    Expiration: new Date(nowMs + 3_600_000).toISOString(),
  };
  return { status: 200, body };
}
