/**
 * The reading half of a ledger: heads, keys, records, proofs and public resources of its logs, of what is durable only. Nothing here writes; the
 * promises are those of ledger.ts, and open-ledger.ts is the half that writes.
 */
import { consistencyPlan, type LeafType, leafDataOf, multiproofPlan, type TenantId } from '@watchglass/record';
import { parseNumberName, parseShredRecord, parseUnitName, type ShredRecord } from '@watchglass/record/reader';
import { LedgerError, throwShredded } from './errors.ts';
import { SpareBytes } from './growing-bytes.ts';
import type { CosignedHead, EmitterStatus, StoredEntry } from './ledger.ts';
import { assertIndex, consistencyOf, newestTimestamp, proveLeaf, resourceOf, rootOfSize } from './log-reading.ts';
import { chunkBufferBytes } from './open-group.ts';
import { RecentRecords } from './recent-records.ts';
import { asLedgerFault } from './seed-maker.ts';
import type { StorageDriver } from './storage.ts';
import type { TenantLog } from './tenant-log.ts';
import type { TreeReader } from './tree-reader.ts';

const recentBytesMax = 12 * 1024 * 1024;
const spareChunksMax = 12;
const readBytesMax = 4 * 1024 * 1024;

export abstract class ReadableLedger {
  protected readonly logs: Map<string, TenantLog> = new Map();
  protected readonly trees: Map<string, TreeReader> = new Map();
  protected readonly recent: RecentRecords = new RecentRecords(
    recentBytesMax,
    new SpareBytes(chunkBufferBytes, spareChunksMax),
  );
  protected driver!: StorageDriver;
  protected closing: Promise<void> | undefined;

  tenants(): readonly TenantId[] {
    return [...this.logs.values()].map(({ tenant }) => tenant).sort();
  }

  head(tenant: TenantId): { size: number; root: Uint8Array; checkpoint: string } {
    return this.log(tenant).head;
  }

  origin(tenant: TenantId): string {
    return this.log(tenant).origin;
  }

  vkey(tenant: TenantId): string {
    return this.log(tenant).vkeys[0] as string;
  }

  vkeys(tenant: TenantId): readonly string[] {
    return this.log(tenant).vkeys;
  }

  leafType(tenant: TenantId): LeafType {
    return this.log(tenant).leafType;
  }

  async read(tenant: TenantId, from: number, max: number): Promise<readonly StoredEntry[]> {
    const log = this.log(tenant);
    const end = log.head.size;
    if (from >= end || max <= 0) return [];
    return (
      this.recent.read(tenant, from, end, max, readBytesMax) ?? opened(log.records.read(from, end, max, readBytesMax))
    );
  }

  nextReadable(tenant: TenantId, from: number): Promise<number> {
    const log = this.log(tenant);
    return log.records.nextReadable(from, log.head.size);
  }

  async open(tenant: TenantId, index: number): Promise<{ r: Uint8Array; m: Uint8Array; leaf: Uint8Array }> {
    const log = this.log(tenant);
    assertIndex(index, log.head.size);
    const { r, m } = await opened(log.records.open(index));
    return { r, m, leaf: leafDataOf(await this.driver.commitments(tenant, index, 1), log.leafType) };
  }

  async leafAt(tenant: TenantId, index: number): Promise<Uint8Array> {
    const log = this.log(tenant);
    assertIndex(index, log.head.size);
    return leafDataOf(await this.driver.commitments(tenant, index, 1), log.leafType);
  }

  async shreds(tenant: TenantId): Promise<readonly { record: ShredRecord; ranges: Uint8Array }[]> {
    const found: { record: ShredRecord; ranges: Uint8Array }[] = [];
    for (const name of await this.driver.documents(this.log(tenant).tenant, 'shreds')) {
      if (parseUnitName(name) === undefined) continue;
      const bytes = await this.driver.document(tenant, `shreds/${name}`);
      const ranges = await this.driver.document(tenant, `shreds/${name}.ranges`);
      if (bytes === undefined || ranges === undefined) continue;
      const record = parseShredRecord(bytes);
      if (record.begun !== undefined) found.push({ record, ranges });
    }
    return found;
  }

