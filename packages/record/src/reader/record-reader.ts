/**
 * Opened records of one tenant, in order or by index, from sealed blocks wherever they lie. Opened blocks are cached
 * within `cacheBytesMax`. A block that moved from the journal to the archive while it was looked for is looked for again.
 */
import { type BlockHeader, forEachRecord, type IndexRange, openBlock, parseBlockHeader } from '../codec/block.ts';
import { openingKeyOf } from '../codec/key-tree.ts';
import { Openings } from '../codec/openings.ts';
import { RecordError } from '../errors.ts';
import type { RetentionClass } from '../retention.ts';
import type { BlockIndex, BlockPlace } from './block-index.ts';
import type { HeldCopies } from './held-copies.ts';
import { isMissing, type LedgerFiles, readRange } from './ledger-files.ts';
import type { SeedKeeper } from './seed-keeper.ts';
import type { ShreddedUnits } from './shredded-units.ts';

const cacheBytesMax = 32 * 1024 * 1024;

export interface OpenedRecord {
  readonly index: number;
  readonly m: Uint8Array;
  readonly retentionClass: RetentionClass;
  readonly epoch: number;
  /** Of the process that stored it, 16 bytes; undefined for what only a hold keeps. */
  readonly writer?: Uint8Array;
}

/** What shreds took of a log, and what holds kept of it. */
export interface Remains {
  readonly units: ShreddedUnits;
  readonly held: HeldCopies;
}

interface BlockView {
  readonly header: BlockHeader;
  readonly first: number;
  readonly last: number;
  readonly plaintext: Uint8Array;
  /** Position of each event's u32 |m| in the plaintext, in the order of the ranges. */
  readonly offsets: Uint32Array;
  /** Events before each range. */
  readonly before: Uint32Array;
}

export class RecordReader {
  readonly #files: LedgerFiles;
  readonly #blocks: BlockIndex;
  readonly #seeds: SeedKeeper;
  readonly #remains: Remains | undefined;
  readonly #views: Map<string, BlockView> = new Map();
  #cachedBytes = 0;

  /** @param remains undefined for a log of which nothing was ever shredded */
  constructor(files: LedgerFiles, blocks: BlockIndex, seeds: SeedKeeper, remains?: Remains) {
    this.#files = files;
    this.#blocks = blocks;
    this.#seeds = seeds;
    this.#remains = remains;
  }

  /** Records from `from` in order until `end`, at most `max` and `bytesMax` of m, but at least one where one is left: what was shredded is passed over. */
  async read(from: number, end: number, max: number, bytesMax: number): Promise<OpenedRecord[]> {
    const records: OpenedRecord[] = [];
    const cursors = new Map<RetentionClass, BlockView>();
    let bytes = 0;
    for (let index = await this.nextReadable(from, end); index < end && records.length < max; ) {
      const record = (await this.#held(index)) ?? (await this.#sealed(index, cursors));
      bytes += record.m.length;
      if (bytes > bytesMax && records.length > 0) break;
      records.push(record);
      index = await this.nextReadable(index + 1, end);
    }
    return records;
  }

  /** The first index from `from` on that isn't shredded, or is held; `end` where there is none below it. */
  async nextReadable(from: number, end: number): Promise<number> {
    const { units, held } = this.#remains ?? {};
    if (units === undefined || units.isEmpty || from >= end) return from;
    const hole = Math.min(await units.holeEnd(from), end);
    return hole > from ? (held?.next(from, hole) ?? hole) : from;
  }

  /** Forgets what was opened: a class and epoch are being shredded. */
  forget(): void {
    this.#views.clear();
    this.#cachedBytes = 0;
    this.#seeds.forget();
  }

  async #sealed(index: number, cursors: Map<RetentionClass, BlockView>): Promise<OpenedRecord> {
    const view = await this.#viewOf(index, cursors);
    const { retentionClass, epoch, writer } = view.header;
    return { index, m: recordAt(view, index) as Uint8Array, retentionClass, epoch, writer };
  }

