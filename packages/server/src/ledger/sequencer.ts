/**
 * Group commit: everything that arrived goes into one group, one write and one fdatasync; then the new heads are signed
 * and stored, and only then the calls are answered (docs/format.md, "Order of writing").
 *
 * While a group is on its way to the disk the next one fills. A group's write begins after the one before it is durable and
 * its checkpoints are stored, so at most one complete group lies past any stored checkpoint.
 *
 * Bounded: `queuedEventsMax` and `queuedBytesMax` wait at most; more is refused with `overloaded`. There is no promise and no system call an event.
 */
import { type RetentionClass, retentionClasses } from '@watchglass/record';
import { Committer, type GroupTenant } from '@watchglass/record/reader';
import type { World } from '../world/world.ts';
import { LedgerError } from './errors.ts';
import { isFull, storageFull } from './journal.ts';
import type { KnownIds } from './known-ids.ts';
import type { EncodedBatch } from './ledger.ts';
import { type GroupTools, groupEventsMax, OpenGroup } from './open-group.ts';
import type { RecentRecords } from './recent-records.ts';
import { Step } from './step.ts';
import type { StorageDriver } from './storage.ts';
import type { TenantLog } from './tenant-log.ts';

const queuedEventsMax = 131_072;
const queuedBytesMax: number = 64 * 1024 * 1024;

const emptyBatch: Omit<EncodedBatch, 'receivedMs'> = {
  count: 0,
  records: new Uint8Array(0),
  lengths: new Uint32Array(0),
  ids: new Uint8Array(0),
  digests: new Uint8Array(0),
  classes: new Uint8Array(0),
  runs: [],
};

export interface Sequenced {
  readonly indexes: Float64Array;
  readonly duplicates: Uint8Array;
  /** Of the events that weren't duplicates, in order. */
  readonly leafHashes: Uint8Array;
}

interface Call {
  readonly log: TenantLog;
  readonly batch: EncodedBatch;
  readonly result: { readonly indexes: Float64Array; readonly duplicates: Uint8Array; leafHashes: Uint8Array };
  readonly resolve: (result: Sequenced) => void;
  readonly reject: (error: unknown) => void;
  /** To be done before, while nothing of the log is under way. */
  alone: (() => Promise<void>) | undefined;
}

export interface SequencerParts {
  readonly world: World;
  readonly driver: StorageDriver;
  readonly ids: KnownIds;
  readonly recent: RecentRecords;
  /** Makes the seed of a class and epoch durable and gives its keys to the log. */
  readonly makeSeed: (
    log: TenantLog,
    retentionClass: RetentionClass,
    epoch: number,
    writer: Uint8Array,
  ) => Promise<void>;
  /** Reads the first 8 bytes of the digest of a committed record; undefined where records can't be opened: the id alone then tells a repeat. */
  readonly digestOf: (log: TenantLog, index: number) => Promise<Uint8Array | undefined>;
  /** The ledger can't go on: it becomes read-only. */
  readonly failed: (reason: string) => void;
}

export class Sequencer {
  readonly #parts: SequencerParts;
  readonly writer: Uint8Array;
  readonly #tools: GroupTools;
  readonly #queue: Call[] = [];
  #queuedEvents = 0;
  #queuedBytes = 0;
  #nextStep = 0;
  #step: Step | undefined;
  /** Steps that got no more groups, whose last one may not be durable yet. */
  readonly #ending: Step[] = [];
  #open: { readonly group: OpenGroup; readonly calls: Call[]; readonly idsBefore: number } | undefined;
  /** The group on its way to the disk. */
  #flying: Call[] | undefined;
  #flyingSizes: Map<TenantLog, number> = new Map();
  #preparing = false;
  #preparation: Promise<void> = Promise.resolve();
  #running: Promise<void> | undefined;
  #stopped: LedgerError | undefined;
  groups = 0;
  events = 0;
  duplicates = 0;
  lastSyncMs = 0;
  lastCommittedGroup = -1;

