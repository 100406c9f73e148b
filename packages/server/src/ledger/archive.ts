/**
 * The archive: what the journal becomes (docs/format.md, "Archive"). One segment at a time: its blocks (merged ones where the
 * writer made them) and commitments are appended to files, made durable, and then count by a new manifest.
 *
 * An interrupted archiving leaves bytes past the manifest's lengths, which nobody reads and the next one writes over.
 */
import { crc32 } from 'node:zlib';
import type { RetentionClass } from '@watchglass/record';
import {
  blockFileName,
  commitmentFileName,
  commitmentsPerFile,
  encodeManifest,
  frameHeaderBytes,
  type Manifest,
  type ManifestTenant,
  type ParsedGroup,
  parseArchiveName,
  parseBlockHeader,
} from '@watchglass/record/reader';
import type { Disk, DiskFile } from '../world/disk.ts';
import { GrowingBytes } from './growing-bytes.ts';
import type { MergedBlock } from './storage.ts';

const blockFileBytesMax = 64 * 1024 * 1024;
const bufferBytesMax = 1024 * 1024;

/** Merged blocks by tenant, class and first index; undefined for a block that another one has taken in. */
export class MergedBlocks {
  readonly #blocks: Map<string, Uint8Array | undefined> = new Map();
  readonly #bytesMax: number;
  #bytes = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** Past the bound the blocks are archived as they are. */
  add(merged: MergedBlock): void {
    if (this.#bytes + merged.block.length > this.#bytesMax) return;
    this.#bytes += merged.block.length;
    for (const first of merged.replaces) {
      this.#blocks.set(
        `${merged.tenant} ${merged.retentionClass} ${first}`,
        first === merged.first ? merged.block : undefined,
      );
    }
  }

  /** What to store in place of a block: itself, a merged one, or nothing. */
  take(tenant: string, retentionClass: RetentionClass, first: number, block: Uint8Array): Uint8Array | undefined {
    const key = `${tenant} ${retentionClass} ${first}`;
    return this.#blocks.has(key) ? this.#blocks.get(key) : block;
  }

  /** Once their segment is archived. */
  drop(tenant: string, retentionClass: RetentionClass, first: number): void {
    const key = `${tenant} ${retentionClass} ${first}`;
    this.#bytes -= this.#blocks.get(key)?.length ?? 0;
    this.#blocks.delete(key);
  }
}

export interface ArchivedBlock {
  readonly tenant: string;
  readonly retentionClass: RetentionClass;
  readonly first: number;
}

export interface ArchivedFile {
  readonly tenant: string;
  readonly retentionClass: RetentionClass;
  readonly name: string;
  readonly bytes: number;
}

/** One archiving: `add` each group, then `finish`; `abandon` instead after an error. */
export class Archiving {
  readonly #disk: Disk;
  readonly #dir: string;
  readonly #manifest: Manifest;
  readonly #merged: MergedBlocks;
  readonly #writers: Map<string, FileWriter> = new Map();
  /** Number of the newest block file, by tenant, class and epoch. */
  readonly #newest: Map<string, number> = new Map();
  readonly #sizes: Map<string, number> = new Map();
  readonly #ids: Map<string, { readonly firstIndex: number; readonly ids: GrowingBytes }> = new Map();
  readonly blocks: ArchivedBlock[] = [];
  receivedMs = 0;

  constructor(disk: Disk, dir: string, manifest: Manifest, merged: MergedBlocks) {
    this.#disk = disk;
    this.#dir = dir;
    this.#manifest = manifest;
    this.#merged = merged;
    for (const [tenant, log] of manifest.tenants) {
      this.#sizes.set(tenant, log.size);
      for (const name of log.files.keys()) {
        const parsed = parseArchiveName(name);
        if (parsed?.kind !== 'blocks') continue;
        const key = `${tenant} ${parsed.retentionClass} ${parsed.epoch}`;
        this.#newest.set(key, Math.max(this.#newest.get(key) ?? 0, parsed.number));
      }
    }
  }

  /** Archived leaves of a tenant, with what was added. */
  sizeOf(tenant: string): number {
    return this.#sizes.get(tenant) ?? 0;
  }

  /** Ids of the events added, by tenant. */
  ids(): { tenant: string; firstIndex: number; ids: Uint8Array }[] {
    return [...this.#ids].map(([tenant, { firstIndex, ids }]) => ({ tenant, firstIndex, ids: ids.view() }));
  }

  async add(group: ParsedGroup): Promise<void> {
    this.receivedMs = Math.max(this.receivedMs, group.receivedMs);
    for (const part of group.tenants) {
      const { tenant } = part;
      await this.#addCommitments(tenant, part.sizeBefore, part.commitments);
      this.#sizes.set(tenant, part.sizeBefore + part.count);
      const known = this.#ids.get(tenant) ?? { firstIndex: part.sizeBefore, ids: new GrowingBytes(part.ids.length) };
      known.ids.put(part.ids);
      this.#ids.set(tenant, known);
      for (const block of part.blocks) await this.#addBlock(tenant, block);
    }
  }

  async #addCommitments(tenant: string, from: number, commitments: Uint8Array): Promise<void> {
    for (let at = 0; at < commitments.length; ) {
      const index = from + at / 32;
      const room = (commitmentsPerFile - (index % commitmentsPerFile)) * 32;
      const part = commitments.subarray(at, at + room);
      const writer = await this.#writer(tenant, commitmentFileName(Math.floor(index / commitmentsPerFile)));
      await writer.append(part);
      at += part.length;
    }
  }

