/**
 * The journal: segments of groups, each group made durable by one write and one fdatasync (docs/format.md, "Group and journal").
 *
 * A commit either is durable when it resolves, or left nothing behind (`storage-full`), or the journal is broken for good (any
 * other error): after a failed fsync nobody knows what the disk holds, and a retry could report success for pages that were dropped.
 */
import {
  encodeMaskedHeader,
  groupMaskOf,
  maskGroup,
  segmentHeaderBytes,
  segmentName,
  segmentSaltBytes,
} from '@watchglass/record/reader';
import type { Disk, DiskFile } from '../world/disk.ts';
import type { Random } from '../world/world.ts';
import { LedgerError } from './errors.ts';

/** A segment that may still grow, or one that is complete. */
export interface Segment {
  readonly path: string;
  readonly firstGroup: number;
  lastGroup: number;
  bytes: number;
  readonly openedMs: number;
}

export class Journal {
  readonly #disk: Disk;
  readonly #dir: string;
  /** A part of a group was taken back from the segment; a power failure could bring it back. */
  #undone = false;
  #current: Segment | undefined;
  #file: DiskFile | undefined;
  #mask: Uint8Array | undefined;
  readonly #random: Random;

  constructor(disk: Disk, dir: string, random: Random) {
    this.#disk = disk;
    this.#random = random;
    this.#dir = dir;
  }

  get current(): Segment | undefined {
    return this.#current;
  }

  /** Resolves to the group's segment and its position in it, durable. */
  async append(
    number: number,
    bytes: Uint8Array,
    nowMs: number,
  ): Promise<{ readonly segment: Segment; readonly position: number }> {
    const { segment, file, fresh } = await this.#open(number, nowMs);
    const position = segment.bytes;
    const mask = this.#mask as Uint8Array;
    // In place: a group is long, and is read by nobody before it is durable.
    maskGroup(bytes, 0, mask);
    try {
      await this.#write(file, bytes, position, fresh);
    } finally {
      maskGroup(bytes, 0, mask);
    }
    await file.datasync();
    this.#undone = false;
    segment.bytes = position + bytes.length;
    segment.lastGroup = number;
    return { segment, position };
  }

  /** Ends the current segment; the next group begins another. */
  async roll(): Promise<Segment | undefined> {
    const segment = this.#current;
    const file = this.#file;
    this.#current = undefined;
    this.#file = undefined;
    // The next group goes elsewhere, and makes this durable no more: what was taken back here would be there again after a power failure, before a later group.
    if (this.#undone) await file?.datasync();
    this.#undone = false;
    await file?.close();
    return segment;
  }

  async #open(number: number, nowMs: number): Promise<{ segment: Segment; file: DiskFile; fresh: boolean }> {
    if (this.#current !== undefined && this.#file !== undefined)
      return { segment: this.#current, file: this.#file, fresh: false };
    const path = `${this.#dir}/${segmentName(number)}`;
    const header = encodeMaskedHeader(this.#random.bytes(segmentSaltBytes));
    let file: DiskFile | undefined;
    try {
      file = await this.#disk.open(path, 'append');
      await file.truncate(0);
      await this.#write(file, header, 0, false);
      // Before any group: without it none of them can be read.
      await file.datasync();
      await this.#disk.syncDirectory(this.#dir);
    } catch (error) {
      await file?.close();
      throw isFull(error) ? storageFull(error) : error;
    }
    this.#file = file;
    this.#mask = groupMaskOf(header);
    this.#current = { path, firstGroup: number, lastGroup: number - 1, bytes: segmentHeaderBytes, openedMs: nowMs };
    return { segment: this.#current, file, fresh: true };
  }

  /** All of it, or nothing and `storage-full`. */
  async #write(file: DiskFile, bytes: Uint8Array, position: number, fresh: boolean): Promise<void> {
    let written = 0;
    try {
      // A short write isn't an error for the system; the next one says why.
      while (written < bytes.length) {
        const count = await file.write(bytes.subarray(written), position + written);
        if (count === 0) throw Object.assign(new Error('the disk took no bytes'), { code: 'ENOSPC' });
        written += count;
      }
    } catch (error) {
      if (!isFull(error)) throw error;
      await file.truncate(position);
      if (fresh) await file.datasync();
      else this.#undone = true;
      throw storageFull(error);
    }
  }
}

/** No room, over quota, or a file larger than the system lets one be. */
export function isFull(error: unknown): boolean {
  return (
    error instanceof Error &&
    'code' in error &&
    (error.code === 'ENOSPC' || error.code === 'EDQUOT' || error.code === 'EFBIG')
  );
}

export function storageFull(cause: unknown): LedgerError {
  return new LedgerError(
    'storage-full',
    'no room on the disk of the ledger: nothing was stored; free some and send again',
    {},
    cause,
  );
}
