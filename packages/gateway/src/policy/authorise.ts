/**
 * May this person do this? Roles by the policy, SMART scopes of the token, and Cedar policies where there are some: all of them have to agree. Also judged here is
 * what a response may bring along, since a search can return more types and classes than the one it names.
 */

import type { Learned } from '../exposure/exposure.ts';
import { type Interaction, permission } from '../fhir/fhir-interaction.ts';
import { judgeScopes } from '../fhir/scope.ts';
import type { Parameter } from '../http/canonical.ts';
import type { Principal } from '../identity/token.ts';
import type { Assurance, Circumstances } from './conditions.ts';
import { asksAboutOthers, bringsOthers, isNarrowed, namedPatient, reachesAll } from './narrowing.ts';
import { allClasses, classBits, judge, type Policy, type Rule, receivable, type Verdict } from './tables.ts';

/** Who asks, and under which policy: one snapshot from the head of a request to its end. */
export interface Asker {
  readonly policy: Policy;
  readonly principal: Principal;
  readonly circumstances: Circumstances;
  /** Whose record they say that they need to break the glass for. */
  readonly glassPatient?: string | undefined;
}

export interface Question extends Asker {
  readonly interaction: Interaction;
  readonly parameters: readonly Parameter[];
  /** Its parameters are not complete: the form in the body is judged later, with them. */
  readonly formToCome?: boolean;
}

export interface Allowed {
  readonly kind: 'allowed';
  /** Nothing about anybody else may leave. */
  readonly patient: string | undefined;
  /** Bits of the classes that may leave. */
  readonly classes: number;
  /** Only because the glass is broken for this patient. */
  readonly glass: boolean;
  readonly rule: Rule | undefined;
}

export interface Denied {
  readonly kind: 'denied';
  readonly code: 'forbidden' | 'insufficient-scope' | 'step-up-required' | 'break-glass-refused';
  readonly reason: string;
  /** The rule that decided, or came nearest. */
  readonly rule?: string | undefined;
  /** What a better sign-in has to bring. */
  readonly assurance?: Assurance;
}

export type Decision = Allowed | Denied;

/** What the policy leaves to anybody. */
export const openToAll: Allowed = {
  kind: 'allowed',
  patient: undefined,
  classes: allClasses,
  glass: false,
  rule: undefined,
};

export function authorise(question: Question): Decision {
  const { policy, principal, interaction, circumstances } = question;
  const verdict = judge(policy, principal.roles, interaction, circumstances);
  if (verdict.kind === 'allowed') {
    if (answersUnseen(interaction) && verdict.classes !== allClasses)
      return { kind: 'denied', code: 'forbidden', reason: 'response-class-policy', rule: verdict.rule.label };
    return withEngine(question, withScopes(question, verdict));
  }
  return asksForGlass(question) ? throughGlass(question, verdict) : denialOf(verdict);
}

/** The same for one entry of a batch. Its answer can't be held back for what it brings along: by then other entries have made their changes. */
export function authoriseEntry(question: Question): Decision {
  const decision = authorise(question);
  if (decision.kind === 'denied') return decision;
  if (decision.glass) return { kind: 'denied', code: 'break-glass-refused', reason: 'break-glass-batch' };
  if (decision.patient !== undefined)
    return { kind: 'denied', code: 'insufficient-scope', reason: 'patient-scope-batch' };
  const { policy, principal, circumstances, parameters, interaction } = question;
  if (interaction.name === 'patch' && interaction.type !== undefined && !mayReceive(question, interaction.type))
    return { kind: 'denied', code: 'forbidden', reason: 'patch-in-batch', rule: decision.rule?.label };
  const shown = interaction.operation === 'conditional-create' && interaction.type !== undefined;
  if (shown && (policy.consent !== undefined || !mayReceive(question, interaction.type)))
    return { kind: 'denied', code: 'forbidden', reason: 'conditional-in-batch', rule: decision.rule?.label };
  if (interaction.safe && decision.classes !== allClasses)
    return { kind: 'denied', code: 'forbidden', reason: 'class-in-batch', rule: decision.rule?.label };
  const checked = !bringsOthers(parameters) && interaction.name !== 'operation';
  return checked || mayReadAll(policy, principal, circumstances)
    ? decision
    : { kind: 'denied', code: 'forbidden', reason: 'parameter' };
}

/** Through the glass only, whatever the rules for every day say: for somebody whom consent keeps out. */
export function authoriseThroughGlass(question: Question): Decision {
  return asksForGlass(question)
    ? throughGlass(question, { kind: 'refused', lack: undefined, rule: undefined })
    : { kind: 'denied', code: 'forbidden', reason: 'consent' };
}

/** Why the response must not leave; undefined when it may. */
export function withholdReason(
  question: Question & {
    readonly decision: Allowed;
    readonly learned: Learned;
  },
): string | undefined {
  const { policy, principal, circumstances, interaction, learned, decision, parameters } = question;
  const { unread } = learned;
  const { patient } = decision;
  for (const type of learned.types) {
    const classes = classBits(learned.classes.get(type) ?? []);
    if (interaction.name === 'operation' || type === interaction.type) {
      if ((classes & ~decision.classes) !== 0) return 'response-class-policy';
    } else {
      const may = receivable(policy, principal.roles, type, circumstances, decision.glass ? 'glass' : 'allow');
      if (may === 0) return 'response-type-policy';
      if ((classes & ~may) !== 0) return 'response-class-policy';
    }
    if (type !== interaction.type && !scopesReceive(principal, type)) return 'response-type-scope';
  }
  if (unread && decision.classes !== allClasses) return 'response-too-large-to-check';
  if (unread && bringsOthers(parameters) && !mayReadAll(policy, principal, circumstances))
    return 'response-too-large-to-check';
  if (patient === undefined) return undefined;
  if (unread) return 'response-too-large-to-check';
  if (learned.unattributed) return 'response-without-patient';
  return learned.exposure.patients?.every(({ id }) => id === patient) === false ? 'response-other-patient' : undefined;
}

