/** References inside a resource: visiting them, rewriting them, and refusing those to records that aren't here. */
import { isRecord, type Resource } from '../resource.ts';
import { FhirError } from './outcome.ts';
import type { Store } from './store.ts';

/** A copy of the resource with every `reference` string replaced by what `rewrite` makes of it. */
export function withReferences<T>(value: T, rewrite: (reference: string) => string): T {
  return walk(value, rewrite) as T;
}

function walk(value: unknown, rewrite: (reference: string) => string): unknown {
  if (Array.isArray(value)) return value.map((one) => walk(one, rewrite));
  if (!isRecord(value)) return value;
  const copy: Record<string, unknown> = {};
  for (const [member, inner] of Object.entries(value))
    copy[member] = member === 'reference' && typeof inner === 'string' ? rewrite(inner) : walk(inner, rewrite);
  return copy;
}

/** Every `reference` string in a value. */
export function referencesIn(value: unknown): string[] {
  const found: string[] = [];
  withReferences(value, (reference) => {
    found.push(reference);
    return reference;
  });
  return found;
}

const local = /^([A-Z][A-Za-z]{2,40})\/([A-Za-z0-9\-.]{1,64})$/;

/** A written resource may only point at records that are here; contained and absolute references are left alone. */
export function checkReferences(resource: Omit<Resource, 'id'>, store: Store, pending?: ReadonlySet<string>): void {
  for (const reference of referencesIn(resource)) {
    const match = local.exec(reference);
    if (match === null || pending?.has(reference)) continue;
    const [, type = '', id = ''] = match;
    if (store.current(type, id) === undefined)
      throw new FhirError(
        422,
        'not-found',
        `expected references to records that exist; one to a ${type} leads nowhere`,
      );
  }
}
