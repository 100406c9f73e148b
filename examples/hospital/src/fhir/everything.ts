/** `Patient/[id]/$everything`: the patient, every record about them, and the people and places those name. */
import type { Resource } from '../resource.ts';
import { FhirError } from './outcome.ts';
import { referencesIn } from './references.ts';
import { countOf } from './search.ts';
import type { Store } from './store.ts';

export const everythingCountDefault = 200;
const named = ['Practitioner', 'Organization', 'Location'];

/** In a stable order: the patient, the records by type, then what they refer to. */
export function everything(
  store: Store,
  patient: string,
  query: URLSearchParams,
): { resources: Resource[]; count: number } {
  for (const key of query.keys()) {
    if (!['_type', '_count', '_format', '_pretty'].includes(key))
      throw new FhirError(400, 'not-supported', 'expected only _type and _count on $everything');
  }
  const types = query.get('_type')?.split(',');
  const wanted = (type: string): boolean => types === undefined || types.includes(type);
  const own = ['Patient', ...store.typesOfPatient(patient).filter((type) => type !== 'Patient')];
  const records = own.filter(wanted).flatMap((type) => [...store.ofPatient(patient, type)]);
  const around = new Map<string, Resource>();
  for (const reference of records.flatMap(referencesIn)) {
    const [type = '', id = ''] = reference.split('/');
    const resource = named.includes(type) && wanted(type) ? store.current(type, id) : undefined;
    if (resource !== undefined) around.set(reference, resource);
  }
  const count = query.get('_count');
  return {
    resources: [...records, ...around.values()],
    count: count === null ? everythingCountDefault : countOf(count),
  };
}
