/**
 * The newest committed records of all tenants, opened, within `bytesMax`: followers that keep up read from here and cost
 * the disk nothing.
 */
import type { RetentionClass } from '@watchglass/record';
import type { StoredEntry } from './ledger.ts';

/** The events one group added to one log, in order. */
export interface RecentPart {
  readonly first: number;
  readonly count: number;
  /** Plaintexts of blocks: u32 |m| ‖ m, one after another. */
  readonly plaintexts: readonly {
    readonly bytes: Buffer;
    readonly retentionClass: RetentionClass;
    readonly epoch: number;
  }[];
  /** For each event the plaintext it is in, and its position there. */
  readonly chunkOf: Uint16Array;
  readonly offsets: Uint32Array;
  /** Memory it holds. */
  readonly heldBytes: number;
}

export class RecentRecords {
  readonly #bytesMax: number;
  readonly #parts: Map<string, RecentPart[]> = new Map();
  /** All parts, oldest first. */
  readonly #order: { readonly tenant: string; readonly heldBytes: number }[] = [];
  #bytes = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  add(tenant: string, part: RecentPart): void {
    let parts = this.#parts.get(tenant);
    if (parts === undefined) {
      parts = [];
      this.#parts.set(tenant, parts);
    }
    parts.push(part);
    this.#order.push({ tenant, heldBytes: part.heldBytes });
    this.#bytes += part.heldBytes;
    while (this.#bytes > this.#bytesMax && this.#order.length > 1) {
      const oldest = this.#order.shift() as { tenant: string; heldBytes: number };
      this.#bytes -= oldest.heldBytes;
      this.#parts.get(oldest.tenant)?.shift();
    }
  }

  /** Lets go of all records of a tenant: some of them are being shredded. */
  forget(tenant: string): void {
    this.#parts.delete(tenant);
    const others = this.#order.filter((part) => part.tenant !== tenant);
    this.#order.splice(0, this.#order.length, ...others);
    this.#bytes = others.reduce((sum, { heldBytes }) => sum + heldBytes, 0);
  }

  /** Records from `from` on, as far as they are here; undefined when `from` itself isn't. */
  read(tenant: string, from: number, end: number, max: number, bytesMax: number): StoredEntry[] | undefined {
    const parts = this.#parts.get(tenant);
    const oldest = parts?.[0];
    if (parts === undefined || oldest === undefined || from < oldest.first) return undefined;
    const entries: StoredEntry[] = [];
    let bytes = 0;
    for (let at = partOf(parts, from); at < parts.length; at++) {
      const part = parts[at] as RecentPart;
      for (let i = Math.max(0, from - part.first); i < part.count; i++) {
        const index = part.first + i;
        if (index >= end || entries.length >= max) return entries;
        const chunk = part.plaintexts[part.chunkOf[i] as number] as RecentPart['plaintexts'][number];
        const offset = part.offsets[i] as number;
        const length = chunk.bytes.readUInt32BE(offset);
        bytes += length;
        if (bytes > bytesMax && entries.length > 0) return entries;
        const m = chunk.bytes.subarray(offset + 4, offset + 4 + length);
        entries.push({ index, m, retentionClass: chunk.retentionClass, epoch: chunk.epoch });
      }
    }
    return entries;
  }
}

/** Position of the part that holds `index`: the last that begins at or before it. */
function partOf(parts: readonly RecentPart[], index: number): number {
  let low = 0;
  let high = parts.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((parts[middle] as RecentPart).first <= index) low = middle + 1;
    else high = middle;
  }
  return Math.max(0, low - 1);
}
