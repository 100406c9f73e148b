/**
 * The FHIR R4 REST API as a function from request to response: no sockets, no clock, so the server, the tests and
 * an evaluation can all drive it. Every refusal is an OperationOutcome with the status FHIR R4 §3.1.0 gives it.
 */

import { isRecord, type Resource } from '../resource.ts';
import { isId, parseJson, resourceFrom } from './body.ts';
import { applyBundle } from './bundle.ts';
import { capabilityStatement } from './capability.ts';
import { everything } from './everything.ts';
import { Exports } from './export.ts';
import type { FhirRequest, FhirResponse } from './message.ts';
import { FhirError, operationOutcome } from './outcome.ts';
import { servedTypes } from './parameters.ts';
import { applyPatch } from './patch.ts';
import { checkReferences } from './references.ts';
import { type Page, Searches } from './search.ts';
import type { Entry, Store, Version } from './store.ts';

export interface FhirHandler {
  /** Answers, refusals included; throws only when the hospital itself is broken. */
  handle(request: FhirRequest): FhirResponse;
}

export function createFhirHandler(store: Store, now: () => Date): FhirHandler {
  const api = new FhirApi(store, now);
  return { handle: (request) => api.handle(request) };
}

const typePattern = /^[A-Z][A-Za-z]{2,40}$/;

class FhirApi {
  readonly #store: Store;
  readonly #searches: Searches;
  readonly #exports: Exports;
  readonly #now: () => Date;

  constructor(store: Store, now: () => Date) {
    this.#store = store;
    this.#searches = new Searches(store);
    this.#exports = new Exports(store);
    this.#now = now;
  }

  handle(request: FhirRequest): FhirResponse {
    try {
      checkFormat(request);
      return this.#route(request);
    } catch (error) {
      if (!(error instanceof FhirError)) throw error;
      return { status: error.status, headers: error.headers, body: operationOutcome(error.code, error.message) };
    }
  }

  #route(request: FhirRequest): FhirResponse {
    const [first = '', second, third, fourth, ...rest] = segmentsOf(request.path);
    if (rest.length > 0) throw nothingHere();
    if (first === '') return this.#onBase(request);
    if (first === '$export' || first === '_jobs' || (first === 'Patient' && second === '$export')) {
      const answered = this.#exports.handle(request, this.#now());
      if (answered === undefined) throw nothingHere();
      return answered;
    }
    if (first === 'metadata' && second === undefined) {
      allow(request, ['GET']);
      return {
        status: 200,
        headers: {},
        body: capabilityStatement(this.#store, request.base, this.#now().toISOString()),
      };
    }
    if (!typePattern.test(first) || !(servedTypes.includes(first) || this.#store.count(first) > 0))
      throw new FhirError(404, 'not-supported', 'this hospital holds no resources of that type; see /metadata');
    if (second === undefined) return this.#onType(request, first);
    if (second === '_search' && third === undefined) {
      allow(request, ['POST']);
      return this.#search(request, first, formOf(request));
    }
    if (second === '_history') throw new FhirError(501, 'not-supported', 'only the history of one resource is kept');
    if (!isId(second)) throw nothingHere();
    if (third === undefined) return this.#onInstance(request, first, second);
    if (third === '_history') return this.#onHistory(request, first, second, fourth);
    if (third === '$everything' && first === 'Patient' && fourth === undefined) {
      allow(request, ['GET']);
      return this.#everything(request, second);
    }
    if (third.startsWith('$'))
      throw new FhirError(404, 'not-supported', 'the only operation here is Patient/[id]/$everything');
    throw nothingHere();
  }

  #onBase(request: FhirRequest): FhirResponse {
    if (request.method === 'GET' || request.method === 'HEAD')
      throw new FhirError(501, 'not-supported', 'searching across types is not supported; search a type');
    allow(request, ['POST']);
    const bundle = parseJson(request.body);
    const entries = applyBundle(bundle, {
      store: this.#store,
      handle: (inner) => this.handle({ ...inner, base: request.base }),
    });
    return { status: 200, headers: {}, body: entries };
  }

  #onType(request: FhirRequest, type: string): FhirResponse {
    allow(request, ['GET', 'HEAD', 'POST']);
    return request.method === 'POST' ? this.#create(request, type) : this.#search(request, type, request.query);
  }

