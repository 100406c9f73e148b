/**
 * Whether a resource meets a search criterion: the matching rules of FHIR R4 §3.1.1 for token, string, date and
 * reference parameters. Strings compare without case or accents; dates are ranges as precise as they are written.
 */
import { isRecord, type Resource, valuesAt } from '../resource.ts';
import { FhirError } from './outcome.ts';
import type { Parameter } from './parameters.ts';

/** One `name[:modifier]=a,b`: any of the values has to match. */
export interface Criterion {
  readonly name: string;
  readonly parameter: Parameter;
  readonly modifier: string | undefined;
  readonly values: readonly string[];
}

export const valuesMax = 100;

/** Reads one query parameter; refuses modifiers and chains this server doesn't know. */
export function criterionOf(key: string, raw: string, parameters: Readonly<Record<string, Parameter>>): Criterion {
  const colon = key.indexOf(':');
  const name = colon < 0 ? key : key.slice(0, colon);
  const modifier = colon < 0 ? undefined : key.slice(colon + 1);
  if (name.includes('.') || name === '_has')
    throw new FhirError(400, 'not-supported', 'chained parameters and _has are not supported; search in two steps');
  const parameter = Object.hasOwn(parameters, name) ? parameters[name] : undefined;
  if (parameter === undefined)
    throw new FhirError(
      400,
      'not-supported',
      `expected one of the parameters ${Object.keys(parameters).sort().join(', ')}; got another`,
    );
  if (modifier !== undefined && modifier !== 'missing' && !modifiersOf(parameter).includes(modifier))
    throw new FhirError(
      400,
      'not-supported',
      `expected no modifier or one of missing, ${modifiersOf(parameter).join(', ')} on ${name}`,
    );
  const values = splitValues(raw);
  if (values.length === 0) throw new FhirError(400, 'value', `expected a value for ${name}, got none`);
  if (values.length > valuesMax)
    throw new FhirError(400, 'too-long', `expected at most ${valuesMax} values for ${name}, got ${values.length}`);
  if (parameter.kind === 'date' && modifier === undefined) for (const value of values) parseDateValue(name, value);
  return { name, parameter, modifier, values };
}

function modifiersOf(parameter: Parameter): readonly string[] {
  switch (parameter.kind) {
    case 'string':
      return ['exact', 'contains'];
    case 'token':
      return ['not'];
    case 'reference':
      return parameter.target === undefined ? [] : [parameter.target];
    case 'date':
      return [];
    default:
      return parameter.kind satisfies never;
  }
}

/** Splits at commas that aren't escaped, and takes the escapes away. */
function splitValues(raw: string): string[] {
  return (raw.match(/(?:\\.|[^,\\])+/gs) ?? []).map((part) => part.replace(/\\(.)/gs, '$1'));
}

export function matches(resource: Resource, criterion: Criterion): boolean {
  const { parameter, modifier, values } = criterion;
  const found = parameter.paths.flatMap((path) => valuesAt(resource, path));
  if (modifier === 'missing') return (found.length === 0) === (values[0] === 'true');
  switch (parameter.kind) {
    case 'string':
      return values.some((value) =>
        found.some((one) => typeof one === 'string' && stringMatches(one, value, modifier)),
      );
    case 'token': {
      const any = values.some((value) => found.some((one) => tokenMatches(one, value)));
      return modifier === 'not' ? !any : any;
    }
    case 'reference':
      return values.some((value) => {
        const wanted = referenceOf(value, parameter.target);
        return found.includes(wanted);
      });
    case 'date':
      return values.some((value) => {
        const asked = parseDateValue(criterion.name, value);
        return found.some((one) => dateMatches(one, asked));
      });
    default:
      return parameter.kind satisfies never;
  }
}

/** `Patient/1`, `1` and `https://elsewhere/fhir/Patient/1` ask for the same. */
export function referenceOf(value: string, target: string | undefined): string {
  const parts = value.split('/');
  if (parts.length === 1) return target === undefined ? value : `${target}/${value}`;
  return parts.slice(-2).join('/');
}

export function foldText(text: string): string {
  return text.normalize('NFD').replace(/\p{M}/gu, '').replace(/[łŁ]/g, 'l').replace(/[øØ]/g, 'o').toLowerCase();
}

function stringMatches(text: string, value: string, modifier: string | undefined): boolean {
  if (modifier === 'exact') return text === value;
  const folded = foldText(text);
  return modifier === 'contains' ? folded.includes(foldText(value)) : folded.startsWith(foldText(value));
}

