/**
 * For tests: validates a resource against a FHIR StructureDefinition by walking its snapshot. Knows as much of FHIR as
 * IHE BALP uses — slicing by value, patterns, required bindings, cardinalities, primitive types, six invariants — and
 * throws on anything it does not know, so that nothing is passed unlooked-at.
 */
import { readdirSync, readFileSync } from 'node:fs';

type Json = Readonly<Record<string, unknown>>;

interface ElementDefinition extends Json {
  readonly id: string;
  readonly path: string;
  readonly min: number;
  readonly max: string;
  readonly base: { readonly min: number; readonly max: string };
  readonly type?: readonly { readonly code: string; readonly profile?: readonly string[] }[];
  readonly sliceName?: string;
  readonly slicing?: {
    readonly rules: string;
    readonly discriminator: readonly { readonly type: string; readonly path: string }[];
  };
  readonly binding?: { readonly strength: string; readonly valueSet: string };
  readonly constraint?: readonly { readonly key: string; readonly severity: string }[];
}

interface StructureDefinition {
  readonly url: string;
  readonly snapshot: { readonly element: readonly ElementDefinition[] };
}

const plainUrl = 'http://hl7.org/fhir/StructureDefinition/AuditEvent';

export class BalpValidator {
  readonly #profiles = new Map<string, StructureDefinition>();
  readonly #valueSets = new Map<string, (system: string | undefined, code: string) => boolean>(coreValueSets);
  readonly examples: { readonly name: string; readonly resource: Json }[] = [];

  constructor(folder: URL) {
    const resources = readdirSync(folder)
      .filter((name) => name.endsWith('.json'))
      .map((name) => ({ name, resource: JSON.parse(readFileSync(new URL(name, folder), 'utf8')) as Json }));
    const systems = new Map<string, Set<string>>();
    for (const { name, resource } of resources) {
      if (resource.resourceType === 'StructureDefinition')
        this.#profiles.set(resource.url as string, resource as never);
      if (resource.resourceType === 'AuditEvent') this.examples.push({ name, resource });
      if (resource.resourceType === 'CodeSystem') {
        const concepts = resource.concept as readonly { code: string }[];
        systems.set(resource.url as string, new Set(concepts.map(({ code }) => code)));
      }
    }
    for (const { resource } of resources) {
      if (resource.resourceType === 'ValueSet')
        this.#valueSets.set(resource.url as string, valueSetOf(resource, systems));
    }
    const read = this.#profiles.get('https://profiles.ihe.net/ITI/BALP/StructureDefinition/IHE.BasicAudit.Read');
    if (read !== undefined) this.#profiles.set(plainUrl, unprofiled(read));
  }

  /** Every way in which the resource departs from the profile it claims. */
  validate(resource: Json): string[] {
    const claimed = (resource.meta as { readonly profile?: readonly string[] } | undefined)?.profile ?? [];
    return claimed.flatMap((url) => this.validateAs(resource, url));
  }

  validateAs(resource: Json, url: string): string[] {
    const profile = this.#profiles.get(url);
    if (profile === undefined) return [`unknown profile ${url}`];
    const walk = new Walk(profile, this.#profiles, this.#valueSets, resource);
    walk.object(resource, ['AuditEvent'], 'AuditEvent');
    return walk.errors;
  }
}

/** Base FHIR, as far as a profile's snapshot still tells it: its own slices, patterns and tightened counts left out. */
function unprofiled(profile: StructureDefinition): StructureDefinition {
  const element = profile.snapshot.element
    .filter(({ id }) => !id.includes(':'))
    .map((definition) => {
      const { slicing: _slicing, ...rest } = definition;
      const kept = Object.entries(rest).filter(([key]) => !key.startsWith('pattern'));
      return {
        ...(Object.fromEntries(kept) as unknown as ElementDefinition),
        min: definition.base.min,
        max: definition.base.max,
      };
    });
  return { url: plainUrl, snapshot: { element } };
}

type CodeTest = (system: string | undefined, code: string) => boolean;

function codes(text: string): CodeTest {
  const known = new Set(text.split(' '));
  return (_system, code) => known.has(code);
}

// The value sets of FHIR R4 itself that BALP binds to, from hl7.org/fhir/R4/auditevent.html.
const coreValueSets: readonly (readonly [string, CodeTest])[] = [
  ['http://hl7.org/fhir/ValueSet/audit-event-action|4.0.1', codes('C R U D E')],
  ['http://hl7.org/fhir/ValueSet/audit-event-outcome|4.0.1', codes('0 4 8 12')],
  ['http://hl7.org/fhir/ValueSet/network-type|4.0.1', codes('1 2 3 4 5')],
  ['http://hl7.org/fhir/ValueSet/identifier-use|4.0.1', codes('usual official temp secondary old')],
];

function valueSetOf(resource: Json, systems: ReadonlyMap<string, ReadonlySet<string>>): CodeTest {
  const { include } = resource.compose as {
    readonly include: readonly { readonly system: string; readonly concept?: readonly { readonly code: string }[] }[];
  };
  return (system, code) =>
    include.some((part) => {
      if (system !== undefined && part.system !== system) return false;
      const known =
        part.concept === undefined ? systems.get(part.system) : new Set(part.concept.map((concept) => concept.code));
      if (known === undefined) throw new Error(`unknown code system ${part.system}`);
      return known.has(code);
    });
}

const primitives: Readonly<Record<string, RegExp>> = {
  string: /^[ \r\n\t\S]+$/,
  code: /^[^\s]+( [^\s]+)*$/,
  uri: /^\S*$/,
  canonical: /^\S*$/,
  id: /^[A-Za-z0-9\-.]{1,64}$/,
  instant:
    /^\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])T([01]\d|2[0-3]):[0-5]\d:([0-5]\d|60)(\.\d+)?(Z|[+-]\d\d:\d\d)$/,
  dateTime: /^\d{4}(-\d\d(-\d\d(T\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d))?)?)?$/,
  base64Binary: /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/,
  'http://hl7.org/fhirpath/System.String': /^[\s\S]+$/,
};

