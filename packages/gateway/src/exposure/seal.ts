/**
 * Seals a text so that only this installation can have written it, and nobody reads from it where it lies: in a link that a client keeps. The same text always seals to the same
 * one, so an answer that is asked for twice stays the same.
 */
import { createCipheriv, createDecipheriv, createHmac, hkdfSync } from 'node:crypto';

const nonceBytes = 12;
const tagBytes = 16;
/** Eight characters. */
const keyIdBytes = 6;

export class Seal {
  readonly #encryption: Buffer;
  readonly #nonces: Buffer;
  readonly #charsMax: number;
  /** Tells one key from another, and nothing about either. */
  readonly keyId: string;

  /** `purpose` keeps what is sealed for one use from being taken for another. */
  constructor(secret: Uint8Array, options: { readonly purpose: string; readonly charsMax: number }) {
    const derive = (what: string): Buffer =>
      Buffer.from(hkdfSync('sha256', secret, '', `watchglass ${options.purpose} ${what}`, 32));
    this.#encryption = derive('link');
    this.#nonces = derive('nonce');
    this.#charsMax = options.charsMax;
    this.keyId = derive('key id').subarray(0, keyIdBytes).toString('base64url');
  }

  /** In base64url; undefined where that would be longer than the bound. `context` isn't in it, and has to be the same when it is opened. */
  seal(plain: string, context = ''): string | undefined {
    // From the text itself: two texts share a nonce only if they are the same.
    const nonce = createHmac('sha256', this.#nonces)
      .update(JSON.stringify([plain, context]))
      .digest()
      .subarray(0, nonceBytes);
    const cipher = createCipheriv('aes-256-gcm', this.#encryption, nonce).setAAD(Buffer.from(context));
    const sealed = Buffer.concat([nonce, cipher.update(plain, 'utf8'), cipher.final(), cipher.getAuthTag()]);
    const text = sealed.toString('base64url');
    return text.length > this.#charsMax ? undefined : text;
  }

  /** Undefined for what was not sealed here, or for something else. */
  open(text: string, context = ''): string | undefined {
    if (text.length > this.#charsMax || !/^[A-Za-z0-9_-]{38,}$/.test(text)) return undefined;
    const sealed = Buffer.from(text, 'base64url');
    // Another spelling of the same bytes is another text.
    if (sealed.toString('base64url') !== text) return undefined;
    try {
      const decipher = createDecipheriv('aes-256-gcm', this.#encryption, sealed.subarray(0, nonceBytes), {
        authTagLength: tagBytes,
      });
      decipher.setAAD(Buffer.from(context)).setAuthTag(sealed.subarray(-tagBytes));
      return decipher.update(sealed.subarray(nonceBytes, -tagBytes), undefined, 'utf8') + decipher.final('utf8');
    } catch {
      return undefined;
    }
  }
}
