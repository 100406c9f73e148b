/**
 * Under which circumstances a rule speaks: for which purpose, when, from where, and how surely it is known who asks. The last one is judged last: only who lacks nothing
 * but that is told to sign in better (RFC 9470).
 */
import type { Principal } from '../identity/token.ts';
import type { Hours } from './hours.ts';
import type { Networks } from './networks.ts';
import type { AssuranceDocument } from './policy-schema.ts';

/** What is known of a request besides what it asks for. */
export interface Circumstances {
  readonly timeMs: number;
  readonly address: string | undefined;
  /** HL7 v3 PurposeOfUse, one that the policy allows. */
  readonly purpose: string | undefined;
  readonly acr: string | undefined;
  readonly amr: readonly string[];
  readonly mfa: boolean;
  /** When they signed in; undefined where the token doesn't say. */
  readonly authenticatedMs: number | undefined;
}

export interface Conditions {
  readonly purposes: ReadonlySet<string> | undefined;
  readonly hours: readonly Hours[] | undefined;
  readonly networks: readonly Networks[] | undefined;
  readonly assurance: Assurance | undefined;
}

export type Assurance = AssuranceDocument;

/** What a request lacked, from the farthest to the nearest. */
export const lacks = ['purpose', 'time', 'network', 'assurance'] as const;
export type Lack = (typeof lacks)[number];

/** Clocks of the issuer and here. */
const skewMs = 30_000;

export function circumstancesOf(
  principal: Pick<Principal, 'assurance' | 'methods' | 'mfa' | 'authenticatedAt'>,
  request: Pick<Circumstances, 'timeMs' | 'address' | 'purpose'>,
): Circumstances {
  const { assurance, methods, mfa, authenticatedAt } = principal;
  return {
    ...request,
    acr: assurance,
    amr: methods ?? [],
    mfa: mfa === true,
    authenticatedMs: authenticatedAt === undefined ? undefined : Date.parse(authenticatedAt),
  };
}

/** What is missing first; undefined when nothing is. */
export function lackOf(conditions: Conditions | undefined, of: Circumstances): Lack | undefined {
  if (conditions === undefined) return undefined;
  const { purposes, hours, networks, assurance } = conditions;
  if (purposes !== undefined && (of.purpose === undefined || !purposes.has(of.purpose))) return 'purpose';
  if (hours !== undefined && !hours.some((window) => window.includes(of.timeMs))) return 'time';
  if (networks !== undefined && !networks.some((network) => network.includes(of.address))) return 'network';
  return assurance === undefined || isAssured(assurance, of) ? undefined : 'assurance';
}

function isAssured({ acr, amr, mfa, maxAgeSeconds }: Assurance, of: Circumstances): boolean {
  if (acr !== undefined && (of.acr === undefined || !acr.includes(of.acr))) return false;
  if (amr !== undefined && !amr.some((method) => of.amr.includes(method))) return false;
  if (mfa === true && !of.mfa) return false;
  if (maxAgeSeconds === undefined) return true;
  if (of.authenticatedMs === undefined) return false;
  const ageMs = of.timeMs - of.authenticatedMs;
  return ageMs >= -skewMs && ageMs <= maxAgeSeconds * 1_000;
}
