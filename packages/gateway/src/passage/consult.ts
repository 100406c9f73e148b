/**
 * What has to be asked before the API is, beyond the tables: is the glass broken for this patient, and has the patient agreed. And afterwards once more, for those
 * whom only the answer named. Ends early by throwing `Refused`.
 */
import type { Target } from '@watchglass/record';
import type { Logger } from 'pino';

import { interactionEvent, namedTargets } from '../capture/capture.ts';
import type { EventDraftFacts } from '../capture/recorder.ts';
import { type Learned, learnExposure } from '../exposure/exposure.ts';
import type { Interaction } from '../fhir/fhir-interaction.ts';
import { isAboutPatients } from '../fhir/fhir-types.ts';
import { type Allowed, type Asker, authoriseThroughGlass } from '../policy/authorise.ts';
import type { ConsentAnswer, ConsentDesk } from '../policy/consent.ts';
import type { GlassDesk } from '../policy/glass.ts';
import { isNarrowed, namedPatient } from '../policy/narrowing.ts';
import type { ConsentRule } from '../policy/tables.ts';
import type { Metrics } from '../watch/metrics.ts';
import type { Admitted, Carried } from './admission.ts';
import { denied, deniedByPolicy, type Refused, ruleTarget } from './refused.ts';

export interface ConsultParts {
  readonly glass: GlassDesk;
  readonly consent: ConsentDesk;
  readonly metrics: Metrics;
  readonly logger: Logger;
}

export interface Consulted {
  readonly admitted: Admitted;
  readonly carried: Carried;
  /** On record before the API is asked. */
  readonly events: readonly EventDraftFacts[];
  /** Once they are. */
  readonly commit: () => void | Promise<void>;
}

/** Nobody could say whether the patient agreed, and the policy lets it pass. */
const unchecked: Target = { type: 'Consent', role: 'unchecked' };

/** A promise only where somebody is asked. */
export function consultBefore(
  admitted: Admitted,
  carried: Carried,
  parts: ConsultParts,
): Consulted | Promise<Consulted> {
  const { asker } = admitted;
  if (asker === undefined) return { admitted, carried, events: [], commit: () => undefined };
  const { consent } = asker.policy;
  if (consent === undefined || mayPassConsent(asker, carried.decision)) return breakGlass(admitted, carried, parts);
  return askBefore(admitted, carried, { ...parts, asker, rule: consent });
}

async function askBefore(
  admitted: Admitted,
  carried: Carried,
  parts: ConsultParts & { readonly asker: Asker; readonly rule: ConsentRule },
): Promise<Consulted> {
  const { asker, rule: consent } = parts;
  const { patients, unknown } = patientsBefore(admitted, carried);
  const answer = await ask(admitted, asker, consent, patients, parts);
  if (answer === 'denied') {
    const decision = throughGlass(admitted, carried, asker);
    return breakGlass(admitted, { ...carried, decision }, parts);
  }
  if (answer === 'permitted' && !unknown) return breakGlass(admitted, carried, parts);
  if (consent.onFailure === 'deny') throw noAnswer(admitted, unknown && answer === 'permitted');
  return breakGlass({ ...admitted, flags: [...(admitted.flags ?? []), unchecked] }, carried, parts);
}

/** Whom the answer is about: they are asked before it leaves. Returns what the event has to say besides. */
export function consultAfter(
  admitted: Admitted,
  carried: Carried,
  learned: Learned,
  parts: ConsultParts,
): Admitted | Promise<Admitted> {
  const { asker, interaction } = admitted;
  const consent = asker?.policy.consent;
  // What was changed is changed: whom that was about was asked before.
  if (asker === undefined || consent === undefined || !interaction.safe || interaction.name === 'capabilities')
    return admitted;
  if (mayPassConsent(asker, carried.decision)) return admitted;
  return askAfter(admitted, learned, { ...parts, asker, rule: consent });
}

async function askAfter(
  admitted: Admitted,
  learned: Learned,
  parts: ConsultParts & { readonly asker: Asker; readonly rule: ConsentRule },
): Promise<Admitted> {
  const { asker, rule: consent } = parts;
  const patients = new Set(learned.exposure.patients?.map(({ id }) => id));
  const answer = await ask(admitted, asker, consent, patients, parts);
  if (answer === 'denied') throw denied(admitted, 'consent-refused', 'consent');
  const unknown = learned.unread || learned.unattributed;
  if (answer === 'permitted' && !unknown) return admitted;
  if (consent.onFailure === 'deny') throw noAnswer(admitted, unknown && answer === 'permitted');
  return { ...admitted, flags: [...(admitted.flags ?? []), unchecked] };
}

function mayPassConsent({ policy }: Asker, { glass }: Allowed): boolean {
  return glass && policy.breakGlass?.overridesConsent === true;
}

/** For somebody whom the patient keeps out, the glass is the only way. */
function throughGlass(admitted: Admitted, carried: Carried, asker: Asker): Allowed {
  if (asker.policy.breakGlass?.overridesConsent !== true) throw denied(admitted, 'consent-refused', 'consent');
  const { interaction } = admitted;
  const decision = authoriseThroughGlass({ ...asker, interaction, parameters: carried.parameters });
  if (decision.kind === 'allowed') return decision;
  if (decision.reason === 'consent') throw denied(admitted, 'consent-refused', 'consent');
  throw deniedByPolicy(admitted, decision, asker.policy);
}

