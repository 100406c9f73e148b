/**
 * Azure Key Vault and managed HSMs (REST 7.4): wrapKey, unwrapKey, and deletion of the key. They take no additional data, so it is bound inside: what is
 * wrapped is SHA-256(label ‖ aad) ‖ secret, and the hash is compared in constant time. One key name for each key-encryption key, since only
 * a name with all its versions can be deleted. Right to wrap: `keys/wrapKey`; to unwrap: `keys/unwrapKey`.
 *
 * With an RSA key anybody who has its public half can wrap: the blocks of the ledger, not the wrapping, tell a seed that was put there from ours.
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import { RecordError } from '@watchglass/record';
import type { Destruction, Kek } from '@watchglass/record/reader';
import type { HttpRequest } from '../../world/http-call.ts';
import { azureToken } from './bearer-token.ts';
import { bytesOf, callKeeper, type KeeperProblem, memberOf, momentOf, problemOfStatus } from './keeper-call.ts';
import type { KekProvider, ProviderDeps } from './provider.ts';
import type { AzureKeyVaultSettings } from './settings.ts';

const apiVersion = '7.4';
const hashBytes = 32;
const label = 'watchglass/v1/azure-aad\n';

type Ask = (who: string, method: HttpRequest['method'], url: string, input?: object) => Promise<unknown>;

export function azureKeyVault(settings: AzureKeyVaultSettings, deps: ProviderDeps, metadata?: string): KekProvider {
  const vault = new URL(settings.key).origin;
  const token = azureToken(deps, settings.credentials, {
    resource: vault.includes('.managedhsm.') ? 'https://managedhsm.azure.net' : 'https://vault.azure.net',
    authority: settings.authority,
    origin: metadata,
  });
  const ask: Ask = (who, method, address, input) =>
    callKeeper(deps.world, {
      who,
      request: async () => {
        const url = new URL(address);
        url.searchParams.set('api-version', apiVersion);
        return {
          method,
          url,
          headers: { authorization: `Bearer ${await token()}`, 'content-type': 'application/json' },
          ...(input === undefined ? {} : { body: JSON.stringify(input) }),
        };
      },
      problemOf: ({ status }, body) => problemOf(status, body),
    });
  return {
    open: async (locator) => keyOf(locator, settings.algorithm, ask),
    async create() {
      const { name } = partsOf(settings.key);
      const fresh = `${name.slice(0, 100)}-${Buffer.from(deps.world.random.bytes(4)).toString('hex')}`;
      const kind = settings.algorithm === 'A256KW' ? { kty: 'oct-HSM', key_size: 256 } : { kty: 'RSA', key_size: 3072 };
      const body = await ask('Azure Key Vault', 'POST', `${vault}/keys/${fresh}/create`, {
        ...kind,
        key_ops: ['wrapKey', 'unwrapKey'],
      });
      return memberOf((body as { key?: unknown }).key, 'kid', 'Azure Key Vault');
    },
  };
}

function keyOf(locator: string, algorithm: AzureKeyVaultSettings['algorithm'], ask: Ask): Kek {
  const id = `azure-key-vault:${locator}`;
  const { vault, name } = partsOf(locator);
  return {
    id,
    async wrap(secret, aad) {
      const bound = Buffer.concat([hashOf(aad), secret]);
      const body = await ask(id, 'POST', `${locator}/wrapkey`, { alg: algorithm, value: bound.toString('base64url') });
      bound.fill(0);
      return bytesOf(body, 'value', id, 'base64url');
    },
    async unwrap(wrapped, aad) {
      const value = Buffer.from(wrapped).toString('base64url');
      const body = await ask(id, 'POST', `${locator}/unwrapkey`, { alg: algorithm, value });
      const bound = bytesOf(body, 'value', id, 'base64url');
      if (bound.length <= hashBytes || !timingSafeEqual(bound.subarray(0, hashBytes), hashOf(aad)))
        throw new RecordError('seed-refused', `what ${id} unwrapped was wrapped for another place`);
      const secret = bound.slice(hashBytes);
      bound.fill(0);
      return secret;
    },
    async destroy() {
      const versions = (await tried(ask(id, 'GET', `${vault}/keys/${name}/versions`))) as
        | { value?: unknown }
        | undefined;
      if (versions === undefined) {
        const deleted = await tried(ask(id, 'GET', `${vault}/deletedkeys/${name}`));
        return deleted === undefined ? { kind: 'destroyed' } : destructionOf(deleted, id);
      }
      if (!Array.isArray(versions.value)) throw new RecordError('kek-malformed', `${id} gave no list of its versions`);
      if (versions.value.length > 1)
        throw new RecordError(
          'kek-refused',
          `${id} has ${versions.value.length} versions, and only all of them together can be deleted; make sure that none is needed, and delete the key at Azure`,
        );
      return destructionOf(await ask(id, 'DELETE', `${vault}/keys/${name}`), id);
    },
  };
}

/** Without soft delete there is no purge date, and the key is gone. What isn't about a deleted key says nothing of the kind. */
function destructionOf(body: unknown, who: string): Destruction {
  const { key, recoveryId, scheduledPurgeDate } = (body ?? {}) as Record<string, unknown>;
  if (typeof recoveryId !== 'string' && (typeof key !== 'object' || key === null))
    throw new RecordError('kek-malformed', `${who} does not say that the key was deleted`);
  if (scheduledPurgeDate === undefined || scheduledPurgeDate === null) return { kind: 'destroyed' };
  const at = momentOf(scheduledPurgeDate);
  if (at === undefined) throw new RecordError('kek-malformed', `${who} does not say when the key will be purged`);
  return { kind: 'pendingUntil', at };
}

/** Undefined where there is no such key. */
async function tried(answer: Promise<unknown>): Promise<unknown> {
  try {
    return await answer;
  } catch (error) {
    // A 404 of something between says nothing of the key.
    if (error instanceof RecordError && error.details.said === 'KeyNotFound') return undefined;
    throw error;
  }
}

function problemOf(status: number, body: unknown): KeeperProblem | undefined {
  if (status === 200) return undefined;
  const error = (body as { error?: { code?: unknown; innererror?: { code?: unknown } } } | undefined)?.error;
  const inner = error?.innererror?.code;
  const said = typeof inner === 'string' ? inner : typeof error?.code === 'string' ? error.code : '';
  // A key that is switched off is told as a right that is missing.
  if (status === 403 && said === 'KeyDisabled') return { code: 'kek-lost', said };
  if (status === 409) return { code: 'kek-lost', said };
  if (status === 400) return { code: 'seed-refused', said };
  return problemOfStatus(status, said);
}

function partsOf(locator: string): { readonly vault: string; readonly name: string } {
  const url = new URL(locator);
  return { vault: url.origin, name: url.pathname.split('/')[2] ?? '' };
}

function hashOf(aad: Uint8Array): Buffer {
  return createHash('sha256').update(label).update(aad).digest();
}
