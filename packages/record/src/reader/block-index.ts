/**
 * Where the block that holds an index lies. Within a class, blocks follow each other in the order of their indexes, so
 * two binary searches (files, then blocks of the file) leave one candidate a class.
 *
 * A block file's places are read when first needed and forgotten when many files are: memory stays bounded, and opening a
 * ledger costs one short read a file.
 */
import { ByteReader } from '../codec/cursor.ts';
import { RecordError } from '../errors.ts';
import type { RetentionClass } from '../retention.ts';
import { type LedgerFiles, type ReadableFile, readRange } from './ledger-files.ts';

/** Each block in an archive file has its length and CRC before it. */
export const frameHeaderBytes = 8;
const windowBytes = 256 * 1024;
const loadedFilesMax = 64;
/** Up to and including the first range: class names are short. */
const prefixBytes = 4 + 1 + 1 + 255 + 32 + 4 + 16 + 4 + 8 + 16 + 4 + 2 + 12;

export interface BlockPlace {
  readonly path: string;
  /** Of the block itself, after any frame header. */
  readonly position: number;
  readonly bytes: number;
  /** Its first index. */
  readonly first: number;
  /** Of a block in the journal. */
  readonly epoch?: number;
}

interface BlockFile {
  readonly path: string;
  bytes: number;
  /** First index of its first block. */
  readonly first: number;
  /** first, position, bytes of each block. */
  places: Float64Array | undefined;
}

interface ClassBlocks {
  readonly files: BlockFile[];
  /** Blocks still in the journal, ascending. */
  journal: BlockPlace[];
}

export class BlockIndex {
  readonly #files: LedgerFiles;
  readonly #classes: Map<RetentionClass, ClassBlocks> = new Map();
  readonly #loaded: BlockFile[] = [];

  constructor(files: LedgerFiles) {
    this.#files = files;
  }

  classes(): RetentionClass[] {
    return [...this.#classes.keys()];
  }

  /** Makes a block file known, or longer. Files of a class come in the order of their indexes. */
  async addFile(retentionClass: RetentionClass, path: string, bytes: number): Promise<void> {
    if (bytes === 0) return;
    const { files } = this.#of(retentionClass);
    const known = files.findLast((file) => file.path === path);
    if (known !== undefined) {
      known.bytes = bytes;
      known.places = undefined;
      return;
    }
    const file = await this.#files.open(path, 'read');
    try {
      const head = await readRange(file, frameHeaderBytes, Math.min(prefixBytes, bytes - frameHeaderBytes));
      files.push({ path, bytes, first: firstIndexOf(head, 0), places: undefined });
    } finally {
      await file.close();
    }
  }

  addJournalBlock(retentionClass: RetentionClass, place: BlockPlace): void {
    this.#of(retentionClass).journal.push(place);
  }

  /** Forgets journal blocks below `index`: the archive has them. */
  dropJournal(index: number): void {
    for (const blocks of this.#classes.values())
      blocks.journal = blocks.journal.filter((place) => place.first >= index);
  }

  /** Forgets block files: they are shredded. */
  dropFiles(retentionClass: RetentionClass, paths: ReadonlySet<string>): void {
    const blocks = this.#of(retentionClass);
    blocks.files.splice(0, blocks.files.length, ...blocks.files.filter(({ path }) => !paths.has(path)));
  }

  /** Whether the journal still holds blocks of a class and epoch. */
  isInJournal(retentionClass: RetentionClass, epoch: number): boolean {
    return this.#of(retentionClass).journal.some((place) => place.epoch === epoch);
  }

  /** The one block of the class that may hold `index`: the last that begins at or before it. */
  async find(retentionClass: RetentionClass, index: number): Promise<BlockPlace | undefined> {
    const blocks = this.#classes.get(retentionClass);
    if (blocks === undefined) return undefined;
    const inJournal = lastAtOrBefore(blocks.journal.length, (i) => (blocks.journal[i] as BlockPlace).first, index);
    if (inJournal >= 0) return blocks.journal[inJournal];
    const inFiles = lastAtOrBefore(blocks.files.length, (i) => (blocks.files[i] as BlockFile).first, index);
    if (inFiles < 0) return undefined;
    const file = blocks.files[inFiles] as BlockFile;
    const places = file.places ?? (await this.#load(file));
    const at = lastAtOrBefore(places.length / 3, (i) => places[3 * i] as number, index);
    if (at < 0) return undefined;
    const [first, position, bytes] = places.subarray(3 * at, 3 * at + 3);
    return { path: file.path, first: first as number, position: position as number, bytes: bytes as number };
  }

  async #load(file: BlockFile): Promise<Float64Array> {
    const bytes = file.bytes;
    const handle = await this.#files.open(file.path, 'read');
    let places: Float64Array;
    try {
      places = await scanPlaces(handle, bytes);
    } finally {
      await handle.close();
    }
    if (file.bytes === bytes) file.places = places;
    this.#loaded.push(file);
    if (this.#loaded.length > loadedFilesMax) {
      const oldest = this.#loaded.shift();
      if (oldest !== undefined && !this.#loaded.includes(oldest)) oldest.places = undefined;
    }
    return places;
  }

  #of(retentionClass: RetentionClass): ClassBlocks {
    let blocks = this.#classes.get(retentionClass);
    if (blocks === undefined) {
      blocks = { files: [], journal: [] };
      this.#classes.set(retentionClass, blocks);
    }
    return blocks;
  }
}

/** The first index of the block at `at`, from its first bytes. */
export function firstIndexOf(bytes: Uint8Array, at: number): number {
  const reader = new ByteReader(bytes, 'block-malformed', at);
  reader.magic('WGB1', 'a block');
  reader.u8('codec');
  reader.text('class');
  reader.take(32 + 4 + 16 + 4 + 8 + 16 + 4 + 2, 'header');
  return reader.u64('first index');
}

async function scanPlaces(file: ReadableFile, bytes: number): Promise<Float64Array> {
  const found: number[] = [];
  let window: Uint8Array = new Uint8Array(0);
  let from = 0;
  for (let at = 0; at < bytes; ) {
    const wanted = Math.min(frameHeaderBytes + prefixBytes, bytes - at);
    if (at + wanted > from + window.length) {
      window = await readRange(file, at, Math.min(windowBytes, bytes - at));
      from = at;
    }
    if (window.length - (at - from) < wanted) throw short(at);
    const length = new DataView(window.buffer, window.byteOffset + at - from).getUint32(0);
    if (length > bytes - at - frameHeaderBytes) throw short(at);
    found.push(firstIndexOf(window, at - from + frameHeaderBytes), at + frameHeaderBytes, length);
    at += frameHeaderBytes + length;
  }
  return Float64Array.from(found);
}

function short(at: number): RecordError {
  return new RecordError('block-malformed', `the block file ends inside the block at byte ${at}`);
}

/** Index of the last of `count` ascending values that is ≤ `value`; -1 when none is. */
function lastAtOrBefore(count: number, at: (i: number) => number, value: number): number {
  let low = 0;
  let high = count;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (at(middle) <= value) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}
