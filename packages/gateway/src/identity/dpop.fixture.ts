/** For tests only: a client that holds a key of DPoP and makes proofs with it, good ones except for what is given. */
import { createHash, randomUUID } from 'node:crypto';

import { calculateJwkThumbprint, exportJWK, generateKeyPair, type JWK, SignJWT } from 'jose';

export interface Prover {
  readonly thumbprint: string;
  readonly jwk: JWK;
  /** With the private part. */
  readonly privateJwk: JWK;
  prove(
    request: { readonly method?: string; readonly url: string; readonly token: string },
    claims?: Record<string, unknown>,
    header?: Record<string, unknown>,
  ): Promise<string>;
}

export async function makeProver(algorithm = 'ES256'): Promise<Prover> {
  const { publicKey, privateKey } = await generateKeyPair(algorithm, { extractable: true });
  const jwk = await exportJWK(publicKey);
  return {
    thumbprint: await calculateJwkThumbprint(jwk),
    jwk,
    privateJwk: await exportJWK(privateKey),
    prove({ method = 'GET', url, token }, claims = {}, header = {}) {
      const payload = {
        jti: randomUUID(),
        htm: method,
        htu: url,
        iat: Math.floor(Date.now() / 1_000),
        ath: createHash('sha256').update(token).digest('base64url'),
        ...claims,
      };
      const kept = Object.fromEntries(Object.entries(payload).filter(([, value]) => value !== undefined));
      return new SignJWT(kept).setProtectedHeader({ alg: algorithm, typ: 'dpop+jwt', jwk, ...header }).sign(privateKey);
    },
  };
}
