/**
 * Who may say that something goes: people, by their own sign-in, which must be strong and recent. The operator of the machine is a shared account, and is
 * nobody here. Two of them, never the same one.
 */
import type { PersonPrincipal, Principal } from '../access/access.ts';
import { ServerError } from '../errors.ts';
import type { ApprovalSettings } from './policy.ts';

/** Clocks of the issuer and of this machine may differ by so much. */
const aheadMs = 60_000;

/** @throws ServerError `person-required`, `sign-in-weak`, `sign-in-stale` */
export function strongPerson(principal: Principal, settings: ApprovalSettings, nowMs: number): PersonPrincipal {
  if (principal.kind !== 'person')
    throw new ServerError(
      'person-required',
      'expected a person who signed in, got the operator of this machine, whom several people may be; use --server and --token with a sign-in of your own',
    );
  const { mfa, assurance, time } = principal.authentication;
  if (mfa !== true && !settings.acr.includes(assurance ?? ''))
    throw new ServerError(
      'sign-in-weak',
      'expected a sign-in with a second factor (`amr` with `mfa`, or an `acr` that retention.approval.acr names); sign in with one',
    );
  const signedInMs = time === undefined ? Number.NaN : Date.parse(time);
  // Without `auth_time` nobody knows how long the session has been open.
  if (!(nowMs - signedInMs <= settings.maxAgeMs && signedInMs - nowMs <= aheadMs))
    throw new ServerError(
      'sign-in-stale',
      `expected a sign-in of the last ${Math.round(settings.maxAgeMs / 60_000)} minutes (\`auth_time\`); sign in again`,
    );
  return principal;
}
