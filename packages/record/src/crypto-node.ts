/**
 * The few primitives this package needs, on OpenSSL. `crypto-browser.ts` has the same exports on @noble; a test holds
 * the two equal. Reached as `#crypto` only.
 *
 * Small hashes ask OpenSSL for a string: that is three times as fast as asking for a Buffer.
 */
import { createHmac, createPrivateKey, createPublicKey, hash, type KeyObject, sign, verify } from 'node:crypto';

/** SHA-256, 32 bytes. */
export function sha256(data: Uint8Array): Uint8Array {
  const out = new Uint8Array(32);
  sha256Into(data, out, 0);
  return out;
}

/** SHA-256 of `data`, written into `out` at `at`. `data` and `out` may overlap. */
export function sha256Into(data: Uint8Array, out: Uint8Array, at: number): void {
  const text = hash('sha256', data, 'binary');
  for (let i = 0; i < 32; i++) out[at + i] = text.charCodeAt(i);
}

/** HMAC-SHA-256 (RFC 2104), 32 bytes. */
export function hmacSha256(key: Uint8Array, data: Uint8Array): Uint8Array {
  return new Uint8Array(createHmac('sha256', key).update(data).digest());
}

/** Ed25519 (RFC 8032) public key of a 32-byte seed. */
export function ed25519PublicKey(seed: Uint8Array): Uint8Array {
  const spki = createPublicKey(privateKey(seed)).export({ format: 'der', type: 'spki' });
  return new Uint8Array(spki.subarray(spki.length - 32));
}

/** Ed25519 signature, 64 bytes. */
export function ed25519Sign(seed: Uint8Array, message: Uint8Array): Uint8Array {
  return new Uint8Array(sign(null, message, privateKey(seed)));
}

/** True if `signature` is one of `message` under `publicKey`; false for anything else, malformed keys included. */
export function ed25519Verify(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  if (publicKey.length !== 32 || signature.length !== 64) return false;
  let key: KeyObject;
  try {
    key = createPublicKey({ key: Buffer.concat([spkiPrefix, publicKey]), format: 'der', type: 'spki' });
  } catch {
    return false;
  }
  return verify(null, message, key, signature);
}

/** ML-DSA-44 (FIPS 204) public key of a 32-byte seed, 1,312 bytes; undefined where the platform has none. */
export function mlDsa44PublicKey(seed: Uint8Array): Uint8Array | undefined {
  const key = mlDsaPrivateKey(seed);
  if (key === undefined) return undefined;
  const spki = createPublicKey(key).export({ format: 'der', type: 'spki' });
  return new Uint8Array(spki.subarray(spki.length - 1312));
}

/** ML-DSA-44 signature, 2,420 bytes, another one each time; undefined where the platform has none. */
export function mlDsa44Sign(seed: Uint8Array, message: Uint8Array): Uint8Array | undefined {
  const key = mlDsaPrivateKey(seed);
  return key === undefined ? undefined : new Uint8Array(sign(null, message, key));
}

/** Whether `signature` is one of `message` under `publicKey`; undefined where the platform has no ML-DSA-44. */
export function mlDsa44Verify(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean | undefined {
  if (publicKey.length !== 1312 || signature.length !== 2420) return false;
  try {
    const key = createPublicKey({ key: Buffer.concat([mlDsaSpkiPrefix, publicKey]), format: 'der', type: 'spki' });
    return verify(null, message, key, signature);
  } catch {
    // Any 1,312 bytes are a public key (FIPS 204 §7.2): what refuses them is a platform that doesn't know the algorithm.
    return undefined;
  }
}

// RFC 8410: the fixed DER before an Ed25519 public key and before a seed.
const spkiPrefix: Uint8Array = Uint8Array.from([48, 42, 48, 5, 6, 3, 43, 101, 112, 3, 33, 0]);
const pkcs8Prefix: Uint8Array = Uint8Array.from([48, 46, 2, 1, 0, 48, 5, 6, 3, 43, 101, 112, 4, 34, 4, 32]);

// RFC 9881: the fixed DER before an ML-DSA-44 public key, and before a seed.
const mlDsaSpkiPrefix: Uint8Array = Buffer.from('30820532300b06096086480165030403110382052100', 'hex');
const mlDsaPkcs8Prefix: Uint8Array = Buffer.from('3034020100300b060960864801650304031104228020', 'hex');

function mlDsaPrivateKey(seed: Uint8Array): KeyObject | undefined {
  try {
    return readyKey(seed, mlDsaPkcs8Prefix);
  } catch {
    return undefined;
  }
}

/** Keys made ready, which costs nearly as much as a signature, by the array of their seed; the copy tells when that was written over. */
const readyKeys: WeakMap<
  Uint8Array,
  { readonly seed: Uint8Array; readonly prefix: Uint8Array; readonly key: KeyObject }
> = new WeakMap();

function privateKey(seed: Uint8Array): KeyObject {
  return readyKey(seed, pkcs8Prefix);
}

function readyKey(seed: Uint8Array, prefix: Uint8Array): KeyObject {
  const ready = readyKeys.get(seed);
  if (ready !== undefined && ready.prefix === prefix && Buffer.compare(ready.seed, seed) === 0) return ready.key;
  const key = createPrivateKey({ key: Buffer.concat([prefix, seed]), format: 'der', type: 'pkcs8' });
  readyKeys.set(seed, { seed: seed.slice(), prefix, key });
  return key;
}
