/**
 * Opens the ledger of a data directory: storage, keys, recovery, then the sequencer. The promises are those of ledger.ts.
 *
 * What recovery finds wrong never stops the process: the ledger is then read-only and says why, and what can be read is
 * read. Only a second process on the same directory is refused outright.
 */
import { dirname } from 'node:path';
import {
  decode,
  Frontier,
  formatVerifierKey,
  leafDataOf,
  leafHashOf,
  parseTilePath,
  type RetentionClass,
  type TenantId,
  type TilePath,
} from '@watchglass/record';
import { type Kek, StepKeys, seedFileName, wrapSeed } from '@watchglass/record/reader';
import type { Disk } from '../world/disk.ts';
import type { Timer, World } from '../world/world.ts';
import { EmitterCoverage } from './emitter-coverage.ts';
import { assertBatch, encodeBatch } from './encoded-batch.ts';
import { LedgerError } from './errors.ts';
import { failStopDisk } from './fail-stop-disk.ts';
import { openFilesDriver } from './files-driver.ts';
import { IdWindow } from './id-window.ts';
import { openCheckpointKey, openKek } from './key-files.ts';
import { KnownIds } from './known-ids.ts';
import type {
  Appended,
  AppendedBatch,
  AppendItem,
  EmitterStatus,
  EncodedBatch,
  Ledger,
  LedgerReport,
  LedgerState,
  LedgerStatistics,
  OpenLedgerOptions,
  Receipt,
  StoredEntry,
} from './ledger.ts';
import { addLog, type LedgerPlace, recoverLogs } from './ledger-recovery.ts';
import { coverageFacts, heartbeatFacts, type OwnFacts, ownItem } from './own-events.ts';
import { RecentRecords } from './recent-records.ts';
import { Sequencer } from './sequencer.ts';
import type { ArchivingSegment, StorageDriver } from './storage.ts';
import { type Head, signHead, type TenantLog } from './tenant-log.ts';
import type { TreeReader } from './tree-reader.ts';

const idEntriesMaxUsual = 1_048_576;
const idAgeMsMax = 7 * 24 * 3_600_000;
const recentBytesMax = 12 * 1024 * 1024;
const readBytesMax = 4 * 1024 * 1024;
const tickMs = 5_000;
const heartbeatMsUsual = 5 * 60_000;
const gapMsUsual = 30_000;

/** @throws LedgerError `locked` */
export async function openLedger(options: OpenLedgerOptions): Promise<Ledger> {
  const ledger = new OpenedLedger(options);
  await ledger.start();
  return ledger;
}

class OpenedLedger implements Ledger {
  readonly #options: OpenLedgerOptions;
  readonly #world: World;
  readonly #disk: Disk;
  readonly #report: (line: LedgerReport) => void;
  readonly #logs: Map<string, TenantLog> = new Map();
  readonly #trees: Map<string, TreeReader> = new Map();
  readonly #ids: KnownIds;
  readonly #window: IdWindow;
  readonly #recent: RecentRecords = new RecentRecords(recentBytesMax);
  readonly #timers: Timer[] = [];
  /** Own events are appended one at a time: their sequence has no holes. */
  #own: Promise<void> = Promise.resolve();
  #adding: Promise<void> = Promise.resolve();
  #driver!: StorageDriver;
  #sequencer!: Sequencer;
  #kek!: Kek;
  #state: LedgerState = { kind: 'writable' };
  #closing: Promise<void> | undefined;

  constructor(options: OpenLedgerOptions) {
    this.#options = options;
    this.#world = options.world;
    this.#report = options.report ?? (() => undefined);
    const entriesMax = options.idEntriesMax ?? idEntriesMaxUsual;
    this.#ids = new KnownIds(entriesMax, idAgeMsMax, options.world.random);
    this.#disk = failStopDisk(options.world.disk, (reason) => this.#goReadOnly(reason));
    const dir = `${dirname(options.dir)}/dedupe`;
    this.#window = new IdWindow({ disk: this.#disk, dir, ageMsMax: idAgeMsMax, entriesMax });
  }

  get state(): LedgerState {
    return this.#state;
  }

  get kek(): Kek {
    return this.#kek;
  }

