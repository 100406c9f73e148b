/**
 * The key-encryption key behind its narrow interface: whoever holds a `Kek` can wrap and unwrap, and never sees the key.
 * A provider in an HSM or a cloud KMS fits the same two calls; this file holds the local one, 32 bytes in `keys/kek`.
 */
import { createCipheriv, createDecipheriv, createHash, randomBytes } from 'node:crypto';
import { RecordError } from '../errors.ts';

export interface Kek {
  /** Names the key in wrapped files, e.g. `local:0123456789abcdef`. */
  readonly id: string;
  /** Seals a small secret; `aad` binds it to its place and must be given again to unwrap. */
  wrap(secret: Uint8Array, aad: Uint8Array): Promise<Uint8Array>;
  /** @throws RecordError `seed-refused` when the key, the bytes or `aad` differ. */
  unwrap(wrapped: Uint8Array, aad: Uint8Array): Promise<Uint8Array>;
}

const idLabel = new TextEncoder().encode('watchglass/v1/kek-id');

/** The local provider: AES-256-GCM under 32 bytes; wrapped = nonce(12) ‖ ciphertext ‖ tag(16). */
export function localKek(key: Uint8Array): Kek {
  if (key.length !== 32) {
    throw new RecordError(
      'seed-refused',
      `expected a key-encryption key of 32 bytes, got ${key.length}; restore keys/kek from its backup`,
    );
  }
  const id = `local:${createHash('sha256').update(idLabel).update(key).digest('hex').slice(0, 16)}`;
  return {
    id,
    async wrap(secret, aad) {
      const nonce = randomBytes(12);
      const cipher = createCipheriv('aes-256-gcm', key, nonce);
      cipher.setAAD(aad);
      return Buffer.concat([nonce, cipher.update(secret), cipher.final(), cipher.getAuthTag()]);
    },
    async unwrap(wrapped, aad) {
      try {
        const decipher = createDecipheriv('aes-256-gcm', key, wrapped.subarray(0, 12), { authTagLength: 16 });
        decipher.setAAD(aad);
        decipher.setAuthTag(wrapped.subarray(wrapped.length - 16));
        return Buffer.concat([decipher.update(wrapped.subarray(12, wrapped.length - 16)), decipher.final()]);
      } catch (cause) {
        throw new RecordError(
          'seed-refused',
          `the secret does not unwrap under ${id}; it was wrapped under another key or its bytes were changed`,
          { cause },
        );
      }
    },
  };
}