  constructor(parts: SequencerParts) {
    this.#parts = parts;
    this.writer = parts.world.random.bytes(16);
    this.#tools = {
      random: parts.world.random,
      committer: new Committer(),
      spareChunks: parts.recent.spare,
      groupBytes: new Uint8Array(0),
      usual: new Map(),
    };
  }

  get queuedEvents(): number {
    return this.#queuedEvents;
  }

  get queuedBytes(): number {
    return this.#queuedBytes;
  }

  append(log: TenantLog, batch: EncodedBatch): Promise<Sequenced> {
    return this.#enqueue(log, batch, undefined);
  }

  #enqueue(log: TenantLog, batch: EncodedBatch, alone: Call['alone']): Promise<Sequenced> {
    return new Promise((resolve, reject) => {
      if (this.#stopped !== undefined) return reject(this.#stopped);
      if (
        this.#queuedEvents + batch.count > queuedEventsMax ||
        this.#queuedBytes + batch.records.length > queuedBytesMax
      ) {
        return reject(
          new LedgerError(
            'overloaded',
            `expected at most ${queuedEventsMax} events and ${queuedBytesMax} bytes waiting, ${this.#queuedEvents} events are; send again in a second`,
          ),
        );
      }
      const { count } = batch;
      const result = {
        indexes: new Float64Array(count),
        duplicates: new Uint8Array(count),
        leafHashes: new Uint8Array(0),
      };
      this.#queue.push({ log, batch, result, resolve, reject, alone });
      this.#queuedEvents += count;
      this.#queuedBytes += batch.records.length;
      this.#pump();
    });
  }

  /** Seals the epochs of a log that are over at this moment, though nothing arrives. */
  async openEpoch(log: TenantLog, nowMs: number): Promise<void> {
    await this.append(log, { ...emptyBatch, receivedMs: nowMs });
  }

  /** Does `work` while what the log has until now is committed and signed, and nothing more is under way. */
  async alone(log: TenantLog, work: () => Promise<void>): Promise<void> {
    await this.#enqueue(log, { ...emptyBatch, receivedMs: 0 }, work);
  }

  /** No more appends; resolves when what was taken is durable and the last step has ended. */
  async stop(error: LedgerError): Promise<void> {
    while (this.#queue.length > 0 || this.#running !== undefined) {
      if (this.#stopped !== undefined) break;
      if (this.#running !== undefined) await this.#running;
      else if (this.#preparing) await this.#preparation;
      else await new Promise((resolve) => setImmediate(resolve));
    }
    this.#stopped ??= error;
    await this.#running;
    if (this.#stopped !== error) return;
    this.#endStep();
    await this.#finishSteps();
  }

  /** Ends a step that is over though nothing arrives; called by a timer. */
  tick(): void {
    const nowMs = this.#parts.world.clock.monotonicMs();
    if (this.#step?.isOver(nowMs) !== true || this.#open !== undefined || this.#stopped !== undefined) return;
    this.#endStep();
    this.#run();
  }

  /** Takes calls off the queue into the open group, as far as they fit and nothing must be waited for. */
  #pump(): void {
    try {
      this.#takeQueued();
    } catch (error) {
      // Half a call may be in the open group: it must not be stored.
      this.#fail(error);
    }
  }

  #takeQueued(): void {
    while (!this.#preparing && this.#stopped === undefined) {
      const call = this.#queue[0];
      if (call === undefined) break;
      if (!this.#fits(call)) break;
      if (call.alone !== undefined) {
        const work = call.alone;
        call.alone = undefined;
        this.#prepare(this.#drained(call.log).then(work));
        break;
      }
      if (call.log.mustSeal(call.batch.receivedMs)) {
        this.#prepare(this.#openEpoch(call));
        break;
      }
      const missing = this.#missingSeeds(call);
      if (missing.length > 0) {
        this.#prepare(this.#makeSeeds(call.log, missing));
        break;
      }
      const verdict = this.#number(call);
      if (verdict === 'unknown-digests') {
        this.#prepare(this.#learnDigests(call));
        break;
      }
      this.#dequeue();
      if (verdict === 'taken') this.#take(call);
    }
    if (this.#open !== undefined || this.#ending.length > 0) this.#run();
  }

  #dequeue(): void {
    const call = this.#queue.shift() as Call;
    this.#queuedEvents -= call.batch.count;
    this.#queuedBytes -= call.batch.records.length;
  }

  #fits({ batch }: Call): boolean {
    const nowMs = this.#parts.world.clock.monotonicMs();
    if (this.#open !== undefined) {
      return this.#open.group.hasRoom(batch.count, batch.records.length) && !this.#open.group.step.isOver(nowMs);
    }
    return true;
  }

  /** Opens the epoch that the call falls into: what the log has until now is committed, and sealed as the epochs that are over. */
  async #openEpoch({ log, batch }: Call): Promise<void> {
    await this.#drained(log);
    await log.sealUntil(batch.receivedMs);
  }

  async #drained(log: TenantLog): Promise<void> {
    while (log.head.size < log.frontier.size && this.#stopped === undefined)
      await (this.#running ?? new Promise((resolve) => setImmediate(resolve)));
    if (this.#stopped !== undefined) throw this.#stopped;
  }

  /** Classes of the batch that have no durable seed in the open epoch. A clock that steps back doesn't reopen an earlier one. */
  #missingSeeds({ log, batch }: Call): RetentionClass[] {
    return retentionClasses.filter(
      (name, position) => batch.classes.includes(position) && log.keysOf(name, log.epoch) === undefined,
    );
  }

  async #makeSeeds(log: TenantLog, missing: readonly RetentionClass[]): Promise<void> {
    for (const retentionClass of missing) await this.#parts.makeSeed(log, retentionClass, log.epoch, this.writer);
  }

  /** After a restart the ids are known and the digests aren't: the stored records tell. */
  async #learnDigests({ log, batch }: Call): Promise<void> {
    const { ids, digestOf } = this.#parts;
    for (let i = 0; i < batch.count; i++) {
      const known = ids.find(log.number, batch.ids, i * 16);
      if (known < 0 || ids.sameDigest(known, batch.digests, i * 8) !== undefined) continue;
      const index = ids.indexOf(known);
      const digest = await digestOf(log, index);
      // The table may have moved on meanwhile.
      const still = ids.find(log.number, batch.ids, i * 16);
      if (still >= 0 && ids.indexOf(still) === index)
        ids.setDigest(still, digest ?? batch.digests, digest === undefined ? i * 8 : 0);
    }
  }

  /** The queue waits; a failure is the failure of the call at its head. */
  #prepare(work: Promise<void>): void {
    this.#preparing = true;
    this.#preparation = work
      .catch((error: unknown) => {
        // A disk that failed: what its other files hold isn't known either.
        if (error instanceof LedgerError && error.code === 'read-only') return this.#fail(error);
        const call = this.#queue[0];
        if (call === undefined) return;
        this.#dequeue();
        call.reject(isFull(error) ? storageFull(error) : error);
      })
      .finally(() => {
        this.#preparing = false;
        this.#pump();
      });
  }

  /** Gives every event its index: the next one, or the one its id has already. All or nothing. */
  #number(call: Call): 'taken' | 'refused' | 'unknown-digests' {
    const { log, batch, result } = call;
    const { ids } = this.#parts;
    const mark = ids.mark();
    let next = log.frontier.size;
    let unknown = false;
    for (let i = 0; i < batch.count; i++) {
      const known = ids.find(log.number, batch.ids, i * 16);
      if (known < 0) {
        const added = ids.add(log.number, batch.ids, i * 16, next);
        ids.setDigest(added, batch.digests, i * 8);
        result.duplicates[i] = 0;
        result.indexes[i] = next++;
        continue;
      }
      const same = ids.sameDigest(known, batch.digests, i * 8);
      if (same === false) {
        ids.rollBack(mark);
        call.reject(
          new LedgerError(
            'id-conflict',
            `the event at position ${i} has the id of another event in this log, with other bytes; give every event an id of its own`,
            {
              position: i,
              index: ids.indexOf(known),
            },
          ),
        );
        return 'refused';
      }
      unknown ||= same === undefined;
      result.duplicates[i] = 1;
      result.indexes[i] = ids.indexOf(known);
    }
    if (!unknown) return 'taken';
    ids.rollBack(mark);
    return 'unknown-digests';
  }

  #take(call: Call): void {
    const { log, batch, result } = call;
    const { duplicates } = result;
    let fresh = 0;
    let newest = -1;
    for (let i = 0; i < batch.count; i++) {
      if (duplicates[i] === 0) fresh++;
      newest = Math.max(newest, result.indexes[i] as number);
    }
    this.duplicates += batch.count - fresh;
    if (fresh === 0) {
      // Duplicates share the answer of the events they repeat: now, or when the group of the newest is durable.
      if (newest < log.head.size) call.resolve(result);
      else if (newest < (this.#flyingSizes.get(log) ?? 0)) (this.#flying as Call[]).push(call);
      else (this.#open as { calls: Call[] }).calls.push(call);
      return;
    }
    const open = this.#openGroup(fresh);
    open.calls.push(call);
    result.leafHashes = open.group.absorb(log, batch, duplicates);
  }

  #openGroup(fresh: number): { readonly group: OpenGroup; readonly calls: Call[] } {
    if (this.#open !== undefined) return this.#open;
    const { world, ids } = this.#parts;
    const nowMs = world.clock.monotonicMs();
    if (this.#step?.hasRoom(groupEventsMax, nowMs) !== true) this.#endStep();
    this.#step ??= new Step(this.#nextStep++, this.writer, nowMs, {
      random: world.random,
      spare: this.#tools.spareChunks,
    });
    this.#step.openGroups++;
    this.#open = { group: new OpenGroup(this.#step, this.#tools), calls: [], idsBefore: ids.mark() - fresh };
    return this.#open;
  }

  #endStep(): void {
    if (this.#step !== undefined) this.#ending.push(this.#step);
    this.#step = undefined;
  }

  #run(): void {
    this.#running ??= this.#commitAll().finally(() => {
      this.#running = undefined;
      if (this.#stopped !== undefined) return;
      // A step may have ended after its turn; it mustn't wait for the next append.
      if (this.#open !== undefined || this.#queue.length > 0 || this.#ending.length > 0) this.#pump();
    });
  }

  async #commitAll(): Promise<void> {
    // What arrives in this turn of the event loop goes into the same group.
    await new Promise((resolve) => setImmediate(resolve));
    while (this.#stopped === undefined) {
      try {
        await this.#finishSteps();
        const open = this.#open;
        if (open === undefined) return;
        await this.#commit(open);
      } catch (error) {
        this.#fail(error);
        return;
      }
    }
  }

  async #commit(open: {
    readonly group: OpenGroup;
    readonly calls: Call[];
    readonly idsBefore: number;
  }): Promise<void> {
    const { driver, world, ids, recent } = this.#parts;
    const { group, calls } = open;
    const closing = group.close(driver.nextGroup);
    this.#open = undefined;
    this.#flying = calls;
    this.#flyingSizes = new Map(
      [...group.parts.values()].map(({ log, sizeBefore, count }) => [log, sizeBefore + count]),
    );
    const { group: sealed, parts, encoded } = closing instanceof Promise ? await closing : closing;
    const startedMs = world.clock.monotonicMs();
    const committed = driver.commit(sealed, encoded);
    // The next group fills beside the disk's work.
    this.#pump();
    try {
      await committed;
    } catch (error) {
      if (!(error instanceof LedgerError) || error.code !== 'storage-full') throw error;
      this.#takeBack(open, error);
      return;
    }
    this.lastSyncMs = world.clock.monotonicMs() - startedMs;
    const nowMs = world.clock.now();
    const heads = parts.map((part, at) => {
      const { rootAfter } = sealed.tenants[at] as GroupTenant;
      return { part, head: part.log.sign(part.sizeBefore + part.count, rootAfter) };
    });
    await Promise.all(heads.map(({ part, head }) => driver.putCheckpoint(part.log.tenant, head.checkpoint)));
    for (const { part, head } of heads) {
      const { log } = part;
      driver.addTileNodes(log.tenant, part.nodes);
      recent.add(log.tenant, part.recent());
      for (const run of part.runs) log.coverage.arrived(run.emitter, run.firstSeq, run.count, nowMs);
      log.received += part.count;
      log.lastEventMs = world.clock.monotonicMs();
      log.publish(head);
    }
    group.hold(world.clock.monotonicMs());
    group.step.openGroups--;
    ids.tick(nowMs);
    this.groups++;
    this.events += group.events;
    this.lastCommittedGroup = sealed.number;
    this.#flying = undefined;
    this.#flyingSizes.clear();
    for (const call of calls) call.resolve(call.result);
  }

  /** Nothing of the group was stored: nor is anything that was built on it. */
  #takeBack(
    open: { readonly group: OpenGroup; readonly calls: Call[]; readonly idsBefore: number },
    error: LedgerError,
  ): void {
    const next = this.#open;
    this.#open = undefined;
    this.#parts.ids.rollBack(open.idsBefore);
    for (const { group } of next === undefined ? [open] : [next, open]) {
      for (const { log, frontierBefore } of group.parts.values()) log.frontier = frontierBefore;
      group.step.openGroups--;
    }
    // The indexes are given out again: in another step, so that no opening serves two records.
    this.#endStep();
    const calls = [...(this.#flying ?? []), ...(next?.calls ?? [])];
    this.#flying = undefined;
    this.#flyingSizes.clear();
    for (const call of calls) call.reject(error);
  }

  /** Ends the steps whose last group is durable; between two commits. */
  async #finishSteps(): Promise<void> {
    for (let step = this.#ending[0]; step !== undefined && step.openGroups === 0; step = this.#ending[0]) {
      this.#ending.shift();
      await this.#parts.driver.endStep({ merged: step.mergeAndErase(this.#parts.world.clock.monotonicMs()) });
    }
  }

  /** What the disk holds isn't known any more: nothing is written after this. */
  #fail(cause: unknown): void {
    const message = cause instanceof Error ? cause.message : String(cause);
    const reason =
      cause instanceof LedgerError && cause.code === 'read-only'
        ? message
        : `writing failed (${message}): what is stored is not known; restart, and run watchglass verify`;
    this.#stopped = new LedgerError('read-only', reason, {}, cause);
    const calls = new Set([...(this.#flying ?? []), ...(this.#open?.calls ?? []), ...this.#queue.splice(0)]);
    this.#flying = undefined;
    this.#open = undefined;
    this.#queuedEvents = 0;
    this.#queuedBytes = 0;
    this.#parts.failed(reason);
    for (const call of calls) call.reject(this.#stopped);
  }
}
