/**
 * What the requests of an API that is no FHIR are: a method and a path template to an interaction, a FHIR type that says what kind of data it is, and the places where
 * the patients stand. What the map doesn't name has no route, as with FHIR. Nothing here reads a body.
 */
import { type DataClass, dataClasses, type EventAction } from '@watchglass/record';
import { z } from 'zod';

import { type Interaction, interactionNames, permissionBits, type Recognition } from '../fhir/fhir-interaction.ts';
import { dataClassOf, resourceTypes } from '../fhir/fhir-types.ts';
import { bareId } from '../fhir/reference.ts';
import { decodeParameter, type Parameter } from '../http/canonical.ts';
import { type JsonPath, parseJsonPath } from './json-path.ts';

/** Where the patients of an operation stand. */
export type PatientSource =
  | { readonly in: 'path' | 'query'; readonly name: string }
  | { readonly in: 'request' | 'response'; readonly path: JsonPath };

export interface JsonOperation {
  readonly method: string;
  /** `/patients/{id}`, below the prefix. */
  readonly template: string;
  readonly segments: readonly string[];
  readonly name: Exclude<Interaction['name'], 'batch'>;
  /** For the record, and for policies where `name` is `operation`. */
  readonly operation: string;
  readonly type: string;
  readonly classes: readonly DataClass[];
  /** Empty where it is about nobody. */
  readonly patients: readonly PatientSource[];
  /** What is counted in an answer. */
  readonly count: JsonPath | undefined;
}

export interface JsonMap {
  /** By how many segments their path has. */
  readonly operations: ReadonlyMap<number, readonly JsonOperation[]>;
}

/** An interaction with such an API. */
export interface MappedInteraction extends Interaction {
  readonly map: JsonOperation;
  /** Whom path and query name. */
  readonly patients: readonly string[];
  /** They name somebody by what is no id. */
  readonly nameless: boolean;
}

export function isMapped(interaction: Interaction): interaction is MappedInteraction {
  return 'map' in interaction;
}

const routesMax = 500;
const methods = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'] as const;
const keyPattern = new RegExp(`^(?:${methods.join('|')}) (?:/(?:[A-Za-z0-9._~$-]+|\\{[A-Za-z][A-Za-z0-9]*\\}))+$`);
const readingNames: ReadonlySet<string> = new Set(['read', 'vread', 'search', 'history', 'capabilities']);
const names = interactionNames.filter((name) => name !== 'batch');

const jsonPath = z.string().refine((text) => parseJsonPath(text) !== undefined, {
  error: 'expected a path such as $.items[*].patientId',
});
const source = z.string().refine((text) => parseSource(text) !== undefined, {
  error: "expected 'path NAME', 'query NAME', 'request $.…' or 'response $.…'",
});

interface OperationDocument {
  readonly interaction?: JsonOperation['name'] | undefined;
  readonly operation?: string | undefined;
  readonly type: string;
  readonly classes?: readonly DataClass[] | undefined;
  readonly patient: string | readonly string[];
  readonly count?: string | undefined;
}

export interface JsonMapDocument {
  readonly version: 1;
  readonly routes: Readonly<Record<string, OperationDocument>>;
}

const operationSchema: z.ZodType<OperationDocument> = z
  .strictObject({
    interaction: z.enum(names, { error: `expected one of ${names.join(', ')}` }).optional(),
    operation: z
      .string()
      .regex(/^\$[a-z][A-Za-z-]{0,39}$/, { error: 'expected the name of an operation, such as $merge' })
      .optional(),
    type: z
      .string()
      .refine((name) => resourceTypes.has(name), { error: 'expected the FHIR R4 resource type that comes nearest' }),
    classes: z
      .array(z.enum(dataClasses, { error: `expected one of ${dataClasses.join(', ')}` }))
      .min(1)
      .optional(),
    patient: z.union([z.literal('nobody'), source, z.array(source).min(1).max(8)], {
      error: "expected 'nobody', or where the patients stand: 'path NAME', 'query NAME', 'request $.…', 'response $.…'",
    }),
    count: jsonPath.optional(),
  })
  .refine(({ interaction, operation }) => (interaction === 'operation') === (operation !== undefined), {
    error: 'expected operation with interaction: operation, and only there',
  })
  // Everybody may ask what an API can do, and nobody looks at the answer.
  .refine(({ interaction, patient }) => interaction !== 'capabilities' || patient === 'nobody', {
    error: 'expected patient: nobody with interaction: capabilities',
  });

