/**
 * Search: `GET /Type?…` and `POST /Type/_search`. A search is answered from a snapshot of ids kept under an opaque random
 * cursor, so pages neither repeat nor skip and a `next` link carries no identifier. Snapshots are few
 * ({@link cursorsMax}) and the oldest goes first; a link to one that is gone answers 410.
 */
import { randomBytes } from 'node:crypto';
import { type Resource, textAt, valuesAt } from '../resource.ts';
import { type Criterion, criterionOf, foldText, matches, referenceOf } from './criteria.ts';
import { FhirError } from './outcome.ts';
import { type Parameter, parametersOf } from './parameters.ts';
import type { Store } from './store.ts';

export const countDefault = 20;
export const countMax = 500;
export const cursorsMax = 500;
const includesMax = 10;

export interface Page {
  readonly total: number | undefined;
  readonly found: readonly Resource[];
  readonly included: readonly Resource[];
  /** The `_cursor` value of the page after this one. */
  readonly next: string | undefined;
  readonly elements: readonly string[] | undefined;
}

interface Snapshot {
  /** `Type/id`, in the order of the answer. */
  readonly keys: readonly string[];
  readonly includes: readonly string[];
  readonly elements: readonly string[] | undefined;
  readonly withTotal: boolean;
  readonly count: number;
}

export class Searches {
  readonly #store: Store;
  readonly #snapshots = new Map<string, Snapshot>();

  constructor(store: Store) {
    this.#store = store;
  }

  /** Answers a search, or a later page of one when the query is a `_cursor`. */
  search(type: string, query: URLSearchParams): Page {
    const cursor = query.get('_cursor');
    if (cursor !== null) return this.#pageAt(cursor);
    const asked = parseSearch(type, query);
    if (asked.countOnly)
      return { total: this.#run(type, asked).length, found: [], included: [], next: undefined, elements: undefined };
    const keys = this.#run(type, asked).map((resource) => `${type}/${resource.id}`);
    return this.#firstPage({
      keys,
      includes: asked.includes,
      elements: asked.elements,
      withTotal: asked.withTotal,
      count: asked.count,
    });
  }

  /** Pages over resources found in another way (`$everything`). */
  pages(resources: readonly Resource[], count: number): Page {
    const keys = resources.map((resource) => `${resource.resourceType}/${resource.id}`);
    return this.#firstPage({ keys, includes: [], elements: undefined, withTotal: true, count });
  }

  #run(type: string, asked: ParsedSearch): Resource[] {
    const found: Resource[] = [];
    for (const resource of this.#candidates(type, asked.criteria))
      if (asked.criteria.every((criterion) => matches(resource, criterion))) found.push(resource);
    return sorted(found, asked.sort);
  }

  /** The narrowest index a criterion opens; everything of the type otherwise. */
  *#candidates(type: string, criteria: readonly Criterion[]): Generator<Resource> {
    const byId = criteria.find((one) => one.name === '_id' && one.modifier === undefined);
    if (byId !== undefined) {
      for (const id of new Set(byId.values)) {
        const resource = this.#store.current(type, id);
        if (resource !== undefined) yield resource;
      }
      return;
    }
    const narrow = (target: string): readonly string[] | undefined =>
      criteria
        .find(
          (one) =>
            one.parameter.kind === 'reference' &&
            one.parameter.target === target &&
            (one.modifier ?? target) === target,
        )
        ?.values.map((value) => referenceOf(value, target));
    const encounters = narrow('Encounter');
    const patients = narrow('Patient');
    if (patients?.every((reference) => reference.startsWith('Patient/'))) {
      for (const reference of new Set(patients)) yield* this.#store.ofPatient(reference.slice('Patient/'.length), type);
    } else if (encounters?.every((reference) => reference.startsWith('Encounter/'))) {
      for (const reference of new Set(encounters))
        yield* this.#store.ofEncounter(reference.slice('Encounter/'.length), type);
    } else yield* this.#store.all(type);
  }

  #firstPage(snapshot: Snapshot): Page {
    if (snapshot.keys.length <= snapshot.count) return this.#page(snapshot, 0, undefined);
    const id = randomBytes(12).toString('base64url');
    this.#snapshots.set(id, snapshot);
    for (const oldest of this.#snapshots.keys()) {
      if (this.#snapshots.size <= cursorsMax) break;
      this.#snapshots.delete(oldest);
    }
    return this.#page(snapshot, 0, id);
  }

  #pageAt(cursor: string): Page {
    const match = /^([\w-]{16})\.(\d{1,7})$/.exec(cursor);
    const snapshot = match === null ? undefined : this.#snapshots.get(match[1] ?? '');
    if (match === null || snapshot === undefined)
      throw new FhirError(410, 'not-found', 'this page is gone; run the search again');
    return this.#page(snapshot, Number(match[2]), match[1]);
  }

  #page(snapshot: Snapshot, start: number, id: string | undefined): Page {
    const end = start + snapshot.count;
    const found = snapshot.keys.slice(start, end).flatMap((key) => this.#byKey(key));
    return {
      total: snapshot.withTotal ? snapshot.keys.length : undefined,
      found,
      included: this.#include(found, snapshot.includes),
      next: id !== undefined && end < snapshot.keys.length ? `${id}.${end}` : undefined,
      elements: snapshot.elements,
    };
  }

  #byKey(key: string): Resource[] {
    const slash = key.indexOf('/');
    const resource = this.#store.current(key.slice(0, slash), key.slice(slash + 1));
    return resource === undefined ? [] : [resource];
  }

  #include(found: readonly Resource[], includes: readonly string[]): Resource[] {
    const seen = new Set(found.map((resource) => `${resource.resourceType}/${resource.id}`));
    const included: Resource[] = [];
    for (const resource of found) {
      for (const include of includes) {
        const parameter = parametersOf(resource.resourceType)[include];
        for (const reference of parameter?.paths.flatMap((path) => valuesAt(resource, path)) ?? []) {
          if (typeof reference !== 'string' || seen.has(reference)) continue;
          if (parameter?.target !== undefined && !reference.startsWith(`${parameter.target}/`)) continue;
          seen.add(reference);
          included.push(...this.#byKey(reference));
        }
      }
    }
    return included;
  }
}

