/** The names that answers have brought so far, by tenant: the facets and the panel name people whom a page named. Gone with the page. */
import { useSyncExternalStore } from 'react';
import { nobodyKnown, type People } from '../text/people.ts';

const known = new Map<string, People>();
const listeners = new Set<() => void>();

export function learnPeople(tenant: string, people: People): void {
  const before = known.get(tenant) ?? nobodyKnown;
  const fresh = Object.entries(people).filter(([id, { name, department }]) => {
    const one = before[id];
    return one?.name !== name || one.department !== department;
  });
  if (fresh.length === 0) return;
  known.set(tenant, { ...before, ...Object.fromEntries(fresh) });
  for (const listener of listeners) listener();
}

export function knownPeople(tenant: string): People {
  return known.get(tenant) ?? nobodyKnown;
}

export function useKnownPeople(tenant: string): People {
  return useSyncExternalStore(subscribe, () => knownPeople(tenant));
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}
