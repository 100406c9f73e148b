/**
 * The names behind the actors of a page: of staff known here, so that people read "Dana Ito" and not `wg-pr-0007`. Never of a patient, and never of somebody of
 * another tenant.
 */
import type { Actor, TenantId } from '@watchglass/record';
import type { Person } from '../access/access.ts';

/** Somebody of the staff. */
export interface NamedPerson {
  readonly name: string;
  readonly department?: string;
}

/** Who looks people up: `people` of access/, handed in. */
export interface Staff {
  get(id: string): Pick<Person, 'tenant' | 'name' | 'department' | 'roles'> | undefined;
}

/** By actor id; whoever is not known here is left out. */
export function peopleOf(
  tenant: TenantId,
  events: readonly { readonly [member: string]: unknown }[],
  staff: Staff,
): Readonly<Record<string, NamedPerson>> {
  return peopleNamed(tenant, new Set(events.flatMap((event) => humanIdsIn(event.actor as Actor))), staff);
}

/** Of actors by their ids alone, such as those that were counted. */
export function peopleNamed(
  tenant: TenantId,
  ids: Iterable<string>,
  staff: Staff,
): Readonly<Record<string, NamedPerson>> {
  const named: [string, NamedPerson][] = [];
  for (const id of ids) {
    const person = staff.get(id);
    if (person === undefined || person.tenant !== tenant || person.roles.includes('patient')) continue;
    const { name, department } = person;
    named.push([id, { name, ...(department === undefined ? {} : { department }) }]);
  }
  return Object.fromEntries(named);
}

/** The actor, and for whom the actor acts. */
function humanIdsIn({ onBehalfOf = [], ...actor }: Actor): string[] {
  return [actor, ...onBehalfOf].filter(({ type = 'human' }) => type === 'human').map(({ id }) => id);
}
