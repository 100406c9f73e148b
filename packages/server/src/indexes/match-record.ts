/**
 * Filters applied to a record itself, without any index file. What of a record counts is read by the same `rowOf` that fills the index, so that the two can
 * differ only by what the index lost; a test holds them equal.
 */
import { eventActions, eventKinds, outcomeStatuses } from '@watchglass/record';
import { splitResource } from './conditions.ts';
import type { Filters } from './filters.ts';
import { nameFields } from './index-file.ts';
import { packCode, type Row, rowOf } from './row.ts';
import { type Pseudonyms, Tokens } from './tokens.ts';

/** Tokens are compared within this file only: their key needn't be secret. */
const tokenKey: Uint8Array = new Uint8Array(32);

export function matcherOf(filters: Filters, pseudonyms: Pseudonyms): (m: Uint8Array) => boolean {
  const tokens = new Tokens(tokenKey, pseudonyms);
  const conditions = conditionsOf(filters, tokens);
  return (m) => {
    const row = rowOf(Buffer.from(m.buffer, m.byteOffset, m.length).toString('utf8'), tokens);
    return conditions.every((holds) => holds(row));
  };
}

type Condition = (row: Row) => boolean;

function conditionsOf(filters: Filters, tokens: Tokens): Condition[] {
  const { patient, resource, kind, action, outcome, actor, operation, fromMs, toMs, q } = filters;
  const conditions: Condition[] = [];
  if (patient !== undefined) conditions.push(holdsToken(tokens.patient(patient)));
  if (resource !== undefined) {
    const { type, id } = splitResource(resource);
    conditions.push(
      id === undefined ? ({ types }) => types.includes(`,${type},`) : holdsToken(tokens.resource(type, id)),
    );
  }
  if (kind !== undefined || action !== undefined || outcome !== undefined) {
    const codes = new Set(
      (kind === undefined ? eventKinds : [kind]).flatMap((oneKind) =>
        (action === undefined ? eventActions : [action]).flatMap((oneAction) =>
          (outcome === undefined ? outcomeStatuses : [outcome]).map((one) => packCode(oneKind, oneAction, one)),
        ),
      ),
    );
    conditions.push(({ code }) => codes.has(code));
  }
  if (actor !== undefined) {
    const names = [actor, tokens.pseudonyms.patient(actor)];
    conditions.push((row) => names.includes(row.actor));
  }
  if (operation !== undefined) conditions.push((row) => row.operation === operation);
  if (fromMs !== undefined) conditions.push(({ timeMs }) => timeMs >= fromMs);
  if (toMs !== undefined) conditions.push(({ timeMs }) => timeMs < toMs);
  if (q !== undefined) conditions.push(textCondition(q, tokens));
  return conditions;
}

/** A part of any name, or exactly a patient or a resource. */
function textCondition(q: string, tokens: Tokens): Condition {
  const part = q.toLowerCase();
  const { type, id } = splitResource(q);
  const exact = [holdsToken(id === undefined ? tokens.patient(q) : tokens.resource(type, id))];
  if (id !== undefined && type === 'Patient') exact.push(holdsToken(tokens.patient(id)));
  return (row) => nameFields.some((field) => lowered(row[field]).includes(part)) || exact.some((holds) => holds(row));
}

function holdsToken(token: Uint8Array): Condition {
  return ({ tokens }) => tokens.some((one) => Buffer.compare(one, token) === 0);
}

/** As SQLite's `lower` has it: ASCII letters only. */
function lowered(text: string): string {
  return text.replaceAll(/[A-Z]+/g, (letters) => letters.toLowerCase());
}
