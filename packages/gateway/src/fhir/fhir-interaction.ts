/**
 * Which FHIR interaction a method and a path are (R4 §3.1.0). Whatever isn't in the table has no route: it is refused before anybody asks
 * who is calling. Nothing here reads a body.
 */
import type { EventAction } from '@watchglass/record';

import type { Parameter } from '../http/canonical.ts';
import { resourceTypes } from './fhir-types.ts';

/** As policies name them; the finer name is `operation`. */
export const interactionNames = [
  'read',
  'vread',
  'history',
  'search',
  'create',
  'update',
  'patch',
  'delete',
  'batch',
  'capabilities',
  'operation',
  'subscribe',
] as const;
export type InteractionName = (typeof interactionNames)[number];

/** Letters of SMART scopes, as bits: create, read, update, delete, search. */
export const permission = { c: 1, r: 2, u: 4, d: 8, s: 16 } as const;

export interface Interaction {
  readonly name: InteractionName;
  /** For the record: `read`, `vread`, `search-type`, `conditional-update`, `$everything`, … */
  readonly operation: string;
  readonly action: EventAction;
  /** Undefined for interactions with the whole system. */
  readonly type: string | undefined;
  readonly id: string | undefined;
  readonly version: string | undefined;
  /** A search below a resource, `Patient/1/Observation`: that resource. */
  readonly compartment: { readonly type: string; readonly id: string } | undefined;
  /** Whom path and query name, in an API that is no FHIR: set there only. */
  readonly patients?: readonly string[];
  /** `/fhir/Patient/{id}`: never an id. */
  readonly route: string;
  /** Bits of `permission` that a SMART scope must give for the type. */
  readonly permissions: number;
  /** Leaves the upstream as it was: one event after it is enough. Anything else needs an intent before. */
  readonly safe: boolean;
  /** Parameters come as a form in the body. */
  readonly form: boolean;
}

export type Recognition =
  | { readonly kind: 'interaction'; readonly interaction: Interaction }
  | { readonly kind: 'no-route' }
  | { readonly kind: 'method-not-allowed'; readonly allow: string };

const idPattern = /^[A-Za-z0-9\-.]{1,64}$/;
const operationPattern = /^\$[a-z][A-Za-z-]{0,39}$/;

/** Operations that only read, however they are called. Any other is taken to change something. */
const readingOperations: ReadonlySet<string> = new Set([
  '$everything',
  '$lastn',
  '$stats',
  '$export',
  '$docref',
  '$match',
  '$expand',
  '$lookup',
  '$validate',
  '$validate-code',
  '$translate',
]);

const { c, r, u, d, s } = permission;

/** `segments` are those behind the prefix: `['Patient', '123']`. */
export function recognise(input: {
  readonly method: string;
  readonly prefix: string;
  readonly segments: readonly string[];
  readonly parameters: readonly Parameter[];
}): Recognition {
  const { method, prefix } = input;
  const [first, second, third, fourth] = input.segments;
  const count = input.segments.length;
  const route = (template: string): string => `${prefix}${template}`;
  const reads = method === 'GET' || method === 'HEAD';

  if (first === undefined || first === 'metadata' || /^[._$]/.test(first)) return onSystem(input, route, reads);
  if (input.segments.includes('')) return { kind: 'no-route' };
  if (!resourceTypes.has(first)) return { kind: 'no-route' };
  const type = first;
  if (count === 1) return onType(method, type, route(`/${type}`), input.parameters);
  if (second === undefined) return { kind: 'no-route' };
  if (count === 2 && second === '_search')
    return byMethod(method, { POST: search('search-type', type, route(`/${type}/_search`), true) });
  if (count === 2 && second === '_history')
    return byMethod(method, { GET: history('history-type', type, route(`/${type}/_history`)) });
  if (count === 2 && operationPattern.test(second)) {
    return byMethod(
      method,
      operationOn({ name: second, type, id: undefined, route: route(`/${type}/${second}`), reads }),
    );
  }
  if (!idPattern.test(second)) return { kind: 'no-route' };
  const id = second;
  if (count === 2) return onInstance(method, type, id, route(`/${type}/{id}`));
  if (third === undefined) return { kind: 'no-route' };
  if (third === '_history') {
    if (count === 3) {
      const template = route(`/${type}/{id}/_history`);
      return byMethod(method, {
        GET: { ...history('history-instance', type, template), id, action: 'read', permissions: r },
      });
    }
    if (count !== 4 || fourth === undefined || !idPattern.test(fourth)) return { kind: 'no-route' };
    const template = route(`/${type}/{id}/_history/{version}`);
    const vread = make({
      name: 'vread',
      operation: 'vread',
      action: 'read',
      type,
      id,
      route: template,
      permissions: r,
      safe: true,
    });
    return byMethod(method, { GET: { ...vread, version: fourth } });
  }
  if (count === 3 && operationPattern.test(third)) {
    return byMethod(method, operationOn({ name: third, type, id, route: route(`/${type}/{id}/${third}`), reads }));
  }
  return inCompartment({ method, compartment: { type, id }, wanted: third, last: fourth, count, route });
}

/** Paths that begin with no resource type. */
function onSystem(
  { method, segments }: { readonly method: string; readonly segments: readonly string[] },
  route: (template: string) => string,
  reads: boolean,
): Recognition {
  const path = segments.join('/');
  switch (path) {
    case '':
      if (segments.length > 0) return { kind: 'no-route' };
      return byMethod(method, {
        GET: search('search-system', undefined, route('/'), false),
        POST: make({
          name: 'batch',
          operation: 'batch',
          action: 'execute',
          route: route('/'),
          permissions: 0,
          safe: false,
        }),
      });
    case 'metadata':
      return byMethod(method, { GET: capabilities('capabilities', route('/metadata')) });
    case '.well-known/smart-configuration':
      return byMethod(method, { GET: capabilities('smart-configuration', route('/.well-known/smart-configuration')) });
    case '_search':
      return byMethod(method, { POST: search('search-system', undefined, route('/_search'), true) });
    case '_history':
      return byMethod(method, { GET: history('history-system', undefined, route('/_history')) });
    default:
      if (!operationPattern.test(path)) return { kind: 'no-route' };
      return byMethod(
        method,
        operationOn({ name: path, type: undefined, id: undefined, route: route(`/${path}`), reads }),
      );
  }
}

