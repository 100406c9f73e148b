/**
 * Does a request itself keep to one patient, and to which? A count or an empty result tells about others without naming any, so looking at the answer is not
 * enough. A read can only find what it names: there the answer shows whose it is.
 */
import { isInCompartment, narrows } from '../fhir/compartment.ts';
import type { Interaction } from '../fhir/fhir-interaction.ts';
import { isAboutPatients } from '../fhir/fhir-types.ts';
import { bareId } from '../fhir/reference.ts';
import { decodeParameter, type Parameter } from '../http/canonical.ts';

/** Conditions on other resources than the one searched for tell something about those. */
export function asksAboutOthers(parameters: readonly Parameter[]): boolean {
  return parameters.some(({ name }) => name.includes('.') || /^_(?:filter|has|query|list)(?::|$)/i.test(name));
}

export function bringsOthers(parameters: readonly Parameter[]): boolean {
  return parameters.some(({ name }) => /^_(?:(?:rev)?include|contained|containedType)(?::|$)/i.test(name));
}

/** A GraphQL query goes wherever a reference leads, and its answer holds no resources to check. */
export function reachesAll({ operation }: Interaction): boolean {
  return operation === '$graphql';
}

export function isNarrowed(interaction: Interaction, parameters: readonly Parameter[], patient: string): boolean {
  const { name, type, id, compartment, patients } = interaction;
  // Of an API that is no FHIR only its map knows which parameter says whom it is about.
  if (patients !== undefined) return name === 'read' || (patients.length === 1 && patients[0] === patient);
  if (name === 'read' || name === 'vread' || name === 'capabilities') return true;
  if (name === 'history') return id !== undefined;
  if (compartment !== undefined && (compartment.type !== 'Patient' || compartment.id !== patient)) return false;
  if (name === 'operation' && id !== undefined) return type !== 'Patient' || id === patient;
  // All that say whom it is about have to say the same: of two some servers take one.
  const about = parameters.filter((parameter) =>
    type === 'Patient' ? isNamed(parameter, '_id') : isNamed(parameter, 'patient') || isNamed(parameter, 'subject'),
  );
  if (!about.every((parameter) => meansPatient(parameter, patient))) return false;
  if (compartment !== undefined) return true;
  if (name === 'search' && type !== undefined && isInCompartment(type))
    return staysInCompartment(type, parameters, patient);
  return about.length > 0 || (type !== undefined && !isAboutPatients(type));
}

/** The patient whom the path or a parameter names; undefined where none does, or they differ. */
export function namedPatient(interaction: Interaction, parameters: readonly Parameter[]): string | undefined {
  const { type, id, compartment, patients } = interaction;
  if (patients !== undefined) return patients.length === 1 ? patients[0] : undefined;
  const named = new Set<string | undefined>();
  if (type === 'Patient' && id !== undefined) named.add(id);
  if (compartment?.type === 'Patient') named.add(compartment.id);
  for (const parameter of parameters) {
    const bare = type === 'Patient' ? '_id' : 'patient';
    if (parameter.name !== bare && parameter.name !== 'subject' && parameter.name !== 'subject:Patient') continue;
    const value = decodeParameter(parameter.rawValue) ?? '';
    named.add(bareId(value.startsWith('Patient/') ? value.slice('Patient/'.length) : value));
  }
  return named.size === 1 ? [...named][0] : undefined;
}

/** A parameter of the compartment, each time it is said, with this patient. */
function staysInCompartment(type: string, parameters: readonly Parameter[], patient: string): boolean {
  const names = new Set(parameters.map(({ name }) => name.split(':', 1)[0] as string));
  return [...names].some(
    (name) =>
      narrows(type, name) &&
      parameters.filter((parameter) => isNamed(parameter, name)).every((parameter) => meansPatient(parameter, patient)),
  );
}

function isNamed({ name }: Parameter, wanted: string): boolean {
  // Whoever doesn't heed case would take `Patient` for `patient`.
  const lower = name.toLowerCase();
  return lower === wanted || lower.startsWith(`${wanted}:`);
}

function meansPatient({ name, rawValue }: Parameter, patient: string): boolean {
  const value = decodeParameter(rawValue);
  if (name === '_id') return value === patient;
  if (name === 'patient' || name.endsWith(':Patient')) return value === patient || value === `Patient/${patient}`;
  // A subject without a type can be a group or a device. Another modifier means something else than whose it is.
  return !name.includes(':') && value === `Patient/${patient}`;
}
