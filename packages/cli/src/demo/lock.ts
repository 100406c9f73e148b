/**
 * One demo per data directory: an exclusively locked SQLite file (Node has no flock), released by the system however the process
 * ends. The file stays empty.
 */
import { DatabaseSync } from 'node:sqlite';
import { CliError, messageOf } from '../errors.ts';

export function lockDemo(path: string, dataDir: string): Disposable {
  let database: DatabaseSync | undefined;
  try {
    database = new DatabaseSync(path);
    database.exec('PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE');
  } catch (error) {
    database?.close();
    if (!/locked|busy/i.test(messageOf(error))) throw error;
    throw new CliError('already-running', `a demo is running on ${dataDir} already`, {
      cause: error,
      remedy: 'Stop it with Ctrl-C where it runs, or give this one a directory of its own: --data DIR --port-base N.',
    });
  }
  const held = database;
  return { [Symbol.dispose]: () => held.close() };
}
