/**
 * The `files` driver: journal, archive, manifest, seeds and checkpoints under `DIR/ledger`, as docs/format.md lays them
 * out. The promises are those of storage.ts. What isn't part of the ledger (temporary files, cut-off bytes) lies beside
 * it in `workDir`, which must be on the same file system.
 */
import { dirname } from 'node:path';
import {
  type BlockIndex,
  type EncodedGroup,
  encodeManifest,
  type Group,
  groupMaskOf,
  type LedgerFiles,
  type Manifest,
  type ParsedGroup,
  parseGroup,
  segmentHeaderBytes,
  type Unit,
} from '@watchglass/record/reader';
import type { Disk, DiskLock } from '../world/disk.ts';
import type { Clock, Random } from '../world/world.ts';
import { Archiving, MergedBlocks } from './archive.ts';
import { LedgerError } from './errors.ts';
import { isHarmless } from './fail-stop-disk.ts';
import { FilesLog } from './files-log.ts';
import { blockFilesOf, checkpointSize, type RecoveredFiles, readCheckpoint, recoverFiles } from './files-recovery.ts';
import { Journal, type Segment } from './journal.ts';
import { readGroups } from './journal-scan.ts';
import type { LedgerReport } from './ledger.ts';
import type { ArchivingSegment, FinishedStep, StorageDriver, StoredLog, StoredUnit, TileNode } from './storage.ts';
import { StoredCheckpoints } from './stored-checkpoints.ts';
import { removeUnitFiles, unitsOf, withoutUnit } from './stored-units.ts';

const segmentBytesMax = 32 * 1024 * 1024;
const segmentAgeMsMax = 10 * 60_000;
const mergedBytesMax = 8 * 1024 * 1024;

export interface FilesDriverOptions {
  readonly dir: string;
  readonly workDir: string;
  readonly disk: Disk;
  readonly clock: Clock;
  readonly random: Random;
  readonly report: (line: LedgerReport) => void;
  /** Called with what leaves the journal, before it goes; must be durable when it resolves. */
  readonly archiving?: (segment: ArchivingSegment) => Promise<void>;
  /** Archiving met something that trying again doesn't mend: nothing more may be committed. */
  readonly failed?: (reason: string) => void;
  readonly segmentBytesMax?: number;
  readonly segmentAgeMsMax?: number;
}

/** @throws LedgerError `locked` when another process has it open */
export async function openFilesDriver(options: FilesDriverOptions): Promise<StorageDriver> {
  const { disk, dir, workDir } = options;
  await disk.makeDirectory(`${dir}/journal`);
  await disk.makeDirectory(`${workDir}/tmp`);
  const lock = await disk.lock(`${dir}/lock`);
  if (lock === undefined) {
    throw new LedgerError(
      'locked',
      `another process writes the ledger in ${dir}; stop it, or give this one a data directory of its own`,
    );
  }
  try {
    const { report } = options;
    return new FilesDriver(
      options,
      lock,
      await recoverFiles({ disk, dir, workDir, nowMs: options.clock.now(), report }),
    );
  } catch (error) {
    lock.release();
    throw error;
  }
}

class FilesDriver implements StorageDriver {
  readonly #options: FilesDriverOptions;
  readonly #disk: Disk;
  readonly #dir: string;
  readonly #lock: DiskLock;
  readonly #journal: Journal;
  readonly #logs: Map<string, FilesLog>;
  readonly #merged: MergedBlocks = new MergedBlocks(mergedBytesMax);
  readonly fault: string | undefined;
  #manifest: Manifest;
  /** Complete segments, oldest first, not archived yet. */
  readonly #complete: Segment[];
  #archiving: Promise<void> = Promise.resolve();
  /** Larger blocks of steps that have ended, on their way. */
  #merging: Promise<void> = Promise.resolve();
  #archivingFailed = false;
  readonly #checkpoints: StoredCheckpoints;
  #nextGroup: number;

  constructor(options: FilesDriverOptions, lock: DiskLock, recovered: RecoveredFiles) {
    this.#options = options;
    this.#disk = options.disk;
    this.#dir = options.dir;
    this.#lock = lock;
    this.#checkpoints = new StoredCheckpoints(options.disk, options.dir, `${options.workDir}/tmp`);
    this.#journal = new Journal(options.disk, `${options.dir}/journal`, options.random);
    this.#logs = recovered.logs;
    this.fault = recovered.fault;
    this.#manifest = recovered.manifest;
    this.#complete = recovered.segments;
    this.#nextGroup = recovered.nextGroup;
  }

  get nextGroup(): number {
    return this.#nextGroup;
  }

  get journalBytes(): number {
    return this.#complete.reduce((sum, segment) => sum + segment.bytes, this.#journal.current?.bytes ?? 0);
  }

