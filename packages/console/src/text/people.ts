/** How whoever acted is called: by name where the server knows them, by what they are where no person is meant, by id otherwise. */
import type { ActorType } from '@watchglass/record';
import { plainWords } from './labels.ts';

export interface NamedPerson {
  readonly name: string;
  readonly department?: string;
}

/** Staff by actor id, as far as pages have brought them. */
export type People = Readonly<Record<string, NamedPerson>>;

export const nobodyKnown: People = {};

interface Named {
  readonly id: string;
  readonly type?: ActorType;
}

/** The name, or undefined where there is only the id. */
export function nameOf({ id, type }: Named, people: People): string | undefined {
  if (type === 'service') {
    if (id.startsWith('gateway:')) return 'Gateway';
    return services[id];
  }
  if (isStaff({ id, ...(type && { type }) }, people)) return people[id]?.name;
  return type === undefined || type === 'human' ? strangers[id] : undefined;
}

/** Known by name. A patient or a service of the same id is somebody else. */
export function isStaff({ id, type }: Named, people: People): boolean {
  return (type === undefined || type === 'human') && Object.hasOwn(people, id);
}

const services: Readonly<Record<string, string>> = {
  server: 'Server',
  watchglass: 'Ledger',
  unauthenticated: 'Not signed in',
};
/** Whom nobody could identify. */
const strangers: Readonly<Record<string, string>> = { anonymous: 'Not identified', unknown: 'Not identified' };

/** `nurse, Ward 4`: what a person is, beside the name. */
export function standing(
  actor: Named & { readonly roles?: readonly string[] },
  people: People,
  rolesMax: number = Number.POSITIVE_INFINITY,
): string {
  const roles = (actor.roles ?? []).filter((role) => role !== actor.id).slice(0, rolesMax);
  const place = placeOf(actor, people);
  return [...roles.map(plainWords), ...(place === undefined ? [] : [place])].join(', ');
}

/** The department: `billing-office` → `Billing office`. */
export function placeOf({ id, type }: Named, people: People): string | undefined {
  const department = isStaff({ id, ...(type && { type }) }, people) ? people[id]?.department : undefined;
  if (department === undefined) return undefined;
  const words = plainWords(department);
  return words.charAt(0).toUpperCase() + words.slice(1);
}
