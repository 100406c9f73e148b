/**
 * Who is calling: a bearer token (RFC 6750), a JWT access token (RFC 9068), verified against the issuers of the configuration.
 *
 * A verified token is remembered under the SHA-256 of its header for at most a minute, so a revoked one works no longer than that. Nothing in a token is believed before
 * its signature is verified, except `iss`, which only chooses among configured issuers.
 */
import { createHash } from 'node:crypto';

import { decodeJwt, decodeProtectedHeader, errors, type JWTPayload, jwtVerify } from 'jose';
import { type Grant, parseScopes } from '../fhir/scope.ts';
import { type IssuerKeys, KeysUnavailableError } from './issuer-keys.ts';

const rememberMs = 60_000;
const rememberedMax = 10_000;
const tokenCharsMax = 8_192;
const clockToleranceSeconds = 30;
const rolesMax = 32;

export interface Principal {
  readonly id: string;
  readonly issuer: string;
  readonly roles: readonly string[];
  readonly grants: readonly Grant[];
  readonly client: string | undefined;
  readonly tokenId: string | undefined;
  readonly session: string | undefined;
  readonly assurance: string | undefined;
  readonly mfa: boolean | undefined;
  /** `amr` (RFC 8176): how they signed in; empty where the token doesn't say. */
  readonly methods: readonly string[];
  /** RFC 3339: when they signed in. */
  readonly authenticatedAt: string | undefined;
  /** The launch context of `patient/` scopes. */
  readonly patient: string | undefined;
}

export interface TrustedIssuer {
  readonly issuer: string;
  readonly audience: string;
  readonly algorithms: readonly string[];
  /** `at+jwt` unless the issuer doesn't follow RFC 9068. */
  readonly tokenType: string;
  readonly rolesClaim: string;
  readonly keys: IssuerKeys;
}

export type Authentication =
  | { readonly kind: 'authenticated'; readonly principal: Principal }
  | { readonly kind: 'missing' }
  /** `reason` is a code from a fixed list. */
  | { readonly kind: 'invalid'; readonly reason: string }
  /** The issuer's keys can't be had: nobody's fault who calls. */
  | { readonly kind: 'unavailable' };

interface Remembered {
  readonly principal: Principal;
  readonly sinceMs: number;
  readonly untilMs: number;
}

export class Authenticator {
  readonly #issuers: ReadonlyMap<string, TrustedIssuer>;
  readonly #tenant: string | undefined;
  readonly #now: () => number;
  readonly #remembered = new Map<string, Remembered>();
  readonly #verifying = new Map<string, Promise<Authentication>>();

  constructor(options: {
    readonly issuers: readonly TrustedIssuer[];
    /** When set, a token of another tenant is refused. */
    readonly tenant?: string;
    readonly now?: () => number;
  }) {
    this.#issuers = new Map(options.issuers.map((issuer) => [issuer.issuer, issuer]));
    this.#tenant = options.tenant;
    this.#now = options.now ?? Date.now;
  }

  /** `authorization` is the header as it came. */
  authenticate(authorization: string | undefined): Authentication | Promise<Authentication> {
    if (authorization === undefined) return { kind: 'missing' };
    if (authorization.length > tokenCharsMax) return { kind: 'invalid', reason: 'token-too-long' };
    const digest = createHash('sha256').update(authorization).digest('base64');
    const remembered = this.#remembered.get(digest);
    if (remembered !== undefined) {
      const nowMs = this.#now();
      // A clock that stepped back must not make it last longer.
      if (nowMs >= remembered.sinceMs && nowMs < remembered.untilMs)
        return { kind: 'authenticated', principal: remembered.principal };
      this.#remembered.delete(digest);
    }
    const token = /^Bearer ([A-Za-z0-9\-._~+/]+=*)$/i.exec(authorization)?.[1];
    if (token === undefined) return { kind: 'invalid', reason: 'authorization-scheme' };
    return this.#verifyOnce(digest, token);
  }

  /** Many requests with one new token verify it once. */
  #verifyOnce(digest: string, token: string): Promise<Authentication> {
    const running = this.#verifying.get(digest);
    if (running !== undefined) return running;
    const verifying = this.#verify(token)
      .then(({ authentication, expiresMs }) => {
        if (authentication.kind === 'authenticated') this.#remember(digest, authentication.principal, expiresMs);
        return authentication;
      })
      .finally(() => this.#verifying.delete(digest));
    this.#verifying.set(digest, verifying);
    return verifying;
  }