/** A WebSocket of an API: what comes over it is decided by what is said on it, which nobody reads. So it counts as what may change something. */
export function subscription(prefix: string): Interaction {
  return make({
    name: 'subscribe',
    operation: 'subscribe',
    action: 'execute',
    type: 'Subscription',
    route: `${prefix}/websocket`,
    permissions: r | s,
    safe: false,
  });
}

/** Which bits a permission string like `rs` stands for. */
export function permissionBits(letters: string): number {
  let bits = 0;
  for (const letter of letters) bits |= permission[letter as keyof typeof permission] ?? 0;
  return bits;
}

type ByMethod = Readonly<Partial<Record<'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE', Interaction>>>;

function byMethod(method: string, table: ByMethod): Recognition {
  const key = method === 'HEAD' ? 'GET' : method;
  // A method named in a batch can be any text, `constructor` too.
  const interaction = Object.hasOwn(table, key) ? table[key as keyof ByMethod] : undefined;
  if (interaction !== undefined) return { kind: 'interaction', interaction };
  const methods = Object.keys(table);
  return { kind: 'method-not-allowed', allow: (methods.includes('GET') ? [...methods, 'HEAD'] : methods).join(', ') };
}

function make(
  parts: Pick<Interaction, 'name' | 'operation' | 'action' | 'route' | 'permissions' | 'safe'> & Partial<Interaction>,
): Interaction {
  return { type: undefined, id: undefined, version: undefined, compartment: undefined, form: false, ...parts };
}

function search(operation: string, type: string | undefined, route: string, form: boolean): Interaction {
  return make({ name: 'search', operation, action: 'execute', type, route, permissions: s, safe: true, form });
}

function history(operation: string, type: string | undefined, route: string): Interaction {
  return make({ name: 'history', operation, action: 'execute', type, route, permissions: s, safe: true });
}

function capabilities(operation: string, route: string): Interaction {
  return make({ name: 'capabilities', operation, action: 'read', route, permissions: 0, safe: true });
}

function onType(method: string, type: string, route: string, parameters: readonly Parameter[]): Recognition {
  const conditional = parameters.length > 0;
  const change = (name: 'update' | 'patch' | 'delete', action: EventAction, bits: number): Interaction =>
    make({ name, operation: `conditional-${name}`, action, type, route, permissions: bits | s, safe: false });
  return byMethod(method, {
    GET: search('search-type', type, route, false),
    POST: make({ name: 'create', operation: 'create', action: 'create', type, route, permissions: c, safe: false }),
    // Without a condition there is nothing they could be about (R4 §3.1.0.4.3).
    ...(conditional
      ? {
          PUT: change('update', 'update', u),
          PATCH: change('patch', 'update', u),
          DELETE: change('delete', 'delete', d),
        }
      : {}),
  });
}

function onInstance(method: string, type: string, id: string, route: string): Recognition {
  const read = make({ name: 'read', operation: 'read', action: 'read', type, id, route, permissions: r, safe: true });
  // Nearly all traffic: the others needn't be made for it.
  if (method === 'GET' || method === 'HEAD') return { kind: 'interaction', interaction: read };
  const change = (name: 'update' | 'patch' | 'delete', action: EventAction, permissions: number): Interaction =>
    make({ name, operation: name, action, type, id, route, permissions, safe: false });
  return byMethod(method, {
    GET: read,
    PUT: change('update', 'update', u),
    PATCH: change('patch', 'update', u),
    DELETE: change('delete', 'delete', d),
  });
}

function operationOn(parts: {
  readonly name: string;
  readonly type: string | undefined;
  readonly id: string | undefined;
  readonly route: string;
  readonly reads: boolean;
}): ByMethod {
  const { name, type, id, route } = parts;
  // HTTP says that GET changes nothing (RFC 9110 §9.2.1); of these two FHIR says that it may.
  const safe = readingOperations.has(name) || (parts.reads && name !== '$document' && name !== '$graphql');
  const permissions = readingOperations.has(name) ? r | s : c | r | u | d | s;
  const interaction = make({
    name: 'operation',
    operation: name,
    action: 'execute',
    type,
    id,
    route,
    permissions,
    safe,
  });
  return { GET: interaction, POST: interaction };
}

/** `Patient/1/Observation`, `Patient/1/*`, and the same with `_search`. */
function inCompartment(parts: {
  readonly method: string;
  readonly compartment: { readonly type: string; readonly id: string };
  readonly wanted: string;
  readonly last: string | undefined;
  readonly count: number;
  readonly route: (template: string) => string;
}): Recognition {
  const { method, compartment, wanted, last, count } = parts;
  if (wanted !== '*' && !resourceTypes.has(wanted)) return { kind: 'no-route' };
  if (count > 4 || (count === 4 && last !== '_search')) return { kind: 'no-route' };
  const form = count === 4;
  const template = parts.route(`/${compartment.type}/{id}/${wanted}${form ? '/_search' : ''}`);
  const type = wanted === '*' ? undefined : wanted;
  const found: Interaction = { ...search('search-compartment', type, template, form), compartment };
  return byMethod(method, form ? { POST: found } : { GET: found });
}
