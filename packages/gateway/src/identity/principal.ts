/**
 * Who a verified token speaks for: its claims, or what introspection says about it, read once into one shape. What can't stand in an event isn't
 * believed; who came by which issuer can be told from the actor's id alone.
 */
import type { JWTPayload } from 'jose';

import { type Grant, parseScopes } from '../fhir/scope.ts';

const rolesMax = 32;
const methodsMax = 16;
const claimStepsMax = 8;
/** However they are set apart: by a comma they grant nothing, and are said nonetheless. Who launches knows SMART, whatever is granted then. */
const smartPattern = /(?:^|[\s,;+"'])(?:(?:patient|user|system)(?:\/|%2f)|launch(?:[\s,;+"'/.]|$))/i;
/** As they have to be written where a name of a scope can't have a slash. */
const dottedPattern =
  /(?:^|[\s,;+"'])(?:patient|user|system)\.(?:all|\*|[A-Z][A-Za-z]*)\.(?:read|write|all|\*|[cruds])/;

/** How somebody proved to be somebody: a plain JWT, an opaque token, or a token bound to a key of DPoP or of a client certificate. */
export type AuthenticationMethod = 'bearer' | 'introspection' | 'dpop' | 'mtls';

export interface Principal {
  /** `sub`, after the issuer's `actorPrefix`. */
  readonly id: string;
  readonly issuer: string;
  readonly roles: readonly string[];
  readonly grants: readonly Grant[];
  readonly client: string | undefined;
  readonly tokenId: string | undefined;
  readonly session: string | undefined;
  readonly assurance: string | undefined;
  readonly mfa: boolean | undefined;
  /** RFC 3339: when they signed in. */
  readonly authenticatedAt: string | undefined;
  /** The launch context of `patient/` scopes. */
  readonly patient: string | undefined;
  readonly method?: AuthenticationMethod;
  /** `amr` (RFC 8176): how they signed in. */
  readonly methods?: readonly string[];
  /** When the token ends, and when it was issued, in seconds since 1970. */
  readonly expiresMs?: number;
  readonly issuedAt?: number | undefined;
}

export interface ActorNames {
  /** Stands before every `sub` of this issuer: `partner:` makes `partner:p-17`. */
  readonly actorPrefix?: string | undefined;
  /** Prefixes of the other issuers: a `sub` that begins with one would pass for somebody else. */
  readonly otherPrefixes?: readonly string[];
}

/** Whose words are read, and what of them counts. */
export interface ClaimRules extends ActorNames {
  readonly issuer: string;
  /** Its name; where there is no claim of that name, the way to it: `realm_access.roles`. */
  readonly rolesClaim: string;
  /** SMART scopes of tokens that carry none of their own. */
  readonly scopes?: string | undefined;
  /** When given, only these roles are believed from it. */
  readonly roles?: readonly string[] | undefined;
}

/** The actor's id of a subject; undefined for one that would pass for somebody else, or that can't stand in an event. */
export function actorId(subject: unknown, { actorPrefix = '', otherPrefixes = [] }: ActorNames): string | undefined {
  const id = lineOf(typeof subject === 'string' ? actorPrefix + subject : undefined, 256);
  if (id === undefined || subject === '' || lineOf(subject, 256) === undefined) return undefined;
  // Names that the record uses itself.
  if (id === 'anonymous' || id.startsWith('gateway:')) return undefined;
  if (actorPrefix === '' && otherPrefixes.some((prefix) => id.startsWith(prefix))) return undefined;
  return id;
}

/** `token-subject` where it names nobody. */
export function principalOf(
  payload: JWTPayload,
  rules: ClaimRules,
  method: AuthenticationMethod,
): Principal | 'token-subject' {
  const id = actorId(payload.sub, rules);
  if (id === undefined) return 'token-subject';
  const { amr, auth_time: authTime, patient } = payload;
  const methods = Array.isArray(amr) ? stringsOf(amr, methodsMax) : undefined;
  const roles = stringsOf(claimAt(payload, rules.rolesClaim), rolesMax);
  return {
    id,
    issuer: rules.issuer,
    roles: rules.roles === undefined ? roles : roles.filter((role) => rules.roles?.includes(role)),
    grants: parseScopes(scopesOf(payload, rules)),
    client: lineOf(payload.client_id ?? payload.azp, 256),
    tokenId: lineOf(payload.jti, 256),
    session: lineOf(payload.sid, 256),
    assurance: lineOf(payload.acr, 128),
    mfa: methods === undefined ? undefined : isMultiFactor(methods),
    authenticatedAt:
      typeof authTime === 'number' && authTime > 0 && authTime < 32_503_680_000
        ? new Date(authTime * 1_000).toISOString()
        : undefined,
    patient: typeof patient === 'string' && /^[A-Za-z0-9\-.]{1,64}$/.test(patient) ? patient : undefined,
    method,
    ...(methods === undefined ? {} : { methods }),
  };
}

/** A claim by its name, which may hold dots itself, else by the way to it. */
function claimAt(payload: JWTPayload, name: string): unknown {
  if (Object.hasOwn(payload, name)) return payload[name];
  const steps = name.split('.');
  // Not the beginning of a longer way: something else stands there.
  if (steps.length > claimStepsMax) return undefined;
  return steps.reduce<unknown>(
    (at, step) =>
      typeof at === 'object' && at !== null && Object.hasOwn(at, step) ? (at as JWTPayload)[step] : undefined,
    payload,
  );
}

/** What a token says of SMART holds, also where it grants nothing; only where it says nothing the configuration does. Some issuers have it in `scp`, or as a list. */
function scopesOf({ scope, scp }: JWTPayload, { scopes = '' }: ClaimRules): string {
  const said = [scope, scp].filter((claim) => claim !== undefined && claim !== null).map(textOf);
  // It says something, and nobody can tell what.
  if (said.includes(undefined)) return '';
  return said.find((text) => smartPattern.test(text ?? '') || dottedPattern.test(text ?? '')) ?? scopes;
}

function textOf(claim: unknown): string | undefined {
  const parts: readonly unknown[] = Array.isArray(claim) ? claim : [claim];
  return parts.every((part) => typeof part === 'string') ? parts.join(' ') : undefined;
}

/** RFC 8176: `mfa` says so itself; otherwise two different methods were used. */
function isMultiFactor(methods: readonly string[]): boolean {
  return methods.includes('mfa') || new Set(methods).size > 1;
}

function stringsOf(claim: unknown, countMax: number): readonly string[] {
  if (!Array.isArray(claim)) return [];
  return claim.slice(0, countMax).flatMap((value) => lineOf(value, 128) ?? []);
}

/** A claim that can stand in an event: one line of printable characters, not empty and without spaces around it. */
function lineOf(claim: unknown, charsMax: number): string | undefined {
  if (typeof claim !== 'string' || claim === '' || claim.length > charsMax) return undefined;
  return /^(?! )[^\p{Cc}\p{Cs}\p{Zl}\p{Zp}\p{Cf}]*(?<! )$/u.test(claim) ? claim : undefined;
}
