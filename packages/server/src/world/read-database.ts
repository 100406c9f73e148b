/**
 * A SQLite file to be looked at, and not touched. Without a write-ahead log beside it nobody has it open: it is then read as it lies, with no lock and no file made
 * beside it, so also from a disk that can't be written to. With one it is read as everybody reads it, beside whoever writes.
 */
import { existsSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { pathToFileURL } from 'node:url';

export function readDatabase(path: string): DatabaseSync {
  const options = { readOnly: true, timeout: 5_000 };
  if (existsSync(`${path}-wal`)) return new DatabaseSync(path, options);
  const url = pathToFileURL(path);
  url.searchParams.set('immutable', '1');
  return new DatabaseSync(url, options);
}
