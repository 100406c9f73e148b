/**
 * What left in a response: which patients, which classes of data about each, how many resources. Learnt from the FHIR JSON itself, so it is what
 * the upstream really sent, not what was asked for.
 *
 * A resource counts for every patient it refers to, wherever the reference stands, also inside contained resources; too many is better than one too few. What
 * can't be read, and who can't be named by an id, is `truncated`, never silence.
 */
import type { DataClass, ExposedPatient, Exposure, Target } from '@watchglass/record';
import { dataClassOf, isAboutPatients, mayBeAboutNobody } from '../fhir/fhir-types.ts';
import {
  bareId,
  isObject,
  type Json,
  lastSegment,
  objectsOf,
  patientIdOf,
  subjectFields,
  subjectOf,
} from '../fhir/reference.ts';
import { isJson, isNdjson, isUtf8 } from '../http/media-type.ts';
import { parseJson } from '../http/one-reading.ts';
import { countMembers, parsePartialJson } from '../http/partial-json.ts';

/** More patients than this in one response are counted as `truncated`. */
export const exposedPatientsMax = 5_000;
/** Resources named one by one in an event. */
export const targetsMax = 100;

/** Entries whose `urn:uuid:…` is remembered, and how long each may be: what is learnt from may be without end. */
const aliasesMax = 2 * exposedPatientsMax;
const aliasCharsMax = 1_024;
/** More than FHIR has. */
const typesMax = 512;

export interface Learned {
  readonly exposure: Exposure;
  readonly targets: readonly Target[];
  /** Types of the resources that left. */
  readonly types: ReadonlySet<string>;
  /** And the classes of data in those of each type. */
  readonly classes: ReadonlyMap<string, ReadonlySet<DataClass>>;
  /** Something about patients left that names no patient. */
  readonly unattributed: boolean;
  /** Not all of it could be read: `types` may lack some. */
  readonly unread: boolean;
}

interface PatientTally {
  count: number;
  readonly classes: Set<DataClass>;
}

/** What a walk through one resource finds. */
interface Found {
  readonly patients: Set<string>;
  readonly classes: Set<DataClass>;
  /** It is about somebody whom no id names. */
  nameless: boolean;
}

/** Labels of sensitivity (HL7 v3 ActCode) that make a class of their own. */
const sensitivityClasses: ReadonlyMap<string, DataClass> = new Map([
  ['PSY', 'behavioral-health'],
  ['PSYTHPN', 'behavioral-health'],
  ['ETH', 'behavioral-health'],
  ['ETHUD', 'behavioral-health'],
  ['OPIOIDUD', 'behavioral-health'],
  ['SUD', 'behavioral-health'],
  ['GDIS', 'genomics'],
]);

/** Carry other resources, or tell about the exchange: not counted themselves. */
const envelopes: ReadonlySet<string> = new Set(['Bundle', 'Parameters', 'OperationOutcome', 'CapabilityStatement']);

/** Learns from a body. `complete` is false for the beginning of one that went past the byte bound. */
export function learnExposure(
  body: Uint8Array,
  options: { readonly contentType: string | undefined; readonly complete: boolean },
): Learned {
  const learner = new Learner();
  let understood = true;
  if (body.length > 0) {
    const text = textOf(body);
    if (isNdjson(options.contentType)) understood = learner.addLines(text, options.complete);
    else if (isJson(options.contentType)) understood = learner.addText(text, options.complete);
    else understood = false;
    understood &&= isUtf8(options.contentType);
  }
  return learner.finish({ bytes: body.length, unread: !options.complete || !understood });
}

/** Many readers skip a byte order mark, so it hides nothing here either. */
export function textOf(body: Uint8Array): string {
  const text = Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString('utf8');
  return text.charCodeAt(0) === 0xfeff ? text.slice(1) : text;
}

/** Learns from one text after another; `finish` says what all of them told. */
export class Learner {
  readonly #patients = new Map<string, PatientTally>();
  readonly #targets: Target[] = [];
  readonly #types = new Set<string>();
  readonly #classes = new Map<string, Set<DataClass>>();
  /** `urn:uuid:…` of a Bundle's own entries → patient id. */
  readonly #aliases = new Map<string, string>();
  /** Patients without an id of their own → that of the entry they came in. */
  readonly #entryIds = new WeakMap<Json, string>();
  /** Still to be looked at: what is found inside goes to the end. */
  #queue: Json[] = [];
  #members = 0;
  #count = 0;
  #overflow = false;
  #unattributed = false;
  #nameless = false;