export const jsonMapSchema: z.ZodType<JsonMapDocument> = z
  .strictObject({
    version: z.literal(1, { error: 'expected version: 1' }),
    routes: z.record(
      z.string().regex(keyPattern, { error: 'expected a method and a path, such as GET /patients/{id}' }),
      operationSchema,
    ),
  })
  .superRefine(({ routes }, context) => {
    const keys = Object.keys(routes);
    if (keys.length === 0 || keys.length > routesMax)
      context.addIssue({ code: 'custom', path: ['routes'], message: `expected 1 to ${routesMax} routes` });
    const shapes = new Set<string>();
    for (const key of keys) {
      const problem = problemOf(key, routes[key] as OperationDocument, shapes);
      if (problem !== undefined) context.addIssue({ code: 'custom', path: ['routes', key], message: problem });
    }
  });

/** What no two routes may share, and what a route's sources may name. */
function problemOf(key: string, { patient, interaction }: OperationDocument, shapes: Set<string>): string | undefined {
  const shape = key.replace(/\{[^}]+\}/g, '{}');
  if (shapes.has(shape)) return 'expected one route for each method and path';
  shapes.add(shape);
  if (interaction === 'subscribe' && !key.startsWith('GET ')) return 'expected GET with subscribe';
  const inPath = [...key.matchAll(/\{([^}]+)\}/g)].map((match) => match[1]);
  if (new Set(inPath).size !== inPath.length) return 'expected each name in a path once';
  for (const text of [patient].flat()) {
    const parsed = parseSource(text);
    if (parsed?.in === 'path' && !inPath.includes(parsed.name)) return 'expected the path to have what patient names';
    if (interaction === 'subscribe' && (parsed?.in === 'request' || parsed?.in === 'response'))
      return 'expected path, query or nobody with subscribe: nobody reads what goes over a WebSocket';
    if (parsed?.in === 'request' && /^(?:GET|DELETE) /.test(key)) return 'expected a method with a body for request';
  }
  return undefined;
}

export function compileJsonMap({ routes }: JsonMapDocument): JsonMap {
  const operations = new Map<number, JsonOperation[]>();
  for (const [key, entry] of Object.entries(routes)) {
    const [method = '', template = ''] = key.split(' ', 2);
    const segments = template.slice(1).split('/');
    const name = entry.interaction ?? usualName(method, segments);
    const list = operations.get(segments.length) ?? [];
    operations.set(segments.length, list);
    list.push({
      method,
      template,
      segments,
      name,
      operation: entry.operation ?? usualOperation(name),
      type: entry.type,
      classes: entry.classes ?? [dataClassOf(entry.type)],
      patients: [entry.patient].flat().flatMap((text) => parseSource(text) ?? []),
      count: entry.count === undefined ? undefined : parseJsonPath(entry.count),
    });
  }
  // `/patients/count` is meant before `/patients/{id}`, at the first place where they differ.
  for (const list of operations.values()) list.sort((a, b) => (rankOf(a) < rankOf(b) ? -1 : 1));
  return { operations };
}

