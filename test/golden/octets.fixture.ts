/** For tests only: what the second verifiers share, written from docs/format.md like them. It imports nothing of ours. */
import assert from 'node:assert/strict';
import { createDecipheriv, createHash, createHmac } from 'node:crypto';

export const sha = (...parts: (Buffer | string)[]): Buffer =>
  parts.reduce((hash, part) => hash.update(part), createHash('sha256')).digest();

export const hmac = (key: Buffer, ...parts: (Buffer | string)[]): Buffer =>
  parts.reduce((hash, part) => hash.update(part), createHmac('sha256', key)).digest();

export const u32 = (value: number): Buffer => Buffer.from([value >>> 24, value >>> 16, value >>> 8, value]);
export const u64 = (value: number): Buffer => Buffer.concat([u32(Math.floor(value / 2 ** 32)), u32(value % 2 ** 32)]);

export function openGcm(key: Buffer, nonce: Buffer, sealed: Buffer, aad: Buffer): Buffer {
  const decipher = createDecipheriv('aes-256-gcm', key, nonce, { authTagLength: 16 });
  decipher.setAAD(aad);
  decipher.setAuthTag(sealed.subarray(-16));
  return Buffer.concat([decipher.update(sealed.subarray(0, -16)), decipher.final()]);
}

/** A cursor over bytes: big-endian, unsigned. */
export class Cursor {
  readonly bytes: Buffer;
  at = 0;

  constructor(bytes: Buffer) {
    this.bytes = bytes;
  }

  take(count: number): Buffer {
    assert.ok(this.at + count <= this.bytes.length, 'cut short');
    this.at += count;
    return this.bytes.subarray(this.at - count, this.at);
  }

  uint(count: number): number {
    return count === 8 ? Number(this.take(8).readBigUInt64BE()) : this.take(count).readUIntBE(0, count);
  }

  name(): string {
    return this.take(this.uint(1)).toString();
  }

  get done(): boolean {
    return this.at === this.bytes.length;
  }
}