function noAnswer(admitted: Admitted, unknown: boolean): Refused {
  return unknown
    ? denied(admitted, 'consent-refused', 'consent-unknown-patient')
    : denied(admitted, 'consent-unavailable', 'consent-unavailable');
}

function ask(
  admitted: Admitted,
  { principal, circumstances }: Asker,
  rule: ConsentRule,
  patients: ReadonlySet<string>,
  parts: ConsultParts,
): Promise<ConsentAnswer> {
  if (patients.size > rule.patientsMax) throw denied(admitted, 'consent-refused', 'consent-too-many');
  const { id, issuer, roles, client } = principal;
  const { operation, type } = admitted.interaction;
  return parts.consent.askAll(
    rule,
    [...patients].map((patient) => ({
      patient,
      actor: { id, issuer, roles, ...(client === undefined ? {} : { client }) },
      ...(circumstances.purpose === undefined ? {} : { purpose: circumstances.purpose }),
      operation,
      ...(type === undefined ? {} : { type }),
    })),
  );
}

/** Whom the request names. `unknown`: it would do something to somebody, and doesn't say to whom. */
function patientsBefore(
  { interaction, asker }: Admitted,
  { parameters, entries, learned, body }: Carried,
): { readonly patients: ReadonlySet<string>; readonly unknown: boolean } {
  const patients = new Set<string>();
  const name = (of: Interaction, with_: Carried['parameters']): void => {
    const patient = namedPatient(of, with_);
    if (patient !== undefined) patients.add(patient);
  };
  name(interaction, parameters);
  if (asker?.glassPatient !== undefined) patients.add(asker.glassPatient);
  const batch = interaction.name === 'batch';
  const sent =
    batch && Buffer.isBuffer(body) ? learnExposure(body, { contentType: 'application/json', complete: true }) : learned;
  const told = sent?.exposure.patients ?? [];
  for (const { id } of told) patients.add(id);
  if (!batch) {
    const unread = body !== null && learned === undefined;
    const known = told.length > 0 || saysWhose(interaction, parameters, unread);
    return { patients, unknown: !interaction.safe && !known && concerns(interaction) };
  }
  for (const entry of entries) name(entry.interaction, entry.parameters);
  // The answer to a batch is not held back, so each entry has to say it.
  const silent = entries.filter(
    (entry) => !saysWhose(entry.interaction, entry.parameters, false) && concerns(entry.interaction),
  );
  const unknown = silent.some(({ interaction: { name: what } }) => what !== 'create' && what !== 'update');
  return { patients, unknown: unknown || (silent.length > 0 && told.length === 0) };
}

/** A parameter says it of what is looked for by it: not of what has an id already, nor of what is only now sent. */
function saysWhose(interaction: Interaction, parameters: Carried['parameters'], unread: boolean): boolean {
  const patient = namedPatient(interaction, parameters);
  if (patient === undefined) return false;
  if (namedPatient(interaction, []) === patient) return true;
  const lookedFor = interaction.id === undefined && interaction.name !== 'create' && !unread;
  return lookedFor && isNarrowed(interaction, parameters, patient);
}

function concerns({ type }: Interaction): boolean {
  return type === undefined || isAboutPatients(type);
}

/** The answer says it in its header, the log in a line without anybody's name, the record in an event of its own. */
async function breakGlass(admitted: Admitted, carried: Carried, parts: ConsultParts): Promise<Consulted> {
  const { asker, captured, request } = admitted;
  const { decision } = carried;
  const rule = asker?.policy.breakGlass;
  if (asker === undefined || rule === undefined || !decision.glass || decision.patient === undefined)
    return { admitted, carried, events: [], commit: () => undefined };
  const { principal, policy, circumstances } = asker;
  const answer = await parts.glass.ask({
    rule,
    issuer: principal.issuer,
    person: principal.id,
    patient: decision.patient,
    reason: request.headers[rule.reasonHeader],
    nowMs: circumstances.timeMs,
  });
  if (answer.kind === 'refused') throw denied(admitted, 'break-glass-refused', answer.reason);
  const purpose = { code: rule.purpose, justification: answer.reason };
  const until = new Date(answer.untilMs).toISOString();
  const known: Admitted = {
    ...admitted,
    purpose,
    notices: { 'x-break-glass': `open; reason=${answer.reason}; until=${until}` },
  };
  if (answer.kind === 'open') return { admitted: known, carried, events: [], commit: () => undefined };
  const decidedBy = ruleTarget({ rule: decision.rule?.label }, policy.digest);
  const event: EventDraftFacts = {
    ...interactionEvent({
      captured,
      interaction: admitted.interaction,
      actor: admitted.actor,
      parameterNames: [],
      outcome: { status: 'success' },
      facts: {},
      rest: {
        targets: [
          { type: 'Patient', id: decision.patient, patient: decision.patient, role: 'object' },
          ...namedTargets(admitted.interaction).filter(({ type }) => type !== 'Patient'),
          ...(decidedBy === undefined ? [] : [decidedBy]),
        ],
        purpose,
      },
    }),
    kind: 'access-change',
    action: 'execute',
    operation: 'break-glass-opened',
  };
  const commit = async (): Promise<void> => {
    await answer.commit();
    parts.metrics.glassBroken.inc();
    parts.logger.warn({ auditId: captured.auditId, reason: answer.reason, until }, 'the glass was broken');
  };
  return { admitted: known, carried, events: [event], commit };
}