  async start(): Promise<void> {
    const { dir } = this.#options;
    this.#driver = await openFilesDriver({
      dir,
      workDir: dirname(dir),
      disk: this.#disk,
      clock: this.#world.clock,
      report: this.#report,
      archiving: (segment) => this.#remember(segment),
      failed: (reason) => this.#goReadOnly(reason),
      ...(this.#options.segmentBytesMax === undefined ? {} : { segmentBytesMax: this.#options.segmentBytesMax }),
    });
    try {
      this.#kek = await this.#openKek();
      const fault = await recoverLogs(this.#place());
      if (fault !== undefined) this.#goReadOnly(fault);
    } catch (error) {
      await this.#driver[Symbol.asyncDispose]();
      throw error;
    }
    this.#sequencer = new Sequencer({
      world: this.#world,
      driver: this.#driver,
      ids: this.#ids,
      recent: this.#recent,
      makeSeed: (log, retentionClass, epoch, writer) => this.#makeSeed(log, retentionClass, epoch, writer),
      digestOf: (log, index) => this.#digestOf(log, index),
      failed: (reason) => this.#goReadOnly(reason),
    });
    this.#sequencer.lastCommittedGroup = this.#driver.nextGroup - 1;
    this.#timers.push(this.#world.clock.every(tickMs, () => this.#tick()));
    // What an earlier process left in the journal; nothing waits for it.
    if (this.#state.kind === 'writable') this.#own = this.#driver.archive();
  }

  /** Made only where there is no ledger yet: where its files are at fault nobody knows what was sealed under it. */
  async #openKek(): Promise<Kek> {
    const { fault } = this.#driver;
    const isNew = fault === undefined && this.#driver.tenants().size === 0;
    try {
      return await openKek(this.#keysWorld(), this.#options.keysDir, isNew);
    } catch (error) {
      throw fault === undefined ? error : new LedgerError('read-only', fault, {}, error);
    }
  }

  /** Keys are written by the same rule as the ledger: not after the disk has failed. */
  #keysWorld(): World {
    return { ...this.#world, disk: this.#disk };
  }

  #place(): LedgerPlace {
    return {
      world: this.#keysWorld(),
      keysDir: this.#options.keysDir,
      driver: this.#driver,
      kek: this.#kek,
      ids: this.#ids,
      window: this.#window,
      report: this.#report,
      logs: this.#logs,
      trees: this.#trees,
    };
  }

  #goReadOnly(reason: string): void {
    if (this.#state.kind === 'read-only') return;
    this.#state = { kind: 'read-only', reason };
    this.#report({ level: 'error', message: `the ledger is read-only: ${reason}` });
  }

  // Writing

  tenants(): readonly TenantId[] {
    return [...this.#logs.values()].map(({ tenant }) => tenant).sort();
  }

  addTenant(tenant: TenantId): Promise<void> {
    const added = this.#adding.then(() => this.#add(tenant));
    this.#adding = added.catch(() => undefined);
    return added;
  }

  async #add(tenant: TenantId): Promise<void> {
    this.#assertOpen();
    if (this.#logs.has(tenant)) return;
    this.#assertWritable();
    if (isReservedName(tenant)) {
      throw new LedgerError(
        'unknown-tenant',
        `no tenant can be called ${tenant}: the ledger has a file of that name; choose another`,
      );
    }
    const origin = `${this.#options.originBase}/${tenant}`;
    const signer = await openCheckpointKey(this.#keysWorld(), this.#options.keysDir, tenant, origin, true);
    const vkey = formatVerifierKey(signer);
    const frontier = new Frontier();
    const head: Head = { size: 0, root: frontier.root(), checkpoint: signHead(signer, origin, 0, frontier.root()) };
    await this.#driver.addTenant(tenant, { origin, vkey, checkpoint: head.checkpoint });
    addLog(this.#place(), {
      tenant,
      origin,
      signer,
      vkey,
      coverage: new EmitterCoverage(false),
      frontier,
      head,
      epoch: 0,
    });
  }

  async append(tenant: TenantId, items: readonly AppendItem[]): Promise<Appended> {
    const log = this.#writable(tenant);
    if (items.length === 0) return { receipts: [], checkpoint: log.head.checkpoint };
    const result = await this.#sequencer.append(log, encodeBatch(tenant, items));
    const receipts: Receipt[] = [];
    let fresh = 0;
    for (const [i, { event }] of items.entries()) {
      const index = result.indexes[i] as number;
      const duplicate = result.duplicates[i] !== 0;
      const leaf = duplicate
        ? await this.#leafHash(log, index)
        : result.leafHashes.subarray(fresh * 32, fresh * 32 + 32);
      if (!duplicate) fresh++;
      receipts.push({ id: event.id, index, leaf, duplicate });
    }
    return { receipts, checkpoint: log.head.checkpoint };
  }

  async appendEncoded(tenant: TenantId, batch: EncodedBatch): Promise<AppendedBatch> {
    const log = this.#writable(tenant);
    assertBatch(batch);
    const { indexes, duplicates, leafHashes } = await this.#sequencer.append(log, batch);
    return { indexes, duplicates, leafHashes, checkpoint: log.head.checkpoint };
  }

  async #leafHash(log: TenantLog, index: number): Promise<Uint8Array> {
    return leafHashOf(await this.#driver.commitments(log.tenant, index, 1));
  }

  #writable(tenant: TenantId): TenantLog {
    this.#assertOpen();
    this.#assertWritable();
    return this.#log(tenant);
  }

  #assertWritable(): void {
    if (this.#state.kind === 'read-only')
      throw new LedgerError('read-only', `the ledger takes no appends: ${this.#state.reason}`);
  }

  #assertOpen(): void {
    if (this.#closing !== undefined) throw new LedgerError('closed', 'the ledger was closed');
  }

  async #makeSeed(log: TenantLog, retentionClass: RetentionClass, epoch: number, writer: Uint8Array): Promise<void> {
    const seed = this.#world.random.bytes(32);
    const file = await wrapSeed(seed, { origin: log.origin, retentionClass, epoch, writer }, this.#kek);
    await this.#driver.putSeed(log.tenant, seedFileName(retentionClass, epoch, writer), file);
    log.keys.set(`${retentionClass} ${epoch}`, new StepKeys(seed));
    // Keys of earlier epochs are needed by steps that began before; nothing new is sealed under them.
    for (const [name, keys] of log.keys) {
      if (Number(name.split(' ')[1]) < epoch - 1) {
        keys.erase();
        log.keys.delete(name);
      }
    }
  }

  async #digestOf(log: TenantLog, index: number): Promise<Uint8Array> {
    const { m } = await log.records.open(index);
    return Buffer.from(decode(m).digest.slice(0, 16), 'hex');
  }

  async #remember(segment: ArchivingSegment): Promise<void> {
    const tenants = new Map([...this.#logs.values()].map((log) => [log.tenant as string, log.coverage.snapshot()]));
    await this.#window.remember(segment, {
      group: Math.max(this.#sequencer.lastCommittedGroup, segment.lastGroup),
      tenants,
    });
  }

  // Events of its own

  #tick(): void {
    if (this.#state.kind !== 'writable' || this.#closing !== undefined) return;
    this.#sequencer.tick();
    const nowMs = this.#world.clock.now();
    const heartbeatMs = this.#options.heartbeatMs ?? heartbeatMsUsual;
    for (const log of this.#logs.values()) {
      for (const note of log.coverage.takeNotes(nowMs, this.#options.gapMs ?? gapMsUsual))
        this.#appendOwn(
          log,
          () => coverageFacts(note),
          () => log.coverage.giveBack(note),
        );
      // By the clock that never steps back: one that does must not silence a log.
      const monotonicMs = this.#world.clock.monotonicMs();
      if (heartbeatMs > 0 && monotonicMs - log.lastEventMs >= heartbeatMs) {
        // Not again at the next tick, whatever becomes of this one.
        log.lastEventMs = monotonicMs;
        this.#heartbeat(log);
      }
    }
  }

  #heartbeat(log: TenantLog): void {
    let told = { received: 0, refused: 0 };
    this.#appendOwn(
      log,
      () => {
        const facts = heartbeatFacts(log);
        told = { received: log.received, refused: log.refused };
        log.received = 0;
        log.refused = 0;
        return facts;
      },
      () => {
        // What could not be told now is told by the next one.
        log.received += told.received;
        log.refused += told.refused;
      },
    );
  }

  #appendOwn(log: TenantLog, facts: () => OwnFacts, notStored: () => void = () => undefined): void {
    const emitterId = this.#options.emitterId ?? 'ledger';
    this.#own = this.#own.then(async () => {
      if (this.#closing !== undefined || this.#state.kind !== 'writable') return;
      try {
        await this.append(log.tenant, [
          ownItem(facts(), log, emitterId, log.coverage.lastSeq(emitterId) + 1, this.#world),
        ]);
      } catch (error) {
        notStored();
        this.#report({
          level: 'warn',
          message: `an event of the ledger's own was not stored: ${error instanceof Error ? error.message : String(error)}`,
        });
      }
    });
  }

  // Reading

  head(tenant: TenantId): { size: number; root: Uint8Array; checkpoint: string } {
    return this.#log(tenant).head;
  }

  vkey(tenant: TenantId): string {
    return this.#log(tenant).vkey;
  }

  async read(tenant: TenantId, from: number, max: number): Promise<readonly StoredEntry[]> {
    const log = this.#log(tenant);
    const end = log.head.size;
    if (from >= end || max <= 0) return [];
    return this.#recent.read(tenant, from, end, max, readBytesMax) ?? log.records.read(from, end, max, readBytesMax);
  }

  async open(tenant: TenantId, index: number): Promise<{ r: Uint8Array; m: Uint8Array; leaf: Uint8Array }> {
    const log = this.#log(tenant);
    assertIndex(index, log.head.size);
    const { r, m } = await log.records.open(index);
    return { r, m, leaf: leafDataOf(await this.#driver.commitments(tenant, index, 1)) };
  }

  async prove(tenant: TenantId, index: number): Promise<{ index: number; hashes: Uint8Array[]; checkpoint: string }> {
    const { head } = this.#log(tenant);
    assertIndex(index, head.size);
    return { index, hashes: await this.#tree(tenant).prove(index, head.size), checkpoint: head.checkpoint };
  }

  async resource(tenant: TenantId, path: string): Promise<Uint8Array | undefined> {
    const log = this.#logs.get(tenant);
    if (log === undefined) return undefined;
    if (path === 'checkpoint') return log.head.checkpoint === '' ? undefined : Buffer.from(log.head.checkpoint);
    if (path === 'vkey') return Buffer.from(`${log.vkey}\n`);
    let tile: TilePath;
    try {
      tile = parseTilePath(path);
    } catch {
      return undefined;
    }
    return this.#tree(tenant).tile(tile, log.head.size);
  }

  grown(tenant: TenantId, size: number, signal: AbortSignal): Promise<void> {
    const log = this.#log(tenant);
    if (log.head.size > size) return Promise.resolve();
    return new Promise((resolve, reject) => {
      if (signal.aborted) return reject(signal.reason);
      if (this.#closing !== undefined) return reject(new LedgerError('closed', 'the ledger was closed'));
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

  countRefused(tenant: TenantId, count: number): void {
    const log = this.#logs.get(tenant);
    if (log !== undefined) log.refused += count;
  }

  emitters(tenant: TenantId): readonly EmitterStatus[] {
    return this.#log(tenant).coverage.status();
  }

  statistics(): LedgerStatistics {
    const { groups, events, duplicates, queuedEvents, queuedBytes, lastSyncMs } = this.#sequencer;
    return {
      groups,
      events,
      duplicates,
      queuedEvents,
      queuedBytes,
      lastSyncMs,
      journalBytes: this.#driver.journalBytes,
    };
  }

  #log(tenant: TenantId): TenantLog {
    const log = this.#logs.get(tenant);
    if (log === undefined)
      throw new LedgerError('unknown-tenant', 'the tenant has no log here; add it to the configuration of this server');
    return log;
  }

  #tree(tenant: string): TreeReader {
    return this.#trees.get(tenant) as TreeReader;
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  /** What was taken is stored; the journal is archived, so that at rest the manifest says everything. */
  async #close(): Promise<void> {
    for (const timer of this.#timers) timer.cancel();
    try {
      // A tenant that is being added writes files too: no other process may begin before.
      await this.#adding;
      await this.#own;
      await this.#sequencer.stop(new LedgerError('closed', 'the ledger was closed'));
      if (this.#state.kind === 'writable') await this.#driver.archive();
    } finally {
      await this.#driver[Symbol.asyncDispose]();
      for (const log of this.#logs.values()) {
        for (const keys of log.keys.values()) keys.erase();
        for (const waiter of [...log.waiting]) waiter.closed();
      }
    }
  }
}

/** Names under `ledger/` that are no log's (docs/format.md, "Archive"). */
function isReservedName(tenant: string): boolean {
  return tenant === 'journal' || tenant === 'manifest' || tenant === 'lock';
}

function assertIndex(index: number, size: number): void {
  if (!Number.isSafeInteger(index) || index < 0 || index >= size) {
    throw new LedgerError('not-found', `expected an index below the size ${size} of the log, got ${index}`);
  }
}
