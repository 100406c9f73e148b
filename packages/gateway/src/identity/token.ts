/**
 * Who is calling: a bearer token (RFC 6750) or one of DPoP (RFC 9449); a JWT access token (RFC 9068) verified by the keys of its issuer, or an opaque one that
 * its issuer is asked about (RFC 7662).
 *
 * A verified token is remembered under the SHA-256 of its header for at most a minute, and forgotten at once when it is revoked. Nothing in a token is believed before its signature is verified,
 * except `iss`, which only chooses among configured issuers. A token that is bound to a key is taken only with a proof of that key, whatever is remembered.
 */
import { hash } from 'node:crypto';

import { type JWTPayload, jwtVerify } from 'jose';
import { dpopChallenge, type Presentation, ProofChecker } from './dpop.ts';
import { type FirstUse, type FirstUses, OwnFirstUses } from './first-uses.ts';
import type { Introspection } from './introspection.ts';
import { type IssuerKeys, KeysUnavailableError } from './issuer-keys.ts';
import { type ClaimRules, type Principal, principalOf } from './principal.ts';
import type { Revocations } from './revocations.ts';
import { claimedIssuer, headerFault, headerOf, verifyFault } from './token-header.ts';

export type { Principal } from './principal.ts';

const rememberMs = 60_000;
/** A refusal by introspection is believed for so long. */
const rememberRefusedMs = 10_000;
const rememberedMax = 10_000;
const tokenCharsMax = 8_192;
const clockToleranceSeconds = 30;

export interface TrustedIssuer extends ClaimRules {
  readonly audience: string;
  readonly algorithms: readonly string[];
  /** `at+jwt` unless the issuer doesn't follow RFC 9068. */
  readonly tokenType: string;
  readonly keys: IssuerKeys;
  readonly opaque?: OpaqueTokens;
}

/** Tokens of an issuer that only it can read. */
export interface OpaqueTokens {
  readonly introspection: Introspection;
  /** They begin like this; so no issuer is told tokens of another one. */
  readonly tokenPrefix: string;
  /** Its JWTs are asked about as well. */
  readonly jwtToo: boolean;
}

export type Authentication = Authenticated | Unauthenticated;

export interface Authenticated {
  readonly kind: 'authenticated';
  readonly principal: Principal;
  /** There the first time that the token is let in: to be called once it is known whether that is on record. */
  readonly settle?: (said: boolean) => void;
}

export type Unauthenticated =
  | { readonly kind: 'missing' }
  /** `reason` is a code from a fixed list. */
  | {
      readonly kind: 'invalid';
      readonly reason: string;
      /** Challenges, where a plain bearer one would not say enough. */
      readonly headers?: Readonly<Record<string, string>>;
      /** The token was good, but not in these hands, or no longer. */
      readonly principal?: Principal;
    }
  /** Nobody's fault who calls: the issuer can't be asked, or the memory of proofs is full. */
  | { readonly kind: 'unavailable'; readonly reason?: string };

/** A token that was found to be good, whoever shows it. */
interface Verified {
  readonly kind: 'verified';
  readonly authentication: Authenticated;
  readonly principal: Principal;
  readonly issuedAt: number | undefined;
  readonly expiresMs: number;
  /** Thumbprints of what it is bound to. */
  readonly key: string | undefined;
  readonly certificate: string | undefined;
}

interface Remembered extends Verified {
  readonly sinceMs: number;
  readonly untilMs: number;
}

export class Authenticator {
  readonly #issuers: ReadonlyMap<string, TrustedIssuer>;
  /** The longest prefix first. */
  readonly #opaque: readonly (TrustedIssuer & { readonly opaque: OpaqueTokens })[];
  readonly #tenant: string | undefined;
  readonly #now: () => number;
  readonly #proofs: ProofChecker;
  readonly #revocations: Revocations | undefined;
  readonly #remembered = new Map<string, Remembered>();
  readonly #refused = new Map<string, { readonly refusal: Unauthenticated; readonly untilMs: number }>();
  readonly #verifying = new Map<string, Promise<Verified | Unauthenticated>>();
  readonly #firstUses: FirstUses;

