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
  type LeafType,
  leafHashOf,
  parseSuccession,
  RecordError,
  type Rotation,
  type Signer,
  type TenantId,
} from '@watchglass/record';
import type { Keyrings } from '@watchglass/record/reader';
import type { Disk } from '../world/disk.ts';
import type { Timer, World } from '../world/world.ts';
import { openCheckpointKeys } from './checkpoint-keys.ts';
import { assertNewer, openCosigned } from './cosigned.ts';
import { EmitterCoverage } from './emitter-coverage.ts';
import { assertBatch, encodeBatch } from './encoded-batch.ts';
import { OpenedEnding } from './ending.ts';
import { epochOf } from './epoch.ts';
import { LedgerError } from './errors.ts';
import { failStopDisk } from './fail-stop-disk.ts';
import { openFilesDriver } from './files-driver.ts';
import { IdWindow } from './id-window.ts';
import { openStoredKeyrings } from './kek/open-keyrings.ts';
import type { WrappedFile } from './kek/wrapped-file.ts';
import { KnownIds } from './known-ids.ts';
import type {
  Appended,
  AppendedBatch,
  AppendItem,
  EncodedBatch,
  KeyChange,
  Ledger,
  LedgerReport,
  LedgerState,
  LedgerStatistics,
  OpenLedgerOptions,
  Receipt,
} from './ledger.ts';
import { addLog, assertNotSucceeding, type LedgerPlace, recoverLogs, sealPlaceOf } from './ledger-recovery.ts';
import { overlapEndedFacts, successionEvent } from './own-events.ts';
import { OwnRounds } from './own-rounds.ts';
import { OwnWriter } from './own-writer.ts';
import { ReadableLedger } from './readable-ledger.ts';
import { RecordingWatch } from './recording-watch.ts';
import { assertChange, changeKeys } from './rotate-key.ts';
import { LogSeals } from './sealing.ts';
import { asLedgerFault, SeedMaker } from './seed-maker.ts';
import { type Sequenced, Sequencer } from './sequencer.ts';
import { repeatable } from './shred-events.ts';
import { type ArchivingSegment, isReservedName } from './storage.ts';
import { type Head, signHead, type TenantLog } from './tenant-log.ts';
import { wrappedSeedsOf } from './wrapped-seeds.ts';

const idEntriesMaxUsual = 1_048_576;
const idAgeMsMax = 7 * 24 * 3_600_000;
const tickMs = 5_000;

/** @throws LedgerError `locked` */
export async function openLedger(options: OpenLedgerOptions): Promise<Ledger> {
  const ledger = new OpenedLedger(options);
  await ledger.start();
  return ledger;
}

class OpenedLedger extends ReadableLedger implements Ledger {
  readonly #options: OpenLedgerOptions;
  readonly #world: World;
  readonly #disk: Disk;
  readonly #report: (line: LedgerReport) => void;
  readonly #ids: KnownIds;
  readonly #window: IdWindow;
  readonly #timers: Timer[] = [];
  #adding: Promise<void> = Promise.resolve();
  #sequencer!: Sequencer;
  #keyrings!: Keyrings;
  #own!: OwnWriter;
  #watch!: RecordingWatch;
  #rounds!: OwnRounds;
  #seeds!: SeedMaker;
  #ending!: OpenedEnding;
  #state: LedgerState = { kind: 'writable' };