  #remember(digest: string, principal: Principal, expiresMs: number): void {
    if (this.#remembered.size >= rememberedMax) {
      const oldest = this.#remembered.keys().next().value;
      if (oldest !== undefined) this.#remembered.delete(oldest);
    }
    const sinceMs = this.#now();
    this.#remembered.set(digest, { principal, sinceMs, untilMs: Math.min(expiresMs, sinceMs + rememberMs) });
  }

  async #verify(token: string): Promise<{ readonly authentication: Authentication; readonly expiresMs: number }> {
    const refuse = (reason: string): { authentication: Authentication; expiresMs: number } => ({
      authentication: { kind: 'invalid', reason },
      expiresMs: 0,
    });
    const trusted = this.#readUnverified(token);
    if (typeof trusted === 'string') return refuse(trusted);
    try {
      const { payload } = await jwtVerify(token, trusted.keys.keyOf, {
        issuer: trusted.issuer,
        audience: trusted.audience,
        algorithms: [...trusted.algorithms],
        typ: trusted.tokenType,
        clockTolerance: clockToleranceSeconds,
        requiredClaims: ['sub', 'exp', 'iat'],
        currentDate: new Date(this.#now()),
      });
      if ((payload.iat ?? 0) > this.#now() / 1_000 + clockToleranceSeconds) return refuse('token-from-the-future');
      const principal = principalOf(payload, trusted);
      if (typeof principal === 'string') return refuse(principal);
      if (this.#tenant !== undefined && payload.tenant !== undefined && payload.tenant !== this.#tenant)
        return refuse('token-tenant');
      return { authentication: { kind: 'authenticated', principal }, expiresMs: (payload.exp ?? 0) * 1_000 };
    } catch (error) {
      if (error instanceof KeysUnavailableError) return { authentication: { kind: 'unavailable' }, expiresMs: 0 };
      return refuse(reasonOf(error));
    }
  }

  /** The header must not name its own key, and must name one of the issuer's. */
  #readUnverified(token: string): TrustedIssuer | string {
    try {
      const header = decodeProtectedHeader(token);
      if (
        header.jwk !== undefined ||
        header.jku !== undefined ||
        header.x5u !== undefined ||
        header.x5c !== undefined
      ) {
        return 'token-brings-key';
      }
      if (header.crit !== undefined) return 'token-critical-header';
      if (typeof header.kid !== 'string' || header.kid.length === 0 || header.kid.length > 256)
        return 'token-without-kid';
      const { iss } = decodeJwt(token);
      const trusted = typeof iss === 'string' ? this.#issuers.get(iss) : undefined;
      if (trusted === undefined) return 'token-issuer';
      if (typeof header.alg !== 'string' || !trusted.algorithms.includes(header.alg)) return 'token-algorithm';
      return trusted;
    } catch {
      return 'token-malformed';
    }
  }
}

function reasonOf(error: unknown): string {
  if (error instanceof errors.JWTExpired) return 'token-expired';
  if (error instanceof errors.JWTClaimValidationFailed) {
    return `token-claim-${/^[a-z]{1,20}$/.test(error.claim) ? error.claim : 'invalid'}`;
  }
  if (error instanceof errors.JWKSNoMatchingKey || error instanceof errors.JWKSMultipleMatchingKeys) return 'token-key';
  if (error instanceof errors.JWSSignatureVerificationFailed) return 'token-signature';
  return 'token-malformed';
}

function principalOf(payload: JWTPayload, trusted: TrustedIssuer): Principal | string {
  const id = lineOf(payload.sub, 256);
  if (id === undefined) return 'token-subject';
  const { amr, auth_time: authTime, scope, patient } = payload;
  const methods = Array.isArray(amr) ? amr.filter((method) => typeof method === 'string') : undefined;
  return {
    id,
    issuer: trusted.issuer,
    roles: stringsOf(payload[trusted.rolesClaim]),
    grants: typeof scope === 'string' ? parseScopes(scope) : [],
    client: lineOf(payload.client_id ?? payload.azp, 256),
    tokenId: lineOf(payload.jti, 256),
    session: lineOf(payload.sid, 256),
    assurance: lineOf(payload.acr, 128),
    mfa: methods === undefined ? undefined : isMultiFactor(methods),
    methods: stringsOf(amr),
    authenticatedAt:
      typeof authTime === 'number' && authTime > 0 && authTime < 32_503_680_000
        ? new Date(authTime * 1_000).toISOString()
        : undefined,
    patient: typeof patient === 'string' && /^[A-Za-z0-9\-.]{1,64}$/.test(patient) ? patient : undefined,
  };
}

/** RFC 8176: `mfa` says so itself; otherwise two different methods were used. */
function isMultiFactor(methods: readonly string[]): boolean {
  return methods.includes('mfa') || new Set(methods).size > 1;
}

function stringsOf(claim: unknown): readonly string[] {
  if (!Array.isArray(claim)) return [];
  return claim.slice(0, rolesMax).flatMap((value) => lineOf(value, 128) ?? []);
}

/** A claim that can stand in an event: one line of printable characters, not empty and without spaces around it. */
function lineOf(claim: unknown, charsMax: number): string | undefined {
  if (typeof claim !== 'string' || claim === '' || claim.length > charsMax) return undefined;
  return /^(?! )[^\p{Cc}\p{Cs}\p{Zl}\p{Zp}\p{Cf}]*(?<! )$/u.test(claim) ? claim : undefined;
}
