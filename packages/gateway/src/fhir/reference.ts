/** References and ids as FHIR R4 has them (§2.3.0, §2.24.0.1): whom they name, and when they name nobody. Nothing that isn't an id is repeated. */

export type Json = Readonly<Record<string, unknown>>;

/** Where a resource says whom it is about. */
export const subjectFields = ['subject', 'patient', 'beneficiary', 'individual', 'for'] as const;

/** An id as R4 defines it. */
export function bareId(value: unknown): string | undefined {
  return typeof value === 'string' && /^[A-Za-z0-9\-.]{1,64}$/.test(value) ? value : undefined;
}

/** `Patient/1`, `https://…/Patient/1`, with or without `/_history/2`. */
export function patientIdOf(reference: string): string | undefined {
  const at = reference.lastIndexOf('Patient/');
  if (at === -1 || (at > 0 && reference[at - 1] !== '/')) return undefined;
  const [id, history, version, more] = reference.slice(at + 'Patient/'.length).split('/', 4);
  if (more !== undefined || (history !== undefined && (history !== '_history' || version === undefined)))
    return undefined;
  return bareId(id);
}

/**
 * Does the resource say whom it is about? `nameless` where only a name, a number or something local stands there, or a group of whom; `named` where a reference to something
 * does, a patient or not; undefined where nothing does.
 */
export function subjectOf(
  resource: Json,
  patientOf: (reference: unknown) => string | undefined,
): 'named' | 'nameless' | undefined {
  let said: 'named' | undefined;
  for (const field of subjectFields) {
    const subject = resource[field];
    if (!isObject(subject)) continue;
    const { reference, identifier, display } = subject;
    if (typeof reference !== 'string') {
      // A code for a kind of thing is no somebody.
      if (identifier !== undefined || (display !== undefined && subject.coding === undefined)) return 'nameless';
      continue;
    }
    if (/^urn:|(?:^|\/)Group\//.test(reference) && patientOf(reference) === undefined) return 'nameless';
    said = 'named';
  }
  return said;
}

/** What stands behind the last `/` or `:`. */
export function lastSegment(url: string): string {
  return url.slice(Math.max(url.lastIndexOf('/'), url.lastIndexOf(':')) + 1);
}

export function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

export function objectsOf(value: unknown): readonly Json[] {
  return Array.isArray(value) ? value.filter(isObject) : [];
}
