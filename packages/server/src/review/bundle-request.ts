/**
 * What somebody asks to be put into a bundle, as it comes from outside, checked once. No value is ever repeated in a refusal: it may be the identifier of a
 * patient.
 */
import { bundleEventsMax } from '@watchglass/record';
import { type ErrorPlace, ServerError } from '../errors.ts';
import type { Filters } from '../indexes/filters.ts';
import { parseFilters } from './query.ts';

const reasonCharsMax = 500;
const withheldMax = 32;

export interface BundleRequest {
  readonly purpose: string;
  readonly reason: string;
  /** Which events: by index, or all that match. */
  readonly events:
    | { readonly kind: 'chosen'; readonly indexes: readonly number[]; readonly asked: readonly string[] }
    | { readonly kind: 'matching'; readonly filters: Filters; readonly scan: boolean };
  /** JSON Pointers into the event. */
  readonly withhold: readonly string[];
}

/** @throws ServerError `input-invalid`, `query-invalid`, `bundle-too-large` */
export function parseBundleRequest(input: unknown): BundleRequest {
  if (typeof input !== 'object' || input === null || Array.isArray(input))
    throw invalid({ path: '', expected: 'an object', got: typeof input });
  const body = input as Record<string, unknown>;
  const known = ['tenant', 'purpose', 'reason', 'indexes', 'filters', 'scan', 'withhold'];
  if (Object.keys(body).some((name) => !known.includes(name)))
    throw invalid({ path: '', expected: `only ${known.join(', ')}`, got: 'another name' });
  const purpose = body.purpose;
  if (typeof purpose !== 'string' || !/^[A-Z][A-Z0-9_-]{0,31}$/.test(purpose))
    throw invalid({ path: '/purpose', expected: 'an HL7 v3 PurposeOfUse such as HOPERAT', got: nameOf(purpose) });
  const reason = body.reason;
  if (!isLine(reason, reasonCharsMax) || reason.trim() === '')
    throw invalid({ path: '/reason', expected: `a line of at most ${reasonCharsMax} characters`, got: nameOf(reason) });
  if (body.scan !== undefined && typeof body.scan !== 'boolean')
    throw invalid({ path: '/scan', expected: 'true or false', got: nameOf(body.scan) });
  return { purpose, reason: reason.trim(), events: readEvents(body), withhold: readPointers(body.withhold) };
}

function readEvents(body: Record<string, unknown>): BundleRequest['events'] {
  if ((body.indexes === undefined) === (body.filters === undefined))
    throw invalid({ path: '/indexes', expected: 'indexes or filters, one of them', got: 'both or neither' });
  if (body.indexes !== undefined) {
    if (body.scan === true)
      throw invalid({ path: '/scan', expected: 'filters to compare records with', got: 'indexes' });
    return readIndexes(body.indexes);
  }
  const filters = parseFilters(body.filters);
  if (Object.keys(filters).length === 0)
    throw invalid({ path: '/filters', expected: 'at least one filter', got: 'none' });
  return { kind: 'matching', filters, scan: body.scan === true };
}

function readIndexes(given: unknown): BundleRequest['events'] {
  if (!Array.isArray(given) || given.length === 0 || given.length > bundleEventsMax)
    throw invalid({ path: '/indexes', expected: `1 to ${bundleEventsMax} indexes or ranges`, got: nameOf(given) });
  const indexes = new Set<number>();
  const asked: string[] = [];
  for (const [i, one] of given.entries()) {
    const [first, last] = Array.isArray(one) && one.length === 2 ? (one as unknown[]) : [one, one];
    if (!isIndex(first) || !isIndex(last) || last < first)
      throw invalid({ path: `/indexes/${i}`, expected: 'an index, or a first and a last one', got: nameOf(one) });
    if (last - first >= bundleEventsMax || indexes.size + last - first >= 2 * bundleEventsMax) throw tooMany();
    for (let index = first; index <= last; index++) indexes.add(index);
    asked.push(first === last ? `${first}` : `${first}-${last}`);
  }
  if (indexes.size > bundleEventsMax) throw tooMany();
  return { kind: 'chosen', indexes: [...indexes].sort((a, b) => a - b), asked };
}

function readPointers(given: unknown): readonly string[] {
  if (given === undefined) return [];
  if (!Array.isArray(given) || given.length > withheldMax)
    throw invalid({
      path: '/withhold',
      expected: `at most ${withheldMax} JSON Pointers into the event`,
      got: nameOf(given),
    });
  return given.map((pointer: unknown, i) => {
    if (isLine(pointer, 256) && /^\/[^/]/.test(pointer)) return pointer;
    throw invalid({ path: `/withhold/${i}`, expected: 'a JSON Pointer such as /actor/id', got: nameOf(pointer) });
  });
}

export function tooMany(): ServerError {
  return new ServerError(
    'bundle-too-large',
    `expected at most ${bundleEventsMax} events, or 48 MiB of them; narrow the filters, by time for instance`,
  );
}

function isIndex(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}

function isLine(value: unknown, charsMax: number): value is string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: that is what is refused
  return typeof value === 'string' && value.length <= charsMax && !/[\u0000-\u001f\u007f\u2028\u2029]/.test(value);
}

function nameOf(value: unknown): string {
  if (typeof value === 'string') return `a text of ${value.length} characters`;
  return value === null ? 'null' : Array.isArray(value) ? 'a list' : typeof value;
}

function invalid(place: ErrorPlace): ServerError {
  const where = place.path === '' ? 'the request' : place.path;
  return new ServerError('input-invalid', `${where}: expected ${place.expected}, got ${place.got}`, {
    errors: [place],
  });
}
