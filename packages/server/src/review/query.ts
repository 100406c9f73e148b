/**
 * The question of a person, as it comes from outside, checked once. A refused filter is named; its value is never repeated, since it may be the
 * identifier of a patient.
 */
import {
  type EventAction,
  type EventKind,
  eventActions,
  eventKinds,
  type OutcomeStatus,
  outcomeStatuses,
} from '@watchglass/record';
import { type ErrorPlace, ServerError } from '../errors.ts';
import type { Filters } from '../indexes/filters.ts';

export const limitDefault = 50;
export const limitMax = 500;
export const bucketsDefault = 60;
export const bucketsMax = 120;
const textCharsMax = 256;
const cursorCharsMax = 512;
const spanMsDefault = 86_400_000;
const spanMsMax = 400 * 86_400_000;

/** Filters in the order in which they are listed. */
export const filterNames = [
  'actor',
  'patient',
  'resource',
  'kind',
  'action',
  'operation',
  'outcome',
  'from',
  'to',
  'q',
] as const;

export interface SearchQuery {
  readonly filters: Filters;
  readonly cursor: string | undefined;
  readonly limit: number;
}

export interface SummaryQuery {
  readonly filters: Filters;
  readonly buckets: number;
}

/** @throws ServerError `query-invalid` with a place for each filter that isn't right */
export function parseSearchQuery(input: unknown): SearchQuery {
  const given = new Given(input, [...filterNames, 'tenant', 'cursor', 'limit']);
  const query: SearchQuery = {
    filters: filtersOf(given),
    cursor: given.text('cursor', cursorCharsMax),
    limit: given.whole('limit', 1, limitMax) ?? limitDefault,
  };
  given.refuseWrong();
  return query;
}

/** @throws ServerError `query-invalid` with a place for each filter that isn't right */
export function parseSummaryQuery(input: unknown): SummaryQuery {
  const given = new Given(input, [...filterNames, 'tenant', 'buckets']);
  const query: SummaryQuery = {
    filters: filtersOf(given),
    buckets: given.whole('buckets', 1, bucketsMax) ?? bucketsDefault,
  };
  given.refuseWrong();
  return query;
}

/** A stretch of time, ms since 1970; `toMs` is exclusive and not in the future. */
export interface SpanQuery {
  readonly fromMs: number;
  readonly toMs: number;
}

/** The last day unless said. @throws ServerError `query-invalid` with a place for what isn't right */
export function parseSpanQuery(input: unknown, nowMs: number): SpanQuery {
  const given = new Given(input, ['from', 'to', 'tenant']);
  const toMs = Math.min(given.time('to') ?? nowMs, nowMs);
  const fromMs = given.time('from') ?? toMs - spanMsDefault;
  given.refuseWrong();
  if (fromMs >= toMs) given.refuse('from', 'a time before `to`, and before now', 'a later one');
  else if (toMs - fromMs > spanMsMax) given.refuse('from', 'a time at most 400 days before `to`', 'an earlier one');
  given.refuseWrong();
  return { fromMs, toMs };
}

/** Filters alone. @throws ServerError `query-invalid` with a place for each filter that isn't right */
export function parseFilters(input: unknown): Filters {
  const given = new Given(input, filterNames);
  const filters = filtersOf(given);
  given.refuseWrong();
  return filters;
}

/** Names of the filters in use. */
export function namesOf(filters: Filters): string[] {
  return filterNames.filter(
    (name) => filters[name === 'from' ? 'fromMs' : name === 'to' ? 'toMs' : name] !== undefined,
  );
}

function filtersOf(given: Given): Filters {
  const patient = given.text('patient', textCharsMax);
  return defined({
    actor: given.text('actor', textCharsMax),
    patient: patient?.startsWith('Patient/') ? patient.slice('Patient/'.length) : patient,
    resource: given.matching('resource', /^[A-Za-z][A-Za-z0-9-]{0,63}(\/[^/]{1,256})?$/u, '`Type` or `Type/id`'),
    kind: given.choice<EventKind>('kind', eventKinds),
    action: given.choice<EventAction>('action', eventActions),
    operation: given.text('operation', 64),
    outcome: given.choice<OutcomeStatus>('outcome', outcomeStatuses),
    fromMs: given.time('from'),
    toMs: given.time('to'),
    q: given.text('q', textCharsMax),
  });
}