  /** A shredded record that a hold kept; undefined for one that wasn't shredded. @throws {RecordError} `record-shredded` */
  async #held(index: number): Promise<(OpenedRecord & { readonly r: Uint8Array }) | undefined> {
    const { units, held } = this.#remains ?? {};
    if (units === undefined || units.isEmpty || (await units.holeEnd(index)) === index) return undefined;
    const kept = await held?.open(index);
    if (kept !== undefined) return kept;
    const unit = await units.unitOf(index);
    throw new RecordError(
      'record-shredded',
      `the record at index ${index} was shredded with class ${unit?.retentionClass} of epoch ${unit?.epoch}; its commitment and its proof are left`,
      { details: { retentionClass: unit?.retentionClass, epoch: unit?.epoch } },
    );
  }

  /** One record with its opening r. @throws {RecordError} `record-shredded`, and what opening a block says */
  async open(index: number): Promise<OpenedRecord & { readonly r: Uint8Array }> {
    const held = await this.#held(index);
    if (held !== undefined) return held;
    const view = await this.#viewOf(index, new Map());
    const { header } = view;
    const openings = new Openings(openingKeyOf(await this.#seeds.stepKey(header)));
    const r = Uint8Array.from(openings.at(index - header.stepFirstIndex));
    openings.erase();
    return {
      index,
      r,
      m: recordAt(view, index) as Uint8Array,
      retentionClass: header.retentionClass,
      epoch: header.epoch,
    };
  }

  async #viewOf(index: number, cursors: Map<RetentionClass, BlockView>): Promise<BlockView> {
    for (const view of cursors.values()) if (recordAt(view, index) !== undefined) return view;
    for (const retentionClass of this.#blocks.classes()) {
      const cursor = cursors.get(retentionClass);
      // Within the cursor's bounds the class has no other block that could hold it.
      if (cursor !== undefined && index >= cursor.first && index <= cursor.last) continue;
      const view = await this.#candidate(retentionClass, index);
      if (view === undefined) continue;
      cursors.set(retentionClass, view);
      if (recordAt(view, index) !== undefined) return view;
    }
    // Its shred may have begun since it was looked at.
    await this.#held(index);
    throw new RecordError('ledger-unreadable', `no block holds index ${index}; run watchglass verify`);
  }

  async #candidate(retentionClass: RetentionClass, index: number): Promise<BlockView | undefined> {
    for (let attempt = 0; ; attempt++) {
      const place = await this.#blocks.find(retentionClass, index);
      if (place === undefined) return undefined;
      try {
        return await this.#view(place);
      } catch (error) {
        if (attempt >= 3 || !isMissing(error)) throw error;
      }
    }
  }

  /** Undefined for a block of what is being shredded: its seed may be gone already, and none of it is read any more. */
  async #view(place: BlockPlace): Promise<BlockView | undefined> {
    const key = `${place.path}:${place.position}`;
    const known = this.#views.get(key);
    if (known !== undefined) return known;
    const file = await this.#files.open(place.path, 'read');
    let bytes: Uint8Array;
    try {
      bytes = await readRange(file, place.position, place.bytes);
    } finally {
      await file.close();
    }
    const header = parseBlockHeader(bytes);
    if (this.#remains?.units.of(header)?.begun !== undefined) return undefined;
    const plaintext = openBlock(bytes, header, await this.#seeds.stepKey(header));
    const offsets: number[] = [];
    forEachRecord(plaintext, header.ranges, (_index, _m, at) => offsets.push(at));
    const before = new Uint32Array(header.ranges.length);
    for (let i = 1; i < before.length; i++)
      before[i] = (before[i - 1] as number) + (header.ranges[i - 1] as IndexRange).count;
    const lastRange = header.ranges[header.ranges.length - 1] as IndexRange;
    const view: BlockView = {
      header,
      first: place.first,
      last: lastRange.first + lastRange.count - 1,
      plaintext,
      offsets: Uint32Array.from(offsets),
      before,
    };
    this.#keep(key, view);
    return view;
  }

  #keep(key: string, view: BlockView): void {
    if (this.#views.has(key)) return;
    this.#views.set(key, view);
    this.#cachedBytes += view.plaintext.length;
    for (const [oldKey, old] of this.#views) {
      if (this.#cachedBytes <= cacheBytesMax || oldKey === key) break;
      this.#views.delete(oldKey);
      this.#cachedBytes -= old.plaintext.length;
    }
  }
}

/** m of `index`, or undefined when the block doesn't hold it. */
function recordAt(view: BlockView, index: number): Uint8Array | undefined {
  if (index < view.first || index > view.last) return undefined;
  const { ranges } = view.header;
  let low = 0;
  let high = ranges.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((ranges[middle] as IndexRange).first <= index) low = middle + 1;
    else high = middle;
  }
  const range = ranges[low - 1] as IndexRange;
  if (index >= range.first + range.count) return undefined;
  const at = view.offsets[(view.before[low - 1] as number) + index - range.first] as number;
  const { plaintext } = view;
  const length = new DataView(plaintext.buffer, plaintext.byteOffset).getUint32(at);
  return plaintext.subarray(at + 4, at + 4 + length);
}
