/**
 * What was asked for, in the words of a bundle: a value is named only where the events that are shown hold it anyway. Otherwise patients, resources and actors are
 * named by pseudonym, and free text not at all.
 */
import type { ShownEvent, StoredRecord } from '@watchglass/record';
import type { Filters } from '../indexes/filters.ts';
import type { Indexes } from '../indexes/indexes.ts';
import { isPseudonym } from '../indexes/tokens.ts';

type Names = ReturnType<Indexes['pseudonyms']>;
type Described = readonly [name: string, value: string];

export function describeQuery(filters: Filters, events: readonly ShownEvent[], names: Names): Described[] {
  const described: Described[] = [];
  const add = (name: string, value: string | undefined): void => {
    if (value !== undefined) described.push([name, value]);
  };
  const { patient, actor, resource, kind, action, operation, outcome, fromMs, toMs, q } = filters;
  add('patient', patient && (shownPatient(patient, events, names) ?? names.patient(patient)));
  add('actor', actor && (isShown(actor, events) ? actor : names.patient(actor)));
  add('resource', resource && nameResource(resource, events, names));
  add('kind', kind);
  add('action', action);
  add('operation', operation && (isShown(operation, events) ? operation : '…'));
  add('outcome', outcome);
  add('from', fromMs === undefined ? undefined : new Date(fromMs).toISOString());
  add('to', toMs === undefined ? undefined : new Date(toMs).toISOString());
  add('q', q && (isShown(q, events) ? q : '…'));
  return described;
}

/** Stands as a whole text in an event that is shown. */
function isShown(value: string, events: readonly ShownEvent[]): boolean {
  const text = JSON.stringify(value);
  return events.some(({ m }) => m.includes(text));
}

/** The patient's id, where it is shown; the question may have come with a pseudonym. */
function shownPatient(asked: string, events: readonly ShownEvent[], names: Names): string | undefined {
  // Records of who looked for the patient hold the pseudonym: the plain id says more, where it is shown at all.
  if (!isPseudonym(asked) && isShown(asked, events)) return asked;
  const pseudonym = names.patient(asked);
  for (const { m } of events) {
    const found = patientsIn(m).find((id) => !isPseudonym(id) && names.patient(id) === pseudonym);
    if (found !== undefined) return found;
  }
  return undefined;
}

function patientsIn(m: string): string[] {
  const { event } = JSON.parse(m) as StoredRecord;
  const targets = (event.targets ?? []).flatMap(({ type, id, patient }) => [
    patient,
    type === 'Patient' ? id : undefined,
  ]);
  const exposed = (event.exposure?.patients ?? []).map((patient) => patient?.id);
  const actor = event.actor?.type === 'patient' ? event.actor.id : undefined;
  return [...targets, ...exposed, actor].filter((id) => typeof id === 'string');
}

function nameResource(resource: string, events: readonly ShownEvent[], names: Names): string {
  const slash = resource.indexOf('/');
  if (slash < 0) return resource;
  const type = resource.slice(0, slash);
  const id = resource.slice(slash + 1);
  return `${type}/${isShown(id, events) ? id : names.resource(type, id)}`;
}
