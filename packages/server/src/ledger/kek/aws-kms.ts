/**
 * AWS KMS (API version 2014-11-01) by signed HTTPS requests: Encrypt, Decrypt, CreateKey, ScheduleKeyDeletion. The additional data goes into the
 * encryption context as its SHA-256, so that CloudTrail shows no name of ours. Right to wrap: `kms:Encrypt`; to unwrap: `kms:Decrypt`.
 */
import { createHash } from 'node:crypto';
import { RecordError } from '@watchglass/record';
import type { Destruction, Kek } from '@watchglass/record/reader';
import { awsCredentials } from './aws-credentials.ts';
import { bytesOf, callKeeper, type KeeperProblem, memberOf, momentOf, problemOfStatus } from './keeper-call.ts';
import type { KekProvider, ProviderDeps } from './provider.ts';
import type { AwsKmsSettings } from './settings.ts';
import { signAws } from './sigv4.ts';

/** The shortest that AWS offers. */
const deletionDays = 7;

const problems: Readonly<Record<string, KeeperProblem['code']>> = {
  AccessDeniedException: 'kek-refused',
  UnrecognizedClientException: 'kek-refused',
  InvalidSignatureException: 'kek-refused',
  IncompleteSignature: 'kek-refused',
  SignatureDoesNotMatch: 'kek-refused',
  MissingAuthenticationToken: 'kek-refused',
  MissingAuthenticationTokenException: 'kek-refused',
  ExpiredTokenException: 'kek-refused',
  InvalidClientTokenId: 'kek-refused',
  OptInRequired: 'kek-refused',
  ThrottlingException: 'kek-throttled',
  RequestLimitExceeded: 'kek-throttled',
  TooManyRequestsException: 'kek-throttled',
  NotFoundException: 'kek-lost',
  DisabledException: 'kek-lost',
  KMSInvalidStateException: 'kek-lost',
  InvalidCiphertextException: 'seed-refused',
  IncorrectKeyException: 'seed-refused',
  KeyUnavailableException: 'kek-unreachable',
  DependencyTimeoutException: 'kek-unreachable',
  KMSInternalException: 'kek-unreachable',
  RequestTimeoutException: 'kek-unreachable',
};

/** @param metadata origin of the instance metadata service, for machines where it lies elsewhere */
export function awsKms(settings: AwsKmsSettings, deps: ProviderDeps, metadata?: string): KekProvider {
  const { world } = deps;
  const url = new URL('/', settings.endpoint ?? `https://kms.${settings.region}.amazonaws.com`);
  const credentials = awsCredentials(deps, settings.credentials, metadata);
  const call = (who: string, operation: string, input: object): Promise<unknown> =>
    callKeeper(world, {
      who,
      request: async () => {
        const body = JSON.stringify(input);
        const headers = { 'content-type': 'application/x-amz-json-1.1', 'x-amz-target': `TrentService.${operation}` };
        const signed = signAws(
          { url, headers, body, region: settings.region, service: 'kms', nowMs: world.clock.now() },
          await credentials(),
        );
        return { method: 'POST', url, headers: signed, body };
      },
      problemOf: ({ status }, body) => {
        if (status === 200) return undefined;
        // `com.amazonaws.kms#NotFoundException`, with or without what stands before the mark.
        const type = (body as { __type?: unknown } | undefined)?.__type;
        const said = typeof type === 'string' ? (type.split('#').at(-1) ?? '') : '';
        const code = problems[said];
        return code === undefined ? problemOfStatus(status, said) : { code, said };
      },
    });
  return {
    open: async (locator) => keyOf(locator, call),
    async create() {
      const body = await call('AWS KMS', 'CreateKey', {
        Description: 'Watchglass key-encryption key',
        KeySpec: 'SYMMETRIC_DEFAULT',
      });
      return memberOf((body as { KeyMetadata?: unknown }).KeyMetadata, 'Arn', 'AWS KMS');
    },
  };
}

function keyOf(locator: string, call: (who: string, operation: string, input: object) => Promise<unknown>): Kek {
  const id = `aws-kms:${locator}`;
  return {
    id,
    async wrap(secret, aad) {
      const body = await call(id, 'Encrypt', {
        KeyId: locator,
        Plaintext: Buffer.from(secret).toString('base64'),
        EncryptionContext: contextOf(aad),
      });
      return bytesOf(body, 'CiphertextBlob', id);
    },
    async unwrap(wrapped, aad) {
      const body = await call(id, 'Decrypt', {
        KeyId: locator,
        CiphertextBlob: Buffer.from(wrapped).toString('base64'),
        EncryptionContext: contextOf(aad),
      });
      return bytesOf(body, 'Plaintext', id);
    },
    async destroy() {
      try {
        const body = await call(id, 'ScheduleKeyDeletion', { KeyId: locator, PendingWindowInDays: deletionDays });
        return pendingUntil(body, id);
      } catch (error) {
        if (!(error instanceof RecordError) || error.code !== 'kek-lost') throw error;
        return await stateOf(locator, id, call);
      }
    },
  };
}

/** Asked when the key is on its way already, or gone. */
async function stateOf(
  locator: string,
  id: string,
  call: (who: string, operation: string, input: object) => Promise<unknown>,
): Promise<Destruction> {
  try {
    const body = await call(id, 'DescribeKey', { KeyId: locator });
    return pendingUntil((body as { KeyMetadata?: unknown }).KeyMetadata, id);
  } catch (error) {
    if (error instanceof RecordError && error.details.said === 'NotFoundException') return { kind: 'destroyed' };
    throw error;
  }
}

function pendingUntil(body: unknown, who: string): Destruction {
  const at = momentOf((body as { DeletionDate?: unknown } | undefined)?.DeletionDate);
  if (at === undefined) throw new RecordError('kek-malformed', `${who} does not say when the key will be deleted`);
  return { kind: 'pendingUntil', at };
}

function contextOf(aad: Uint8Array): Readonly<Record<string, string>> {
  return { watchglass: createHash('sha256').update(aad).digest('hex') };
}