function tokenMatches(found: unknown, value: string): boolean {
  const bar = value.indexOf('|');
  const system = bar < 0 ? undefined : value.slice(0, bar);
  const code = bar < 0 ? value : value.slice(bar + 1);
  return codingsOf(found).some(
    (coding) => (system === undefined || coding.system === system) && (code === '' ? bar > 0 : coding.code === code),
  );
}

interface Coded {
  readonly system: string;
  readonly code: string;
}

/** What a token can be compared with: code, boolean, Coding, CodeableConcept, Identifier, ContactPoint. */
function codingsOf(found: unknown): readonly Coded[] {
  if (typeof found === 'string' || typeof found === 'boolean') return [{ system: '', code: String(found) }];
  if (!isRecord(found)) return [];
  if (Array.isArray(found.coding)) {
    const text = typeof found.text === 'string' ? [{ system: '', code: found.text }] : [];
    return [...found.coding.flatMap(codingsOf), ...text];
  }
  const code = found.code ?? found.value ?? found.text;
  const system = typeof found.system === 'string' ? found.system : '';
  return typeof code === 'string' ? [{ system, code }] : [];
}

type Prefix = 'eq' | 'ne' | 'gt' | 'lt' | 'ge' | 'le' | 'sa' | 'eb';
interface Range {
  /** Milliseconds; start ≤ t < end. */
  readonly start: number;
  readonly end: number;
}

function parseDateValue(name: string, value: string): Range & { readonly prefix: Prefix } {
  const match = /^(eq|ne|gt|lt|ge|le|sa|eb)?(\d.*)$/.exec(value);
  const range = match === null ? undefined : rangeOf(match[2] ?? '');
  if (range === undefined)
    throw new FhirError(400, 'value', `expected a date such as 2026-03-04 or ge2026-03 for ${name}`);
  return { ...range, prefix: (match?.[1] ?? 'eq') as Prefix };
}

const datePattern =
  /^(\d{4})(?:-(\d{2})(?:-(\d{2})(?:T(\d{2}):(\d{2})(?::(\d{2})(?:\.(\d+))?)?(Z|[+-]\d{2}:\d{2})?)?)?)?$/;

/** The span a FHIR date, dateTime or instant covers at the precision it is written in; undefined when it is none. */
function rangeOf(text: string): Range | undefined {
  const match = datePattern.exec(text);
  if (match === null) return undefined;
  const [, year, month, day, hour, minute, second, fraction, zone] = match;
  const precision = [month, day, hour, second, fraction].filter((part) => part !== undefined).length;
  const full = `${year}-${month ?? '01'}-${day ?? '01'}T${hour ?? '00'}:${minute ?? '00'}:${second ?? '00'}${fraction === undefined ? '' : `.${fraction.slice(0, 3)}`}${zone ?? 'Z'}`;
  const start = Date.parse(full);
  if (Number.isNaN(start)) return undefined;
  if (precision >= 2) return { start, end: start + ([86_400_000, 60_000, 1000, 1][precision - 2] ?? 1) };
  const end = precision === 0 ? Date.UTC(Number(year) + 1, 0) : Date.UTC(Number(year), Number(month));
  return { start, end };
}

function dateMatches(found: unknown, asked: Range & { prefix: Prefix }): boolean {
  const range = typeof found === 'string' ? rangeOf(found) : periodOf(found);
  if (range === undefined) return false;
  const within = range.start >= asked.start && range.end <= asked.end;
  switch (asked.prefix) {
    case 'eq':
      return within;
    case 'ne':
      return !within;
    case 'gt':
      return range.end > asked.end;
    case 'ge':
      return range.end > asked.end || within;
    case 'lt':
      return range.start < asked.start;
    case 'le':
      return range.start < asked.start || within;
    case 'sa':
      return range.start >= asked.end;
    case 'eb':
      return range.end <= asked.start;
    default:
      return asked.prefix satisfies never;
  }
}

function periodOf(found: unknown): Range | undefined {
  if (!isRecord(found)) return undefined;
  const start = typeof found.start === 'string' ? rangeOf(found.start)?.start : undefined;
  const end = typeof found.end === 'string' ? rangeOf(found.end)?.end : undefined;
  if (start === undefined && end === undefined) return undefined;
  return { start: start ?? Number.NEGATIVE_INFINITY, end: end ?? Number.POSITIVE_INFINITY };
}
