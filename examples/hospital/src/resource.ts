/**
 * The shape of a FHIR R4 resource as this hospital holds it: JSON, with the few members the code relies on typed and the
 * rest unknown until somebody asks for them by path.
 */
export interface Coding {
  readonly system?: string;
  readonly code: string;
  readonly display?: string;
}

export interface Meta {
  readonly versionId?: string;
  readonly lastUpdated?: string;
  readonly security?: readonly Coding[];
  readonly [member: string]: unknown;
}

export interface Resource {
  readonly resourceType: string;
  readonly id: string;
  readonly meta?: Meta;
  readonly [member: string]: unknown;
}

export interface Reference {
  readonly reference: string;
  readonly display?: string;
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Every value found at a dotted path; arrays on the way are walked through. `valuesAt(patient, 'name.family')`. */
export function valuesAt(value: unknown, path: string): unknown[] {
  let found: unknown[] = [value];
  for (const member of membersOf(path)) {
    const next: unknown[] = [];
    for (const one of found) {
      if (!isRecord(one)) continue;
      const inner = one[member];
      if (Array.isArray(inner)) next.push(...inner);
      else if (inner !== undefined) next.push(inner);
    }
    found = next;
  }
  return found;
}

const knownPaths = new Map<string, readonly string[]>();

/** Paths are few and written in the code, so each is split once. */
function membersOf(path: string): readonly string[] {
  const known = knownPaths.get(path) ?? path.split('.');
  knownPaths.set(path, known);
  return known;
}

/** The first string at a path, or undefined. */
export function textAt(value: unknown, path: string): string | undefined {
  return valuesAt(value, path).find((found): found is string => typeof found === 'string');
}

/** The id in `Type/id`, when the reference is to that type. */
export function idOfReference(reference: unknown, type: string): string | undefined {
  if (typeof reference !== 'string' || !reference.startsWith(`${type}/`)) return undefined;
  const id = reference.slice(type.length + 1);
  return id === '' || id.includes('/') ? undefined : id;
}

/** The members by which a resource names its patient: the patient compartment, as far as this hospital's types go. */
const patientMembers = ['subject', 'patient', 'beneficiary'] as const;

/** The ids of the patients a resource is about: a Patient itself, or what its compartment references name. */
export function patientsOf(resource: Resource): string[] {
  if (resource.resourceType === 'Patient') return [resource.id];
  const ids: string[] = [];
  const add = (value: unknown): void => {
    const id = isRecord(value) ? idOfReference(value.reference, 'Patient') : undefined;
    if (id !== undefined && !ids.includes(id)) ids.push(id);
  };
  for (const member of patientMembers) add(resource[member]);
  const { participant } = resource;
  if (Array.isArray(participant)) for (const one of participant) if (isRecord(one)) add(one.actor);
  return ids;
}
