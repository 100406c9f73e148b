/**
 * Is the event on the screen the one the ledger committed to? Compares what the server showed with the opened record,
 * field by field. Patients and resources are shown by pseudonym; there the two must correspond one to one within the
 * event, which is all that can be said without revealing them. Values before and after a change are not shown at all.
 */
import type { StoredRecord } from '@watchglass/record';
import type { ListedEvent } from '../api/client.ts';

export type Comparison =
  /** `pseudonyms`: how many identifiers are shown by pseudonym. */
  | { readonly kind: 'equal'; readonly pseudonyms: number }
  /** JSON Pointer of the first difference. */
  | { readonly kind: 'different'; readonly at: string };

/** The first character of every pseudonym. */
export const pseudonymMark = '·';

/** Not of the stored record, or a constant of it. */
const ownMembers: ReadonlySet<string> = new Set(['index', 'leaf', 'v']);
/** Of the envelope: compared where they are shown. */
const envelopeMembers: readonly string[] = ['received', 'submitter', 'intake', 'digest'];
const patientPlaces = /^\/(targets\/\d+\/patient|exposure\/patients\/\d+\/id|actor\/id|actor\/onBehalfOf\/\d+\/id)$/;
const targetPlace = /^\/targets\/(\d+)\/id$/;
const withheldPlaces = /^\/changes\/\d+\/(before|after)$/;

export function compareOpening(shown: ListedEvent, stored: StoredRecord): Comparison {
  const { event, ...envelope } = stored;
  const { exposure, ...rest } = shown;
  const { patientCount, ...listed } = exposure ?? {};
  const left = without(exposure === undefined ? rest : { ...rest, exposure: listed });
  const right = without({ ...event, ...envelope });
  for (const name of envelopeMembers) if (!(name in left)) delete right[name];
  const names: Names = { byStored: new Map(), types: event.targets?.map((target) => target.type) ?? [] };
  const at = firstDifference({ shown: left, stored: right, at: '', names });
  if (at !== undefined) return { kind: 'different', at };
  if (patientCount !== undefined && patientCount !== event.exposure?.patients?.length) {
    return { kind: 'different', at: '/exposure/patientCount' };
  }
  // Two identifiers behind one pseudonym would make two patients look like one.
  const { byStored } = names;
  if (new Set(byStored.values()).size !== byStored.size) return { kind: 'different', at: '/targets' };
  return { kind: 'equal', pseudonyms: byStored.size };
}

interface Names {
  /** `Type/id` as stored → pseudonym as shown. */
  readonly byStored: Map<string, string>;
  /** Types of the targets, by position. */
  readonly types: readonly string[];
}

interface Pair {
  readonly shown: unknown;
  readonly stored: unknown;
  readonly at: string;
  readonly names: Names;
}

function firstDifference({ shown, stored, at, names }: Pair): string | undefined {
  if (Array.isArray(shown) && Array.isArray(stored)) {
    if (shown.length !== stored.length) return at;
    return firstOf(shown.keys(), (i) =>
      firstDifference({ shown: shown[i], stored: stored[i], at: `${at}/${i}`, names }),
    );
  }
  if (isObject(shown) && isObject(stored)) {
    const members = new Set([...Object.keys(shown), ...Object.keys(stored)]);
    return firstOf(members, (name) =>
      firstDifference({ shown: shown[name], stored: stored[name], at: `${at}/${name}`, names }),
    );
  }
  if (shown === undefined && withheldPlaces.test(at)) return undefined;
  if (typeof shown === 'string' && typeof stored === 'string' && shown.startsWith(pseudonymMark)) {
    return samePseudonym({ shown, stored, at, names });
  }
  return shown === stored ? undefined : at;
}

function samePseudonym({ shown, stored, at, names }: Pair & { shown: string; stored: string }): string | undefined {
  const target = targetPlace.exec(at)?.[1];
  const type = target === undefined ? (patientPlaces.test(at) ? 'Patient' : undefined) : names.types[Number(target)];
  if (type === undefined || shown === stored) return shown === stored ? undefined : at;
  const key = `${type}/${stored}`;
  const before = names.byStored.get(key);
  names.byStored.set(key, shown);
  return before === undefined || before === shown ? undefined : at;
}

function firstOf<T>(items: Iterable<T>, find: (item: T) => string | undefined): string | undefined {
  for (const item of items) {
    const found = find(item);
    if (found !== undefined) return found;
  }
  return undefined;
}

function without(value: object): Record<string, unknown> {
  return Object.fromEntries(Object.entries(value).filter(([name]) => !ownMembers.has(name)));
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
