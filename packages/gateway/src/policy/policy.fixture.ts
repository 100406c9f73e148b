/** For tests only: circumstances, principals and questions that a test then changes. */

import { recognise } from '../fhir/fhir-interaction.ts';
import { parseScopes } from '../fhir/scope.ts';
import { canonicalise } from '../http/canonical.ts';
import type { Principal } from '../identity/token.ts';
import type { Question } from './authorise.ts';
import { type Circumstances, circumstancesOf } from './conditions.ts';
import { parsePolicy } from './policy.ts';
import type { Policy } from './tables.ts';

/** A Tuesday, half past six in the evening (UTC). */
export const eveningMs: number = Date.UTC(2026, 10, 24, 18, 30);

/** Nothing is known but the time. */
export const nowhere: Circumstances = {
  timeMs: eveningMs,
  address: undefined,
  purpose: undefined,
  acr: undefined,
  amr: [],
  mfa: false,
  authenticatedMs: undefined,
};

export function principal(change: Partial<Principal> = {}): Principal {
  return {
    id: 'person-1',
    issuer: 'https://idp.example',
    roles: ['nurse'],
    grants: parseScopes('user/*.cruds'),
    client: 'ward-app',
    tokenId: 'token-1',
    session: undefined,
    assurance: undefined,
    mfa: undefined,
    methods: [],
    authenticatedAt: undefined,
    patient: undefined,
    ...change,
  };
}

export function policyOf(yaml: string): Policy {
  return parsePolicy(yaml, 'test.yaml');
}

export function question(
  policy: Policy,
  target: string,
  change: {
    readonly method?: string;
    readonly principal?: Partial<Principal>;
    readonly circumstances?: Partial<Circumstances>;
    readonly glassPatient?: string;
  } = {},
): Question {
  const found = canonicalise(target);
  if (found.kind === 'refused') throw new Error(`${target} is not canonical: ${found.reason}`);
  const [, ...segments] = found.segments;
  const recognition = recognise({
    method: change.method ?? 'GET',
    prefix: '/fhir',
    segments,
    parameters: found.parameters,
  });
  if (recognition.kind !== 'interaction') throw new Error(`${target} is ${recognition.kind}`);
  const who = principal(change.principal);
  return {
    policy,
    principal: who,
    circumstances: {
      ...circumstancesOf(who, { timeMs: eveningMs, address: '10.1.2.3', purpose: undefined }),
      ...change.circumstances,
    },
    interaction: recognition.interaction,
    parameters: found.parameters,
    glassPatient: change.glassPatient,
  };
}
