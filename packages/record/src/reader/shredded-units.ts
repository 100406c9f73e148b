/**
 * Which indexes of a log were shredded. A unit is a class in one epoch; its ranges stay in a file of their own and are read when they are asked for, since classes
 * that alternate leave millions of them. Where all classes of an epoch went, its indexes are one run and no file is read.
 */
import { parseRanges } from '../codec/index-ranges.ts';
import { parseUnitName, shredFileName, shredRangesName, type Unit, unitName } from '../codec/names.ts';
import { parseShredRecord, type ShredRecord } from '../codec/shred-record.ts';
import { RecordError } from '../errors.ts';
import { type LedgerFiles, readRange } from './ledger-files.ts';

const loadedMax = 6;

interface Run {
  readonly first: number;
  readonly end: number;
  /** Undefined where every index between is gone. */
  readonly unit: Unit | undefined;
}

export class ShreddedUnits {
  readonly #files: LedgerFiles;
  /** The tenant's directory. */
  readonly #dir: string;
  readonly #records: Map<string, ShredRecord> = new Map();
  readonly #bounds: Map<string, Float64Array> = new Map();
  /** Ascending by first index. */
  #runs: readonly Run[] = [];
  /** No index from here on was shredded. */
  #end = 0;

  constructor(files: LedgerFiles, dir: string) {
    this.#files = files;
    this.#dir = dir;
  }

  /** Reads the records there are. @throws {RecordError} `shred-malformed` */
  static async read(files: LedgerFiles, dir: string): Promise<ShreddedUnits> {
    const units = new ShreddedUnits(files, dir);
    for (const name of await files.list(`${dir}/shreds`)) {
      const unit = parseUnitName(name);
      const bytes = unit === undefined ? undefined : await files.readFile(`${dir}/${shredFileName(unit)}`);
      if (bytes !== undefined) units.put(parseShredRecord(bytes));
    }
    return units;
  }

  get isEmpty(): boolean {
    return this.#runs.length === 0;
  }

  records(): readonly ShredRecord[] {
    return [...this.#records.values()];
  }

  of(unit: Unit): ShredRecord | undefined {
    return this.#records.get(unitName(unit));
  }

  /** Takes a record in, or the next state of one. What has begun counts as gone. */
  put(record: ShredRecord): void {
    this.#records.set(unitName(record.terms), record);
    this.#findRuns();
  }

  /** Forgets terms that were taken back before anything began. */
  drop(unit: Unit): void {
    this.#records.delete(unitName(unit));
    this.#bounds.delete(unitName(unit));
    this.#findRuns();
  }

  #findRuns(): void {
    const gone = this.records().filter(({ begun }) => begun !== undefined);
    const byEpoch = Map.groupBy(gone, ({ terms }) => terms.epoch);
    this.#runs = [...byEpoch.values()].flatMap(runsOf).sort((a, b) => a.first - b.first);
    this.#end = Math.max(0, ...this.#runs.map(({ end }) => end));
  }

  /** The unit that an index went with. */
  async unitOf(index: number): Promise<Unit | undefined> {
    for (const { terms, begun } of this.#records.values()) {
      if (begun === undefined || index < terms.first || index > terms.last) continue;
      if (endOf(await this.bounds(terms), index) > index) return terms;
    }
    return undefined;
  }

  /** The first index from `index` on that was not shredded: `index` itself where it wasn't. */
  async holeEnd(index: number): Promise<number> {
    let at = index;
    if (at >= this.#end) return at;
    for (let moved = true; moved; ) {
      moved = false;
      for (const { first, end, unit } of this.#runs) {
        if (first > at) break;
        if (at >= end) continue;
        const next = unit === undefined ? end : endOf(await this.bounds(unit), at);
        if (next > at) {
          at = next;
          moved = true;
        }
      }
    }
    return at;
  }

  /** Firsts and ends of a unit's ranges. @throws {RecordError} `shred-malformed` */
  async bounds(unit: Unit): Promise<Float64Array> {
    const key = unitName(unit);
    const known = this.#bounds.get(key);
    if (known !== undefined) return known;
    const path = `${this.#dir}/${shredRangesName(unit)}`;
    const bytes = await readWhole(this.#files, path);
    if (bytes === undefined)
      throw new RecordError('shred-malformed', `${shredRangesName(unit)} is missing; restore it from its backup`);
    const bounds = parseRanges(bytes);
    if (this.#bounds.size >= loadedMax) this.#bounds.delete(this.#bounds.keys().next().value ?? '');
    this.#bounds.set(key, bounds);
    return bounds;
  }
}

/** Ranges can be longer than the small files that are read as a whole. */
export async function readWhole(files: LedgerFiles, path: string): Promise<Uint8Array | undefined> {
  const bytes = await files.size(path);
  if (bytes === undefined) return undefined;
  const file = await files.open(path, 'read');
  try {
    return await readRange(file, 0, bytes);
  } finally {
    await file.close();
  }
}

function runsOf(records: readonly ShredRecord[]): Run[] {
  const first = Math.min(...records.map(({ terms }) => terms.first));
  const last = Math.max(...records.map(({ terms }) => terms.last));
  const events = records.reduce((sum, { terms }) => sum + terms.events, 0);
  if (events === last - first + 1) return [{ first, end: last + 1, unit: undefined }];
  return records.map(({ terms }) => ({ first: terms.first, end: terms.last + 1, unit: terms }));
}

/** The end of the range that holds `index`, or `index` where none does. */
export function endOf(bounds: Float64Array, index: number): number {
  let low = 0;
  let high = bounds.length / 2;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((bounds[2 * middle] as number) <= index) low = middle + 1;
    else high = middle;
  }
  return low === 0 ? index : Math.max(index, bounds[2 * low - 1] as number);
}
