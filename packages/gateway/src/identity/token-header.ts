/**
 * What may be read of a signed token before its signature is: enough to choose among the configured issuers, and to refuse tokens that would choose their
 * own key or algorithm. Also the codes that say why one was refused.
 */
import { decodeJwt, decodeProtectedHeader, errors, type ProtectedHeaderParameters } from 'jose';

/** Undefined for what is no token with a readable header. */
export function headerOf(token: string): ProtectedHeaderParameters | undefined {
  try {
    return decodeProtectedHeader(token);
  } catch {
    return undefined;
  }
}

/** `iss`, unverified: good for nothing but looking it up. */
export function claimedIssuer(token: string): string | undefined {
  try {
    const { iss } = decodeJwt(token);
    return typeof iss === 'string' ? iss : undefined;
  } catch {
    return undefined;
  }
}

/** Why a header is refused; undefined for a sound one. It must not name its own key, and must name one of the issuer's. */
export function headerFault(header: ProtectedHeaderParameters): string | undefined {
  const { jwk, jku, x5u, x5c, crit, kid } = header;
  if (jwk !== undefined || jku !== undefined || x5u !== undefined || x5c !== undefined) return 'token-brings-key';
  if (crit !== undefined) return 'token-critical-header';
  return typeof kid !== 'string' || kid.length === 0 || kid.length > 256 ? 'token-without-kid' : undefined;
}

/** Why `jwtVerify` failed, as a code from a fixed list. */
export function verifyFault(error: unknown): string {
  if (error instanceof errors.JWTExpired) return 'token-expired';
  if (error instanceof errors.JWTClaimValidationFailed) {
    return `token-claim-${/^[a-z]{1,20}$/.test(error.claim) ? error.claim : 'invalid'}`;
  }
  if (error instanceof errors.JWKSNoMatchingKey || error instanceof errors.JWKSMultipleMatchingKeys) return 'token-key';
  if (error instanceof errors.JWSSignatureVerificationFailed) return 'token-signature';
  return 'token-malformed';
}