// Members of the data types, with their types; `*` repeats. hl7.org/fhir/R4/datatypes.html.
const dataTypes: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  Coding: { system: 'uri', version: 'string', code: 'code', display: 'string', userSelected: 'boolean' },
  CodeableConcept: { coding: 'Coding*', text: 'string' },
  Identifier: {
    use: 'code',
    type: 'CodeableConcept',
    system: 'uri',
    value: 'string',
    period: 'Period',
    assigner: 'Reference',
  },
  Reference: { reference: 'string', type: 'uri', identifier: 'Identifier', display: 'string' },
  Period: { start: 'dateTime', end: 'dateTime' },
  Meta: {
    versionId: 'id',
    lastUpdated: 'instant',
    source: 'uri',
    profile: 'canonical*',
    security: 'Coding*',
    tag: 'Coding*',
  },
  Narrative: { status: 'code', div: 'string' },
  Extension: {
    url: 'uri',
    valueCode: 'code',
    valueString: 'string',
    valueIdentifier: 'Identifier',
    valueCodeableConcept: 'CodeableConcept',
    valueReference: 'Reference',
    valueUri: 'uri',
  },
};

/** Children and slices of a profile's elements, found once. */
const remembered = new WeakMap<StructureDefinition, Map<string, readonly ElementDefinition[]>>();

class Walk {
  readonly errors: string[] = [];
  readonly #byId = new Map<string, ElementDefinition>();
  readonly #found: Map<string, readonly ElementDefinition[]>;
  readonly #profiles: ReadonlyMap<string, StructureDefinition>;
  readonly #valueSets: ReadonlyMap<string, CodeTest>;
  readonly #resource: Json;

  constructor(
    profile: StructureDefinition,
    profiles: ReadonlyMap<string, StructureDefinition>,
    valueSets: ReadonlyMap<string, CodeTest>,
    resource: Json,
  ) {
    this.#found = remembered.get(profile) ?? new Map<string, readonly ElementDefinition[]>();
    remembered.set(profile, this.#found);
    for (const element of profile.snapshot.element) this.#byId.set(element.id, element);
    this.#profiles = profiles;
    this.#valueSets = valueSets;
    this.#resource = resource;
  }

  /** Validates an object against the children of each of these definitions: the element itself and its slice. */
  object(value: Json, ids: readonly string[], at: string): void {
    const known = new Set(['resourceType', 'id', 'extension', 'modifierExtension']);
    for (const id of ids) {
      for (const child of this.#childrenOf(id)) {
        const name = child.path.slice(child.path.lastIndexOf('.') + 1);
        const members = membersFor(value, name);
        for (const member of members) known.add(member.replace(/^_/, ''));
        if (child.sliceName !== undefined) continue;
        const present = members.filter((member) => !member.startsWith('_')).flatMap((member) => asList(value[member]));
        this.#count(child, present.length, at, name);
        const repeats = child.base.max !== '1' && child.base.max !== '0';
        for (const member of members) {
          if (repeats !== Array.isArray(value[member]))
            this.#fail(`${at}.${member}`, repeats ? 'expected an array' : 'expected no array');
        }
        this.#values(child, present, `${at}.${name}`);
      }
    }
    for (const name of Object.keys(value)) {
      if (!known.has(name.replace(/^_/, ''))) this.#fail(at, `unknown member ${name}`);
    }
  }

  #childrenOf(id: string): readonly ElementDefinition[] {
    return this.#below('.', id);
  }