  async #addBlock(tenant: string, block: Uint8Array): Promise<void> {
    const { retentionClass, epoch, ranges } = parseBlockHeader(block);
    const first = ranges[0]?.first ?? 0;
    this.blocks.push({ tenant, retentionClass, first });
    const stored = this.#merged.take(tenant, retentionClass, first, block);
    if (stored === undefined) return;
    const key = `${tenant} ${retentionClass} ${epoch}`;
    let number = this.#newest.get(key) ?? 0;
    let writer = await this.#writer(tenant, blockFileName(retentionClass, epoch, number));
    if (writer.bytes > 0 && writer.bytes + stored.length > blockFileBytesMax) {
      number++;
      writer = await this.#writer(tenant, blockFileName(retentionClass, epoch, number));
    }
    this.#newest.set(key, number);
    const frame = Buffer.allocUnsafe(frameHeaderBytes);
    frame.writeUInt32BE(stored.length, 0);
    frame.writeUInt32BE(crc32(stored), 4);
    await writer.append(frame);
    await writer.append(stored);
  }

  async #writer(tenant: string, name: string): Promise<FileWriter> {
    const key = `${tenant} ${name}`;
    let writer = this.#writers.get(key);
    if (writer === undefined) {
      const counted = this.#manifest.tenants.get(tenant)?.files.get(name) ?? 0;
      writer = await FileWriter.open(this.#disk, `${this.#dir}/${tenant}/${name}`, counted);
      this.#writers.set(key, writer);
    }
    return writer;
  }

  /** Makes durable what was added. Then `manifest` may be written. */
  async finish(
    group: number,
  ): Promise<{ readonly manifest: Manifest; readonly encoded: Uint8Array; readonly files: ArchivedFile[] }> {
    const tenants = new Map<string, ManifestTenant>(this.#manifest.tenants);
    const files: ArchivedFile[] = [];
    for (const [key, writer] of this.#writers) {
      const [tenant, name] = key.split(' ') as [string, string];
      await writer.finish();
      const log = tenants.get(tenant) as ManifestTenant;
      tenants.set(tenant, { ...log, size: this.sizeOf(tenant), files: new Map(log.files).set(name, writer.bytes) });
      const parsed = parseArchiveName(name);
      if (parsed?.kind === 'blocks')
        files.push({ tenant, retentionClass: parsed.retentionClass, name, bytes: writer.bytes });
    }
    this.#writers.clear();
    for (const tenant of this.#ids.keys()) {
      await this.#disk.syncDirectory(`${this.#dir}/${tenant}/blocks`);
      await this.#disk.syncDirectory(`${this.#dir}/${tenant}/commitments`);
    }
    const manifest: Manifest = { group, tenants };
    return { manifest, encoded: encodeManifest(manifest), files };
  }

  async abandon(): Promise<void> {
    for (const writer of this.#writers.values()) await writer.close().catch(() => undefined);
    this.#writers.clear();
  }
}

/** Appends at the end of what counts of a file, over left-overs of an interrupted archiving. */
class FileWriter {
  readonly #file: DiskFile;
  readonly #buffered: GrowingBytes = new GrowingBytes(4096);
  #written: number;

  private constructor(file: DiskFile, bytes: number) {
    this.#file = file;
    this.#written = bytes;
  }

  static async open(disk: Disk, path: string, bytes: number): Promise<FileWriter> {
    const file = await disk.open(path, 'append');
    await file.truncate(bytes);
    return new FileWriter(file, bytes);
  }

  get bytes(): number {
    return this.#written + this.#buffered.length;
  }

  async append(bytes: Uint8Array): Promise<void> {
    // A copy: the caller's bytes are views of the segment that is being read.
    this.#buffered.put(bytes);
    if (this.#buffered.length >= bufferBytesMax) await this.#flush();
  }

  async finish(): Promise<void> {
    await this.#flush();
    await this.#file.datasync();
    await this.#file.close();
  }

  close(): Promise<void> {
    return this.#file.close();
  }

  async #flush(): Promise<void> {
    const bytes = this.#buffered.view();
    let at = 0;
    while (at < bytes.length) {
      const count = await this.#file.write(bytes.subarray(at), this.#written + at);
      if (count === 0) throw Object.assign(new Error('the disk took no bytes'), { code: 'ENOSPC' });
      at += count;
    }
    this.#written += at;
    this.#buffered.clear();
  }
}