interface ParsedSearch {
  readonly criteria: readonly Criterion[];
  readonly sort: readonly SortKey[];
  readonly count: number;
  readonly countOnly: boolean;
  readonly withTotal: boolean;
  readonly includes: readonly string[];
  readonly elements: readonly string[] | undefined;
}

interface SortKey {
  readonly parameter: Parameter;
  readonly descending: boolean;
}

/** Reads a query; a parameter or value this server can't honour is a 400 that names what it can. */
function parseSearch(type: string, query: URLSearchParams): ParsedSearch {
  const parameters = parametersOf(type);
  const criteria: Criterion[] = [];
  const includes: string[] = [];
  for (const [key, value] of query) {
    if (key === '_include') includes.push(includeOf(type, value, parameters));
    else if (!controls.has(key)) criteria.push(criterionOf(key, value, parameters));
  }
  if (includes.length > includesMax)
    throw new FhirError(400, 'too-long', `expected at most ${includesMax} _include parameters`);
  const elements = query.get('_elements');
  const summary = query.get('_summary');
  if (summary !== null && summary !== 'count' && summary !== 'false')
    throw new FhirError(400, 'not-supported', 'expected _summary=count or false');
  return {
    criteria,
    sort: sortOf(query.get('_sort'), parameters),
    count: countOf(query.get('_count')),
    countOnly: summary === 'count' || query.get('_count') === '0',
    withTotal: query.get('_total') !== 'none',
    includes,
    elements: elements === null ? undefined : ['resourceType', 'id', 'meta', ...elements.split(',')],
  };
}

const controls = new Set(['_count', '_sort', '_summary', '_total', '_elements', '_format', '_pretty']);

export function countOf(text: string | null): number {
  if (text === null) return countDefault;
  if (!/^\d{1,9}$/.test(text)) throw new FhirError(400, 'value', 'expected a whole number for _count');
  return Math.max(1, Math.min(countMax, Number(text)));
}

function includeOf(type: string, value: string, parameters: Readonly<Record<string, Parameter>>): string {
  const [source, name = ''] = value.split(':');
  const parameter = Object.hasOwn(parameters, name) ? parameters[name] : undefined;
  if (source !== type || parameter?.kind !== 'reference') {
    const possible = Object.keys(parameters).filter((one) => parameters[one]?.kind === 'reference');
    throw new FhirError(400, 'not-supported', `expected _include=${type}:… with one of ${possible.join(', ')}`);
  }
  return name;
}

function sortOf(text: string | null, parameters: Readonly<Record<string, Parameter>>): SortKey[] {
  if (text === null || text === '') return [];
  return text.split(',').map((part) => {
    const descending = part.startsWith('-');
    const name = descending ? part.slice(1) : part;
    const parameter = Object.hasOwn(parameters, name) ? parameters[name] : undefined;
    if (parameter === undefined || parameter.kind === 'reference')
      throw new FhirError(400, 'not-supported', 'expected _sort by token, string or date parameters of the type');
    return { parameter, descending };
  });
}

function sorted(found: Resource[], sort: readonly SortKey[]): Resource[] {
  if (sort.length === 0) return found;
  const keyed = found.map((resource) => ({ resource, keys: sort.map((key) => sortText(resource, key.parameter)) }));
  keyed.sort((one, other) => {
    for (const [index, { descending }] of sort.entries()) {
      const a = one.keys[index] ?? '';
      const b = other.keys[index] ?? '';
      if (a !== b) return a < b === descending ? 1 : -1;
    }
    return one.resource.id < other.resource.id ? -1 : 1;
  });
  return keyed.map(({ resource }) => resource);
}

function sortText(resource: Resource, parameter: Parameter): string {
  for (const path of parameter.paths) {
    const text =
      textAt(resource, path) ??
      textAt(resource, `${path}.start`) ??
      textAt(resource, `${path}.coding.code`) ??
      textAt(resource, `${path}.value`);
    if (text === undefined) continue;
    if (parameter.kind !== 'date') return foldText(text);
    // Records from elsewhere carry offsets; compare the instants, not the spellings.
    const ms = Date.parse(text);
    return Number.isNaN(ms) ? text : String(ms + 1e15).padStart(17, '0');
  }
  return '';
}
