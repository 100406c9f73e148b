/**
 * The same primitives as `crypto-node.ts`, on the audited @noble libraries, for browsers. Synchronous, unlike
 * WebCrypto, so that verification reads the same in both places. Reached as `#crypto` only.
 */
import { ed25519 } from '@noble/curves/ed25519.js';
import { hmac } from '@noble/hashes/hmac.js';
import { sha256 as nobleSha256 } from '@noble/hashes/sha2.js';

/** SHA-256, 32 bytes. */
export function sha256(data: Uint8Array): Uint8Array {
  return nobleSha256(data);
}

/** SHA-256 of `data`, written into `out` at `at`. `data` and `out` may overlap. */
export function sha256Into(data: Uint8Array, out: Uint8Array, at: number): void {
  out.set(nobleSha256(data), at);
}

/** HMAC-SHA-256 (RFC 2104), 32 bytes. */
export function hmacSha256(key: Uint8Array, data: Uint8Array): Uint8Array {
  return hmac(nobleSha256, key, data);
}

/** Ed25519 (RFC 8032) public key of a 32-byte seed. */
export function ed25519PublicKey(seed: Uint8Array): Uint8Array {
  return ed25519.getPublicKey(seed);
}

/** Ed25519 signature, 64 bytes. */
export function ed25519Sign(seed: Uint8Array, message: Uint8Array): Uint8Array {
  return ed25519.sign(message, seed);
}

/** True if `signature` is one of `message` under `publicKey`; false for anything else, malformed keys included. */
export function ed25519Verify(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  if (publicKey.length !== 32 || signature.length !== 64) return false;
  try {
    // RFC 8032 rules, as OpenSSL and Go have them; noble's default (ZIP 215) takes encodings that those refuse.
    return ed25519.verify(signature, message, publicKey, { zip215: false });
  } catch {
    return false;
  }
}

/** Browsers have no ML-DSA-44 yet: undefined. */
export function mlDsa44PublicKey(_seed: Uint8Array): Uint8Array | undefined {
  return undefined;
}

/** Browsers have no ML-DSA-44 yet: undefined. */
export function mlDsa44Sign(_seed: Uint8Array, _message: Uint8Array): Uint8Array | undefined {
  return undefined;
}

/** Browsers have no ML-DSA-44 yet: undefined, which is neither valid nor invalid. */
export function mlDsa44Verify(
  _publicKey: Uint8Array,
  _message: Uint8Array,
  _signature: Uint8Array,
): boolean | undefined {
  return undefined;
}