  constructor(options: {
    readonly issuers: readonly TrustedIssuer[];
    /** When set, a token of another tenant is refused. */
    readonly tenant?: string;
    readonly now?: () => number;
    readonly proofs?: ProofChecker;
    readonly revocations?: Revocations;
    readonly firstUses?: FirstUses;
  }) {
    this.#issuers = new Map(options.issuers.map((issuer) => [issuer.issuer, issuer]));
    this.#opaque = options.issuers
      .flatMap((issuer) => (issuer.opaque === undefined ? [] : [{ ...issuer, opaque: issuer.opaque }]))
      .sort((a, b) => b.opaque.tokenPrefix.length - a.opaque.tokenPrefix.length);
    this.#tenant = options.tenant;
    this.#now = options.now ?? Date.now;
    this.#proofs = options.proofs ?? new ProofChecker({ now: this.#now });
    this.#revocations = options.revocations;
    this.#firstUses = options.firstUses ?? new OwnFirstUses();
    this.#revocations?.onChange(() => this.#purge());
  }

  /** `authorization` is the header as it came; `present` tells what else did, and is called for tokens that are bound to something only. */
  authenticate(
    authorization: string | undefined,
    present?: () => Presentation,
  ): Authentication | Promise<Authentication> {
    if (authorization === undefined) return { kind: 'missing' };
    if (authorization.length > tokenCharsMax) return { kind: 'invalid', reason: 'token-too-long' };
    const digest = hash('sha256', authorization, 'base64');
    const remembered = this.#recall(digest);
    if (remembered?.key === undefined && remembered?.certificate === undefined && remembered !== undefined)
      return remembered.authentication;
    const [, scheme, token] = /^(Bearer|DPoP) ([A-Za-z0-9\-._~+/]+=*)$/i.exec(authorization) ?? [];
    if (scheme === undefined || token === undefined) return { kind: 'invalid', reason: 'authorization-scheme' };
    return this.#finish(digest, { token, proving: scheme.toLowerCase() === 'dpop', present, remembered });
  }

  /** Why the token that let somebody in would let them in no longer; undefined while it would. What the issuer alone knows is asked with `authenticate`. */
  lapsed(principal: Principal): 'token-expired' | 'token-revoked' | undefined {
    const { expiresMs, issuedAt } = principal;
    if (expiresMs !== undefined && expiresMs <= this.#now()) return 'token-expired';
    return this.#revocations?.isRevoked({ ...principal, issuedAt }) === true ? 'token-revoked' : undefined;
  }

  async #finish(
    digest: string,
    shown: {
      readonly token: string;
      readonly proving: boolean;
      readonly present: (() => Presentation) | undefined;
      readonly remembered: Remembered | undefined;
    },
  ): Promise<Authentication> {
    const { token, proving } = shown;
    const verified = shown.remembered ?? (await this.#verifyOnce(digest, token));
    if (verified.kind !== 'verified') return proving ? challenged(verified) : verified;
    const fault = await this.#bindingFault(verified, shown);
    if (fault !== undefined) return proving || verified.key !== undefined ? challenged(fault) : fault;
    return this.#announce(digest, verified);
  }

  #recall(digest: string): Remembered | undefined {
    const remembered = this.#remembered.get(digest);
    if (remembered === undefined) return undefined;
    const nowMs = this.#now();
    // A clock that stepped back must not make it last longer.
    if (nowMs >= remembered.sinceMs && nowMs < remembered.untilMs) return remembered;
    this.#remembered.delete(digest);
    return undefined;
  }

