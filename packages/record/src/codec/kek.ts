/**
 * Key-encryption keys behind a narrow interface: whoever holds a `Kek` can wrap, unwrap and destroy, and never sees the key. A
 * provider in an HSM or a cloud KMS fits the same calls; this file holds the local one, 32 bytes in `keys/kek`.
 *
 * A `Keyring` is the keys of one tenant: the current one, which wraps what is new, and those that wrapped what is older, found by
 * their ids. Rights are apart: a `wrapOnly` key lets a writer seal and never open.
 */
import { createCipheriv, createDecipheriv, createHash, randomBytes } from 'node:crypto';
import { RecordError } from '../errors.ts';

/** What became of a key: gone, or going at a moment (RFC 3339) that its service named; until then it can be called back. */
export type Destruction = { readonly kind: 'destroyed' } | { readonly kind: 'pendingUntil'; readonly at: string };

/**
 * One key-encryption key.
 *
 * Any call may reject with a RecordError: `kek-refused` (this process may not), `kek-throttled`, `kek-unreachable` (no answer in
 * time), `kek-malformed` (an answer that isn't one), `kek-lost` (destroyed, disabled, or not there any more). Each call has its own deadline.
 */
export interface Kek {
  /** Names the key in wrapped files, e.g. `local:0123456789abcdef`. No secret. At most 256 printable ASCII characters, no space. */
  readonly id: string;
  /** Seals a small secret; `aad` binds it to its place and must be given again to unwrap. */
  wrap(secret: Uint8Array, aad: Uint8Array): Promise<Uint8Array>;
  /** @throws RecordError `seed-refused` when the key, the bytes or `aad` differ; `unwrap-forbidden` where the right is missing. */
  unwrap(wrapped: Uint8Array, aad: Uint8Array): Promise<Uint8Array>;
  /** Ends the key: nothing wrapped under it is opened again, once this is `destroyed`. Idempotent. */
  destroy(): Promise<Destruction>;
}

/** What a reader needs: the key that a secret was wrapped under. */
export interface KekFinder {
  find(id: string): Kek | undefined;
}

/** The keys of one tenant. */
export interface Keyring extends KekFinder {
  /** Wraps what is new. A rotation makes another one current: ask each time. */
  readonly current: Kek;
  /** Wraps and stores under the current key. A rotation is over only when all such work under the older key is: nothing turns up under it later. */
  hold<T>(work: (kek: Kek) => Promise<T>): Promise<T>;
}

/** Keyrings by tenant: a tenant may bring its own keys, the others share those of the installation. */
export interface Keyrings<Ring extends KekFinder = Keyring> {
  of(tenant: string): Ring;
}

/**
 * The key that wrapped a secret.
 * @throws RecordError `kek-unknown`
 */
export function findKek(keys: KekFinder, id: string): Kek {
  const kek = keys.find(id);
  if (kek === undefined)
    throw new RecordError(
      'kek-unknown',
      `the secret is wrapped under ${id}, which the keyring does not hold; give the keys directory or the configuration of this ledger`,
    );
  return kek;
}

/** A keyring of keys that are known beforehand; the first is current. */
export function keyringOf(current: Kek, ...older: readonly Kek[]): Keyring {
  const all = new Map([...older, current].map((kek) => [kek.id, kek]));
  return { current, find: (id) => all.get(id), hold: (work) => work(current) };
}

/** One keyring for all tenants. */
export function sharedKeyring<Ring extends KekFinder>(ring: Ring): Keyrings<Ring> {
  return { of: () => ring };
}

/** The same key without the right to unwrap: what a process sealed with it, it can't open. */
export function wrapOnly(kek: Kek): Kek {
  return {
    id: kek.id,
    wrap: (secret, aad) => kek.wrap(secret, aad),
    async unwrap() {
      throw new RecordError(
        'unwrap-forbidden',
        `this process may only wrap under ${kek.id}; read with a configuration that has the right to unwrap`,
      );
    },
    destroy: () => kek.destroy(),
  };
}

const keeperFaults: ReadonlySet<string> = new Set([
  'kek-refused',
  'kek-throttled',
  'kek-unreachable',
  'kek-malformed',
  'unwrap-forbidden',
]);

/** True where the keeper of a key didn't let us look: that says nothing of what is wrapped, and passes or is mended. */
export function isKeeperFault(error: unknown): boolean {
  return error instanceof RecordError && keeperFaults.has(error.code);
}

const idLabel = new TextEncoder().encode('watchglass/v1/kek-id');
const kekBytes = 32;
const nonceBytes = 12;
const tagBytes = 16;

/** The id of a key whose bytes we hold: a name for it that tells nothing of it. */
export function kekIdOf(provider: string, key: Uint8Array): string {
  return `${provider}:${createHash('sha256').update(idLabel).update(key).digest('hex').slice(0, 16)}`;
}

/** @param destroy removes every stored copy of the key; without it the key can't be destroyed from here */
export function localKek(key: Uint8Array, destroy?: () => Promise<void>): Kek {
  return kekOfBytes('local', key, destroy);
}

/** A key whose 32 bytes we hold: AES-256-GCM; wrapped = nonce(12) ‖ ciphertext ‖ tag(16). */
export function kekOfBytes(provider: string, key: Uint8Array, destroy?: () => Promise<void>): Kek {
  if (key.length !== kekBytes) {
    throw new RecordError(
      'seed-refused',
      `expected a key-encryption key of ${kekBytes} bytes, got ${key.length}; restore keys/kek from its backup`,
    );
  }
  const id = kekIdOf(provider, key);
  let gone = false;
  const assertThere = (): void => {
    if (gone) throw new RecordError('kek-lost', `${id} was destroyed: what was wrapped under it stays closed`);
  };
  return {
    id,
    async wrap(secret, aad) {
      assertThere();
      const nonce = randomBytes(nonceBytes);
      const cipher = createCipheriv('aes-256-gcm', key, nonce);
      cipher.setAAD(aad);
      return Buffer.concat([nonce, cipher.update(secret), cipher.final(), cipher.getAuthTag()]);
    },
    async unwrap(wrapped, aad) {
      assertThere();
      try {
        const decipher = createDecipheriv('aes-256-gcm', key, wrapped.subarray(0, nonceBytes), {
          authTagLength: tagBytes,
        });
        decipher.setAAD(aad);
        decipher.setAuthTag(wrapped.subarray(wrapped.length - tagBytes));
        return Buffer.concat([
          decipher.update(wrapped.subarray(nonceBytes, wrapped.length - tagBytes)),
          decipher.final(),
        ]);
      } catch (cause) {
        throw new RecordError(
          'seed-refused',
          `the secret does not unwrap under ${id}; it was wrapped under another key or its bytes were changed`,
          { cause },
        );
      }
    },
    async destroy() {
      if (destroy === undefined)
        throw new RecordError('kek-refused', `${id} was given from outside; destroy it where it is kept`);
      gone = true;
      await destroy();
      key.fill(0);
      return { kind: 'destroyed' };
    },
  };
}
