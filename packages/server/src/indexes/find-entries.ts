/**
 * Finding: positions of matching entries, newest first, by keyset; and how many there are.
 */
import type { StatementSync } from 'node:sqlite';
import { type Conditions, conditionsOf, mayHold } from './conditions.ts';
import type { FindAnswer, ReadRequest } from './messages.ts';
import type { Tokens } from './tokens.ts';
import { type OpenFile, Patience, type Span, windows } from './windows.ts';

type FindRequest = Extract<ReadRequest, { kind: 'find' }>;

export function findEntries(
  request: FindRequest,
  files: readonly OpenFile[],
  tokensOf: (file: OpenFile) => Tokens,
): FindAnswer {
  const patience = new Patience(request.cancel);
  const held = files.filter((file) => mayHold(file.retentionClass, request.filters.kind));
  const asked = new Map(held.map((file) => [file, conditionsOf(request.filters, tokensOf(file))]));
  const page = findPage(request, asked, patience);
  if (request.countBelow === undefined) return { ...page, count: undefined, countTruncated: false };
  return { ...page, ...countMatches(request, request.countBelow, asked, patience) };
}

type Asked = ReadonlyMap<OpenFile, Conditions>;

function findPage(
  { filters, before, limit }: FindRequest,
  asked: Asked,
  patience: Patience,
): { readonly indexes: readonly number[]; readonly next: number | undefined } {
  const statements = new Map<OpenFile, StatementSync>();
  const indexes: number[] = [];
  if (asked.size === 0) return { indexes, next: undefined };
  for (const window of windows([...asked.keys()], filters, before)) {
    const here: number[] = [];
    for (const span of window.spans) {
      const { where, values, lead } = asked.get(span.file) as Conditions;
      const statement = prepared(
        statements,
        span,
        () =>
          `SELECT e.idx ${from(lead)} WHERE ${and(lead, where)} ORDER BY ${lead === undefined ? 'e.idx' : 't.idx'} DESC LIMIT ?`,
      );
      const rows = statement.all(...bound(lead, span), ...values, limit - indexes.length + 1) as unknown as [number][];
      for (const [index] of rows) here.push(index);
    }
    here.sort((a, b) => b - a);
    for (const index of here) {
      if (indexes.length === limit) return { indexes, next: indexes.at(-1) };
      indexes.push(index);
    }
    // Out of time: what was found so far is complete down to this window, and the rest is a page of its own.
    if (patience.over) return { indexes, next: window.lo };
  }
  return { indexes, next: undefined };
}

function countMatches(
  { filters }: FindRequest,
  below: number,
  asked: Asked,
  patience: Patience,
): { readonly count: number; readonly countTruncated: boolean } {
  const statements = new Map<OpenFile, StatementSync>();
  let count = 0;
  if (asked.size === 0) return { count, countTruncated: false };
  for (const window of windows([...asked.keys()], filters, below)) {
    if (patience.over) return { count, countTruncated: true };
    for (const span of window.spans) {
      const { where, values, lead } = asked.get(span.file) as Conditions;
      const statement = prepared(statements, span, () => `SELECT count(*) ${from(lead)} WHERE ${and(lead, where)}`);
      count += (statement.get(...bound(lead, span), ...values) as unknown as [number])[0];
    }
  }
  return { count, countTruncated: false };
}

function from(lead: Uint8Array | undefined): string {
  // CROSS JOIN keeps SQLite to this order: the token first, its entries then.
  return lead === undefined ? 'FROM event e' : 'FROM token t CROSS JOIN event e ON e.idx = t.idx';
}

function and(lead: Uint8Array | undefined, where: readonly string[]): string {
  const range = lead === undefined ? 'e.idx >= ? AND e.idx < ?' : 't.token = ? AND t.idx >= ? AND t.idx < ?';
  return [range, ...where].join(' AND ');
}

function bound(lead: Uint8Array | undefined, { lo, hi }: Span): (number | Uint8Array)[] {
  return lead === undefined ? [lo, hi] : [lead, lo, hi];
}

function prepared(statements: Map<OpenFile, StatementSync>, { file }: Span, sql: () => string): StatementSync {
  const known = statements.get(file);
  if (known !== undefined) return known;
  const statement = file.database.prepare(sql());
  statement.setReturnArrays(true);
  statements.set(file, statement);
  return statement;
}
