/** What a person asked for, as the record of the question names it. */
import type { Target } from '@watchglass/record';
import type { Filters } from '../indexes/filters.ts';
import type { Indexes } from '../indexes/indexes.ts';

/** What was asked for, by pseudonym: the record of a search must not be a list of patients. */
export function targetsOf(filters: Filters, names: ReturnType<Indexes['pseudonyms']>): Target[] {
  const targets: Target[] = [];
  if (filters.patient !== undefined)
    targets.push({ type: 'Patient', id: names.patient(filters.patient), role: 'query' });
  if (filters.resource !== undefined) {
    const slash = filters.resource.indexOf('/');
    const type = slash < 0 ? filters.resource : filters.resource.slice(0, slash);
    targets.push({
      type,
      ...(slash < 0 ? {} : { id: names.resource(type, filters.resource.slice(slash + 1)) }),
      role: 'query',
    });
  }
  // An actor may be a patient, so an actor asked for is named like one.
  if (filters.actor !== undefined) targets.push({ type: 'Actor', id: names.patient(filters.actor), role: 'query' });
  return targets;
}
