/**
 * Proofs of DPoP (RFC 9449 §4.3): that who sends this request holds the key its token is bound to, made for this request, now, and never shown before.
 *
 * A proof is remembered only once everything else about it is right, so only holders of good tokens can fill the memory; when it is full nobody gets in by DPoP,
 * and everybody else does. After a start, and after a clock that stepped back, proofs made before that moment are refused: what was seen then isn't known.
 */
import { createHash, createHmac, randomBytes, timingSafeEqual } from 'node:crypto';

import { calculateJwkThumbprint, EmbeddedJWK, errors, type JWK, type JWTPayload, jwtVerify } from 'jose';

import { MemoryReplayStore, type ReplayStore } from './replay-store.ts';

const proofAlgorithms = ['ES256', 'EdDSA', 'Ed25519', 'ES384', 'PS256', 'RS256'] as const;

const proofCharsMax = 8_192;
const proofAgeMs = 60_000;
const aheadMs = 30_000;
const jtiCharsMax = 256;
const nonceStepMs = 60_000;
/** A nonce is good for the rest of its step and for so many after it. */
const nonceSteps = 5;
const clockJitterMs = 2_000;
/** A proof is taken for no longer than its age and how far ahead it may be made, also by a clock that is set back a little. */
const rememberMs = proofAgeMs + aheadMs + clockJitterMs + 1_000;

/** What came with a request, as far as tokens may be bound to it. */
export interface Presentation {
  readonly method: string;
  /** The request's public URL without its query. */
  readonly url: string;
  /** The `DPoP` header. */
  readonly proof: string | undefined;
  /** Of the client certificate of the connection. */
  readonly certificate: string | undefined;
}

export type ProofVerdict =
  | { readonly kind: 'proven' }
  | { readonly kind: 'refused'; readonly reason: DpopReason; readonly nonce?: string }
  /** The memory of proofs is full, or can't be asked. */
  | { readonly kind: 'unavailable' };

export type DpopReason =
  | 'dpop-missing'
  | 'dpop-malformed'
  | 'dpop-type'
  | 'dpop-algorithm'
  | 'dpop-key'
  | 'dpop-signature'
  | 'dpop-claims'
  | 'dpop-method'
  | 'dpop-url'
  | 'dpop-time'
  | 'dpop-token'
  | 'dpop-binding'
  | 'dpop-nonce'
  | 'dpop-replay';

export interface ProofCheckerOptions {
  /** Milliseconds since 1970. */
  readonly now?: () => number;
  readonly store?: ReplayStore;
  readonly proofsMax?: number;
  /** Asks for a nonce of the gateway's own in every proof (RFC 9449 §9). */
  readonly nonce?: boolean;
  /** Of processes that share their memory: since when it remembers, and what their nonces are made with. */
  readonly together?: { readonly sinceMs: number; readonly nonceKey: Uint8Array } | undefined;
}

export class ProofChecker {
  readonly #now: () => number;
  readonly #store: ReplayStore;
  readonly #nonces: Nonces | undefined;
  #latestMs: number;
  #notBeforeMs: number;

  constructor(options: ProofCheckerOptions = {}) {
    const proofsMax = options.proofsMax ?? 200_000;
    this.#now = options.now ?? Date.now;
    this.#store =
      options.store ?? new MemoryReplayStore({ entriesMax: proofsMax, perHolderMax: Math.ceil(proofsMax / 2) });
    this.#nonces = options.nonce === true ? new Nonces(options.together?.nonceKey) : undefined;
    this.#latestMs = this.#now();
    this.#notBeforeMs = Math.min(this.#latestMs, options.together?.sinceMs ?? this.#latestMs);
  }

