/**
 * Whether somebody who was let in would still be: asked again and again while what they were let in to lasts. The token, what was revoked, what the server decided, the lists of addresses and
 * the policy in force, by the clock of now.
 */
import type { Authenticator } from '../identity/token.ts';
import { authorise } from '../policy/authorise.ts';
import { circumstancesOf } from '../policy/conditions.ts';
import type { Policy } from '../policy/tables.ts';
import type { Admitted } from './admission.ts';
import type { Limiting } from './limiting.ts';

export interface StandingParts {
  readonly authenticator: Authenticator;
  readonly limiting: Limiting;
  readonly policies: { readonly current: Policy };
}

/** An opaque token is good as long as its issuer says so: it is asked again after so long. */
const askIssuerEveryMs = 60_000;

/** Why it may go on no longer; undefined while it may. Nobody is asked twice at once, and who can't be reached ends nothing. */
export function standingOf(admitted: Admitted, parts: StandingParts): (nowMs: number) => string | undefined {
  const { asker, captured, interaction, parameters, purpose, request } = admitted;
  if (asker === undefined) return () => undefined;
  const { authenticator, limiting, policies } = parts;
  const { principal } = asker;
  const { authorization } = request.headers;
  let askedMs = captured.timeMs;
  let inactive = false;
  const askIssuer = async (): Promise<void> => {
    const answer = await authenticator.authenticate(authorization);
    inactive = answer.kind === 'invalid';
  };
  return (nowMs) => {
    if (principal.method === 'introspection' && nowMs - askedMs >= askIssuerEveryMs) {
      askedMs = nowMs;
      void askIssuer().catch(() => undefined);
    }
    if (inactive) return 'token-revoked';
    const over = authenticator.lapsed(principal) ?? limiting.silenced(captured, principal);
    if (over !== undefined) return over;
    const circumstances = circumstancesOf(principal, {
      timeMs: nowMs,
      address: captured.source.address,
      purpose: purpose?.code,
    });
    const question = { ...asker, policy: policies.current, circumstances, interaction, parameters };
    return authorise(question).kind === 'denied' ? 'policy' : undefined;
  };
}