  /** False when the text is not FHIR JSON, or has two readings. */
  addText(text: string, complete: boolean): boolean {
    const value = complete ? parseJson(text) : parsePartialJson(text);
    if (value === undefined) return false;
    this.#members = 0;
    this.#queue = [];
    const whole = isObject(value) && typeof value.resourceType === 'string';
    // Resources may stand inside of what is none: an array, the answer to a GraphQL query.
    if (whole) this.#queue.push(value);
    else this.#walk(value, newFound());
    for (const resource of this.#queue) this.#addResource(resource, resource.resourceType as string);
    // Of two members with one name the upstream's client may see the other one than we do.
    return whole && (!complete || countMembers(text) === this.#members);
  }

  addLines(text: string, complete: boolean): boolean {
    const lines = text.split('\n');
    if (!complete) lines.pop();
    let understood = true;
    for (const line of lines) if (line.trim() !== '') understood = this.addText(line, true) && understood;
    return understood;
  }

  finish(facts: { readonly bytes: number; readonly unread: boolean }): Learned {
    const patients: ExposedPatient[] = [];
    for (const [id, { classes, count }] of this.#patients)
      patients.push({ id, ...(classes.size === 0 ? {} : { classes: [...classes] }), count });
    const truncated = facts.unread || this.#overflow || this.#nameless;
    return {
      exposure: {
        ...(patients.length === 0 ? {} : { patients }),
        count: this.#count,
        bytes: facts.bytes,
        ...(truncated ? { truncated } : {}),
      },
      targets: this.#targets,
      types: this.#types,
      classes: this.#classes,
      unattributed: this.#unattributed || this.#nameless,
      unread: facts.unread,
    };
  }

  #addResource(resource: Json, type: string): void {
    if (type === 'Bundle') this.#openBundle(resource);
    const found = newFound();
    this.#walk(resource, found);
    if (envelopes.has(type)) {
      // A patient whom only the envelope names, such as a parameter's reference.
      for (const patient of found.patients) this.#tally(patient, []);
      this.#nameless ||= found.nameless;
      return;
    }
    const known = /^[A-Za-z]{1,64}$/.test(type) && (this.#types.size < typesMax || this.#types.has(type));
    this.#types.add(known ? type : 'unknown');
    this.#count += 1;
    const id = bareId(resource.id) ?? this.#entryIds.get(resource);
    const classes = [...classesOf(resource, type).union(found.classes)];
    const ofType = this.#classes.get(known ? type : 'unknown') ?? new Set<DataClass>();
    this.#classes.set(known ? type : 'unknown', ofType);
    for (const dataClass of classes) ofType.add(dataClass);
    const patients = this.#subjectsFirst(resource, type, id).union(found.patients);
    for (const patient of patients) this.#tally(patient, classes);
    const subject = subjectOf(resource, (reference) => this.#patientOf(reference));
    const unattributed = patients.size === 0 && isAboutPatients(type);
    this.#unattributed ||= unattributed;
    // `_elements` and the like can leave out whom something is about.
    const missing = unattributed && subject === undefined && !mayBeAboutNobody(type);
    this.#nameless ||= found.nameless || subject === 'nameless' || missing;
    if (this.#targets.length >= targetsMax || id === undefined || !known) return;
    const patient = patients.values().next().value;
    const version = versionOf(resource);
    this.#targets.push({
      type,
      id,
      ...(version === undefined ? {} : { version }),
      ...(patient === undefined ? {} : { patient }),
      classes,
      role: 'object',
    });
  }

  /** What the entries say besides their resources: who is meant by `urn:uuid:…`, and whom an entry without a resource is about. */
  #openBundle(bundle: Json): void {
    for (const { fullUrl, resource, request, response } of objectsOf(bundle.entry)) {
      if (isObject(resource)) {
        if (resource.resourceType !== 'Patient' || typeof fullUrl !== 'string') continue;
        const id = bareId(resource.id) ?? patientIdOf(fullUrl) ?? bareId(lastSegment(fullUrl));
        if (id === undefined) continue;
        this.#entryIds.set(resource, id);
        // A URL that says who it is needs no remembering.
        if (patientIdOf(fullUrl) !== id) this.#remember(fullUrl, id);
        continue;
      }
      const urls = [
        fullUrl,
        isObject(request) ? request.url : undefined,
        isObject(response) ? response.location : undefined,
      ];
      const id = urls
        .map((url) => (typeof url === 'string' ? patientIdOf(url) : undefined))
        .find((found) => found !== undefined);
      if (id !== undefined) this.#tally(id, []);
    }
  }

  #remember(fullUrl: string, id: string): void {
    if (fullUrl.length > aliasCharsMax || this.#aliases.size >= aliasesMax) this.#overflow = true;
    else this.#aliases.set(fullUrl, id);
  }

  #subjectsFirst(resource: Json, type: string, id: string | undefined): Set<string> {
    const first = new Set<string>();
    if (type === 'Patient' && id !== undefined) first.add(id);
    for (const field of subjectFields) {
      const reference = resource[field];
      const patient = isObject(reference) ? this.#patientOf(reference.reference) : undefined;
      if (patient !== undefined) first.add(patient);
    }
    return first;
  }

  /** Through everything below `root`; resources in it are queued, contained ones belong to their container. */
  #walk(root: unknown, found: Found): void {
    if (typeof root !== 'object' || root === null) return;
    // It grows while it is walked: no depth of nesting is too deep.
    const ahead: object[] = [root];
    // Resources directly below `contained`.
    const contained = new Set<unknown>();
    for (const next of ahead) {
      if (Array.isArray(next)) {
        for (const item of next) if (typeof item === 'object' && item !== null) ahead.push(item);
        continue;
      }
      const object = next as Json;
      if (object !== root && typeof object.resourceType === 'string') {
        if (!contained.has(object)) {
          this.#queue.push(object);
          continue;
        }
        noteContained(object.resourceType, found);
      }
      if (object.contained !== undefined) for (const resource of objectsOf(object.contained)) contained.add(resource);
      for (const key in object) {
        this.#members += 1;
        const value = object[key];
        if (typeof value === 'object' && value !== null) ahead.push(value);
      }
      this.#readReference(object, found);
    }
  }