type Defined<Value> = { readonly [Name in keyof Value]?: Exclude<Value[Name], undefined> };

function defined<Value extends object>(value: Value): Defined<Value> {
  return Object.fromEntries(Object.entries(value).filter(([, one]) => one !== undefined)) as Defined<Value>;
}

/** Members of a JSON body, or parameters of a query string: texts, numbers as numbers or digits; empty texts count as left out. */
class Given {
  readonly #members: Readonly<Record<string, unknown>>;
  readonly #wrong: ErrorPlace[] = [];

  constructor(input: unknown, names: readonly string[]) {
    const isObject = typeof input === 'object' && input !== null && !Array.isArray(input);
    if (!isObject) this.#wrong.push({ path: '', expected: 'an object of filters', got: typeName(input) });
    this.#members = isObject ? (input as Record<string, unknown>) : {};
    for (const name of Object.keys(this.#members)) {
      if (!names.includes(name)) {
        this.#wrong.push({
          path: '',
          expected: `only ${names.join(', ')}`,
          got: `another name of ${name.length} characters`,
        });
      }
    }
  }

  text(name: string, charsMax: number): string | undefined {
    const value = this.#members[name];
    if (value === undefined || value === null || value === '') return undefined;
    if (typeof value !== 'string') return this.refuse(name, 'a text', typeName(value));
    if (value.length > charsMax) return this.refuse(name, `at most ${charsMax} characters`, `${value.length}`);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: that is what is refused
    if (/[\u0000-\u001f\u007f]/.test(value)) return this.refuse(name, 'a text of one line', 'control characters');
    return value;
  }

  matching(name: string, pattern: RegExp, expected: string): string | undefined {
    const value = this.text(name, 512);
    if (value === undefined || pattern.test(value)) return value;
    return this.refuse(name, expected, `a text of ${value.length} characters`);
  }

  choice<Word extends string>(name: string, words: readonly Word[]): Word | undefined {
    const value = this.text(name, textCharsMax);
    if (value === undefined) return undefined;
    const word = words.find((one) => one === value);
    return word ?? this.refuse(name, `one of ${words.join(', ')}`, `a text of ${value.length} characters`);
  }

  whole(name: string, min: number, max: number): number | undefined {
    const value = this.#members[name];
    if (value === undefined || value === null || value === '') return undefined;
    const number = typeof value === 'string' && /^\d{1,15}$/.test(value) ? Number(value) : value;
    if (typeof number === 'number' && Number.isSafeInteger(number) && number >= min && number <= max) return number;
    return this.refuse(
      name,
      `a whole number from ${min} to ${max}`,
      typeof number === 'number' ? `${number}` : typeName(value),
    );
  }

  time(name: string): number | undefined {
    const value = this.text(name, 40);
    if (value === undefined) return undefined;
    const form = /^\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?(Z|[+-]\d{2}:\d{2}))?$/;
    const ms = form.test(value) ? Date.parse(value) : Number.NaN;
    if (!Number.isNaN(ms)) return ms;
    return this.refuse(
      name,
      'a time such as 2027-03-01T08:00:00Z (RFC 3339) or a date',
      `a text of ${value.length} characters`,
    );
  }

  refuseWrong(): void {
    const [first] = this.#wrong;
    if (first === undefined) return;
    const place = first.path === '' ? 'the query' : first.path;
    throw new ServerError('query-invalid', `${place}: expected ${first.expected}, got ${first.got}`, {
      errors: this.#wrong,
    });
  }

  refuse(name: string, expected: string, got: string): undefined {
    this.#wrong.push({ path: `/${name}`, expected, got });
  }
}

function typeName(value: unknown): string {
  return value === null ? 'null' : Array.isArray(value) ? 'a list' : typeof value;
}
