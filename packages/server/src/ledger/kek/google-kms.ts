/**
 * Google Cloud KMS (REST v1): encrypt under one version of a key, decrypt by the key, and destroy of that version, with additional authenticated
 * data and the checksums of both ways compared. Right to wrap: `useToEncrypt` on the version; to unwrap: `useToDecrypt`.
 */
import { RecordError } from '@watchglass/record';
import type { Destruction, Kek } from '@watchglass/record/reader';
import type { HttpRequest } from '../../world/http-call.ts';
import { googleToken } from './bearer-token.ts';
import { crc32c } from './crc32c.ts';
import { bytesOf, callKeeper, type KeeperProblem, memberOf, problemOfStatus } from './keeper-call.ts';
import type { KekProvider, ProviderDeps } from './provider.ts';
import type { GoogleKmsSettings } from './settings.ts';

type Ask = (who: string, method: HttpRequest['method'], path: string, input?: object) => Promise<unknown>;

const problems: Readonly<Record<string, KeeperProblem['code']>> = {
  UNAUTHENTICATED: 'kek-refused',
  PERMISSION_DENIED: 'kek-refused',
  RESOURCE_EXHAUSTED: 'kek-throttled',
  NOT_FOUND: 'kek-lost',
  // The version is disabled, destroyed, or on its way to be.
  FAILED_PRECONDITION: 'kek-lost',
  // A ciphertext of another key or with other additional data.
  INVALID_ARGUMENT: 'seed-refused',
  UNAVAILABLE: 'kek-unreachable',
  DEADLINE_EXCEEDED: 'kek-unreachable',
  INTERNAL: 'kek-unreachable',
  ABORTED: 'kek-unreachable',
};

export function googleKms(settings: GoogleKmsSettings, deps: ProviderDeps, metadata?: string): KekProvider {
  const origin = settings.endpoint ?? 'https://cloudkms.googleapis.com';
  const token = googleToken(deps, settings.credentials, metadata);
  const ask: Ask = (who, method, path, input) =>
    callKeeper(deps.world, {
      who,
      request: async () => ({
        method,
        url: new URL(`/v1/${path}`, origin),
        headers: { authorization: `Bearer ${await token()}`, 'content-type': 'application/json' },
        ...(input === undefined ? {} : { body: JSON.stringify(input) }),
      }),
      problemOf: ({ status }, body) => {
        if (status === 200) return undefined;
        const error = (body as { error?: { status?: unknown } } | undefined)?.error;
        const said = typeof error?.status === 'string' ? error.status : '';
        const code = problems[said];
        return code === undefined ? problemOfStatus(status, said) : { code, said };
      },
    });
  return {
    open: async (locator) => keyOf(locator, ask),
    create: async () =>
      memberOf(
        await ask('Google Cloud KMS', 'POST', `${keyNameOf(settings.key)}/cryptoKeyVersions`, {}),
        'name',
        'Google Cloud KMS',
      ),
  };
}

function keyOf(version: string, ask: Ask): Kek {
  const id = `google-kms:${version}`;
  // Decryption is asked of the key, which finds the version in the ciphertext: only the additional data holds it to ours.
  const bound = (aad: Uint8Array): Uint8Array => Buffer.concat([Buffer.from(`${version}\n`), aad]);
  return {
    id,
    async wrap(secret, place) {
      const aad = bound(place);
      const body = await ask(id, 'POST', `${version}:encrypt`, {
        plaintext: base64(secret),
        plaintextCrc32c: String(crc32c(secret)),
        additionalAuthenticatedData: base64(aad),
        additionalAuthenticatedDataCrc32c: String(crc32c(aad)),
      });
      const answer = body as Record<string, unknown>;
      const ciphertext = bytesOf(body, 'ciphertext', id);
      if (
        answer.verifiedPlaintextCrc32c !== true ||
        answer.verifiedAdditionalAuthenticatedDataCrc32c !== true ||
        Number(answer.ciphertextCrc32c) !== crc32c(ciphertext)
      )
        throw damaged(id);
      if (answer.name !== version)
        throw new RecordError('kek-malformed', `${id} wrapped under another version of the key than it was told to`);
      return ciphertext;
    },
    async unwrap(wrapped, place) {
      const aad = bound(place);
      const body = await ask(id, 'POST', `${keyNameOf(version)}:decrypt`, {
        ciphertext: base64(wrapped),
        ciphertextCrc32c: String(crc32c(wrapped)),
        additionalAuthenticatedData: base64(aad),
        additionalAuthenticatedDataCrc32c: String(crc32c(aad)),
      });
      const secret = bytesOf(body, 'plaintext', id);
      if (Number((body as Record<string, unknown>).plaintextCrc32c) !== crc32c(secret)) throw damaged(id);
      return secret;
    },
    async destroy() {
      try {
        return destructionOf(await ask(id, 'POST', `${version}:destroy`, {}), id);
      } catch (error) {
        if (!(error instanceof RecordError) || error.code !== 'kek-lost') throw error;
        return destructionOf(await ask(id, 'GET', version), id);
      }
    },
  };
}

function destructionOf(body: unknown, who: string): Destruction {
  const state = memberOf(body, 'state', who);
  if (state === 'DESTROYED') return { kind: 'destroyed' };
  const at = Date.parse(memberOf(body, 'destroyTime', who));
  if (state !== 'DESTROY_SCHEDULED' || Number.isNaN(at))
    throw new RecordError('kek-malformed', `${who} does not say when the version will be destroyed`);
  return { kind: 'pendingUntil', at: new Date(at).toISOString() };
}

/** `…/cryptoKeys/K` of `…/cryptoKeys/K/cryptoKeyVersions/N`. */
function keyNameOf(version: string): string {
  return version.replace(/\/cryptoKeyVersions\/\d+$/, '');
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64');
}

function damaged(who: string): RecordError {
  return new RecordError('kek-malformed', `the checksum of what ${who} answered is wrong: it was damaged on the way`);
}
