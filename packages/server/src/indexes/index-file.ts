/**
 * One index file: SQLite in WAL mode, written by one worker, read by another.
 *
 * Exactly once: a batch and the cursor `next` are one transaction, and entries below `next` are passed over. `synchronous=NORMAL` may lose the last
 * transactions at a power failure, always together with the cursor, so following simply goes on from there; the ledger is the only truth.
 *
 * Small on purpose: strings stand once in `name`, tokens in a table without row ids, and instead of an index on time there is `zone`, the smallest and largest
 * time of each 4,096 positions of the log, since time and position nearly run in step.
 */
import { hash } from 'node:crypto';
import { DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite';
import { BulkInsert } from './bulk-insert.ts';
import { type Row, rowOf } from './row.ts';
import type { Tokens } from './tokens.ts';

/** Changes when the tables or what they hold change; another number in a file means it is built afresh. */
export const indexFormat = 1;
/** A zone covers 2^12 positions. */
export const zoneBits = 12;
/** Column of `event` ↔ `field` of `name`. */
export const nameFields = ['operation', 'actor', 'route', 'client', 'address', 'types'] as const;
export type NameField = (typeof nameFields)[number];
/** Names kept in memory per file and field. */
const namesCachedMax = 20_000;

const schema = `
  CREATE TABLE IF NOT EXISTS meta (id INTEGER PRIMARY KEY CHECK (id = 1), format INTEGER NOT NULL, keys TEXT NOT NULL,
    start INTEGER NOT NULL, next INTEGER NOT NULL, last_index INTEGER, last_digest TEXT, rows INTEGER NOT NULL) STRICT;
  CREATE TABLE IF NOT EXISTS name (id INTEGER PRIMARY KEY, field INTEGER NOT NULL, value TEXT NOT NULL, UNIQUE (field, value)) STRICT;
  CREATE TABLE IF NOT EXISTS event (idx INTEGER PRIMARY KEY, time INTEGER NOT NULL, code INTEGER NOT NULL, operation INTEGER NOT NULL, actor INTEGER NOT NULL,
    route INTEGER NOT NULL, client INTEGER NOT NULL, address INTEGER NOT NULL, types INTEGER NOT NULL) STRICT;
  CREATE INDEX IF NOT EXISTS event_actor ON event (actor);
  CREATE TABLE IF NOT EXISTS token (token BLOB NOT NULL, idx INTEGER NOT NULL, PRIMARY KEY (token, idx)) STRICT, WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS zone (id INTEGER PRIMARY KEY, rows INTEGER NOT NULL, min_ms INTEGER NOT NULL, max_ms INTEGER NOT NULL) STRICT;
`;

/** How far a file is. */
export interface FileState {
  /** It covers the positions from here … */
  readonly start: number;
  /** … to before here. */
  readonly next: number;
  readonly rows: number;
  /** The newest entry in it, to tell whether it belongs to this log. */
  readonly last: { readonly index: number; readonly digest: string } | undefined;
}

export interface NewEntry {
  readonly index: number;
  /** The stored record. Bytes become a text only when their turn comes: thousands of texts at once would outlive the young generation. */
  readonly m: string | Buffer;
}

/** @throws when the file is no database of this format or was written under other keys: remove it and open again. */
export function openIndexFile(options: {
  readonly path: string;
  readonly fingerprint: string;
  readonly tokens: Tokens;
  /** Where a new file begins to cover the log. */
  readonly start: number;
  /** Read all of it first: something in it was found damaged. */
  readonly check: boolean;
}): IndexFile {
  const database = new DatabaseSync(options.path, { timeout: 5_000 });
  try {
    database.exec(
      'PRAGMA page_size = 4096; PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA cache_size = -8192;',
    );
    database.exec(schema);
    database
      .prepare('INSERT OR IGNORE INTO meta (id, format, keys, start, next, rows) VALUES (1, ?, ?, ?, ?, 0)')
      .run(indexFormat, options.fingerprint, options.start, options.start);
    const meta = database.prepare('SELECT format, keys FROM meta').get() as { format: number; keys: string };
    if (meta.format !== indexFormat || meta.keys !== options.fingerprint) {
      throw new Error(`expected an index of format ${indexFormat} under its own keys, got format ${meta.format}`);
    }
    if (options.check) {
      const { quick_check: found } = database.prepare('PRAGMA quick_check(1)').get() as { quick_check: string };
      if (found !== 'ok') throw new Error('expected a whole database, got a damaged one');
    }
    return new IndexFile(database, options.tokens);
  } catch (error) {
    database.close();
    throw error;
  }
}

/** Owned by the writing worker; not for two threads. */
export class IndexFile {
  readonly #database: DatabaseSync;
  readonly #tokens: Tokens;
  readonly #insertEvents: BulkInsert;
  readonly #insertTokens: BulkInsert;
  readonly #insertName: StatementSync;
  readonly #findName: StatementSync;
  readonly #upsertZone: StatementSync;
  readonly #updateMeta: StatementSync;
  readonly #names: readonly Map<string, number>[] = nameFields.map(() => new Map());
  #state: FileState;

  constructor(database: DatabaseSync, tokens: Tokens) {
    this.#database = database;
    this.#tokens = tokens;
    this.#insertEvents = new BulkInsert(database, 'INSERT INTO event', 9);
    this.#insertTokens = new BulkInsert(database, 'INSERT OR IGNORE INTO token', 2);
    this.#insertName = database.prepare('INSERT INTO name (field, value) VALUES (?, ?)');
    this.#findName = database.prepare('SELECT id FROM name WHERE field = ? AND value = ?');
    this.#upsertZone = database.prepare(`INSERT INTO zone VALUES (?, ?, ?, ?)
      ON CONFLICT (id) DO UPDATE SET rows = rows + excluded.rows, min_ms = min(min_ms, excluded.min_ms), max_ms = max(max_ms, excluded.max_ms)`);
    this.#updateMeta = database.prepare('UPDATE meta SET next = ?, rows = ?, last_index = ?, last_digest = ?');
    this.#state = readState(database);
  }

  get state(): FileState {
    return this.#state;
  }

  /** Takes in entries (ascending, those below `next` are passed over) and moves the cursor to `next`, in one transaction. */
  add(entries: readonly NewEntry[], next: number): void {
    if (next <= this.#state.next) return;
    const fresh = entries.filter(({ index }) => index >= this.#state.next);
    this.#database.exec('BEGIN IMMEDIATE');
    try {
      const zones = new Map<number, { rows: number; minMs: number; maxMs: number }>();
      const events: number[] = [];
      const tokens: TokenRow[] = [];
      for (const { index, m } of fresh) {
        const row = rowOf(typeof m === 'string' ? m : m.toString(), this.#tokens);
        this.#pushEvent(events, index, row);
        for (const token of row.tokens) tokens.push({ token, index, order: orderOf(token) });
        const id = Math.floor(index / 2 ** zoneBits);
        const zone = zones.get(id);
        if (zone === undefined) zones.set(id, { rows: 1, minMs: row.timeMs, maxMs: row.timeMs });
        else {
          zone.rows += 1;
          zone.minMs = Math.min(zone.minMs, row.timeMs);
          zone.maxMs = Math.max(zone.maxMs, row.timeMs);
        }
      }
      this.#insertEvents.run(events);
      this.#insertTokens.run(inOrder(tokens));
      for (const [id, zone] of zones) this.#upsertZone.run(id, zone.rows, zone.minMs, zone.maxMs);
      const newest = fresh.at(-1);
      const last = newest === undefined ? this.#state.last : { index: newest.index, digest: entryDigest(newest.m) };
      const rows = this.#state.rows + fresh.length;
      this.#updateMeta.run(next, rows, last?.index ?? null, last?.digest ?? null);
      this.#database.exec('COMMIT');
      this.#state = { start: this.#state.start, next, rows, last };
    } catch (error) {
      if (this.#database.isTransaction) this.#database.exec('ROLLBACK');
      // Names given in the lost transaction have no ids any more.
      for (const names of this.#names) names.clear();
      throw error;
    }
  }

  close(): void {
    this.#database.close();
  }

  #pushEvent(events: number[], index: number, row: Row): void {
    events.push(
      index,
      row.timeMs,
      row.code,
      this.#name(0, row.operation),
      this.#name(1, row.actor),
      this.#name(2, row.route),
      this.#name(3, row.client),
      this.#name(4, row.address),
      this.#name(5, row.types),
    );
  }

  /** 0 stands for nothing. */
  #name(field: number, value: string): number {
    if (value === '') return 0;
    const names = this.#names[field] as Map<string, number>;
    const known = names.get(value);
    if (known !== undefined) return known;
    const stored = this.#findName.get(field, value) as { id: number } | undefined;
    const id = stored?.id ?? Number(this.#insertName.run(field, value).lastInsertRowid);
    if (names.size >= namesCachedMax) names.clear();
    names.set(value, id);
    return id;
  }
}

interface TokenRow {
  readonly token: Uint8Array;
  readonly index: number;
  /** The first bytes of the token as a number. */
  readonly order: number;
}

function orderOf(token: Uint8Array): number {
  return (
    (token[0] as number) * 2 ** 24 + (((token[1] as number) << 16) | ((token[2] as number) << 8) | (token[3] as number))
  );
}

/** Rows as they will lie in the table, so that each of its pages is visited once. */
function inOrder(rows: TokenRow[]): SQLInputValue[] {
  rows.sort((a, b) => a.order - b.order);
  const values: SQLInputValue[] = [];
  for (const { token, index } of rows) values.push(token, index);
  return values;
}

/** Tells one stored record from another, to see whether an index and a log belong together. */
export function entryDigest(m: string | Uint8Array): string {
  return hash('sha256', m, 'hex').slice(0, 32);
}

function readState(database: DatabaseSync): FileState {
  const meta = database.prepare('SELECT start, next, rows, last_index, last_digest FROM meta').get() as {
    start: number;
    next: number;
    rows: number;
    last_index: number | null;
    last_digest: string | null;
  };
  return {
    start: meta.start,
    next: meta.next,
    rows: meta.rows,
    last:
      meta.last_index === null || meta.last_digest === null
        ? undefined
        : { index: meta.last_index, digest: meta.last_digest },
  };
}