  /** Many requests with one new token verify it once. */
  #verifyOnce(digest: string, token: string): Promise<Verified | Unauthenticated> {
    const running = this.#verifying.get(digest);
    if (running !== undefined) return running;
    const refused = this.#refused.get(digest);
    if (refused !== undefined && refused.untilMs > this.#now()) return Promise.resolve(refused.refusal);
    const verifying = this.#verify(digest, token)
      .then((verified) => {
        if (verified.kind !== 'verified') return verified;
        // Looked up after everything that takes time, so that none slips in while it is being revoked.
        const fault = this.#lifeFault(verified);
        if (fault !== undefined) return { kind: 'invalid', reason: fault, principal: verified.principal } as const;
        this.#remember(digest, verified);
        return verified;
      })
      .finally(() => this.#verifying.delete(digest));
    this.#verifying.set(digest, verifying);
    return verifying;
  }

  #remember(digest: string, verified: Verified): void {
    const sinceMs = this.#now();
    const untilMs = Math.min(verified.expiresMs, sinceMs + rememberMs);
    keep(this.#remembered, digest, { ...verified, sinceMs, untilMs });
  }

  #lifeFault(verified: Verified): 'token-revoked' | 'token-too-long-lived' | undefined {
    const { principal, issuedAt, expiresMs } = verified;
    const revocations = this.#revocations;
    if (revocations === undefined) return undefined;
    // A revocation is forgotten after so long, so nothing may outlive it.
    const bornMs = issuedAt === undefined ? this.#now() : issuedAt * 1_000;
    if (expiresMs - bornMs > revocations.keepMs) return 'token-too-long-lived';
    return revocations.isRevoked({ ...principal, issuedAt }) ? 'token-revoked' : undefined;
  }

  #purge(): void {
    for (const [digest, verified] of this.#remembered)
      if (this.#lifeFault(verified) !== undefined) this.#remembered.delete(digest);
  }

  /** The event of its first use is due, once for each token, whoever of many processes it is shown to. */
  #announce(digest: string, verified: Verified): Authenticated | Promise<Authenticated> {
    const judge = (use: FirstUse): Authenticated => {
      const { authentication, principal } = verified;
      // Whoever is about to say it may not come to it: then it is the first use when it is verified again, in a minute at most.
      if (use !== 'first') return authentication;
      const settle = (said: boolean): void => {
        this.#firstUses.settle(digest, said);
        if (!said) this.#remembered.delete(digest);
      };
      return { kind: 'authenticated', principal, settle };
    };
    const use = this.#firstUses.take(digest);
    return use instanceof Promise ? use.then(judge) : judge(use);
  }