  #slicesOf(id: string): readonly ElementDefinition[] {
    return this.#below(':', id);
  }

  #below(separator: '.' | ':', id: string): readonly ElementDefinition[] {
    const known = this.#found.get(id + separator);
    if (known !== undefined) return known;
    const found = [...this.#byId.values()].filter(
      (element) => element.id.startsWith(id + separator) && !element.id.slice(id.length + 1).includes('.'),
    );
    this.#found.set(id + separator, found);
    return found;
  }

  #values(definition: ElementDefinition, values: readonly unknown[], at: string): void {
    const slices = this.#slicesOf(definition.id);
    const counts = new Map(slices.map((slice) => [slice.id, 0]));
    for (const [i, value] of values.entries()) {
      const place = values.length > 1 ? `${at}[${i}]` : at;
      const slice = slices.find((candidate) => this.#isOfSlice(definition, candidate, value));
      if (slice !== undefined) counts.set(slice.id, (counts.get(slice.id) ?? 0) + 1);
      else if (definition.slicing?.rules === 'closed') this.#fail(place, 'fits no slice of a closed slicing');
      this.#value([definition, ...(slice === undefined ? [] : [slice])], value, place);
    }
    for (const slice of slices) this.#count(slice, counts.get(slice.id) ?? 0, at, `slice ${slice.sliceName}`);
  }

  #value(definitions: readonly ElementDefinition[], value: unknown, at: string): void {
    for (const definition of definitions) {
      for (const [key, expected] of Object.entries(definition)) {
        if (key.startsWith('fixed') && JSON.stringify(expected) !== JSON.stringify(value))
          this.#fail(at, `is not ${JSON.stringify(expected)}`);
        if (key.startsWith('pattern') && !hasPattern(value, expected))
          this.#fail(at, `has not ${JSON.stringify(expected)}`);
      }
      if (definition.binding?.strength === 'required' && !this.#isBound(definition.binding.valueSet, value)) {
        this.#fail(at, `is not in ${definition.binding.valueSet}`);
      }
      this.#invariants(definition, value, at);
    }
    const first = definitions[0] as ElementDefinition;
    const withChildren = definitions.filter(({ id }) => this.#childrenOf(id).length > 0).map(({ id }) => id);
    const types = (first.type ?? []).map(({ code }) => code);
    if (types.includes('Resource')) return;
    if (withChildren.length > 0 && isObject(value)) this.object(value, withChildren, at);
    if (types.includes('BackboneElement')) {
      if (!isObject(value)) this.#fail(at, 'expected an object');
    } else if (!types.some((type) => fitsType(type, value))) this.#fail(at, `expected ${types.join(' or ')}`);
  }

  #isOfSlice({ slicing }: ElementDefinition, slice: ElementDefinition, value: unknown): boolean {
    if (slicing === undefined) throw new Error(`${slice.id} has no slicing`);
    return slicing.discriminator.every(({ type, path }) => {
      if (type !== 'value') throw new Error(`unknown discriminator ${type}`);
      if (path === '$this') return this.#matches(slice, value);
      if (!isObject(value)) return false;
      if (path === 'url') return value.url === this.#urlOf(slice);
      const member =
        path === 'value.ofType(Identifier).type' ? (value.valueIdentifier as Json | undefined)?.type : value[path];
      const id = path === 'value.ofType(Identifier).type' ? `${slice.id}.value[x].type` : `${slice.id}.${path}`;
      const definition = this.#byId.get(id);
      // A slice may leave one of several discriminators open.
      if (definition === undefined && slicing.discriminator.length > 1) return true;
      if (definition === undefined) throw new Error(`${slice.id} does not constrain ${path}`);
      return member !== undefined && this.#matches(definition, member);
    });
  }

  #matches(definition: ElementDefinition, value: unknown): boolean {
    let constrained = false;
    for (const [key, expected] of Object.entries(definition)) {
      if (!key.startsWith('pattern') && !key.startsWith('fixed')) continue;
      constrained = true;
      if (!hasPattern(value, expected)) return false;
    }
    if (definition.binding?.strength === 'required') return this.#isBound(definition.binding.valueSet, value);
    if (!constrained) throw new Error(`${definition.id} discriminates nothing`);
    return true;
  }

  #urlOf(slice: ElementDefinition): unknown {
    const own = this.#byId.get(`${slice.id}.url`)?.fixedUri;
    if (own !== undefined) return own;
    const profile = slice.type?.[0]?.profile?.[0];
    const extension = profile === undefined ? undefined : this.#profiles.get(profile);
    const url = extension?.snapshot.element.find(({ id }) => id === 'Extension.url')?.fixedUri;
    // Extensions of other guides are named by the address of their definition.
    return url ?? profile;
  }

  #isBound(url: string, value: unknown): boolean {
    const test = this.#valueSets.get(url);
    if (test === undefined) throw new Error(`unknown value set ${url}`);
    if (typeof value === 'string') return test(undefined, value);
    if (!isObject(value)) return false;
    const codings = value.coding === undefined ? [value] : (value.coding as readonly Json[]);
    return codings.some(({ system, code }) => typeof code === 'string' && test(system as string | undefined, code));
  }

  #invariants({ constraint = [] }: ElementDefinition, value: unknown, at: string): void {
    for (const { key, severity } of constraint) {
      if (severity !== 'error') continue;
      const rule = invariants[key];
      if (rule === undefined) throw new Error(`unknown invariant ${key}`);
      if (!rule(value, this.#resource)) this.#fail(at, `breaks ${key}`);
    }
  }

  #count({ min, max }: ElementDefinition, count: number, at: string, name: string): void {
    if (count < min || (max !== '*' && count > Number(max)))
      this.#fail(at, `has ${count} of ${name}, expected ${min}..${max}`);
  }

  #fail(at: string, message: string): void {
    this.errors.push(`${at}: ${message}`);
  }
}