  /** Any object may be a Reference. */
  #readReference(object: Json, found: Found): void {
    const { reference } = object;
    const patient = this.#patientOf(reference);
    if (patient !== undefined) found.patients.add(patient);
    else if (typeof reference === 'string' && /(?:^|\/)Patient(?:[/?|]|$)/.test(reference)) found.nameless = true;
    else if (object.type === 'Patient' && (reference !== undefined || object.identifier !== undefined))
      found.nameless = true;
  }

  #patientOf(reference: unknown): string | undefined {
    if (typeof reference !== 'string') return undefined;
    return this.#aliases.get(reference) ?? patientIdOf(reference);
  }

  #tally(patient: string, classes: readonly DataClass[]): void {
    let tally = this.#patients.get(patient);
    if (tally === undefined) {
      if (this.#patients.size >= exposedPatientsMax) {
        this.#overflow = true;
        return;
      }
      tally = { count: 0, classes: new Set() };
      this.#patients.set(patient, tally);
    }
    tally.count += 1;
    for (const dataClass of classes) tally.classes.add(dataClass);
  }
}

/** A contained resource has an id inside of its container only: a patient there can't be named outside of it. */
function noteContained(type: string, found: Found): void {
  found.classes.add(dataClassOf(type));
  if (type === 'Patient' || type === 'Person') found.nameless = true;
}

function newFound(): Found {
  return { patients: new Set(), classes: new Set(), nameless: false };
}

function classesOf(resource: Json, type: string): Set<DataClass> {
  const classes = new Set<DataClass>([dataClassOf(type)]);
  const { meta } = resource;
  if (isObject(meta)) {
    for (const label of objectsOf(meta.security)) {
      const dataClass = typeof label.code === 'string' ? sensitivityClasses.get(label.code) : undefined;
      if (dataClass !== undefined) classes.add(dataClass);
    }
  }
  // Free text about somebody (US Core DocumentReference category).
  if (type === 'DocumentReference' && hasCode(resource.category, 'clinical-note')) classes.add('notes');
  return classes;
}

function hasCode(concepts: unknown, code: string): boolean {
  return objectsOf(concepts).some((concept) => objectsOf(concept.coding).some((coding) => coding.code === code));
}

function versionOf(resource: Json): string | undefined {
  const { meta } = resource;
  return isObject(meta) ? bareId(meta.versionId) : undefined;
}
