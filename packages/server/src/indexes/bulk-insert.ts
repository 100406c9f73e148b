/**
 * Inserts rows of one table many at a time: a call of SQLite costs more than a row does.
 */
import type { DatabaseSync, SQLInputValue, StatementSync } from 'node:sqlite';

const rowsPerCall = 32;

export class BulkInsert {
  readonly #columns: number;
  readonly #many: StatementSync;
  readonly #one: StatementSync;

  /** `into` is the beginning of the statement, such as `INSERT INTO event`. */
  constructor(database: DatabaseSync, into: string, columns: number) {
    const row = `(${new Array(columns).fill('?').join(',')})`;
    this.#columns = columns;
    this.#many = database.prepare(`${into} VALUES ${new Array(rowsPerCall).fill(row).join(',')}`);
    this.#one = database.prepare(`${into} VALUES ${row}`);
  }

  /** The values of whole rows, one row after another. */
  run(values: readonly SQLInputValue[]): void {
    const valuesPerCall = rowsPerCall * this.#columns;
    let at = 0;
    for (; at + valuesPerCall <= values.length; at += valuesPerCall)
      this.#many.run(...values.slice(at, at + valuesPerCall));
    for (; at < values.length; at += this.#columns) this.#one.run(...values.slice(at, at + this.#columns));
  }
}