type Invariant = (value: unknown, resource: Json) => boolean;

const contained = (resource: Json): readonly Json[] => (resource.contained ?? []) as readonly Json[];

const invariants: Readonly<Record<string, Invariant>> = {
  'ele-1': (value) => !isObject(value) || Object.keys(value).some((key) => key !== 'id'),
  'ext-1': (value) =>
    !isObject(value) || Object.hasOwn(value, 'extension') !== Object.keys(value).some((key) => key.startsWith('value')),
  'sev-1': (value) => !isObject(value) || value.name === undefined || value.query === undefined,
  'dom-2': (_value, resource) => contained(resource).every((inner) => inner.contained === undefined),
  'dom-3': (_value, resource) =>
    contained(resource).every(({ id }) => JSON.stringify(resource).includes(`"reference":"#${String(id)}"`)),
  'dom-4': (_value, resource) => contained(resource).every(({ meta }) => meta === undefined),
  'dom-5': (_value, resource) => contained(resource).every(({ meta }) => meta === undefined),
  'val-audit-source': (value, resource) =>
    JSON.stringify((value as Json).who) === JSON.stringify((resource.source as Json | undefined)?.observer),
};

function membersFor(value: Json, name: string): string[] {
  if (!name.endsWith('[x]')) return Object.keys(value).filter((key) => key === name || key === `_${name}`);
  const stem = name.slice(0, -3);
  return Object.keys(value).filter((key) => key.replace(/^_/, '').startsWith(stem) && /^_?[a-z]+[A-Z]/.test(key));
}

function asList(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [value];
}

function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** FHIR pattern[x]: everything in the pattern is in the value; a list holds each item of the pattern's. */
function hasPattern(value: unknown, pattern: unknown): boolean {
  if (Array.isArray(pattern))
    return Array.isArray(value) && pattern.every((item) => value.some((v) => hasPattern(v, item)));
  if (isObject(pattern))
    return isObject(value) && Object.entries(pattern).every(([key, item]) => hasPattern(value[key], item));
  return value === pattern;
}

function fitsType(type: string, value: unknown): boolean {
  if (type.endsWith('*')) return Array.isArray(value) && value.every((item) => fitsType(type.slice(0, -1), item));
  if (type === 'boolean') return typeof value === 'boolean';
  const primitive = primitives[type];
  if (primitive !== undefined) return typeof value === 'string' && primitive.test(value);
  const members = dataTypes[type];
  if (members === undefined) throw new Error(`unknown type ${type}`);
  if (!isObject(value)) return false;
  return Object.entries(value).every(([name, member]) => {
    if (name === 'id') return typeof member === 'string';
    if (name === 'extension') return fitsType('Extension*', member);
    const of = members[name];
    return of !== undefined && fitsType(of, member);
  });
}
