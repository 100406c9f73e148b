/**
 * Putting a log's newest checkpoint on the disk, also where the disk is full. A group is durable by then, and must not stay unsigned for want of room: a short
 * checkpoint goes over the old one in place; for a long one the room was taken before the group was written, or the group was refused.
 */
import type { Disk } from '../world/disk.ts';
import { isFull, storageFull } from './journal.ts';

/** What every disk stores as a whole or not at all. */
const sectorBytes = 512;
/** What room is given out by. */
const blockBytes = 4096;
/** What a checkpoint may grow by from one group to the next. */
const growthBytesMax = 256;

export class StoredCheckpoints {
  readonly #disk: Disk;
  readonly #dir: string;
  readonly #tmpDir: string;
  /** Of those that are stored, where it is known. */
  readonly #bytes: Map<string, number> = new Map();
  /** Logs that have a temporary file with room for the next one. */
  readonly #reserved: Set<string> = new Set();

  /** @param dir `DIR/ledger` */
  constructor(disk: Disk, dir: string, tmpDir: string) {
    this.#disk = disk;
    this.#dir = dir;
    this.#tmpDir = tmpDir;
  }

  /** The log's checkpoint has been replaced by one of this length. */
  note(tenant: string, bytes: number): void {
    this.#bytes.set(tenant, bytes);
  }

  /** Whether `reserve` has anything to do, or to find out. */
  isLong(tenant: string): boolean {
    return (this.#bytes.get(tenant) ?? sectorBytes) + growthBytesMax > sectorBytes;
  }

  async put(tenant: string, text: string): Promise<void> {
    const path = this.#path(tenant);
    const bytes = Buffer.from(text);
    const temporary = this.#temporary(tenant);
    this.note(tenant, bytes.length);
    try {
      if (this.#reserved.delete(tenant)) await this.#putReserved(path, bytes, temporary);
      else await this.#disk.replace(path, bytes, { durable: false, temporary });
    } catch (error) {
      if (!isFull(error)) throw error;
      await this.#overwrite(path, bytes, error);
    }
  }

  /**
   * A checkpoint longer than a sector can't be written over the old one where there is no room for a second file. So the room is taken before the group is
   * written: where there is none, nothing was stored and the call is refused, and not the group durable and unsigned.
   */
  async reserve(tenant: string): Promise<void> {
    if (this.#reserved.has(tenant)) return;
    const known = this.#bytes.get(tenant);
    const bytes = known ?? (await this.#disk.size(this.#path(tenant))) ?? 0;
    this.note(tenant, bytes);
    if (bytes + growthBytesMax <= sectorBytes) return;
    try {
      const room = new Uint8Array(Math.ceil((bytes + growthBytesMax) / blockBytes) * blockBytes);
      await this.#write(this.#temporary(tenant), room);
    } catch (error) {
      throw isFull(error) ? storageFull(error) : error;
    }
    this.#reserved.add(tenant);
  }

  async #putReserved(path: string, bytes: Uint8Array, temporary: string): Promise<void> {
    await this.#write(temporary, bytes);
    await this.#disk.rename(temporary, path);
  }

  /** Over what is there, so that it needs no room where that is as long. */
  async #write(path: string, bytes: Uint8Array): Promise<void> {
    const file = await this.#disk.open(path, 'append');
    try {
      for (let at = 0; at < bytes.length; ) {
        const count = await file.write(bytes.subarray(at), at);
        if (count === 0) throw Object.assign(new Error('the disk took no bytes'), { code: 'ENOSPC' });
        at += count;
      }
      await file.truncate(bytes.length);
    } finally {
      await file.close();
    }
  }

  /**
   * No room for a second file: the group is durable all the same, so the text goes over the old one, in place. Within one sector, which the disk
   * stores as a whole; a longer one could be torn, and is refused with `full`.
   */
  async #overwrite(path: string, bytes: Uint8Array, full: unknown): Promise<void> {
    const before = (await this.#disk.readFile(path)) ?? new Uint8Array(0);
    if (Math.max(before.length, bytes.length) > sectorBytes) throw full;
    const file = await this.#disk.open(path, 'append');
    try {
      const count = await file.write(bytes, 0);
      if (count !== bytes.length) {
        await file.write(before.subarray(0, count), 0);
        throw full;
      }
      await file.truncate(bytes.length);
    } finally {
      await file.close();
    }
  }

  #path(tenant: string): string {
    return `${this.#dir}/${tenant}/checkpoint`;
  }

  #temporary(tenant: string): string {
    return `${this.#tmpDir}/checkpoint-${tenant}`;
  }
}