  #search(request: FhirRequest, type: string, query: URLSearchParams): FhirResponse {
    const page = this.#searches.search(type, query);
    return { status: 200, headers: {}, body: searchset(request, page, type) };
  }

  #everything(request: FhirRequest, id: string): FhirResponse {
    const cursor = request.query.get('_cursor');
    if (cursor !== null) {
      const page = this.#searches.search('Patient', request.query);
      return { status: 200, headers: {}, body: searchset(request, page, `Patient/${id}/$everything`) };
    }
    this.#existing('Patient', id);
    const { resources, count } = everything(this.#store, id, request.query);
    return {
      status: 200,
      headers: {},
      body: searchset(request, this.#searches.pages(resources, count), `Patient/${id}/$everything`),
    };
  }

  #create(request: FhirRequest, type: string): FhirResponse {
    checkContentType(request, ['application/fhir+json', 'application/json']);
    const draft = resourceFrom(parseJson(request.body), type, undefined);
    const condition = request.headers['if-none-exist'];
    if (condition !== undefined) {
      const query = new URLSearchParams(condition);
      if (query.size === 0) throw new FhirError(400, 'value', 'expected search parameters in If-None-Exist');
      const { found } = this.#searches.search(type, query);
      if (found.length > 1) throw new FhirError(412, 'multiple-matches', 'If-None-Exist matches several resources');
      if (found[0] !== undefined) return answer(request, this.#existing(type, found[0].id), 200);
    }
    checkReferences(draft, this.#store, request.pending);
    const version = this.#store.write('POST', { ...draft, resourceType: type, id: this.#store.freeId(type) });
    return answer(request, version, 201);
  }

  #onInstance(request: FhirRequest, type: string, id: string): FhirResponse {
    allow(request, ['GET', 'HEAD', 'PUT', 'PATCH', 'DELETE']);
    if (request.method === 'PUT') return this.#update(request, type, id);
    if (request.method === 'PATCH') return this.#patch(request, type, id);
    if (request.method === 'DELETE') return this.#delete(request, type, id);
    const version = this.#existing(type, id);
    if (request.headers['if-none-match'] === etagOf(version))
      return { status: 304, headers: { etag: etagOf(version) }, body: undefined };
    return answer(request, version, 200);
  }

  #update(request: FhirRequest, type: string, id: string): FhirResponse {
    checkContentType(request, ['application/fhir+json', 'application/json']);
    const before = this.#store.entry(type, id)?.versions.at(-1);
    checkIfMatch(request, before);
    const draft = resourceFrom(parseJson(request.body), type, id);
    checkReferences(draft, this.#store, request.pending);
    const version = this.#store.write('PUT', { ...draft, resourceType: type, id });
    return answer(request, version, before?.resource === undefined ? 201 : 200);
  }

  #patch(request: FhirRequest, type: string, id: string): FhirResponse {
    checkContentType(request, ['application/json-patch+json']);
    const before = this.#existing(type, id);
    checkIfMatch(request, before);
    const patched = resourceFrom(applyPatch(before.resource, parseJson(request.body)), type, id);
    checkReferences(patched, this.#store, request.pending);
    return answer(request, this.#store.write('PATCH', { ...patched, resourceType: type, id }), 200);
  }

  #delete(request: FhirRequest, type: string, id: string): FhirResponse {
    const before = this.#store.entry(type, id)?.versions.at(-1);
    checkIfMatch(request, before);
    this.#store.delete(type, id);
    return { status: 204, headers: {}, body: undefined };
  }

  #onHistory(request: FhirRequest, type: string, id: string, versionId: string | undefined): FhirResponse {
    allow(request, ['GET', 'HEAD']);
    const entry = this.#store.entry(type, id);
    if (entry === undefined) throw nothingHere();
    if (versionId === undefined) return { status: 200, headers: {}, body: historyOf(request, entry) };
    const version = entry.versions.find((one) => one.versionId === versionId);
    if (version === undefined) throw nothingHere();
    if (version.resource === undefined) throw new FhirError(410, 'deleted', 'that version deleted the resource');
    return answer(request, version, 200);
  }

  #existing(type: string, id: string): Version {
    const version = this.#store.entry(type, id)?.versions.at(-1);
    if (version === undefined) throw nothingHere();
    if (version.resource === undefined)
      throw new FhirError(410, 'deleted', 'the resource was deleted', { etag: etagOf(version) });
    return version;
  }
}

function nothingHere(): FhirError {
  return new FhirError(404, 'not-found', 'there is nothing here');
}