  /** `token` is the access token itself, `thumbprint` its `cnf.jkt`. */
  async check(presented: Presentation, token: string, thumbprint: string): Promise<ProofVerdict> {
    const nowMs = this.#readClock();
    const proven = await this.#readProof(presented, nowMs);
    if (typeof proven === 'string') return this.#refuse(proven, nowMs);
    const { payload, jwk } = proven;
    const ath = createHash('sha256').update(token).digest('base64url');
    if (payload.ath !== ath) return this.#refuse('dpop-token', nowMs);
    if ((await calculateJwkThumbprint(jwk)) !== thumbprint) return this.#refuse('dpop-binding', nowMs);
    if (this.#nonces !== undefined && !this.#nonces.holds(payload.nonce, nowMs))
      return this.#refuse('dpop-nonce', nowMs);
    try {
      switch (await this.#store.take(thumbprint, payload.jti as string, rememberMs)) {
        case 'new':
          return { kind: 'proven' };
        case 'seen':
          return this.#refuse('dpop-replay', nowMs);
        default:
          return { kind: 'unavailable' };
      }
    } catch {
      return { kind: 'unavailable' };
    }
  }

  #readClock(): number {
    const nowMs = this.#now();
    if (nowMs < this.#latestMs - clockJitterMs) this.#notBeforeMs = nowMs;
    this.#latestMs = nowMs;
    return nowMs;
  }

  async #readProof(
    { proof, method, url }: Presentation,
    nowMs: number,
  ): Promise<{ readonly payload: JWTPayload; readonly jwk: JWK } | DpopReason> {
    if (proof === undefined) return 'dpop-missing';
    if (proof.length > proofCharsMax) return 'dpop-malformed';
    let verified: Awaited<ReturnType<typeof jwtVerify>>;
    try {
      // No claim of time is left to jose: `iat` has a window of its own, and `exp` and `nbf` mean nothing here.
      verified = await jwtVerify(proof, EmbeddedJWK, {
        typ: 'dpop+jwt',
        algorithms: [...proofAlgorithms],
        currentDate: new Date(nowMs),
      });
    } catch (error) {
      return reasonOf(error);
    }
    const { payload, protectedHeader } = verified;
    const { jti, iat, htm, htu } = payload;
    if (typeof jti !== 'string' || jti === '' || jti.length > jtiCharsMax || typeof iat !== 'number')
      return 'dpop-claims';
    if (htm !== method) return 'dpop-method';
    if (typeof htu !== 'string' || !isSameResource(htu, url)) return 'dpop-url';
    const madeMs = iat * 1_000;
    if (madeMs > nowMs + aheadMs || madeMs < nowMs - proofAgeMs) return 'dpop-time';
    // With a nonce of this process nothing older than the process gets through anyway.
    if (this.#nonces === undefined && iat < Math.floor(this.#notBeforeMs / 1_000)) return 'dpop-time';
    return { payload, jwk: protectedHeader.jwk as JWK };
  }

  #refuse(reason: DpopReason, nowMs: number): ProofVerdict {
    if (this.#nonces === undefined) return { kind: 'refused', reason };
    return { kind: 'refused', reason, nonce: this.#nonces.make(nowMs) };
  }
}

/** RFC 9449 §7.1 and §9. */
export function dpopChallenge(reason: string): string {
  const error =
    reason === 'dpop-nonce'
      ? ', error="use_dpop_nonce"'
      : reason.startsWith('dpop-') && reason !== 'dpop-downgrade' && reason !== 'dpop-unbound'
        ? ', error="invalid_dpop_proof"'
        : ', error="invalid_token"';
  return `DPoP realm="watchglass"${error}, algs="${proofAlgorithms.join(' ')}"`;
}

/** Scheme, host, port and path are compared; query and fragment are none of its business (RFC 9449 §4.3). */
function isSameResource(htu: string, url: string): boolean {
  if (htu.length > 8_192 || !URL.canParse(htu)) return false;
  const claimed = new URL(htu);
  if (claimed.username !== '' || claimed.password !== '') return false;
  const asked = new URL(url);
  return claimed.origin === asked.origin && claimed.origin !== 'null' && claimed.pathname === asked.pathname;
}

function reasonOf(error: unknown): DpopReason {
  if (error instanceof errors.JWSSignatureVerificationFailed) return 'dpop-signature';
  if (error instanceof errors.JOSEAlgNotAllowed) return 'dpop-algorithm';
  if (error instanceof errors.JWTClaimValidationFailed) return error.claim === 'typ' ? 'dpop-type' : 'dpop-time';
  if (error instanceof errors.JWTExpired) return 'dpop-time';
  if (error instanceof errors.JWSInvalid) return /"jwk"|JWK/.test(error.message) ? 'dpop-key' : 'dpop-malformed';
  return error instanceof errors.JWTInvalid ? 'dpop-malformed' : 'dpop-key';
}

/** Nonces that need no memory: the step of time they were made in, under a key that ends with the process, or with all that share it. */
class Nonces {
  readonly #key: Uint8Array;

  constructor(key: Uint8Array = randomBytes(32)) {
    this.#key = key;
  }

  make(nowMs: number): string {
    return this.#of(Math.floor(nowMs / nonceStepMs));
  }

  holds(nonce: unknown, nowMs: number): boolean {
    if (typeof nonce !== 'string') return false;
    const current = Math.floor(nowMs / nonceStepMs);
    const given = Buffer.from(nonce);
    for (let step = current; step >= current - nonceSteps; step--) {
      const expected = Buffer.from(this.#of(step));
      if (given.length === expected.length && timingSafeEqual(given, expected)) return true;
    }
    return false;
  }

  #of(step: number): string {
    return createHmac('sha256', this.#key).update(String(step)).digest('base64url');
  }
}
