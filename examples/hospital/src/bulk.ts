/**
 * Records from elsewhere: a directory of FHIR bulk-export files (`Patient.000.ndjson`, one resource a line). References
 * are made local, so that compartments and searches work: absolute URLs lose their base, `urn:uuid:` finds the
 * resource of that id or identifier, `Practitioner?identifier=system|value` the resource that carries it. What can't be
 * resolved stays as it was. Bounded by {@link resourcesMax}.
 */
import { createReadStream } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { createInterface } from 'node:readline';
import { isId } from './fhir/body.ts';
import { withReferences } from './fhir/references.ts';
import { isRecord, type Resource, textAt } from './resource.ts';
import { type Day, parseDay } from './world/calendar.ts';
import type { Subject } from './world/subjects.ts';

export const resourcesMax = 500_000;

export class BulkError extends Error {
  override readonly name = 'BulkError';
}

/** Reads every `Type.*.ndjson` of a directory, in the order of the names. */
export async function readBulk(directory: string): Promise<Resource[]> {
  const names = (await readdir(directory)).filter((name) => /^[A-Z][A-Za-z]+(\.[\w-]+)*\.ndjson$/.test(name)).sort();
  if (names.length === 0)
    throw new BulkError('expected files such as Patient.000.ndjson in the directory of --data, found none');
  const resources: Resource[] = [];
  for (const name of names) {
    const type = name.slice(0, name.indexOf('.'));
    let line = 0;
    for await (const text of createInterface({
      input: createReadStream(join(directory, name)),
      crlfDelay: Number.POSITIVE_INFINITY,
    })) {
      line++;
      if (text.trim() === '') continue;
      if (resources.length >= resourcesMax) throw new BulkError(`expected at most ${resourcesMax} resources in --data`);
      resources.push(resourceOfLine(text, type, `${basename(name)}:${line}`));
    }
  }
  return localised(resources);
}

function resourceOfLine(text: string, type: string, place: string): Resource {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new BulkError(`expected a resource as JSON in ${place}`);
  }
  if (!isRecord(value) || value.resourceType !== type || typeof value.id !== 'string' || !isId(value.id))
    throw new BulkError(`expected a ${type} with an id in ${place}`);
  return { ...value, resourceType: type, id: value.id };
}

function localised(resources: readonly Resource[]): Resource[] {
  const byId = new Map<string, string>();
  const byIdentifier = new Map<string, string>();
  for (const resource of resources) {
    const reference = `${resource.resourceType}/${resource.id}`;
    byId.set(resource.id, reference);
    for (const identifier of Array.isArray(resource.identifier) ? resource.identifier : []) {
      const system = textAt(identifier, 'system') ?? '';
      const value = textAt(identifier, 'value');
      if (value === undefined) continue;
      byIdentifier.set(`${resource.resourceType}?${system}|${value}`, reference);
      if (value.startsWith('urn:uuid:') && !byId.has(value.slice('urn:uuid:'.length)))
        byId.set(value.slice('urn:uuid:'.length), reference);
    }
  }
  const rewrite = (reference: string): string => {
    if (reference.startsWith('urn:uuid:')) return byId.get(reference.slice('urn:uuid:'.length)) ?? reference;
    const conditional = /^([A-Z][A-Za-z]+)\?identifier=(.*)$/.exec(reference);
    if (conditional !== null) return byIdentifier.get(`${conditional[1]}?${conditional[2]}`) ?? reference;
    const absolute = /^https?:\/\/.*\/([A-Z][A-Za-z]+\/[A-Za-z0-9\-.]{1,64})(?:\/_history\/[^/]+)?$/.exec(reference);
    return absolute?.[1] ?? reference.replace(/^([A-Z][A-Za-z]+\/[A-Za-z0-9\-.]{1,64})\/_history\/[^/]+$/, '$1');
  };
  return resources.map((resource) => withReferences(resource, rewrite));
}

/** The patients among the resources, as the planning of care needs them. */
export function subjectsIn(resources: readonly Resource[], today: Day): Subject[] {
  const patients = resources.filter((resource) => resource.resourceType === 'Patient');
  return patients.map((patient, index) => {
    const key = `d${String(index + 1).padStart(4, '0')}`;
    const died = textAt(patient, 'deceasedDateTime');
    const family = textAt(patient, 'name.family') ?? '';
    return {
      key,
      id: patient.id,
      display: [textAt(patient, 'name.given'), family].filter((part) => part !== undefined && part !== '').join(' '),
      birthDay: parseDay(textAt(patient, 'birthDate') ?? '') ?? today,
      deceased:
        died === undefined
          ? patient.deceasedBoolean === true
            ? { day: today }
            : undefined
          : { day: parseDay(died.slice(0, 10)) ?? today },
      inactive: false,
      chronic: [],
      familyKey: key,
    };
  });
}
