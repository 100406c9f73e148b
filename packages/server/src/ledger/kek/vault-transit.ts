/**
 * HashiCorp Vault's transit engine: encrypt and decrypt with `associated_data`, under one named key of type `aes256-gcm96` for each key-encryption
 * key. Right to wrap: `update` (not `create`, which would make a missing key anew) on `<mount>/encrypt/<key>`; to unwrap: on `<mount>/decrypt/<key>`.
 */
import { RecordError } from '@watchglass/record';
import type { Kek } from '@watchglass/record/reader';
import type { HttpRequest } from '../../world/http-call.ts';
import { bytesOf, callKeeper, type KeeperProblem, memberOf, problemOfStatus } from './keeper-call.ts';
import { type KekProvider, type ProviderDeps, readSecret } from './provider.ts';
import type { VaultTransitSettings } from './settings.ts';

type Ask = (who: string, method: HttpRequest['method'], path: string, input?: object) => Promise<unknown>;

export function vaultTransit(settings: VaultTransitSettings, deps: ProviderDeps): KekProvider {
  const { world } = deps;
  const ask: Ask = (who, method, path, input) =>
    callKeeper(world, {
      who,
      request: async () => {
        const token = await readSecret(deps, settings.token, 'the token for Vault');
        const ca = settings.ca === undefined ? undefined : await world.disk.readFile(settings.ca);
        return {
          method,
          url: new URL(`/v1/${settings.mount}/${path}`, settings.address),
          headers: {
            'x-vault-token': token,
            'x-vault-request': 'true',
            ...(settings.namespace === undefined ? {} : { 'x-vault-namespace': settings.namespace }),
            ...(input === undefined ? {} : { 'content-type': 'application/json' }),
          },
          ...(input === undefined ? {} : { body: JSON.stringify(input) }),
          ...(ca === undefined ? {} : { ca: Buffer.from(ca).toString('utf8') }),
        };
      },
      problemOf: ({ status }, body) => problemOf(status, body),
    });
  return {
    open: async (locator) => keyOf(locator, ask),
    async create() {
      const name = `${settings.key}-${Buffer.from(world.random.bytes(4)).toString('hex')}`;
      await ask(`vault-transit:${name}`, 'POST', `keys/${name}`, { type: 'aes256-gcm96' });
      return name;
    },
  };
}

function keyOf(locator: string, ask: Ask): Kek {
  const id = `vault-transit:${locator}`;
  const dataOf = (body: unknown): unknown => (body as { data?: unknown } | undefined)?.data;
  return {
    id,
    async wrap(secret, aad) {
      const body = await ask(id, 'POST', `encrypt/${locator}`, {
        plaintext: Buffer.from(secret).toString('base64'),
        associated_data: Buffer.from(aad).toString('base64'),
      });
      return new TextEncoder().encode(memberOf(dataOf(body), 'ciphertext', id));
    },
    async unwrap(wrapped, aad) {
      const ciphertext = new TextDecoder().decode(wrapped);
      if (!/^vault:v\d+:[A-Za-z0-9+/=]+$/.test(ciphertext))
        throw new RecordError('seed-refused', `the secret was not wrapped by ${id}: its bytes were changed`);
      const body = await ask(id, 'POST', `decrypt/${locator}`, {
        ciphertext,
        associated_data: Buffer.from(aad).toString('base64'),
      });
      return bytesOf(dataOf(body), 'plaintext', id);
    },
    async destroy() {
      try {
        await ask(id, 'POST', `keys/${locator}/config`, { deletion_allowed: true });
        await ask(id, 'DELETE', `keys/${locator}`);
      } catch (error) {
        // Gone already. That the engine isn't mounted there any more says nothing of the key.
        if (!(error instanceof RecordError) || error.details.said !== 'key_not_found') throw error;
      }
      return { kind: 'destroyed' };
    },
  };
}

/** Vault's errors are sentences: those that say which of our codes fits are known, the others count as their status. */
function problemOf(status: number, body: unknown): KeeperProblem | undefined {
  if (status === 200 || status === 204) return undefined;
  const errors = (body as { errors?: unknown } | undefined)?.errors;
  const sentences = Array.isArray(errors)
    ? errors.filter((one): one is string => typeof one === 'string').join(' ')
    : '';
  if (status === 400) {
    if (/key not found|no existing key|could not be found|is disallowed by policy/i.test(sentences))
      return { code: 'kek-lost', said: 'key_not_found' };
    if (/authentication failed|invalid ciphertext|unable to decrypt|decryption failed/i.test(sentences))
      return { code: 'seed-refused', said: 'decryption_failed' };
    return { code: 'kek-malformed', said: 'bad_request' };
  }
  // A standby or sealed Vault answers for itself: 472, 473 and 503.
  if (status === 472 || status === 473) return { code: 'kek-unreachable', said: 'standby' };
  return problemOfStatus(status, status === 403 ? 'permission_denied' : 'error');
}