function segmentsOf(path: string): string[] {
  const trimmed = path.startsWith('/') ? path.slice(1) : path;
  if (trimmed === '') return [];
  try {
    return trimmed.split('/').map((segment) => decodeURIComponent(segment));
  } catch {
    throw new FhirError(400, 'invalid', 'expected a percent-encoded path');
  }
}

function allow(request: FhirRequest, methods: readonly string[]): void {
  if (!methods.includes(request.method === 'HEAD' && !methods.includes('HEAD') ? 'GET' : request.method))
    throw new FhirError(405, 'not-supported', `expected ${methods.join(', ')} here`, { allow: methods.join(', ') });
}

function checkFormat(request: FhirRequest): void {
  const accepts = request.query.get('_format') ?? request.headers.accept ?? '*/*';
  if (!/json|\*\/\*|application\/\*/.test(accepts))
    throw new FhirError(406, 'not-supported', 'only application/fhir+json is spoken here');
}

function checkContentType(request: FhirRequest, expected: readonly string[]): void {
  const type = (request.headers['content-type'] ?? '').split(';')[0]?.trim().toLowerCase() ?? '';
  if (!expected.includes(type))
    throw new FhirError(415, 'not-supported', `expected Content-Type ${expected.join(' or ')}`);
}

function formOf(request: FhirRequest): URLSearchParams {
  checkContentType(request, ['application/x-www-form-urlencoded']);
  const form = new URLSearchParams(new TextDecoder().decode(request.body));
  // FHIR lets parameters of a POST stand in the URL as well.
  for (const [name, value] of request.query) form.append(name, value);
  return form;
}

export function etagOf(version: Version): string {
  return `W/"${version.versionId}"`;
}

function checkIfMatch(request: FhirRequest, before: Version | undefined): void {
  const wanted = request.headers['if-match'];
  if (wanted !== undefined && (before === undefined || wanted !== etagOf(before)))
    throw new FhirError(412, 'conflict', 'the resource has another version than If-Match names; read it again');
}

function answer(request: FhirRequest, version: Version, status: number): FhirResponse {
  const { resource } = version;
  const headers: Record<string, string> = {
    etag: etagOf(version),
    'last-modified': new Date(version.lastUpdated).toUTCString(),
  };
  if (status === 201 && resource !== undefined)
    headers.location = `${request.base}/${resource.resourceType}/${resource.id}/_history/${version.versionId}`;
  const minimal =
    request.method !== 'GET' && request.method !== 'HEAD' && (request.headers.prefer ?? '').includes('return=minimal');
  return { status, headers, body: minimal ? undefined : resource };
}

function searchset(request: FhirRequest, page: Page, path: string): Record<string, unknown> {
  const entry = (mode: 'match' | 'include') => (resource: Resource) => ({
    fullUrl: `${request.base}/${resource.resourceType}/${resource.id}`,
    resource: page.elements === undefined || mode === 'include' ? resource : only(resource, page.elements),
    search: { mode },
  });
  return {
    resourceType: 'Bundle',
    type: 'searchset',
    ...(page.total === undefined ? {} : { total: page.total }),
    link: page.next === undefined ? [] : [{ relation: 'next', url: `${request.base}/${path}?_cursor=${page.next}` }],
    entry: [...page.found.map(entry('match')), ...page.included.map(entry('include'))],
  };
}

function only(resource: Resource, elements: readonly string[]): Record<string, unknown> {
  const kept = Object.fromEntries(Object.entries(resource).filter(([member]) => elements.includes(member)));
  const subsetted = { system: 'http://terminology.hl7.org/CodeSystem/v3-ObservationValue', code: 'SUBSETTED' };
  return { ...kept, meta: { ...(isRecord(kept.meta) ? kept.meta : {}), tag: [subsetted] } };
}

function historyOf(request: FhirRequest, entry: Entry): Record<string, unknown> {
  return {
    resourceType: 'Bundle',
    type: 'history',
    total: entry.versions.length,
    entry: entry.versions.toReversed().map((version) => ({
      fullUrl: `${request.base}/${entry.type}/${entry.id}`,
      ...(version.resource === undefined ? {} : { resource: version.resource }),
      request: { method: version.method, url: version.method === 'POST' ? entry.type : `${entry.type}/${entry.id}` },
      response: {
        status: version.method === 'DELETE' ? '204' : '200',
        etag: etagOf(version),
        lastModified: version.lastUpdated,
      },
    })),
  };
}
