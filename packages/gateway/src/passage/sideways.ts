/**
 * What an answer tells beside what was asked: by its status and fields alone, where there is no body to see whom it is about; and to a patch, by showing the whole to who may
 * only write it.
 */
import type { Learned } from '../exposure/exposure.ts';
import { isMapped } from '../exposure/json-map.ts';
import { isAboutPatients } from '../fhir/fhir-types.ts';
import { mayReceive } from '../policy/authorise.ts';
import { namedPatient } from '../policy/narrowing.ts';
import type { Admitted, Carried } from './admission.ts';
import type { HeldBeginning, HeldWhole } from './forward.ts';

/**
 * To HEAD, or as 304, an answer has its fields only: that there is something, of which version, how long. Whom that is about nobody can see, unless the
 * request itself keeps to one patient.
 */
export function withUnseen(
  { interaction }: Admitted,
  { parameters, decision }: Carried,
  held: HeldWhole | HeldBeginning,
  learned: Learned,
): Learned {
  const { type, name, safe } = interaction;
  if (held.kind !== 'whole' || held.body.length > 0 || held.status >= 400 || !safe || name === 'capabilities')
    return learned;
  if (type !== undefined && type !== 'Binary' && !isAboutPatients(type)) return learned;
  const { patient } = decision;
  // Judged already: it can only find what is that patient's.
  if (name === 'search' && patient !== undefined) return learned;
  const named = namedPatient(interaction, parameters);
  const known = named !== undefined && (patient === undefined || named === patient);
  return known ? learned : { ...learned, unattributed: true };
}

/** Does it matter whom an answer is about? Then the API is asked without conditions, to which it could answer without a body. */
export function needsSight({ asker, interaction }: Admitted, { decision }: Carried): boolean {
  return interaction.safe && (decision.patient !== undefined || asker?.policy.consent !== undefined);
}

/**
 * Many APIs answer a patch with the whole resource, and a create that made nothing (200, by `If-None-Exist`) with the one that is there already. Who may not read it learns how it
 * ended, and no more; where patients are asked whether they agree, nobody has asked about that one.
 */
export function withoutReading(
  { asker, interaction }: Admitted,
  held: HeldWhole | HeldBeginning,
): HeldWhole | HeldBeginning {
  const { name, type, operation } = interaction;
  // Other APIs than FHIR say 200 of what they made.
  const mayBeOld = operation === 'conditional-create' || !isMapped(interaction);
  const found = name === 'create' && held.status === 200 && mayBeOld;
  if (!(name === 'patch' || found) || type === undefined || asker === undefined || held.status >= 400) return held;
  if (mayReceive(asker, type) && !(found && asker.policy.consent !== undefined)) return held;
  if (held.kind === 'beginning') held.abandon();
  const { 'content-type': _type, 'content-encoding': _encoding, ...headers } = held.headers;
  return { kind: 'whole', status: held.status, headers, body: Buffer.alloc(0) };
}
