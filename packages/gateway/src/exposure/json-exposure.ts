/**
 * What left in an answer of an API that is no FHIR, or what a request to it is about: by the places its map names. A place where nobody stands, an id that is none, and a
 * body that can't be read make the list of patients `truncated`, never shorter in silence.
 */
import type { DataClass, ExposedPatient, Target } from '@watchglass/record';

import { bareId } from '../fhir/reference.ts';
import { isJson, isUtf8 } from '../http/media-type.ts';
import { parseOneReading, parseUtf8 } from '../http/one-reading.ts';
import { parsePartialJson } from '../http/partial-json.ts';
import { exposedPatientsMax, type Learned } from './exposure.ts';
import type { MappedInteraction } from './json-map.ts';
import { type Reading, readPath } from './json-path.ts';

/** `complete` is false for the beginning of a body that went past the byte bound. */
export function learnMapped(
  body: Uint8Array,
  options: {
    readonly interaction: MappedInteraction;
    readonly of: 'request' | 'response';
    readonly contentType: string | undefined;
    readonly complete: boolean;
    /** Of an answer that says that nothing was done: nobody whom the path names left in it. */
    readonly failed?: boolean;
  },
): Learned {
  const { interaction, of, failed = false } = options;
  const { map } = interaction;
  const left = body.length > 0 && !failed;
  const found = new Found();
  if (left) for (const id of interaction.patients) found.add(id);
  found.nameless = interaction.nameless && left;
  const paths = map.patients.flatMap((source) => (source.in === of ? [source.path] : []));
  const needed = body.length > 0 && (paths.length > 0 || (of === 'response' && map.count !== undefined));
  const { value, whole } = needed ? readBody(body, options) : unneeded;
  if (value !== undefined) for (const path of paths) found.addAll(readPath(path, value));
  const counted = of === 'response' && value !== undefined ? map.count : undefined;
  const count = counted === undefined ? 1 : readPath(counted, value).values.length;
  const unread = paths.length > 0 && !whole;
  const { patients, nameless } = found;
  // An empty list is about nobody; anything else that names nobody can't be shown to be about the right one.
  const aboutNobody = map.patients.length === 0 || body.length === 0 || (counted !== undefined && count === 0);
  return {
    exposure: {
      ...(patients.size === 0 ? {} : { patients: patientsOf(patients, map.classes) }),
      count: left ? count : 0,
      bytes: body.length,
      ...(unread || found.overflow || nameless ? { truncated: true } : {}),
    },
    targets: left ? targetsOf(interaction, patients) : [],
    types: new Set(left || patients.size > 0 ? [map.type] : []),
    classes: new Map([[map.type, new Set(map.classes)]]),
    unattributed: nameless || (patients.size === 0 && !aboutNobody),
    unread,
  };
}

const unneeded = { value: undefined, whole: true };

/** Whom the places of a map name. */
export class Found {
  readonly patients: Map<string, number> = new Map();
  overflow = false;
  /** Somebody whom no id names. */
  nameless = false;

  add(id: string): void {
    const count = this.patients.get(id);
    if (count === undefined && this.patients.size >= exposedPatientsMax) this.overflow = true;
    else this.patients.set(id, (count ?? 0) + 1);
  }

  addAll({ values, missingCount }: Reading): void {
    if (missingCount > 0) this.nameless = true;
    for (const value of values) {
      const id = bareId(typeof value === 'number' && Number.isSafeInteger(value) ? String(value) : value);
      if (id === undefined) this.nameless = true;
      else this.add(id);
    }
  }
}

/** `whole` is false where not all of it could be read in exactly one way. */
function readBody(
  body: Uint8Array,
  { contentType, complete }: { readonly contentType: string | undefined; readonly complete: boolean },
): { readonly value: unknown; readonly whole: boolean } {
  if (!isJson(contentType)) return { value: undefined, whole: false };
  if (!complete) return { value: parsePartialJson(Buffer.from(body).toString('utf8')), whole: false };
  const value = parseOneReading(body);
  if (value === undefined) return { value: parseUtf8(body), whole: false };
  return { value, whole: isUtf8(contentType) };
}

export function patientsOf(
  tallies: ReadonlyMap<string, number>,
  classes: readonly DataClass[],
): readonly ExposedPatient[] {
  return [...tallies].map(([id, count]) => ({ id, classes: [...classes], count }));
}

function targetsOf({ type, id, map }: MappedInteraction, tallies: ReadonlyMap<string, number>): readonly Target[] {
  const [patient] = tallies.keys();
  if (type === undefined || id === undefined) return [];
  return [{ type, id, ...(patient === undefined ? {} : { patient }), classes: [...map.classes], role: 'object' }];
}
