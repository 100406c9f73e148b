/**
 * What a policy would say to a request that nobody makes, and why: every rule that speaks of it, and what it lacks. The same code as for real requests, up to the
 * point where the API would be asked.
 */

import type { JsonMap } from '../exposure/json-map.ts';
import { pageParameter } from '../exposure/page-links.ts';
import { recogniseIn } from '../exposure/route.ts';
import type { Interaction, Recognition } from '../fhir/fhir-interaction.ts';
import { parseScopes } from '../fhir/scope.ts';
import { canonicalise, type Parameter } from '../http/canonical.ts';
import type { Principal } from '../identity/token.ts';
import { authorise, type Decision, openToAll } from './authorise.ts';
import { type Circumstances, type Lack, lackOf } from './conditions.ts';
import { type Policy, type Rule, rulesSpeaking } from './tables.ts';

/** A request, as far as a policy looks at it. */
export interface Supposed {
  readonly roles: readonly string[];
  readonly method: string;
  /** Path and query, with the prefix. */
  readonly path: string;
  readonly prefix: string;
  /** Of an API that is no FHIR. */
  readonly map?: JsonMap | undefined;
  /** SMART scopes, separated by spaces. */
  readonly scopes: string;
  /** The token's launch context. */
  readonly patient?: string | undefined;
  readonly purpose?: string | undefined;
  readonly atMs: number;
  readonly from?: string | undefined;
  readonly acr?: string | undefined;
  readonly amr: readonly string[];
  readonly mfa: boolean;
  readonly signedInSecondsAgo?: number | undefined;
  /** Named to break the glass for. */
  readonly glassPatient?: string | undefined;
  readonly issuer?: string | undefined;
  readonly person?: string | undefined;
}

export interface Considered {
  readonly rule: string;
  readonly path: string;
  readonly line: number;
  readonly kind: 'allow' | 'breakGlass' | 'require';
  /** `holds`, or what is missing. */
  readonly result: 'holds' | Lack;
}

export type Explanation =
  | { readonly kind: 'no-request'; readonly reason: string }
  | {
      readonly kind: 'explained';
      readonly interaction: Interaction;
      readonly decision: Decision;
      readonly considered: readonly Considered[];
    };

export function explain(policy: Policy, supposed: Supposed): Explanation {
  const target = canonicalise(supposed.path);
  if (target.kind === 'refused') return { kind: 'no-request', reason: target.reason };
  const { prefix, map } = supposed;
  const route = map === undefined ? ({ kind: 'fhir' } as const) : ({ kind: 'json', map } as const);
  const recognition = recogniseIn([{ ...route, prefix, websocket: true }], {
    method: supposed.method,
    segments: target.segments,
    parameters: target.parameters,
    links: sealedLinks,
  });
  if (recognition.kind !== 'interaction')
    return { kind: 'no-request', reason: recognition.kind === 'no-route' ? 'not-found' : recognition.kind };
  const { interaction } = recognition;
  const { parameters } = target;
  // It is judged as the search that it continues: ask for that one.
  if (parameters.some(({ name }) => name.toLowerCase() === pageParameter))
    return { kind: 'no-request', reason: 'page-unreadable' };
  const principal = principalOf(supposed);
  // A header that the policy names nowhere is read nowhere.
  const purpose = policy.purposeOfUse === undefined ? undefined : supposed.purpose;
  const circumstances = { ...circumstancesOf(supposed), purpose };
  const decision = decide(policy, supposed, { principal, circumstances, interaction, parameters });
  return {
    kind: 'explained',
    interaction,
    decision,
    considered: consider(policy, principal, interaction, circumstances),
  };
}

/** What a gateway sealed only that gateway opens. */
const sealedLinks = { recognise: (): Recognition => ({ kind: 'no-route' }) };

function decide(
  policy: Policy,
  { glassPatient }: Supposed,
  of: {
    readonly principal: Principal;
    readonly circumstances: Circumstances;
    readonly interaction: Interaction;
    readonly parameters: readonly Parameter[];
  },
): Decision {
  const { purpose } = of.circumstances;
  if (purpose !== undefined && policy.purposeOfUse?.allow.has(purpose) !== true)
    return { kind: 'denied', code: 'forbidden', reason: 'purpose' };
  // Who has no role here has no token either.
  if (of.principal.roles.length === 0 && policy.anonymous.has(of.interaction.name)) return openToAll;
  const decision = authorise({ policy, ...of, glassPatient });
  // Nobody sees whom it is about, so nobody could be asked.
  const unseen = of.interaction.name === 'subscribe' && policy.consent !== undefined;
  return decision.kind === 'allowed' && unseen
    ? { kind: 'denied', code: 'forbidden', reason: 'consent-unseen', rule: decision.rule?.label }
    : decision;
}

function consider(
  policy: Policy,
  { roles }: Principal,
  interaction: Interaction,
  circumstances: Circumstances,
): readonly Considered[] {
  const glass = policy.breakGlass !== undefined && circumstances.purpose === policy.breakGlass.purpose;
  const said = (kind: Considered['kind'], rule: Rule): Considered => ({
    rule: rule.label,
    path: rule.path,
    line: rule.line,
    kind,
    result: lackOf(rule.conditions, circumstances) ?? 'holds',
  });
  return [
    ...rulesSpeaking(policy, roles, interaction, 'allow').map((rule) => said('allow', rule)),
    ...(glass ? rulesSpeaking(policy, roles, interaction, 'glass').map((rule) => said('breakGlass', rule)) : []),
    ...rulesSpeaking(policy, roles, interaction, 'require').map((rule) => said('require', rule)),
  ];
}

function circumstancesOf({ atMs, from, purpose, acr, amr, mfa, signedInSecondsAgo }: Supposed): Circumstances {
  return {
    timeMs: atMs,
    address: from,
    purpose,
    acr,
    amr,
    mfa,
    authenticatedMs: signedInSecondsAgo === undefined ? undefined : atMs - signedInSecondsAgo * 1_000,
  };
}

function principalOf(supposed: Supposed): Principal {
  return {
    id: supposed.person ?? 'somebody',
    issuer: supposed.issuer ?? 'https://idp.example',
    roles: supposed.roles,
    grants: parseScopes(supposed.scopes),
    client: undefined,
    tokenId: undefined,
    session: undefined,
    assurance: supposed.acr,
    mfa: supposed.mfa,
    methods: supposed.amr,
    authenticatedAt: undefined,
    patient: supposed.patient,
  };
}
