/**
 * The issuer's signing key: RSA, made at the first start, kept in `keys/issuer.jwk` (0600) so that tokens outlive a
 * restart. Only its public half ever leaves.
 */
import { join } from 'node:path';
import {
  type CryptoKey,
  calculateJwkThumbprint,
  createLocalJWKSet,
  exportJWK,
  generateKeyPair,
  importJWK,
  type JWK,
  type JWTVerifyGetKey,
} from 'jose';
import { keepKeyFile } from '../access/key-file.ts';
import { ServerError } from '../errors.ts';
import type { World } from '../world/world.ts';

export const issuerAlgorithm = 'RS256';
const modulusBits = 3072;

export interface SigningKey {
  readonly kid: string;
  /** With the private members: for the provider only. */
  readonly jwk: JWK;
  readonly privateKey: CryptoKey;
  /** The public half, for verifying in this process. */
  readonly publicKeys: JWTVerifyGetKey;
}

/** Reads the key, or makes it. @throws ServerError `key-file-exposed`, `key-file-invalid`. */
export async function openSigningKey(world: World, keysDir: string): Promise<SigningKey> {
  const path = join(keysDir, 'issuer.jwk');
  const stored = await keepKeyFile({ world, path, make: makeKey, valid: (text) => parseKey(text) !== undefined });
  const jwk = parseKey(stored);
  if (jwk === undefined) throw new ServerError('key-file-invalid', `${path} does not hold a private RSA key as JWK`);
  const privateKey = await importJWK(jwk, issuerAlgorithm);
  if (privateKey instanceof Uint8Array) throw new ServerError('key-file-invalid', `${path} holds a symmetric key`);
  const { kid, kty, n, e } = jwk;
  const publicJwk: JWK = { kid, kty, alg: issuerAlgorithm, use: 'sig', ...(n && e ? { n, e } : {}) };
  return { kid, jwk, privateKey, publicKeys: createLocalJWKSet({ keys: [publicJwk] }) };
}

async function makeKey(): Promise<string> {
  const { privateKey } = await generateKeyPair(issuerAlgorithm, { modulusLength: modulusBits, extractable: true });
  const jwk = await exportJWK(privateKey);
  const kid = await calculateJwkThumbprint(jwk);
  return JSON.stringify({ ...jwk, kid, alg: issuerAlgorithm, use: 'sig' });
}

function parseKey(text: string): (JWK & { kid: string; kty: string }) | undefined {
  try {
    const jwk: unknown = JSON.parse(text);
    if (typeof jwk !== 'object' || jwk === null) return undefined;
    const { kty, kid, d } = jwk as JWK;
    return kty === 'RSA' && typeof kid === 'string' && typeof d === 'string'
      ? { ...(jwk as JWK), kid, kty }
      : undefined;
  } catch {
    return undefined;
  }
}