/** As `recognise` for FHIR. `segments` are those behind the prefix. */
export function recogniseMapped(
  { operations }: JsonMap,
  input: {
    readonly method: string;
    readonly prefix: string;
    readonly segments: readonly string[];
    readonly parameters: readonly Parameter[];
  },
): Recognition {
  const { prefix, segments, parameters } = input;
  const method = input.method === 'HEAD' ? 'GET' : input.method;
  const fitting = (operations.get(segments.length) ?? []).filter((one) => fits(one, segments));
  // Only those of the nearest template: `DELETE /patients/count` is not `DELETE /patients/{id}`.
  const nearest = fitting.filter((one) => rankOf(one) === rankOf(fitting[0] as JsonOperation));
  const map = nearest.find((one) => one.method === method);
  if (map !== undefined) return { kind: 'interaction', interaction: interactionOf(map, prefix, segments, parameters) };
  if (nearest.length === 0) return { kind: 'no-route' };
  const allowed = nearest.map((one) => one.method);
  return { kind: 'method-not-allowed', allow: [...allowed, ...(allowed.includes('GET') ? ['HEAD'] : [])].join(', ') };
}

function interactionOf(
  map: JsonOperation,
  prefix: string,
  segments: readonly string[],
  parameters: readonly Parameter[],
): MappedInteraction {
  const { name, type } = map;
  const patients = new Set<string>();
  let nameless = false;
  for (const from of map.patients) {
    const values =
      from.in === 'path'
        ? [segments[map.segments.indexOf(`{${from.name}}`)] ?? '']
        : from.in === 'query'
          ? parameters.filter((one) => one.name === from.name).map(({ rawValue }) => rawValue)
          : [];
    for (const value of values) {
      const id = bareId(decodeParameter(value));
      if (id === undefined) nameless = true;
      else patients.add(id);
    }
  }
  const last = map.segments.at(-1)?.startsWith('{') === true ? bareId(segments.at(-1)) : undefined;
  return {
    map,
    name,
    operation: map.operation,
    action: actionOf(name),
    type,
    id: last,
    version: undefined,
    compartment: undefined,
    route: `${prefix}${map.template}`,
    permissions: permissionsOf(name, map.method),
    safe: name !== 'subscribe' && (readingNames.has(name) || map.method === 'GET'),
    form: false,
    patients: [...patients],
    nameless,
  };
}

/** Undefined for what is no source. */
function parseSource(text: string): PatientSource | undefined {
  const [, where, what = ''] = /^(path|query|request|response) (.+)$/.exec(text) ?? [];
  if (where === 'path' || where === 'query')
    return /^[A-Za-z0-9_.-]{1,64}$/.test(what) ? { in: where, name: what } : undefined;
  const path = parseJsonPath(what);
  return path === undefined ? undefined : { in: where as 'request' | 'response', path };
}

function fits({ segments: wanted }: JsonOperation, segments: readonly string[]): boolean {
  return wanted.every((one, position) => (one[0] === '{' ? segments[position] !== '' : one === segments[position]));
}

function rankOf({ segments }: JsonOperation): string {
  return segments.map((one) => (one[0] === '{' ? '1' : '0')).join('');
}

function usualName(method: string, segments: readonly string[]): JsonOperation['name'] {
  switch (method) {
    case 'POST':
      return 'create';
    case 'PUT':
      return 'update';
    case 'PATCH':
      return 'patch';
    case 'DELETE':
      return 'delete';
    default:
      return segments.at(-1)?.[0] === '{' ? 'read' : 'search';
  }
}

function usualOperation(name: JsonOperation['name']): string {
  return name === 'search' ? 'search-type' : name === 'history' ? 'history-type' : name;
}

function actionOf(name: JsonOperation['name']): EventAction {
  switch (name) {
    case 'read':
    case 'vread':
    case 'capabilities':
      return 'read';
    case 'create':
    case 'delete':
    case 'update':
      return name;
    case 'patch':
      return 'update';
    default:
      return 'execute';
  }
}

function permissionsOf(name: JsonOperation['name'], method: string): number {
  switch (name) {
    case 'read':
    case 'vread':
      return permissionBits('r');
    case 'search':
    case 'history':
      return permissionBits('s');
    case 'create':
      return permissionBits('c');
    case 'update':
    case 'patch':
      return permissionBits('u');
    case 'delete':
      return permissionBits('d');
    case 'capabilities':
      return 0;
    default:
      return permissionBits(method === 'GET' ? 'rs' : 'cruds');
  }
}
