/**
 * Appends the ledger's own events, one at a time, so that their sequence has no holes; and sees to it that an idle log is sealed when a month ends, and
 * that every seal and every statement on a key becomes an event of its log once. What can't be stored is told and tried again; nothing waits for it.
 */
import { parseRotation, parseSeal, type TenantId } from '@watchglass/record';
import { rotationFileName, sealFileName } from '@watchglass/record/reader';
import type { Disk } from '../world/disk.ts';
import type { World } from '../world/world.ts';
import type { AppendItem, LedgerReport } from './ledger.ts';
import { type OwnFacts, type OwnIdentity, ownItem, rotationEvent, sealEvent } from './own-events.ts';
import { readSteady } from './steady-read.ts';
import type { StorageDriver } from './storage.ts';
import type { TenantLog } from './tenant-log.ts';

export interface OwnWriterParts {
  readonly world: World;
  readonly driver: StorageDriver;
  readonly disk: Disk;
  /** Where it is kept up to which epoch each log says itself that it was sealed. */
  readonly sealingDir: string;
  readonly emitterId: string;
  readonly recordStatements: boolean;
  readonly report: (line: LedgerReport) => void;
  /** False once the ledger closes or is read-only. */
  readonly isOpen: () => boolean;
  /** Resolves to the index. */
  readonly append: (tenant: TenantId, item: AppendItem) => Promise<number>;
  readonly openEpoch: (log: TenantLog, nowMs: number) => Promise<void>;
}

export class OwnWriter {
  readonly #parts: OwnWriterParts;
  #tail: Promise<void> = Promise.resolve();

  constructor(parts: OwnWriterParts) {
    this.#parts = parts;
  }

  /** Own events wait for this too. */
  after(work: Promise<void>): void {
    this.#tail = this.#tail.then(() => work);
  }

  /** Resolves when what was taken is stored, or was given up. */
  settled(): Promise<void> {
    return this.#tail;
  }

  /** @param notStored called when it wasn't */
  append(log: TenantLog, facts: () => OwnFacts, notStored: () => void = () => undefined): void {
    this.#enqueue(async () => void (await this.#appendNow(log, facts())), notStored);
  }

  /** An event that something waits for; the index of the same one where an earlier process stored it already. */
  record(log: TenantLog, facts: OwnFacts, identity: OwnIdentity): Promise<number> {
    const done = this.#tail.then(() => this.#appendNow(log, facts, identity));
    this.#tail = done.then(
      () => undefined,
      () => undefined,
    );
    return done;
  }

  /** An idle log is sealed too; and what was sealed or stated becomes an event. */
  tickSeals(log: TenantLog, nowMs: number): void {
    const { openEpoch, recordStatements } = this.#parts;
    const told =
      (what: string) =>
      (error: unknown): void =>
        this.#parts.report({ level: 'warn', message: `${what} of ${log.tenant} yet: ${messageOf(error)}` });
    if (log.mustSeal(nowMs)) openEpoch(log, nowMs).catch(told('an epoch could not be sealed'));
    if (log.seals.hasUnerased) log.seals.eraseSealed().catch(told('a key that has sealed could not be erased'));
    if (recordStatements) this.recordStatements(log);
  }

  /** Appends what the log doesn't say of itself yet. Made again after a kill, an event is the same one: it isn't stored twice. */
  recordStatements(log: TenantLog): void {
    const { driver, disk, sealingDir } = this.#parts;
    const before = log.recorded;
    const { epoch } = log.seals.last;
    const rotation = log.lastRotation?.rotation.number ?? 0;
    if (before.epoch === epoch && before.rotation === rotation) return;
    // Not again at the next tick.
    log.recorded = { epoch, rotation };
    const record = async (): Promise<void> => {
      for (let one = (before.epoch ?? epoch - 1) + 1; one <= epoch; one++) {
        const bytes = await readSteady(driver, log.tenant, sealFileName(one));
        if (bytes !== undefined) await this.appendMade(log, sealEvent(parseSeal(bytes), bytes));
      }
      for (let one = before.rotation + 1; one <= rotation; one++) {
        const bytes = await readSteady(driver, log.tenant, rotationFileName(one));
        if (bytes !== undefined) await this.appendMade(log, rotationEvent(parseRotation(bytes), bytes));
      }
      await disk.makeDirectory(sealingDir);
      await disk.replace(`${sealingDir}/${log.tenant}`, Buffer.from(`epoch ${epoch}\nrotation ${rotation}\n`));
    };
    this.#enqueue(record, () => {
      log.recorded = before;
    });
  }

  /** Appends an event that is the same one whenever it is made; out of turn. */
  async appendMade(log: TenantLog, made: ReturnType<typeof sealEvent>): Promise<void> {
    await this.#appendNow(log, made.facts, made.identity);
  }

  #enqueue(work: () => Promise<void>, notStored: () => void): void {
    this.#tail = this.#tail.then(async () => {
      if (!this.#parts.isOpen()) return;
      try {
        await work();
      } catch (error) {
        notStored();
        this.#parts.report({
          level: 'warn',
          message: `an event of the ledger's own was not stored: ${messageOf(error)}`,
        });
      }
    });
  }

  async #appendNow(log: TenantLog, facts: OwnFacts, identity?: OwnIdentity): Promise<number> {
    const { emitterId, world, append } = this.#parts;
    const seq = log.coverage.lastSeq(emitterId) + 1;
    return append(log.tenant, ownItem(facts, log, { emitterId, seq, world }, identity));
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
