/** One tenant's log as the `files` driver holds it: where its blocks lie, and the commitments and tile nodes that aren't in files yet. */
import {
  BlockIndex,
  commitmentFileName,
  commitmentsPerFile,
  type GroupTenant,
  parseBlockHeader,
} from '@watchglass/record/reader';
import type { Disk } from '../world/disk.ts';
import { LedgerError } from './errors.ts';
import { TileNodes } from './tile-nodes.ts';

export class FilesLog {
  readonly origin: string;
  readonly blocks: BlockIndex;
  readonly tiles: TileNodes;
  readonly #disk: Disk;
  /** The tenant's directory. */
  readonly #dir: string;
  /** Of groups in the journal, in order. */
  #tail: { readonly first: number; readonly commitments: Uint8Array }[] = [];

  private constructor(disk: Disk, dir: string, origin: string, tiles: TileNodes) {
    this.#disk = disk;
    this.#dir = dir;
    this.origin = origin;
    this.blocks = new BlockIndex(disk);
    this.tiles = tiles;
  }

  static async open(log: {
    readonly disk: Disk;
    readonly dir: string;
    readonly tmpDir: string;
    readonly origin: string;
    readonly archivedSize: number;
  }): Promise<FilesLog> {
    const { disk, dir, tmpDir, origin, archivedSize } = log;
    return new FilesLog(disk, dir, origin, await TileNodes.open(disk, dir, tmpDir, archivedSize));
  }

  /** Makes a durable group's blocks and commitments findable. `positions` are those of its blocks in the segment. */
  add(part: GroupTenant, positions: readonly number[], segmentPath: string): void {
    this.#tail.push({ first: part.sizeBefore, commitments: new Uint8Array(part.commitments) });
    for (const [i, block] of part.blocks.entries()) {
      const { retentionClass, epoch, ranges } = parseBlockHeader(block);
      const place = {
        path: segmentPath,
        position: positions[i] ?? 0,
        bytes: block.length,
        first: ranges[0]?.first ?? 0,
        epoch,
      };
      this.blocks.addJournalBlock(retentionClass, place);
    }
  }

  /** Leaves below `size` are in the archive now. */
  archived(size: number): void {
    this.blocks.dropJournal(size);
    this.#tail = this.#tail.filter(({ first }) => first >= size);
  }

  /** @param archivedSize leaves in commitment files: read beside an archiving, memory first, which drops only what it has made durable */
  async commitments(from: number, count: number, archivedSize: number): Promise<Uint8Array> {
    const out = Buffer.allocUnsafe(count * 32);
    const end = from + count;
    for (let at = this.#tailFrom(from); at < this.#tail.length; at++) {
      const { first, commitments } = this.#tail[at] as { first: number; commitments: Uint8Array };
      if (first >= end) break;
      const low = Math.max(first, from);
      const high = Math.min(first + commitments.length / 32, end);
      if (low < high) out.set(commitments.subarray((low - first) * 32, (high - first) * 32), (low - from) * 32);
    }
    const inFiles = Math.min(end, archivedSize);
    for (let index = from; index < inFiles; ) {
      const number = Math.floor(index / commitmentsPerFile);
      const part = Math.min(inFiles, (number + 1) * commitmentsPerFile) - index;
      await this.#readFile(
        number,
        (index % commitmentsPerFile) * 32,
        out.subarray((index - from) * 32, (index - from + part) * 32),
      );
      index += part;
    }
    return out;
  }

  async #readFile(number: number, position: number, into: Uint8Array): Promise<void> {
    const name = commitmentFileName(number);
    const file = await this.#disk.open(`${this.#dir}/${name}`, 'read');
    try {
      const got = await file.read(into, position);
      if (got !== into.length) throw new LedgerError('corrupt', `${name} is cut short; run watchglass verify`);
    } finally {
      await file.close();
    }
  }

  /** Position of the last chunk that begins at or before `index`, or 0. */
  #tailFrom(index: number): number {
    let low = 0;
    let high = this.#tail.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#tail[middle] as { first: number }).first <= index) low = middle + 1;
      else high = middle;
    }
    return Math.max(0, low - 1);
  }
}
