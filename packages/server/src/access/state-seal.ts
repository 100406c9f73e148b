/**
 * What `state.sqlite` holds for later and nobody else may read: sealed, and found again by names that tell nothing. Both by `keys/issued.key`, so that the file alone lets nobody in, names
 * no patient, and shows no word that somebody typed where a username belongs. Without the key what was sealed is as good as not there.
 */
import { createCipheriv, createDecipheriv, createHmac, hkdfSync } from 'node:crypto';
import { join } from 'node:path';
import type { World } from '../world/world.ts';
import { freshSecret, keepKeyFile } from './key-file.ts';

const nonceBytes = 12;
const tagBytes = 16;

export interface StateSeal {
  /** The same for the same, and nothing without the key. */
  nameOf(kind: string, value: string): string;
  /** `place` is where it belongs: put elsewhere it doesn't open. */
  close(value: object, place: string): string;
  /** Undefined where it was sealed by another key, or for another place. */
  open(sealed: string, place: string): unknown;
}

/** @throws ServerError `key-file-exposed`, `key-file-invalid` */
export async function openStateSeal(world: World, keysDir: string): Promise<StateSeal> {
  const secret = await keepKeyFile({
    world,
    path: join(keysDir, 'issued.key'),
    make: () => freshSecret(world, ''),
    valid: (stored) => stored.length >= 43,
  });
  const key = (what: string): Buffer => Buffer.from(hkdfSync('sha256', secret, '', `watchglass ${what}`, 32));
  const nameKey = key('names of what was issued');
  const sealKey = key('what was issued');
  return {
    nameOf: (kind, value) => createHmac('sha256', nameKey).update(`${kind}\n${value}`).digest('base64url'),
    close(value, place) {
      const nonce = world.random.bytes(nonceBytes);
      const cipher = createCipheriv('aes-256-gcm', sealKey, nonce).setAAD(Buffer.from(place));
      const parts = [nonce, cipher.update(JSON.stringify(value)), cipher.final(), cipher.getAuthTag()];
      return Buffer.concat(parts).toString('base64url');
    },
    open(sealed, place) {
      const bytes = Buffer.from(sealed, 'base64url');
      if (bytes.length < nonceBytes + tagBytes) return undefined;
      try {
        const decipher = createDecipheriv('aes-256-gcm', sealKey, bytes.subarray(0, nonceBytes), {
          authTagLength: tagBytes,
        }).setAAD(Buffer.from(place));
        decipher.setAuthTag(bytes.subarray(-tagBytes));
        const opened = Buffer.concat([decipher.update(bytes.subarray(nonceBytes, -tagBytes)), decipher.final()]);
        return JSON.parse(opened.toString('utf8')) as unknown;
      } catch {
        return undefined;
      }
    },
  };
}
