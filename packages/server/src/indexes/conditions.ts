/**
 * Filters as SQL for one index file. Plain identifiers become tokens here, in memory; SQL text never holds a value.
 */

import type { RetentionClass } from '@watchglass/record';
import { type EventKind, eventActions, eventKinds, outcomeStatuses, retentionClassOf } from '@watchglass/record';
import type { Filters } from './filters.ts';
import { type NameField, nameFields } from './index-file.ts';
import { codeCount, packCode } from './row.ts';
import type { Tokens } from './tokens.ts';

export type SqlValue = string | number | Uint8Array;

export interface Conditions {
  /** Joined by AND; `e` is `event`. */
  readonly where: readonly string[];
  readonly values: readonly SqlValue[];
  /** The token that leads the way, where there is one: the row comes from `token`, not from a scan. */
  readonly lead: Uint8Array | undefined;
}

/** Whether entries of this kind can stand in a file of this class at all. */
export function mayHold(retentionClass: RetentionClass, kind: EventKind | undefined): boolean {
  return kind === undefined || retentionClassOf(kind) === retentionClass;
}

export function conditionsOf(filters: Filters, tokens: Tokens): Conditions {
  const where: string[] = [];
  const values: SqlValue[] = [];
  const leads: Uint8Array[] = [];
  const add = (sql: string, ...given: readonly SqlValue[]): void => {
    where.push(sql);
    values.push(...given);
  };

  if (filters.patient !== undefined) leads.push(tokens.patient(filters.patient));
  if (filters.resource !== undefined) {
    const { type, id } = splitResource(filters.resource);
    if (id === undefined) add(`e.types IN (${named('types', 'instr(value, ?) > 0')})`, `,${type},`);
    else leads.push(tokens.resource(type, id));
  }
  const codes = codesOf(filters);
  if (codes !== undefined) add(`e.code IN (${codes.join(',')})`);
  if (filters.actor !== undefined) {
    const patient = tokens.pseudonyms.patient(filters.actor);
    add(`e.actor IN (${named('actor', 'value IN (?, ?)')})`, filters.actor, patient);
  }
  if (filters.operation !== undefined) {
    add(`e.operation IN (${named('operation', 'value = ?')})`, filters.operation);
  }
  if (filters.fromMs !== undefined) add('e.time >= ?', filters.fromMs);
  if (filters.toMs !== undefined) add('e.time < ?', filters.toMs);
  if (filters.q !== undefined) {
    const [sql, ...given] = textCondition(filters.q, tokens);
    add(sql, ...given);
  }
  const [lead, ...further] = leads;
  for (const token of further)
    add('EXISTS (SELECT 1 FROM token other WHERE other.token = ? AND other.idx = e.idx)', token);
  return { where, values, lead };
}

/** `Type` or `Type/id`. */
export function splitResource(resource: string): { type: string; id: string | undefined } {
  const slash = resource.indexOf('/');
  return slash < 0
    ? { type: resource, id: undefined }
    : { type: resource.slice(0, slash), id: resource.slice(slash + 1) };
}

function codesOf({ kind, action, outcome }: Filters): number[] | undefined {
  if (kind === undefined && action === undefined && outcome === undefined) return undefined;
  const codes: number[] = [];
  for (const oneKind of kind === undefined ? eventKinds : [kind])
    for (const oneAction of action === undefined ? eventActions : [action])
      for (const oneOutcome of outcome === undefined ? outcomeStatuses : [outcome])
        codes.push(packCode(oneKind, oneAction, oneOutcome));
  return codes.length === codeCount ? undefined : codes;
}

/** A part of any name, or exactly a patient or a resource. */
function textCondition(q: string, tokens: Tokens): [string, ...SqlValue[]] {
  const parts = nameFields.map((field) => `e.${field} IN (${named(field, 'instr(lower(value), ?) > 0')})`);
  const values: SqlValue[] = nameFields.map(() => q.toLowerCase());
  const { type, id } = splitResource(q);
  const exact = id === undefined ? [tokens.patient(q)] : [tokens.resource(type, id)];
  if (id !== undefined && type === 'Patient') exact.push(tokens.patient(id));
  parts.push(
    `EXISTS (SELECT 1 FROM token other WHERE other.token IN (${exact.map(() => '?').join(',')}) AND other.idx = e.idx)`,
  );
  return [`(${parts.join(' OR ')})`, ...values, ...exact];
}

function named(field: NameField, condition: string): string {
  return `SELECT id FROM name WHERE field = ${nameFields.indexOf(field)} AND ${condition}`;
}