  async prove(tenant: TenantId, index: number): Promise<{ index: number; hashes: Uint8Array[]; checkpoint: string }> {
    return proveLeaf(this.log(tenant), this.tree(tenant), index);
  }

  async consistency(tenant: TenantId, size1: number, size2: number): Promise<Uint8Array[]> {
    return consistencyOf(this.log(tenant), this.tree(tenant), size1, size2);
  }

  async rootAt(tenant: TenantId, size: number): Promise<Uint8Array> {
    return rootOfSize(this.log(tenant), this.tree(tenant), size);
  }

  cosigned(tenant: TenantId): CosignedHead | undefined {
    return this.log(tenant).cosigned;
  }

  newestTimestamp(tenant: TenantId): Promise<{ size: number; response: Uint8Array } | undefined> {
    return newestTimestamp(this.driver, this.log(tenant).tenant);
  }

  async proveAll(
    tenant: TenantId,
    indexes: readonly number[],
    since?: number,
  ): Promise<{ hashes: Uint8Array[]; growth: Uint8Array[]; checkpoint: string }> {
    const { head } = this.log(tenant);
    for (const index of indexes) assertIndex(index, head.size);
    const tree = this.tree(tenant);
    const growth = since === undefined ? [] : consistencyPlan(since, head.size);
    return {
      hashes: await tree.fold(multiproofPlan(indexes, head.size), head.size),
      growth: await tree.fold(growth, head.size),
      checkpoint: head.checkpoint,
    };
  }

  async resource(tenant: TenantId, path: string): Promise<Uint8Array | undefined> {
    const log = this.logs.get(tenant);
    if (log === undefined) return undefined;
    if (path === 'predecessor' || /^(seals|rotations)\/\d{1,10}$/.test(path)) return this.driver.document(tenant, path);
    return resourceOf(log, this.tree(tenant), path);
  }

  async statements(tenant: TenantId, folder: 'seals' | 'rotations'): Promise<readonly number[]> {
    const names = await this.driver.documents(this.log(tenant).tenant, folder);
    return names.flatMap((name) => parseNumberName(name) ?? []).sort((a, b) => a - b);
  }

  grown(tenant: TenantId, size: number, signal: AbortSignal): Promise<void> {
    const log = this.log(tenant);
    if (log.head.size > size) return Promise.resolve();
    return new Promise((resolve, reject) => {
      if (signal.aborted) return reject(signal.reason);
      if (this.closing !== undefined) return reject(new LedgerError('closed', 'the ledger was closed'));
      const closed = (): void => end(() => reject(new LedgerError('closed', 'the ledger was closed')));
      const waiter = { size, wake: () => end(resolve), closed };
      const aborted = (): void => end(() => reject(signal.reason));
      const end = (then: () => void): void => {
        log.waiting.delete(waiter);
        signal.removeEventListener('abort', aborted);
        then();
      };
      log.waiting.add(waiter);
      signal.addEventListener('abort', aborted);
    });
  }

  emitters(tenant: TenantId): readonly EmitterStatus[] {
    return this.log(tenant).coverage.status();
  }

  protected log(tenant: TenantId): TenantLog {
    const log = this.logs.get(tenant);
    if (log === undefined)
      throw new LedgerError('unknown-tenant', 'the tenant has no log here; add it to the configuration of this server');
    return log;
  }

  protected tree(tenant: string): TreeReader {
    return this.trees.get(tenant) as TreeReader;
  }
}

/** A keeper of keys that doesn't answer, and a record that was shredded, are told apart from one that doesn't open. */
async function opened<T>(work: Promise<T>): Promise<T> {
  try {
    return await work.catch(throwShredded);
  } catch (error) {
    throw asLedgerFault(error);
  }
}