  constructor(options: OpenLedgerOptions) {
    super();
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

  get keyrings(): Keyrings {
    return this.#keyrings;
  }

  wrappedSeeds(tenant: TenantId): Promise<readonly WrappedFile[]> {
    return wrappedSeedsOf(this.driver, this.log(tenant), { disk: this.#disk, ledgerDir: this.#options.dir });
  }

  get ending(): OpenedEnding {
    return this.#ending;
  }

  async start(): Promise<void> {
    const { dir } = this.#options;
    if (this.#options.isSuccession !== true) await assertNotSucceeding(this.#disk, dir);
    this.driver = await openFilesDriver({
      dir,
      workDir: dirname(dir),
      disk: this.#disk,
      clock: this.#world.clock,
      random: this.#world.random,
      report: this.#report,
      archiving: (segment) => this.#remember(segment),
      failed: (reason) => this.#goReadOnly(reason),
      ...(this.#options.segmentBytesMax === undefined ? {} : { segmentBytesMax: this.#options.segmentBytesMax }),
    });
    try {
      // Looked at again under the lock: whoever left the ledger had it meanwhile.
      if (this.#options.isSuccession !== true) await assertNotSucceeding(this.#disk, dir);
      this.#keyrings = await this.#openKeyrings();
      const fault = await recoverLogs(this.#place());
      if (fault !== undefined) this.#goReadOnly(fault);
      if (this.#options.sealAtStart !== false) await this.#sealEnded();
    } catch (error) {
      await this.driver[Symbol.asyncDispose]();
      throw error;
    }
    const seeds = new SeedMaker({ world: this.#world, driver: this.driver, keyrings: this.#keyrings });
    this.#seeds = seeds;
    this.#sequencer = new Sequencer({
      world: this.#world,
      driver: this.driver,
      ids: this.#ids,
      recent: this.recent,
      makeSeed: (log, retentionClass, epoch, writer) => seeds.make(log, retentionClass, epoch, writer),
      digestOf: (log, index) => this.#digestOf(log, index),
      failed: (reason) => this.#goReadOnly(reason),
    });
    this.#ending = new OpenedEnding({
      world: this.#world,
      driver: this.driver,
      keyrings: this.#keyrings,
      keys: this.#options.keyEnding,
      dir,
      logs: this.logs,
      writable: (tenant) => this.#writable(tenant),
      record: async (log, facts, about) => {
        const index = await this.#own.record(log, facts, repeatable(facts, about));
        const { r, m } = await log.records.open(index);
        return { index, r, m: Uint8Array.from(m) };
      },
      forgetIndex: this.#options.forgetIndex,
      forgetRecords: ({ tenant, records }) => {
        records.forget();
        this.recent.forget(tenant);
      },
      report: this.#report,
    });
    this.#sequencer.lastCommittedGroup = this.driver.nextGroup - 1;
    this.#own = new OwnWriter({
      world: this.#world,
      driver: this.driver,
      disk: this.#disk,
      sealingDir: this.#sealingDir,
      emitterId: this.#options.emitterId ?? 'ledger',
      recordStatements: this.#options.recordStatements ?? true,
      report: this.#report,
      isOpen: () => this.closing === undefined && this.#state.kind === 'writable',
      append: async (tenant, item) => (await this.append(tenant, [item])).receipts[0]?.index ?? -1,
      openEpoch: (log, nowMs) => this.#sequencer.openEpoch(log, nowMs),
    });
    this.#watch = new RecordingWatch(this.#world.clock, this.#own);
    const { heartbeatMs, gapMs } = this.#options;
    this.#rounds = new OwnRounds({ clock: this.#world.clock, own: this.#own, watch: this.#watch, heartbeatMs, gapMs });
    this.#timers.push(this.#world.clock.every(tickMs, () => this.#tick()));
    // What an earlier process left in the journal; nothing waits for it.
    if (this.#state.kind === 'writable') this.#own.after(this.driver.archive());
  }

  /** Keys are made only where there is no ledger yet: where its files are at fault nobody knows what was sealed under them. And not after the disk has failed. */
  async #openKeyrings(): Promise<Keyrings> {
    const { fault } = this.driver;
    const mayMake = fault === undefined && this.driver.tenants().size === 0;
    const { keyrings, keysDir } = this.#options;
    try {
      const world = { ...this.#world, disk: this.#disk };
      return await (keyrings?.(mayMake, world) ?? openStoredKeyrings(world, keysDir, mayMake));
    } catch (error) {
      throw fault === undefined ? error : new LedgerError('read-only', fault, {}, error);
    }
  }

  #place(): LedgerPlace {
    return {
      world: this.#world,
      dir: this.#options.dir,
      disk: this.#disk,
      keysDir: this.#options.keysDir,
      sealingDir: this.#sealingDir,
      driver: this.driver,
      keyrings: this.#keyrings,
      ids: this.#ids,
      window: this.#window,
      report: this.#report,
      logs: this.logs,
      trees: this.trees,
    };
  }

  get #sealingDir(): string {
    return `${dirname(this.#options.dir)}/sealing`;
  }

  /** Months that ended while no server ran. */
  async #sealEnded(): Promise<void> {
    for (const log of this.logs.values()) {
      if (this.#state.kind !== 'writable') return;
      await log.sealUntil(this.#world.clock.now()).catch((error: unknown) => {
        // The next append tries again; a disk that failed has made the ledger read-only.
        this.#report({ level: 'warn', message: `an epoch of ${log.tenant} could not be sealed yet: ${String(error)}` });
      });
    }
  }

  #goReadOnly(reason: string): void {
    if (this.#state.kind === 'read-only') return;
    this.#state = { kind: 'read-only', reason };
    this.#report({ level: 'error', message: `the ledger is read-only: ${reason}` });
  }

  // Writing

  addTenant(tenant: TenantId, leafType: LeafType = 1): Promise<void> {
    const added = this.#adding.then(() => this.#add(tenant, leafType));
    this.#adding = added.catch(() => undefined);
    return added;
  }

  async #add(tenant: TenantId, leafType: LeafType): Promise<void> {
    this.#assertOpen();
    const known = this.logs.get(tenant);
    if (known !== undefined) {
      if (known.leafType !== leafType)
        this.#report({
          level: 'warn',
          message: `the log of ${tenant} was created with leaves of type ${known.leafType}, and they stay so`,
        });
      return this.#saySuccession(known);
    }
    this.#assertWritable();
    if (isReservedName(tenant)) {
      throw new LedgerError(
        'unknown-tenant',
        `no tenant can be called ${tenant}: the ledger has a file of that name; choose another`,
      );
    }
    const successor = this.#options.successors?.get(tenant);
    const origin = successor?.origin ?? `${this.#options.originBase}/${tenant}`;
    const place = this.#place();
    const signers = await openCheckpointKeys(sealPlaceOf(place), { tenant, origin }, true);
    const signer = signers[0] as Signer;
    const vkey = formatVerifierKey(signer);
    const frontier = new Frontier(leafType);
    const head: Head = { size: 0, root: frontier.root(), checkpoint: signHead([signer], origin, 0, frontier.root()) };
    const epoch = epochOf(this.#world.clock.now());
    const seal = await LogSeals.begin(sealPlaceOf(place), { tenant, origin, signer, epoch });
    const documents = [seal];
    if (successor !== undefined) documents.push({ name: 'predecessor', bytes: successor.statement(signer) });
    await this.driver.addTenant(tenant, { origin, vkey, checkpoint: head.checkpoint, documents, leafType });
    const coverage = new EmitterCoverage(false);
    const lastRotation = undefined;
    await addLog(place, { tenant, origin, signers: [signer], lastRotation, coverage, frontier, head, leafType });
    await this.#saySuccession(this.log(tenant));
  }

