/**
 * A step of the writer: at most one minute and 65,536 events, with its keys (docs/format.md, "Names" and "Keys").
 *
 * Its keys live until its last group is durable and its small blocks are merged into large ones (merging.ts); then they are
 * erased. After that this process can open what it wrote only by unwrapping the seed, as any reader does.
 */
import type { RetentionClass } from '@watchglass/record';
import { type IndexRange, Openings, openingKeyOf, type StepKeys, stepEventsMax } from '@watchglass/record/reader';
import { type Merger, Merging, type MergingParts, smallBlockBytesMax } from './merging.ts';
import type { MergedBlock } from './storage.ts';
import type { TenantLog } from './tenant-log.ts';

const stepAgeMsMax = 55_000;
/** A journal segment ends with a step, and is read as a whole at a start: no step may be too long for that. */
const stepBytesMax: number = 32 * 1024 * 1024;
/** Plaintext a step may hold back for merging; then it ends, so that nothing small stays as it is. */
const heldBytesMax = 8 * 1024 * 1024;

/** Keys of one tenant, class and epoch in one step. */
export interface StepSecrets {
  readonly stepKey: Uint8Array;
  readonly openings: Openings;
}

/** A block that is durable; its plaintext is the caller's. */
interface DurableBlock {
  readonly log: TenantLog;
  readonly retentionClass: RetentionClass;
  readonly epoch: number;
  readonly ranges: readonly IndexRange[];
  readonly plaintext: Uint8Array;
}

export class Step {
  readonly number: number;
  readonly writer: Uint8Array;
  readonly #startedMs: number;
  readonly #secrets: Map<string, StepSecrets> = new Map();
  readonly #firstIndexes: Map<TenantLog, number> = new Map();
  readonly #mergers: Map<string, Merger> = new Map();
  readonly #merging: Merging;
  events = 0;
  /** Bytes of m in it. */
  bytes = 0;
  /** Groups of this step that aren't durable yet. */
  openGroups = 0;

  constructor(number: number, writer: Uint8Array, startedMs: number, parts: MergingParts) {
    this.number = number;
    this.writer = writer;
    this.#startedMs = startedMs;
    this.#merging = new Merging(parts);
  }

  /** Whether a group of up to `events` may still begin in it. */
  hasRoom(events: number, nowMs: number): boolean {
    return (
      this.events + events <= stepEventsMax &&
      this.bytes < stepBytesMax &&
      this.#merging.heldBytes < heldBytesMax - smallBlockBytesMax &&
      !this.isOver(nowMs)
    );
  }

  isOver(nowMs: number): boolean {
    return nowMs - this.#startedMs >= stepAgeMsMax;
  }

  /** The first index of the step in this log: whoever asks first, names it. */
  firstIndexOf(log: TenantLog, nextIndex: number): number {
    let first = this.#firstIndexes.get(log);
    if (first === undefined) {
      first = nextIndex;
      this.#firstIndexes.set(log, first);
    }
    return first;
  }

  secrets(log: TenantLog, retentionClass: RetentionClass, epoch: number, keys: StepKeys): StepSecrets {
    const name = nameOf(log, retentionClass, epoch);
    let secrets = this.#secrets.get(name);
    if (secrets === undefined) {
      const stepKey = keys.advance(this.number);
      secrets = { stepKey, openings: new Openings(openingKeyOf(stepKey)) };
      this.#secrets.set(name, secrets);
    }
    return secrets;
  }

  /** A block of the step is durable: if it is small, it is merged with those before and after it. */
  hold({ log, retentionClass, epoch, ranges, plaintext }: DurableBlock, nowMs: number): void {
    const merger = this.#merger(log, retentionClass, epoch);
    if (plaintext.length > smallBlockBytesMax || this.#merging.heldBytes + plaintext.length > heldBytesMax)
      this.#merging.end(merger, nowMs);
    else this.#merging.add(merger, ranges, plaintext, nowMs);
  }

  #merger(log: TenantLog, retentionClass: RetentionClass, epoch: number): Merger {
    const name = nameOf(log, retentionClass, epoch);
    let merger = this.#mergers.get(name);
    if (merger === undefined) {
      const { stepKey } = this.#secrets.get(name) as StepSecrets;
      const scope = {
        retentionClass,
        originHash: log.originHash,
        epoch,
        writer: this.writer,
        step: this.number,
        stepFirstIndex: this.firstIndexOf(log, 0),
      };
      merger = { tenant: log.tenant, scope, stepKey };
      this.#mergers.set(name, merger);
    }
    return merger;
  }

  /** Larger blocks in place of its small ones, once it got its last group; then its keys are gone. It runs beside the next commits. */
  async mergeAndErase(nowMs: number): Promise<MergedBlock[]> {
    try {
      return await this.#merging.finish(nowMs);
    } finally {
      for (const { stepKey, openings } of this.#secrets.values()) {
        stepKey.fill(0);
        openings.erase();
      }
      this.#secrets.clear();
      this.#mergers.clear();
    }
  }
}

function nameOf(log: TenantLog, retentionClass: RetentionClass, epoch: number): string {
  return `${log.tenant} ${retentionClass} ${epoch}`;
}