  get files(): LedgerFiles {
    return this.#disk;
  }

  tenants(): ReadonlyMap<string, StoredLog> {
    return new Map(
      [...this.#manifest.tenants].map(([tenant, { origin, leaf, size }]) => [
        tenant,
        { origin, ...(leaf === undefined ? {} : { leafType: leaf }), archivedSize: size },
      ]),
    );
  }

  newestEpoch(tenant: string): number {
    const log = this.#manifest.tenants.get(tenant);
    return (log === undefined ? [] : blockFilesOf(log)).reduce((newest, { epoch }) => Math.max(newest, epoch), 0);
  }

  async addTenant(tenant: string, log: Parameters<StorageDriver['addTenant']>[1]): Promise<void> {
    if (this.#logs.has(tenant)) return;
    const dir = `${this.#dir}/${tenant}`;
    if ((checkpointSize(await this.checkpoint(tenant)) ?? 0) > 0) {
      throw new LedgerError(
        'corrupt',
        `ledger/${tenant} holds a log that the manifest does not name; restore the manifest, or move the directory away`,
      );
    }
    for (const folder of ['blocks', 'commitments', 'seals', 'seeds', 'tile'])
      await this.#disk.makeDirectory(`${dir}/${folder}`);
    await this.#disk.replace(`${dir}/vkey`, Buffer.from(`${log.vkey}\n`), {
      temporary: `${this.#tmp()}/vkey-${tenant}`,
    });
    await this.#disk.replace(`${dir}/checkpoint`, Buffer.from(log.checkpoint), {
      temporary: `${this.#tmp()}/checkpoint-${tenant}`,
    });
    for (const { name, bytes } of log.documents ?? []) await this.putDocument(tenant, name, bytes);
    await this.#disk.syncDirectory(this.#dir);
    const { origin } = log;
    const opened = await FilesLog.open({ disk: this.#disk, dir, tmpDir: this.#tmp(), origin, archivedSize: 0 });
    // Archiving replaces the manifest too: one after the other.
    const done = this.#archiving.then(async () => {
      if (this.#logs.has(tenant)) return;
      const tenants = new Map(this.#manifest.tenants).set(tenant, {
        origin,
        ...(log.leafType === 2 ? { leaf: 2 } : {}),
        size: 0,
        files: new Map(),
      });
      const manifest: Manifest = { group: this.#manifest.group, tenants };
      await this.#putManifest(manifest, encodeManifest(manifest));
      this.#logs.set(tenant, opened);
    });
    this.#archiving = done.catch(() => undefined);
    await done;
  }

  async commit(group: Group, encoded: EncodedGroup): Promise<void> {
    for (const { tenant } of group.tenants)
      if (this.#checkpoints.isLong(tenant)) await this.#checkpoints.reserve(tenant);
    const { segment, position } = await this.#journal.append(
      group.number,
      encoded.bytes,
      this.#options.clock.monotonicMs(),
    );
    this.#nextGroup = group.number + 1;
    for (const [at, part] of group.tenants.entries()) {
      const positions = (encoded.blockPositions[at] ?? []).map((from) => position + from);
      this.#log(part.tenant).add(part, positions, segment.path);
    }
  }

  checkpoint(tenant: string): Promise<string | undefined> {
    return readCheckpoint(this.#disk, this.#dir, tenant);
  }

  putCheckpoint(tenant: string, text: string): Promise<void> {
    return this.#checkpoints.put(tenant, text);
  }

  async cosigned(tenant: string): Promise<string | undefined> {
    const bytes = await this.#disk.readFile(`${this.#dir}/${tenant}/cosigned`);
    return bytes === undefined ? undefined : Buffer.from(bytes).toString('utf8');
  }

  async putCosigned(tenant: string, text: string): Promise<void> {
    await this.#disk.replace(`${this.#dir}/${tenant}/cosigned`, Buffer.from(text), {
      temporary: `${this.#tmp()}/cosigned-${tenant}`,
    });
  }

  timestamps(tenant: string): Promise<readonly string[]> {
    return this.#disk.list(`${this.#dir}/${tenant}/timestamps`);
  }

  timestamp(tenant: string, name: string): Promise<Uint8Array | undefined> {
    return this.#disk.readFile(`${this.#dir}/${tenant}/timestamps/${name}`);
  }

  async putTimestamp(tenant: string, name: string, bytes: Uint8Array): Promise<void> {
    const dir = `${this.#dir}/${tenant}/timestamps`;
    await this.#disk.makeDirectory(dir);
    await this.#disk.replace(`${dir}/${name}`, bytes, { temporary: `${this.#tmp()}/timestamp-${tenant}` });
  }

  async vkey(tenant: string): Promise<string | undefined> {
    const bytes = await this.#disk.readFile(`${this.#dir}/${tenant}/vkey`);
    return bytes === undefined ? undefined : Buffer.from(bytes).toString('utf8').replace(/\n$/, '');
  }

  async putSeed(tenant: string, name: string, bytes: Uint8Array): Promise<void> {
    await this.#disk.replace(`${this.#dir}/${tenant}/seeds/${name}`, bytes, {
      temporary: `${this.#tmp()}/seed-${tenant}-${name}`,
    });
  }

  async seeds(tenant: string): Promise<readonly string[]> {
    return (await this.#disk.list(`${this.#dir}/${tenant}/seeds`)).filter((name) => !name.endsWith('/'));
  }

  seed(tenant: string, name: string): Promise<Uint8Array | undefined> {
    return this.#disk.readFile(`${this.#dir}/${tenant}/seeds/${name}`);
  }

  removeSeed(tenant: string, name: string): Promise<void> {
    return this.removeDocument(tenant, `seeds/${name}`);
  }

  async putDocument(tenant: string, name: string, bytes: Uint8Array): Promise<void> {
    const path = `${this.#dir}/${tenant}/${name}`;
    await this.#disk.makeDirectory(dirname(path));
    if (name === 'checkpoint') this.#checkpoints.note(tenant, bytes.length);
    // A temporary file each: a seal, a hold and a statement on a key may be under way at once.
    const temporary = `${this.#tmp()}/document-${tenant}-${name.replaceAll('/', '-')}`;
    await this.#disk.replace(path, bytes, { temporary });
  }

  document(tenant: string, name: string): Promise<Uint8Array | undefined> {
    return this.#disk.readFile(`${this.#dir}/${tenant}/${name}`);
  }

  documents(tenant: string, folder: string): Promise<string[]> {
    return this.#disk.list(`${this.#dir}/${tenant}/${folder}`);
  }

  async removeDocument(tenant: string, name: string): Promise<void> {
    const path = `${this.#dir}/${tenant}/${name}`;
    await this.#disk.remove(path);
    await this.#disk.syncDirectory(dirname(path));
  }

  units(tenant: string): readonly StoredUnit[] {
    const log = this.#manifest.tenants.get(tenant);
    return log === undefined ? [] : unitsOf(log, `${this.#dir}/${tenant}`);
  }

  async dropUnit(tenant: string, unit: Unit): Promise<void> {
    const { blocks } = this.#log(tenant);
    // Archiving replaces the manifest too: one after the other.
    const done = this.#archiving.then(async () => {
      const rest = withoutUnit(this.#manifest, tenant, unit);
      if (rest !== undefined) await this.#putManifest(rest, encodeManifest(rest));
      const forget = (paths: ReadonlySet<string>): void => blocks.dropFiles(unit.retentionClass, paths);
      await removeUnitFiles(this.#disk, `${this.#dir}/${tenant}`, unit, forget);
    });
    this.#archiving = done.catch(() => undefined);
    await done;
  }

  async replay(visit: (group: ParsedGroup) => void): Promise<void> {
    for (const segment of this.#complete) {
      const bytes = (await this.#disk.readFile(segment.path)) ?? new Uint8Array(0);
      const mask = groupMaskOf(bytes);
      for (let at = segmentHeaderBytes; at < segment.bytes; ) {
        const group = parseGroup(bytes, at, mask);
        visit(group);
        at = group.end;
      }
    }
  }

  commitments(tenant: string, from: number, count: number): Promise<Uint8Array> {
    return this.#log(tenant).commitments(from, count, this.#manifest.tenants.get(tenant)?.size ?? 0);
  }

  tileNode(tenant: string, level: number, n: number): Promise<Uint8Array> {
    return this.#log(tenant).tiles.get(level, n);
  }

  addTileNodes(tenant: string, nodes: readonly TileNode[]): void {
    this.#log(tenant).tiles.add(nodes);
  }

  blocks(tenant: string): BlockIndex {
    return this.#log(tenant).blocks;
  }

  async endStep(step: FinishedStep): Promise<void> {
    this.#awaitMerged(step.merged);
    const current = this.#journal.current;
    if (current === undefined) return;
    const bytesMax = this.#options.segmentBytesMax ?? segmentBytesMax;
    const ageMs = this.#options.clock.monotonicMs() - current.openedMs;
    if (current.bytes < bytesMax && ageMs < (this.#options.segmentAgeMsMax ?? segmentAgeMsMax)) return;
    await this.#roll();
    this.#archiveLater();
  }

  archived(): Promise<void> {
    return this.#archiving;
  }

  #awaitMerged(merged: FinishedStep['merged']): void {
    const before = this.#merging;
    this.#merging = (async () => {
      await before;
      for (const block of await merged) this.#merged.add(block);
    })();
    // Archiving waits for it and is told; until then a failure is nobody's.
    this.#merging.catch(() => undefined);
  }

  async archive(): Promise<void> {
    await this.#roll();
    this.#archiveLater();
    await this.#archiving;
  }

  async #roll(): Promise<void> {
    const segment = await this.#journal.roll();
    if (segment !== undefined && segment.lastGroup >= segment.firstGroup) this.#complete.push(segment);
  }

  /**
   * Archiving runs beside commits. When there is no room the journal stays as it is, and the next end of a step tries again; any other
   * failure is one of the disk or of our own files, and the end of writing.
   */
  #archiveLater(): void {
    if (this.fault !== undefined || this.#archivingFailed) return;
    this.#archiving = this.#archiving.then(async () => {
      if (this.#archivingFailed) return;
      try {
        for (let segment = this.#complete[0]; segment !== undefined; segment = this.#complete[0]) {
          await this.#merging;
          await this.#archiveSegment(segment);
          this.#complete.shift();
        }
      } catch (error) {
        const message = error instanceof Error ? error.message : String(error);
        if (isHarmless(error)) {
          this.#options.report({
            level: 'error',
            message: `archiving failed and will be tried again; nothing is lost: ${message}`,
          });
          return;
        }
        this.#archivingFailed = true;
        this.#options.failed?.(`archiving failed (${message}); nothing is lost: restart, and run watchglass verify`);
      }
    });
  }

  async #archiveSegment(segment: Segment): Promise<void> {
    // Archived already, when only its removal had failed.
    if (segment.lastGroup >= this.#manifest.group) {
      const archiving = new Archiving(this.#disk, this.#dir, this.#manifest, this.#merged);
      try {
        await this.#moveToArchive(segment, archiving);
      } catch (error) {
        await archiving.abandon();
        throw error;
      }
    }
    await this.#disk.remove(segment.path);
    await this.#disk.syncDirectory(`${this.#dir}/journal`);
  }

  async #moveToArchive(segment: Segment, archiving: Archiving): Promise<void> {
    const { firstGroup, lastGroup } = segment;
    await readGroups(this.#disk, segment, (group) => archiving.add(group));
    const ids = archiving.ids();
    for (const { tenant } of ids) {
      await this.#syncCheckpoint(tenant);
      await this.#log(tenant).tiles.writeFull(archiving.sizeOf(tenant));
    }
    await this.#options.archiving?.({ firstGroup, lastGroup, receivedMs: archiving.receivedMs, ids });
    const { manifest, encoded, files } = await archiving.finish(lastGroup + 1);
    await this.#putManifest(manifest, encoded);
    for (const { tenant, retentionClass, name, bytes } of files) {
      await this.#log(tenant).blocks.addFile(retentionClass, `${this.#dir}/${tenant}/${name}`, bytes);
    }
    for (const { tenant } of ids) this.#log(tenant).archived(archiving.sizeOf(tenant));
    for (const { tenant, retentionClass, first } of archiving.blocks) this.#merged.drop(tenant, retentionClass, first);
  }

  /** Archiving reads only what a stored checkpoint covers, and stored means durable here: a checkpoint behind the manifest would be a finding. */
  async #syncCheckpoint(tenant: string): Promise<void> {
    const file = await this.#disk.open(`${this.#dir}/${tenant}/checkpoint`, 'append');
    try {
      await file.datasync();
    } finally {
      await file.close();
    }
    await this.#disk.syncDirectory(`${this.#dir}/${tenant}`);
  }

  async #putManifest(manifest: Manifest, encoded: Uint8Array): Promise<void> {
    const path = `${this.#dir}/manifest`;
    try {
      await this.#disk.replace(path, encoded, { temporary: `${this.#tmp()}/manifest` });
    } catch (cause) {
      const stored = await this.#disk.readFile(path);
      if (stored !== undefined && Buffer.compare(stored, encodeManifest(this.#manifest)) === 0) throw cause;
      // It counts bytes that trying again would write over.
      this.#archivingFailed = true;
      const reason =
        'the manifest was replaced and may not be durable; nothing is lost: restart, and run watchglass verify';
      this.#options.failed?.(reason);
      throw new LedgerError('read-only', reason, {}, cause);
    }
    this.#manifest = manifest;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#archiving;
    await this.#merging.catch(() => undefined);
    try {
      await this.#journal.roll();
    } finally {
      this.#lock.release();
    }
  }

  #tmp(): string {
    return `${this.#options.workDir}/tmp`;
  }

  #log(tenant: string): FilesLog {
    const log = this.#logs.get(tenant);
    if (log === undefined)
      throw new LedgerError('unknown-tenant', `there is no log of ${tenant} here; add the tenant first`);
    return log;
  }
}
