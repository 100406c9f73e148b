/** How many events each index file holds, and of which part of the log, without its keys: what a comparison with the ledger needs. The files are only read. */
import { parseUnitName, type Unit } from '@watchglass/record/reader';
import { readDatabase } from '../world/read-database.ts';
import type { World } from '../world/world.ts';
import { indexFormat } from './index-file.ts';

export interface IndexCount {
  readonly unit: Unit;
  /** Name of the file, below `index/`. */
  readonly place: string;
  /** It covers the positions from here … */
  readonly start: number;
  /** … to before here. */
  readonly next: number;
  readonly rows: number;
  readonly firstIndex: number | undefined;
  readonly lastIndex: number | undefined;
}

export interface IndexCounts {
  readonly counts: readonly IndexCount[];
  /** Files that can't be read as an index of this version: the next start builds them anew. */
  readonly unreadable: readonly string[];
}

export async function countIndexes(world: World, indexDir: string, tenant: string): Promise<IndexCounts> {
  const counts: IndexCount[] = [];
  const unreadable: string[] = [];
  for (const name of await world.disk.list(`${indexDir}/${tenant}`)) {
    const unit = name.endsWith('.sqlite') ? parseUnitName(name.slice(0, -'.sqlite'.length)) : undefined;
    if (unit === undefined) continue;
    const place = `${tenant}/${name}`;
    try {
      const count = countOf(`${indexDir}/${place}`);
      if (count !== undefined) counts.push({ unit, place, ...count });
    } catch {
      unreadable.push(place);
    }
  }
  return { counts, unreadable };
}

function countOf(path: string): Omit<IndexCount, 'unit' | 'place'> | undefined {
  const database = readDatabase(path);
  try {
    // One statement, so one moment of the file.
    const row = database
      .prepare(
        `SELECT format, start, next, (SELECT count(*) FROM event) AS rows, (SELECT min(idx) FROM event) AS first,
         (SELECT max(idx) FROM event) AS last FROM meta`,
      )
      .get();
    if (row === undefined) return undefined;
    if (row.format !== indexFormat) throw new TypeError(`expected format ${indexFormat}`);
    const place = (value: unknown): number | undefined => (value === null ? undefined : Number(value));
    return {
      start: Number(row.start),
      next: Number(row.next),
      rows: Number(row.rows),
      firstIndex: place(row.first),
      lastIndex: place(row.last),
    };
  } finally {
    database.close();
  }
}
