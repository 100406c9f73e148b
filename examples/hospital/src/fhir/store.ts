/**
 * The records in memory: every resource with its versions, an index from patient to resources, and one from encounter.
 * Everything is synchronous, so a request sees one state and a transaction can be undone whole. Memory is bounded: a resource keeps
 * its newest {@link versionsMax} versions, and beyond {@link createdMax} resources created over the API the oldest of
 * them is forgotten.
 */
import { idOfReference, patientsOf, type Resource, textAt, valuesAt } from '../resource.ts';

export const versionsMax = 20;
export const createdMax = 20_000;

export interface Version {
  readonly versionId: string;
  readonly lastUpdated: string;
  readonly method: 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** Undefined for the version that deleted it. */
  readonly resource: Resource | undefined;
}

export interface Entry {
  readonly type: string;
  readonly id: string;
  /** Oldest first; at least one. */
  readonly versions: readonly Version[];
}

/** Short names in the ids of resources created over the API. */
const idNames: Readonly<Record<string, string>> = {
  Patient: 'pt',
  Encounter: 'enc',
  Observation: 'obs',
  Condition: 'cond',
  Appointment: 'apt',
  CareTeam: 'team',
  MedicationRequest: 'med',
  DocumentReference: 'doc',
  Coverage: 'cov',
  Claim: 'claim',
  Practitioner: 'pr',
};

export class Store {
  readonly #now: () => Date;
  readonly #types = new Map<string, Map<string, Entry>>();
  readonly #ofPatient = new Map<string, Map<string, Set<string>>>();
  readonly #ofEncounter = new Map<string, Map<string, Set<string>>>();
  readonly #created = new Set<string>();
  #serial = 0;
  #undo: { type: string; id: string; entry: Entry | undefined }[] | undefined;

  /** `now` dates what is written over the API; loaded resources bring their own dates. */
  constructor(now: () => Date) {
    this.#now = now;
  }