  async #bindingFault(
    { key, certificate, principal }: Verified,
    shown: {
      readonly token: string;
      readonly proving: boolean;
      readonly present: (() => Presentation) | undefined;
    },
  ): Promise<Unauthenticated | undefined> {
    const refuse = (reason: string): Unauthenticated => ({ kind: 'invalid', reason, principal });
    if (shown.proving !== (key !== undefined)) return refuse(shown.proving ? 'dpop-unbound' : 'dpop-downgrade');
    const presented = shown.present?.();
    if (certificate !== undefined && presented?.certificate !== certificate)
      return refuse(presented?.certificate === undefined ? 'mtls-missing' : 'mtls-mismatch');
    if (key === undefined) return undefined;
    if (presented === undefined) return refuse('dpop-missing');
    const verdict = await this.#proofs.check(presented, shown.token, key);
    switch (verdict.kind) {
      case 'proven':
        return undefined;
      case 'refused': {
        const { reason, nonce } = verdict;
        return {
          kind: 'invalid',
          reason,
          principal,
          ...(nonce === undefined ? {} : { headers: { 'dpop-nonce': nonce } }),
        };
      }
      case 'unavailable':
        return { kind: 'unavailable', reason: 'dpop-memory-full' };
      default:
        return verdict satisfies never;
    }
  }

  async #verify(digest: string, token: string): Promise<Verified | Unauthenticated> {
    const header = headerOf(token);
    const claimed = header === undefined ? undefined : claimedIssuer(token);
    const trusted = claimed === undefined ? undefined : this.#issuers.get(claimed);
    if (trusted?.opaque?.jwtToo === true)
      return this.#introspect(digest, token, { ...trusted, opaque: trusted.opaque });
    if (claimed === undefined) {
      const asked = this.#opaque.find(({ opaque }) => token.startsWith(opaque.tokenPrefix));
      if (asked !== undefined) return this.#introspect(digest, token, asked);
    }
    if (header === undefined) return { kind: 'invalid', reason: 'token-malformed' };
    const fault = headerFault(header);
    if (fault !== undefined) return { kind: 'invalid', reason: fault };
    if (claimed === undefined) return { kind: 'invalid', reason: 'token-malformed' };
    if (trusted === undefined) return { kind: 'invalid', reason: 'token-issuer' };
    if (typeof header.alg !== 'string' || !trusted.algorithms.includes(header.alg))
      return { kind: 'invalid', reason: 'token-algorithm' };
    return this.#verifyJwt(token, trusted);
  }

  async #verifyJwt(token: string, trusted: TrustedIssuer): Promise<Verified | Unauthenticated> {
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
      if ((payload.iat ?? 0) > this.#now() / 1_000 + clockToleranceSeconds)
        return { kind: 'invalid', reason: 'token-from-the-future' };
      return this.#believe(payload, trusted, { expiresMs: (payload.exp ?? 0) * 1_000, method: 'bearer' });
    } catch (error) {
      if (error instanceof KeysUnavailableError) return { kind: 'unavailable', reason: 'issuer-keys-unavailable' };
      return { kind: 'invalid', reason: verifyFault(error) };
    }
  }

  async #introspect(
    digest: string,
    token: string,
    trusted: TrustedIssuer & { readonly opaque: OpaqueTokens },
  ): Promise<Verified | Unauthenticated> {
    const introspected = await trusted.opaque.introspection.ask(token);
    switch (introspected.kind) {
      case 'active': {
        const { payload, expiresMs } = introspected;
        return this.#believe(payload, trusted, { expiresMs, method: 'introspection' });
      }
      case 'refused': {
        const refusal = { kind: 'invalid', reason: introspected.reason } as const;
        keep(this.#refused, digest, { refusal, untilMs: this.#now() + rememberRefusedMs });
        return refusal;
      }
      case 'unavailable':
        return { kind: 'unavailable', reason: 'introspection-unavailable' };
      default:
        return introspected satisfies never;
    }
  }

  /** Claims of a token that is its issuer's. */
  #believe(
    payload: JWTPayload,
    trusted: TrustedIssuer,
    { expiresMs, method }: { readonly expiresMs: number; readonly method: 'bearer' | 'introspection' },
  ): Verified | Unauthenticated {
    const binding = bindingOf(payload);
    if (binding === undefined) return { kind: 'invalid', reason: 'token-binding' };
    const { key, certificate } = binding;
    const how = key !== undefined ? 'dpop' : certificate !== undefined ? 'mtls' : method;
    const named = principalOf(payload, trusted, how);
    if (named === 'token-subject') return { kind: 'invalid', reason: named };
    const principal = { ...named, expiresMs, issuedAt: payload.iat };
    if (this.#tenant !== undefined && payload.tenant !== undefined && payload.tenant !== this.#tenant)
      return { kind: 'invalid', reason: 'token-tenant' };
    return {
      kind: 'verified',
      authentication: { kind: 'authenticated', principal },
      principal,
      issuedAt: payload.iat,
      expiresMs,
      key,
      certificate,
    };
  }
}

/** What `cnf` binds it to (RFC 7800); undefined where that is something nobody here can check. */
function bindingOf({
  cnf,
  token_type: tokenType,
}: JWTPayload): { readonly key: string | undefined; readonly certificate: string | undefined } | undefined {
  const says = typeof tokenType === 'string' && tokenType.toLowerCase() === 'dpop';
  if (cnf === undefined || cnf === null) return says ? undefined : { key: undefined, certificate: undefined };
  if (typeof cnf !== 'object' || Array.isArray(cnf)) return undefined;
  const { jkt, 'x5t#S256': x5t, ...unknown } = cnf as Readonly<Record<string, unknown>>;
  if (Object.keys(unknown).length > 0 || (jkt === undefined && x5t === undefined)) return undefined;
  for (const thumbprint of [jkt, x5t])
    if (thumbprint !== undefined && !/^[A-Za-z0-9_-]{43}$/.test(String(thumbprint))) return undefined;
  return { key: jkt as string | undefined, certificate: x5t as string | undefined };
}

/** The same, with the challenge of DPoP. */
function challenged(refusal: Unauthenticated): Unauthenticated {
  if (refusal.kind !== 'invalid') return refusal;
  return { ...refusal, headers: { 'www-authenticate': dpopChallenge(refusal.reason), ...refusal.headers } };
}

/** In a map that holds so many at most, the oldest goes. */
function keep<T>(map: Map<string, T>, key: string, value: T): void {
  if (map.size >= rememberedMax) {
    const oldest = map.keys().next().value;
    if (oldest !== undefined) map.delete(oldest);
  }
  map.set(key, value);
}
