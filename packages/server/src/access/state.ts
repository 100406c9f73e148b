/**
 * `state.sqlite`: working state of access, nothing that can't be told from the ledger (design §5.12).
 *
 * WAL with `synchronous=FULL`: a change that was answered survives a power failure. The schema has a version
 * (`user_version`); older files are brought up step by step, newer ones are refused.
 */
import { DatabaseSync } from 'node:sqlite';
import { ServerError } from '../errors.ts';

export type State = DatabaseSync;

/** Step n brings a file from version n to n + 1. A step that has been released is never edited. */
const migrations: readonly string[] = [
  `CREATE TABLE tenants (id TEXT PRIMARY KEY, created TEXT NOT NULL) STRICT, WITHOUT ROWID;
   CREATE TABLE people (
     id TEXT PRIMARY KEY,
     username TEXT NOT NULL UNIQUE,
     name TEXT NOT NULL,
     tenant TEXT NOT NULL REFERENCES tenants (id),
     department TEXT,
     password TEXT NOT NULL,
     disabled INTEGER NOT NULL DEFAULT 0,
     created TEXT NOT NULL
   ) STRICT, WITHOUT ROWID;
   CREATE TABLE roles (
     person TEXT NOT NULL REFERENCES people (id),
     role TEXT NOT NULL,
     PRIMARY KEY (person, role)
   ) STRICT, WITHOUT ROWID;
   CREATE TABLE write_keys (
     id TEXT PRIMARY KEY,
     hash TEXT NOT NULL UNIQUE,
     tenant TEXT NOT NULL REFERENCES tenants (id),
     emitter TEXT NOT NULL,
     name TEXT NOT NULL,
     created TEXT NOT NULL,
     created_by TEXT NOT NULL,
     revoked TEXT
   ) STRICT, WITHOUT ROWID;
   CREATE TABLE sessions (
     hash TEXT PRIMARY KEY,
     id TEXT NOT NULL UNIQUE,
     person TEXT NOT NULL,
     principal TEXT NOT NULL,
     seen_ms INTEGER NOT NULL,
     ends_ms INTEGER NOT NULL
   ) STRICT, WITHOUT ROWID;`,
  `CREATE TABLE totp (
     person TEXT PRIMARY KEY REFERENCES people (id),
     secret TEXT NOT NULL,
     last_step INTEGER NOT NULL,
     created TEXT NOT NULL
   ) STRICT, WITHOUT ROWID;
   CREATE TABLE passkeys (
     id TEXT PRIMARY KEY,
     person TEXT NOT NULL REFERENCES people (id),
     public_key TEXT NOT NULL,
     counter INTEGER NOT NULL,
     name TEXT NOT NULL,
     transports TEXT NOT NULL,
     synced INTEGER NOT NULL,
     created TEXT NOT NULL
   ) STRICT, WITHOUT ROWID;
   CREATE INDEX passkeys_of ON passkeys (person);
   CREATE TABLE recovery_codes (
     person TEXT NOT NULL REFERENCES people (id),
     hash TEXT NOT NULL,
     PRIMARY KEY (person, hash)
   ) STRICT, WITHOUT ROWID;`,
  'ALTER TABLE people ADD COLUMN fhir_user TEXT;',
  `ALTER TABLE people ADD COLUMN ended_ms INTEGER NOT NULL DEFAULT 0;
   CREATE TABLE logouts (
     id TEXT PRIMARY KEY,
     tenant TEXT NOT NULL,
     person TEXT NOT NULL,
     sid TEXT,
     client TEXT NOT NULL,
     since_ms INTEGER NOT NULL
   ) STRICT, WITHOUT ROWID;`,
  `CREATE TABLE issued (
     seq INTEGER PRIMARY KEY,
     kind TEXT NOT NULL,
     id TEXT NOT NULL,
     of_grant TEXT,
     sealed TEXT NOT NULL,
     used_ms INTEGER,
     until_ms INTEGER NOT NULL,
     UNIQUE (kind, id)
   ) STRICT;
   CREATE INDEX issued_kind ON issued (kind);
   CREATE INDEX issued_of ON issued (of_grant);
   CREATE INDEX issued_until ON issued (until_ms);
   CREATE TABLE failures (
     name TEXT PRIMARY KEY,
     failures INTEGER NOT NULL,
     strikes INTEGER NOT NULL,
     since_ms INTEGER NOT NULL,
     locked_until_ms INTEGER
   ) STRICT, WITHOUT ROWID;
   CREATE TABLE marks (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;`,
];

/** Of a file that is up to date. */
export const stateVersion: number = migrations.length;
/** The first with second factors. */
export const factorsVersion = 2;
/** The first with what was issued, failures and marks. */
export const issuedVersion = 5;

/** @throws ServerError `state-unknown` when a newer version wrote the file. */
export function openState(path: string): State {
  const state = new DatabaseSync(path, { enableForeignKeyConstraints: true, timeout: 5_000 });
  try {
    state.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;');
    migrate(state, path);
  } catch (error) {
    state.close();
    throw error;
  }
  return state;
}

function migrate(state: State, path: string): void {
  const row = state.prepare('PRAGMA user_version').get();
  const version = Number(row?.user_version ?? 0);
  if (version > migrations.length) {
    throw new ServerError(
      'state-unknown',
      `expected ${path} at version ${migrations.length} or older, got ${version}; start the version that wrote it, or a newer one`,
    );
  }
  for (const [step, sql] of migrations.entries()) {
    if (step < version) continue;
    inTransaction(state, () => {
      state.exec(sql);
      state.exec(`PRAGMA user_version = ${step + 1}`);
    });
  }
}

/** All or nothing. `run` is synchronous, so that nothing else comes in between. */
export function inTransaction<T>(state: State, run: () => T): T {
  state.exec('BEGIN IMMEDIATE');
  try {
    const result = run();
    state.exec('COMMIT');
    return result;
  } catch (error) {
    state.exec('ROLLBACK');
    throw error;
  }
}

/** The same, as a part of the caller's transaction where there is one. */
export function within<T>(state: State, run: () => T): T {
  return state.isTransaction ? run() : inTransaction(state, run);
}

/**
 * Without waiting for the disk: a killed process loses nothing of it, a power failure the newest of it, and whatever is written durably after it makes it durable too. For what may be lost
 * so, since losing it lets nobody in.
 */
export function cheaply<T>(state: State, run: () => T): T {
  if (state.isTransaction) return run();
  state.exec('PRAGMA synchronous = NORMAL');
  try {
    return inTransaction(state, run);
  } finally {
    state.exec('PRAGMA synchronous = FULL');
  }
}

/** A value that is kept by name, one of each. */
export interface NamedValues {
  get(name: string): string | undefined;
  set(name: string, value: string): void;
}

export function openMarks(state: State): NamedValues {
  const select = state.prepare('SELECT value FROM marks WHERE name = ?');
  const upsert = state.prepare('INSERT OR REPLACE INTO marks (name, value) VALUES (?, ?)');
  return {
    get(name) {
      const row = select.get(name);
      return row === undefined ? undefined : text(row, 'value');
    },
    set: (name, value) => void upsert.run(name, value),
  };
}

/** A column that must be text. */
export function text(row: Record<string, unknown>, column: string): string {
  const value = row[column];
  if (typeof value !== 'string') throw new TypeError(`expected text in column ${column}, got ${typeof value}`);
  return value;
}
