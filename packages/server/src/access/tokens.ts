/**
 * Access tokens of the issuer (RFC 9068): verified by an explicit list of algorithms, `typ`, `kid`, issuer and audience,
 * and remembered for a minute by the SHA-256 of the token, so that a busy client costs one signature a minute.
 */
import { hash } from 'node:crypto';
import type { TenantId } from '@watchglass/record';
import { decodeProtectedHeader, errors, type JWTPayload, type JWTVerifyGetKey, jwtVerify } from 'jose';
import { ServerError } from '../errors.ts';
import type { World } from '../world/world.ts';
import type { PersonPrincipal, Tenants, Tokens } from './access.ts';
import type { PeopleStore } from './people.ts';
import { rightsOf } from './rights.ts';
import { current } from './sessions.ts';

/** Whose tokens are good here. */
export interface TokenTrust {
  /** `iss`, exactly. */
  readonly issuer: string;
  /** One of `aud`. */
  readonly audience: string;
  /** e.g. `['RS256']`; never a symmetric one. */
  readonly algorithms: readonly string[];
  readonly keys: JWTVerifyGetKey;
  /** Only people of access/ are let in: true for the embedded issuer, whose people live nowhere else. False unless said. */
  readonly knownPeopleOnly?: boolean;
  /**
   * Whoever has rights here needs it in `scope`: a token that an application got for the FHIR API must not be one for the audit trail, whoever signed in there. Not asked for unless
   * said: an issuer elsewhere may know of no such scope.
   */
  readonly scope?: string;
}

/** What of a token is good whatever becomes of its person. */
interface Known {
  readonly principal: PersonPrincipal;
  readonly scopes: readonly string[];
  /** Seconds since 1970. */
  readonly issuedAt: number;
}

const toleranceSeconds = 60;
const cacheMs = 60_000;
const cachedMax = 10_000;
const tokenLengthMax = 16_384;
const rolesMax = 32;

export function openTokens(parts: {
  readonly world: World;
  readonly trust: TokenTrust | undefined;
  readonly people: PeopleStore;
  readonly tenants: Tenants;
}): Tokens {
  const { world, trust, people, tenants } = parts;
  const admit = ({ principal, scopes, issuedAt }: Known, { knownPeopleOnly, scope }: TokenTrust) => {
    if (knownPeopleOnly === true && people.get(principal.id) === undefined) return undefined;
    // Of the second in which it ended nobody knows which came first.
    if (issuedAt <= Math.floor(people.endedMs(principal.id) / 1_000)) return undefined;
    const admitted = current(principal, people);
    const needsScope = scope !== undefined && admitted !== undefined && rightsOf(admitted.roles).size > 0;
    return needsScope && !scopes.includes(scope) ? undefined : admitted;
  };
  const cache = new Map<string, Known & { readonly untilMs: number }>();

  return {
    async verify(jwt) {
      if (trust === undefined || jwt.length > tokenLengthMax) return undefined;
      const key = hash('sha256', jwt, 'base64url');
      const nowMs = world.clock.now();
      const cached = cache.get(key);
      if (cached !== undefined) {
        cache.delete(key);
        if (nowMs < cached.untilMs) {
          cache.set(key, cached);
          return admit(cached, trust);
        }
      }
      const payload = await verifyPayload(jwt, trust, new Date(nowMs));
      const principal = payload === undefined ? undefined : principalOf(payload, tenants);
      if (payload === undefined || principal === undefined) return undefined;
      const scopes = typeof payload.scope === 'string' ? payload.scope.split(' ') : [];
      const known = { principal, scopes, issuedAt: payload.iat ?? 0 };
      const expiresMs = (payload.exp ?? 0) * 1_000 + toleranceSeconds * 1_000;
      cache.set(key, { ...known, untilMs: Math.min(nowMs + cacheMs, expiresMs) });
      if (cache.size > cachedMax) {
        const oldest = cache.keys().next().value;
        if (oldest !== undefined) cache.delete(oldest);
      }
      return admit(known, trust);
    },
  };
}

/** The payload of a good token, undefined for a bad one; throws `unavailable` when the issuer's keys can't be had. */
async function verifyPayload(jwt: string, trust: TokenTrust, now: Date): Promise<JWTPayload | undefined> {
  try {
    // jose accepts a token without `kid` when the key set has one key only.
    if (decodeProtectedHeader(jwt).kid === undefined) return undefined;
    const { payload } = await jwtVerify(jwt, trust.keys, {
      issuer: trust.issuer,
      audience: trust.audience,
      algorithms: [...trust.algorithms],
      typ: 'at+jwt',
      clockTolerance: toleranceSeconds,
      currentDate: now,
      requiredClaims: ['sub', 'exp', 'iat', 'jti', 'client_id'],
    });
    return payload;
  } catch (error) {
    if (error instanceof errors.JWKSTimeout || isNetworkTrouble(error)) {
      throw new ServerError('unavailable', 'the keys of the issuer cannot be fetched; check that the issuer runs', {
        cause: error,
        retryAfterMs: 5_000,
      });
    }
    return undefined;
  }
}

function isNetworkTrouble(error: unknown): boolean {
  if (error instanceof ServerError || (error instanceof TypeError && error.message === 'fetch failed')) return true;
  // The bare class stands for a key set that was answered with another status than 200, or with something else.
  return error instanceof errors.JOSEError && error.code === errors.JOSEError.code;
}

function principalOf(payload: JWTPayload, tenants: Tenants): PersonPrincipal | undefined {
  const { sub, client_id: client, jti } = payload;
  if (typeof sub !== 'string' || sub.length === 0 || typeof client !== 'string' || typeof jti !== 'string')
    return undefined;
  const tenant = tenantOf(payload.tenant, tenants);
  if (tenant === undefined) return undefined;
  const { roles, acr, amr, auth_time: authTime } = payload;
  const methods = stringsOf(amr);
  const username = typeof payload.preferred_username === 'string' ? payload.preferred_username : sub;
  return {
    kind: 'person',
    id: sub,
    username,
    name: typeof payload.name === 'string' ? payload.name : username,
    roles: stringsOf(roles).slice(0, rolesMax),
    tenant,
    client,
    tokenId: jti,
    authentication: {
      method: 'bearer',
      mfa: methods.includes('mfa'),
      ...(typeof acr === 'string' ? { assurance: acr } : {}),
      ...(typeof authTime === 'number' ? { time: new Date(authTime * 1_000).toISOString() } : {}),
    },
  };
}

/** The claim names a tenant of ours; without the claim the only tenant is meant. */
function tenantOf(claim: unknown, tenants: Tenants): TenantId | undefined {
  if (typeof claim === 'string') return tenants.has(claim) ? claim : undefined;
  const [only, another] = tenants.list();
  return claim === undefined && another === undefined ? only : undefined;
}

function stringsOf(value: unknown): string[] {
  return Array.isArray(value) ? value.filter((member): member is string => typeof member === 'string') : [];
}
