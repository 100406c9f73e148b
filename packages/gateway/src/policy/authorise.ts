/**
 * May this person do this? Roles by the policy, and SMART scopes of the token: both have to agree. Also judged here is what a response may bring along,
 * since a search can return more types than the one it names.
 */

import type { Learned } from '../exposure/exposure.ts';
import { type Interaction, permission } from '../fhir/fhir-interaction.ts';
import { isAboutPatients } from '../fhir/fhir-types.ts';
import { judgeScopes } from '../fhir/scope.ts';
import { decodeParameter, type Parameter } from '../http/canonical.ts';
import type { Principal } from '../identity/token.ts';
import { allows, mayReceive, type Policy } from './policy.ts';

export type Decision =
  /** `patient`: covered by `patient/` scopes only; nothing about anybody else may leave. */
  | { readonly kind: 'allowed'; readonly patient: string | undefined }
  | { readonly kind: 'denied'; readonly code: 'forbidden' | 'insufficient-scope'; readonly reason: string };

export function authorise(input: {
  readonly policy: Policy;
  readonly principal: Principal;
  readonly interaction: Interaction;
  readonly parameters: readonly Parameter[];
  /** Its parameters are not complete: the form in the body is judged later, with them. */
  readonly formToCome?: boolean;
}): Decision {
  const { policy, principal, interaction, parameters } = input;
  if (!allows(policy, principal.roles, interaction)) return { kind: 'denied', code: 'forbidden', reason: 'policy' };
  const { grants, patient } = principal;
  const verdict = judgeScopes({ grants, patient, interaction, parameters });
  switch (verdict.kind) {
    case 'not-covered':
      return { kind: 'denied', code: 'insufficient-scope', reason: 'scope' };
    case 'covered':
      if ((asksAboutOthers(parameters) || reachesAll(interaction)) && !mayReadAll(policy, principal))
        return { kind: 'denied', code: 'forbidden', reason: 'parameter' };
      return { kind: 'allowed', patient: undefined };
    case 'covered-for-patient':
      // Whose record a change would touch is in its body, which nobody has checked.
      if (!interaction.safe) return { kind: 'denied', code: 'insufficient-scope', reason: 'patient-scope-write' };
      if (asksAboutOthers(parameters) || bringsOthers(parameters) || reachesAll(interaction)) {
        return { kind: 'denied', code: 'insufficient-scope', reason: 'patient-scope-parameter' };
      }
      if (input.formToCome !== true && !isNarrowed(interaction, parameters, verdict.patient))
        return { kind: 'denied', code: 'insufficient-scope', reason: 'patient-scope-search' };
      return { kind: 'allowed', patient: verdict.patient };
    default:
      return verdict satisfies never;
  }
}

/** The same for one entry of a batch. Its answer can't be held back for what it brings along: by then other entries have made their changes. */
export function authoriseEntry(input: Parameters<typeof authorise>[0]): Decision {
  const decision = authorise(input);
  if (decision.kind === 'denied') return decision;
  if (decision.patient !== undefined)
    return { kind: 'denied', code: 'insufficient-scope', reason: 'patient-scope-batch' };
  const { policy, principal, parameters, interaction } = input;
  const checked = !bringsOthers(parameters) && interaction.name !== 'operation';
  return checked || mayReadAll(policy, principal)
    ? decision
    : { kind: 'denied', code: 'forbidden', reason: 'parameter' };
}

/** Why the response must not leave; undefined when it may. */
export function withholdReason(input: {
  readonly policy: Policy;
  readonly principal: Principal;
  readonly interaction: Interaction;
  readonly parameters: readonly Parameter[];
  /** Of the decision. */
  readonly patient: string | undefined;
  readonly learned: Learned;
}): string | undefined {
  const { policy, principal, interaction, learned, patient } = input;
  const { unread } = learned;
  for (const type of learned.types) {
    if (type === interaction.type) continue;
    if (interaction.name !== 'operation' && !mayReceive(policy, principal.roles, type)) return 'response-type-policy';
    if (!scopesReceive(principal, type)) return 'response-type-scope';
  }
  if (unread && bringsOthers(input.parameters) && !mayReadAll(policy, principal)) return 'response-too-large-to-check';
  if (patient === undefined) return undefined;
  if (unread) return 'response-too-large-to-check';
  if (learned.unattributed) return 'response-without-patient';
  return learned.exposure.patients?.every(({ id }) => id === patient) === false ? 'response-other-patient' : undefined;
}

function scopesReceive(principal: Principal, type: string): boolean {
  const { grants, patient } = principal;
  return [permission.r, permission.s].some(
    (permissions) =>
      judgeScopes({ grants, patient, interaction: { name: 'search', type, permissions }, parameters: [] }).kind !==
      'not-covered',
  );
}

function mayReadAll(policy: Policy, principal: Principal): boolean {
  return mayReceive(policy, principal.roles, '*') && scopesReceive(principal, '*');
}

/** Conditions on other resources than the one searched for tell something about those. */
function asksAboutOthers(parameters: readonly Parameter[]): boolean {
  return parameters.some(({ name }) => name.includes('.') || /^_(?:filter|has|query|list)(?::|$)/i.test(name));
}

/**
 * Does the request itself keep to the patient? A count or an empty result tells about others without naming any, so looking at the answer is not enough. A read can
 * only find what it names: there the answer shows whose it is.
 */
function isNarrowed(interaction: Interaction, parameters: readonly Parameter[], patient: string): boolean {
  const { name, type, id, compartment } = interaction;
  if (name === 'read' || name === 'vread' || name === 'capabilities') return true;
  if (name === 'history') return id !== undefined;
  if (compartment !== undefined && (compartment.type !== 'Patient' || compartment.id !== patient)) return false;
  if (name === 'operation' && id !== undefined) return type !== 'Patient' || id === patient;
  // All that say whom it is about have to say the same: of two some servers take one.
  const about = parameters.filter(({ name: said }) =>
    type === 'Patient' ? isNamed(said, '_id') : isNamed(said, 'patient') || isNamed(said, 'subject'),
  );
  if (!about.every((parameter) => meansPatient(parameter, patient))) return false;
  if (compartment !== undefined || about.length > 0) return true;
  return type !== undefined && !isAboutPatients(type);
}

function isNamed(name: string, wanted: string): boolean {
  // Whoever doesn't heed case would take `Patient` for `patient`.
  const lower = name.toLowerCase();
  return lower === wanted || lower.startsWith(`${wanted}:`);
}

function meansPatient({ name, rawValue }: Parameter, patient: string): boolean {
  const value = decodeParameter(rawValue);
  // A subject without a type can be a group or a device.
  if (name === 'subject') return value === `Patient/${patient}`;
  if (name === '_id') return value === patient;
  if (name !== 'patient' && name !== 'patient:Patient' && name !== 'subject:Patient') return false;
  return value === patient || value === `Patient/${patient}`;
}

/** A GraphQL query goes wherever a reference leads, and its answer holds no resources to check. */
function reachesAll({ operation }: Interaction): boolean {
  return operation === '$graphql';
}

function bringsOthers(parameters: readonly Parameter[]): boolean {
  return parameters.some(({ name }) => /^_(?:(?:rev)?include|contained|containedType)(?::|$)/i.test(name));
}
