/**
 * The newest committed records of all tenants, opened, within `bytesMax`: followers that keep up read from here and cost
 * the disk nothing. They get copies, since the memory of what goes is used again.
 */
import type { RetentionClass } from '@watchglass/record';
import { GrowingBytes, type SpareBytes } from './growing-bytes.ts';
import type { StoredEntry } from './ledger.ts';

/** The events one group added to one log, in order. */
export interface RecentPart {
  readonly first: number;
  readonly count: number;
  /** Plaintexts of blocks: u32 |m| ‖ m, one after another. */
  readonly plaintexts: readonly {
    readonly bytes: GrowingBytes;
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
  /** Where the memory of what goes is kept. */
  readonly spare: SpareBytes;
  readonly #bytesMax: number;
  readonly #parts: Map<string, RecentPart[]> = new Map();
  /** All parts, oldest first. */
  readonly #order: { readonly tenant: string; readonly heldBytes: number }[] = [];
  #bytes = 0;

  constructor(bytesMax: number, spare: SpareBytes) {
    this.spare = spare;
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
      const gone = this.#parts.get(oldest.tenant)?.shift();
      for (const { bytes } of gone?.plaintexts ?? []) this.spare.give(bytes);
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
    const found: Omit<StoredEntry, 'm'>[] = [];
    const ends: number[] = [];
    const copy = new GrowingBytes(4096);
    const entries = (): StoredEntry[] =>
      found.map((entry, at) => ({ ...entry, m: copy.view(ends[at - 1] ?? 0, ends[at]) }));
    for (let at = partOf(parts, from); at < parts.length; at++) {
      const part = parts[at] as RecentPart;
      for (let i = Math.max(0, from - part.first); i < part.count; i++) {
        const index = part.first + i;
        if (index >= end || found.length >= max) return entries();
        const { bytes, retentionClass, epoch } = part.plaintexts[
          part.chunkOf[i] as number
        ] as RecentPart['plaintexts'][number];
        const offset = (part.offsets[i] as number) + 4;
        const length = bytes.buffer.readUInt32BE(offset - 4);
        if (copy.length + length > bytesMax && found.length > 0) return entries();
        copy.put(bytes.buffer.subarray(offset, offset + length));
        ends.push(copy.length);
        found.push({ index, retentionClass, epoch });
      }
    }
    return entries();
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