/** SMART scopes of the token, and what they leave of it. */
function withScopes(question: Question, { classes, rule }: Extract<Verdict, { kind: 'allowed' }>): Decision {
  const { policy, principal, circumstances, interaction, parameters } = question;
  const { grants, patient } = principal;
  const verdict = judgeScopes({ grants, patient, interaction, parameters });
  const scope = (reason: string): Denied => ({ kind: 'denied', code: 'insufficient-scope', reason });
  switch (verdict.kind) {
    case 'not-covered':
      return scope('scope');
    case 'covered':
      if ((asksAboutOthers(parameters) || reachesAll(interaction)) && !mayReadAll(policy, principal, circumstances))
        return { kind: 'denied', code: 'forbidden', reason: 'parameter' };
      return { kind: 'allowed', patient: undefined, classes, glass: false, rule };
    case 'covered-for-patient':
      // Whose record a change would touch is in its body, which nobody has checked.
      if (!interaction.safe) return scope('patient-scope-write');
      if (asksAboutOthers(parameters) || bringsOthers(parameters) || reachesAll(interaction))
        return scope('patient-scope-parameter');
      if (question.formToCome !== true && !isNarrowed(interaction, parameters, verdict.patient))
        return scope('patient-scope-search');
      return { kind: 'allowed', patient: verdict.patient, classes, glass: false, rule };
    default:
      return verdict satisfies never;
  }
}

/** What may change something is not held back for what its answer holds, nor what comes over a WebSocket. The end of an export, judged as one, tells nothing. */
function answersUnseen({ name, operation, safe }: Interaction): boolean {
  if (name === 'subscribe') return true;
  return name === 'operation' && !safe && operation !== '$export';
}

function asksForGlass({ policy, circumstances }: Question): boolean {
  return policy.breakGlass !== undefined && circumstances.purpose === policy.breakGlass.purpose;
}

/** For one patient, who is named, and for nobody else; the scopes of the token still have to cover it. */
function throughGlass(question: Question, everyDay: Exclude<Verdict, { kind: 'allowed' }>): Decision {
  const { policy, principal, interaction, parameters, circumstances, formToCome } = question;
  const refuse = (reason: string): Denied => ({ kind: 'denied', code: 'break-glass-refused', reason });
  const verdict = judge(policy, principal.roles, interaction, circumstances, 'glass');
  if (verdict.kind === 'step-up') return denialOf(verdict);
  // Of what may change something the answer is not held back, so nobody would see whom it is about.
  if (verdict.kind === 'refused' || !interaction.safe) {
    if (everyDay.kind === 'step-up') return denialOf(everyDay);
    return { ...denialOf(everyDay), code: 'forbidden', reason: 'break-glass-not-allowed', rule: verdict.rule?.label };
  }
  if (asksAboutOthers(parameters) || bringsOthers(parameters) || reachesAll(interaction))
    return refuse('break-glass-parameter');
  const patient = namedPatient(interaction, parameters) ?? question.glassPatient;
  if (formToCome !== true) {
    if (patient === undefined) return refuse('break-glass-patient');
    if (!isNarrowed(interaction, parameters, patient)) return refuse('break-glass-search');
  }
  const decision = withScopes(question, verdict);
  if (decision.kind === 'denied') return decision;
  if (decision.patient !== undefined && patient !== undefined && decision.patient !== patient)
    return { kind: 'denied', code: 'insufficient-scope', reason: 'patient-scope-search' };
  return withEngine(question, { ...decision, patient: patient ?? decision.patient, glass: true });
}

/** Cedar is asked last, and can only take away. */
function withEngine(question: Question, decision: Decision): Decision {
  const { policy, principal, interaction, circumstances, parameters } = question;
  if (decision.kind === 'denied' || policy.cedar === undefined) return decision;
  const patient = decision.patient ?? namedPatient(interaction, parameters);
  const answer = policy.engine?.permits({ principal, interaction, circumstances, patient, breakGlass: decision.glass });
  if (answer?.permitted === true) return decision;
  return { kind: 'denied', code: 'forbidden', reason: 'policy-cedar', rule: answer?.by };
}

function denialOf(verdict: Exclude<Verdict, { kind: 'allowed' }>): Denied {
  const rule = verdict.rule?.label;
  if (verdict.kind === 'step-up')
    return { kind: 'denied', code: 'step-up-required', reason: 'assurance', rule, assurance: verdict.assurance };
  const reason = verdict.lack === undefined ? 'policy' : `policy-${verdict.lack}`;
  return { kind: 'denied', code: 'forbidden', reason, rule };
}

/** May any resource of this type reach them by a read or a search, whatever classes it turns out to hold? */
export function mayReceive({ policy, principal, circumstances }: Asker, type: string): boolean {
  return receivable(policy, principal.roles, type, circumstances) === allClasses && scopesReceive(principal, type);
}

function scopesReceive(principal: Principal, type: string): boolean {
  const { grants, patient } = principal;
  return [permission.r, permission.s].some(
    (permissions) =>
      judgeScopes({ grants, patient, interaction: { name: 'search', type, permissions }, parameters: [] }).kind !==
      'not-covered',
  );
}

function mayReadAll(policy: Policy, principal: Principal, circumstances: Circumstances): boolean {
  return receivable(policy, principal.roles, undefined, circumstances) === allClasses && scopesReceive(principal, '*');
}