  /** Takes a resource as it is, version 1; later ones of the same id replace earlier ones. */
  load(resource: Resource): void {
    const versionId = resource.meta?.versionId ?? '1';
    const lastUpdated = resource.meta?.lastUpdated ?? this.#now().toISOString();
    const isStamped = resource.meta?.versionId !== undefined && resource.meta.lastUpdated !== undefined;
    const stored = isStamped ? resource : { ...resource, meta: { ...resource.meta, versionId, lastUpdated } };
    this.#put({
      type: resource.resourceType,
      id: resource.id,
      versions: [{ versionId, lastUpdated, method: 'PUT', resource: stored }],
    });
  }

  types(): string[] {
    return [...this.#types.keys()].sort();
  }

  count(type: string): number {
    return this.#types.get(type)?.size ?? 0;
  }

  entry(type: string, id: string): Entry | undefined {
    return this.#types.get(type)?.get(id);
  }

  /** The current version, unless deleted. */
  current(type: string, id: string): Resource | undefined {
    return this.entry(type, id)?.versions.at(-1)?.resource;
  }

  /** All current resources of a type, in the order they came. */
  *all(type: string): Generator<Resource> {
    for (const entry of this.#types.get(type)?.values() ?? []) {
      const resource = entry.versions.at(-1)?.resource;
      if (resource !== undefined) yield resource;
    }
  }

  /** All current resources of a type that are about a patient. */
  *ofPatient(patient: string, type: string): Generator<Resource> {
    yield* this.#listed(this.#ofPatient.get(patient)?.get(type), type);
  }

  *ofEncounter(encounter: string, type: string): Generator<Resource> {
    yield* this.#listed(this.#ofEncounter.get(encounter)?.get(type), type);
  }

  typesOfPatient(patient: string): string[] {
    return [...(this.#ofPatient.get(patient)?.keys() ?? [])].sort();
  }

  *#listed(ids: ReadonlySet<string> | undefined, type: string): Generator<Resource> {
    for (const id of ids ?? []) {
      const resource = this.current(type, id);
      if (resource !== undefined) yield resource;
    }
  }

  /** An id nothing has: `wg-obs-n000042`. */
  freeId(type: string): string {
    const name = idNames[type] ?? type.toLowerCase();
    for (;;) {
      this.#serial++;
      const id = `wg-${name}-n${String(this.#serial).padStart(6, '0')}`;
      if (this.entry(type, id) === undefined) return id;
    }
  }

  /** Writes a new version (or the first) and gives it back with its meta. */
  write(method: 'POST' | 'PUT' | 'PATCH', resource: Resource): Version {
    const { resourceType: type, id } = resource;
    const before = this.entry(type, id);
    const stamp = this.#nextStamp(before);
    const version: Version = { ...stamp, method, resource: { ...resource, meta: { ...resource.meta, ...stamp } } };
    this.#put({ type, id, versions: [...(before?.versions ?? []), version].slice(-versionsMax) });
    if (before === undefined) this.#remember(`${type}/${id}`);
    return version;
  }

  /** Marks it deleted; its versions stay readable. */
  delete(type: string, id: string): void {
    const before = this.entry(type, id);
    if (before === undefined || before.versions.at(-1)?.resource === undefined) return;
    const version: Version = { ...this.#nextStamp(before), method: 'DELETE', resource: undefined };
    this.#put({ type, id, versions: [...before.versions, version].slice(-versionsMax) });
  }

  /** Runs `work`; if it throws, everything it wrote is as if it never had been. */
  atomically<T>(work: () => T): T {
    this.#undo = [];
    try {
      return work();
    } catch (error) {
      for (const { type, id, entry } of this.#undo.reverse()) this.#restore(type, id, entry);
      throw error;
    } finally {
      this.#undo = undefined;
    }
  }

  #nextStamp(before: Entry | undefined): { versionId: string; lastUpdated: string } {
    const versionId = String(Number(before?.versions.at(-1)?.versionId ?? '0') + 1);
    return { versionId, lastUpdated: this.#now().toISOString() };
  }

  #put(entry: Entry): void {
    const before = this.entry(entry.type, entry.id);
    this.#undo?.push({ type: entry.type, id: entry.id, entry: before });
    this.#restore(entry.type, entry.id, entry);
  }

  #restore(type: string, id: string, entry: Entry | undefined): void {
    this.#index(this.current(type, id), false);
    const ofType = this.#types.get(type) ?? new Map<string, Entry>();
    this.#types.set(type, ofType);
    if (entry === undefined) {
      ofType.delete(id);
      this.#created.delete(`${type}/${id}`);
    } else ofType.set(id, entry);
    this.#index(entry?.versions.at(-1)?.resource, true);
  }

  #index(resource: Resource | undefined, add: boolean): void {
    if (resource === undefined) return;
    for (const patient of patientsOf(resource)) mark(this.#ofPatient, patient, resource, add);
    for (const encounter of encountersOf(resource)) mark(this.#ofEncounter, encounter, resource, add);
  }

  #remember(key: string): void {
    this.#created.add(key);
    // Within a transaction nothing is forgotten, so that undoing it is exact.
    if (this.#undo !== undefined) return;
    for (const oldest of this.#created) {
      if (this.#created.size <= createdMax) break;
      const slash = oldest.indexOf('/');
      this.#restore(oldest.slice(0, slash), oldest.slice(slash + 1), undefined);
    }
  }
}

function encountersOf(resource: Resource): string[] {
  const found: unknown[] = [];
  if (resource.encounter !== undefined) found.push(textAt(resource, 'encounter.reference'));
  if (resource.context !== undefined) found.push(...valuesAt(resource, 'context.encounter.reference'));
  if (resource.item !== undefined) found.push(...valuesAt(resource, 'item.encounter.reference'));
  return found.flatMap((reference) => idOfReference(reference, 'Encounter') ?? []);
}

function mark(index: Map<string, Map<string, Set<string>>>, key: string, resource: Resource, add: boolean): void {
  const types = index.get(key) ?? new Map<string, Set<string>>();
  index.set(key, types);
  const ids = types.get(resource.resourceType) ?? new Set<string>();
  types.set(resource.resourceType, ids);
  if (add) ids.add(resource.id);
  else ids.delete(resource.id);
}