  async changeCheckpointKey(tenant: TenantId, change: KeyChange): Promise<Rotation | undefined> {
    const log = this.#writable(tenant);
    assertChange(log, change);
    // The end of an overlap has no statement: the log says it first.
    if (change.kind === 'end-overlap') this.#own.append(log, () => overlapEndedFacts(log));
    await this.#own.settled();
    let stated: Rotation | undefined;
    await this.#sequencer.alone(log, async () => {
      stated = await changeKeys(sealPlaceOf(this.#place()), log, change);
    });
    this.#own.recordStatements(log);
    await this.#own.settled();
    return stated;
  }

  /** The first record of a log that goes on from another one; a kill may have come before it. */
  async #saySuccession(log: TenantLog): Promise<void> {
    if (log.head.size > 0) return;
    const bytes = await this.driver.document(log.tenant, 'predecessor');
    if (bytes !== undefined) await this.#own.appendMade(log, successionEvent(parseSuccession(bytes), bytes));
  }

  async append(tenant: TenantId, items: readonly AppendItem[]): Promise<Appended> {
    const log = this.#writable(tenant);
    if (items.length === 0) return { receipts: [], checkpoint: log.head.checkpoint };
    const ids = items.map(({ event }) => event.id);
    // Not awaited here: while the disk works nothing may keep the events, or the collector would carry them along.
    return this.#receipts(log, ids, this.#append(log, encodeBatch(tenant, items)));
  }

  async #receipts(log: TenantLog, ids: readonly string[], appended: Promise<Sequenced>): Promise<Appended> {
    const result = await appended;
    const receipts: Receipt[] = [];
    let fresh = 0;
    for (let i = 0; i < ids.length; i++) {
      const id = ids[i] as string;
      const index = result.indexes[i] as number;
      const duplicate = result.duplicates[i] !== 0;
      const leaf = duplicate
        ? await this.#leafHash(log, index)
        : result.leafHashes.subarray(fresh * 32, fresh * 32 + 32);
      if (!duplicate) fresh++;
      receipts.push({ id, index, leaf, duplicate });
    }
    return { receipts, checkpoint: log.head.checkpoint };
  }

  async appendEncoded(tenant: TenantId, batch: EncodedBatch): Promise<AppendedBatch> {
    const log = this.#writable(tenant);
    assertBatch(batch);
    const { indexes, duplicates, leafHashes } = await this.#append(log, batch);
    return { indexes, duplicates, leafHashes, checkpoint: log.head.checkpoint };
  }

  async #append(log: TenantLog, batch: EncodedBatch): Promise<Sequenced> {
    const seeds = this.#seeds.needed(log, batch, this.#sequencer.writer);
    if (seeds !== undefined) {
      await seeds;
      this.#assertOpen();
      this.#assertWritable();
    }
    const appended = this.#sequencer.append(log, batch);
    appended.catch((error: unknown) => this.#watch.refused(log, error));
    return appended;
  }

  async #leafHash(log: TenantLog, index: number): Promise<Uint8Array> {
    return leafHashOf(await this.driver.commitments(log.tenant, index, 1), log.leafType);
  }

  #writable(tenant: TenantId): TenantLog {
    this.#assertOpen();
    this.#assertWritable();
    return this.log(tenant);
  }

  #assertWritable(): void {
    if (this.#state.kind === 'read-only')
      throw new LedgerError('read-only', `the ledger takes no appends: ${this.#state.reason}`);
  }

  #assertOpen(): void {
    if (this.closing !== undefined) throw new LedgerError('closed', 'the ledger was closed');
  }

  /** Undefined where this process has no right to open records, and where the record was shredded: its id is known still. */
  async #digestOf(log: TenantLog, index: number): Promise<Uint8Array | undefined> {
    try {
      const { m } = await log.records.open(index);
      return Buffer.from(decode(m).digest.slice(0, 16), 'hex');
    } catch (error) {
      if (error instanceof RecordError && (error.code === 'unwrap-forbidden' || error.code === 'record-shredded'))
        return undefined;
      throw asLedgerFault(error);
    }
  }

  async #remember(segment: ArchivingSegment): Promise<void> {
    const tenants = new Map([...this.logs.values()].map((log) => [log.tenant as string, log.coverage.snapshot()]));
    await this.#window.remember(segment, {
      group: Math.max(this.#sequencer.lastCommittedGroup, segment.lastGroup),
      tenants,
    });
  }

  // Events of its own

  #tick(): void {
    if (this.#state.kind !== 'writable' || this.closing !== undefined) return;
    this.#sequencer.tick();
    this.#rounds.tick(this.logs);
  }

  // What others vouch for

  async keepCosigned(tenant: TenantId, text: string): Promise<void> {
    const log = this.log(tenant);
    this.#assertOpen();
    const head = openCosigned(text, log);
    assertNewer(head, log);
    await this.driver.putCosigned(tenant, text);
    log.cosigned = head;
  }

  async keepTimestamp(tenant: TenantId, size: number, response: Uint8Array): Promise<void> {
    this.#assertOpen();
    await this.driver.putTimestamp(this.log(tenant).tenant, `${size}.tsr`, response);
  }

  suspend(reason: string): void {
    this.#goReadOnly(reason);
  }

  countRefused(tenant: TenantId, count: number): void {
    const log = this.logs.get(tenant);
    if (log !== undefined) log.refused += count;
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
      journalBytes: this.driver.journalBytes,
    };
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.closing ??= this.#close();
    return this.closing;
  }

  /** What was taken is stored; the journal is archived, so that at rest the manifest says everything. */
  async #close(): Promise<void> {
    for (const timer of this.#timers) timer.cancel();
    try {
      // A tenant that is being added writes files too: no other process may begin before.
      await this.#adding;
      await this.#ending?.settled();
      await this.#own.settled();
      await this.#seeds.close();
      await this.#sequencer.stop(new LedgerError('closed', 'the ledger was closed'));
      if (this.#state.kind === 'writable') await this.driver.archive();
    } finally {
      await this.driver[Symbol.asyncDispose]();
      for (const log of this.logs.values()) {
        for (const keys of log.keys.values()) keys.erase();
        for (const waiter of [...log.waiting]) waiter.closed();
      }
    }
  }
}
