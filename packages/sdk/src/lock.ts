/**
 * One process at a time: the fence around a spool.
 *
 * Node has no flock, so this holds an SQLite database with an exclusive lock; the operating system lets go of it when the process
 * ends, however it ends. Nothing is ever written into it: the file stays empty.
 */
import { DatabaseSync } from 'node:sqlite';

import { SdkError } from './errors.ts';

export interface Lock {
  release(): void;
}

/** Takes the lock at `path`, or throws `spool-locked`. */
export function takeLock(path: string): Lock {
  const database = new DatabaseSync(path);
  try {
    database.exec(
      'PRAGMA busy_timeout = 0; PRAGMA journal_mode = MEMORY; PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE;',
    );
  } catch (cause) {
    database.close();
    throw new SdkError(
      'spool-locked',
      `expected to be alone on ${path}, but another process holds it; stop that one, or give this one a spool directory of its own`,
      { cause },
    );
  }
  return { release: () => database.close() };
}
