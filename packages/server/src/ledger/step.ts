/**
 * A step of the writer: at most one minute and 65,536 events, with its keys (docs/format.md, "Names" and "Keys").
 *
 * Its keys live until its last group is durable; then small blocks of it are merged into large ones, packed, and the keys are
 * erased. After that this process can open what it wrote only by unwrapping the seed, as any reader does.
 */
import { setImmediate } from 'node:timers/promises';
import type { RetentionClass } from '@watchglass/record';
import {
  type IndexRange,
  Openings,
  openingKeyOf,
  RecordPacker,
  type StepKeys,
  sealBlock,
  sealBlockBeside,
  stepEventsMax,
} from '@watchglass/record/reader';
import type { Clock, Random } from '../world/world.ts';
import type { MergedBlock } from './storage.ts';
import type { TenantLog } from './tenant-log.ts';

const stepAgeMsMax = 55_000;
/** A journal segment ends with a step, and is read as a whole at a start: no step may be too long for that. */
const stepBytesMax: number = 32 * 1024 * 1024;
/** Blocks with more plaintext than this are large enough to stay as they are. */
const smallBlockBytesMax = 256 * 1024;
const mergedBlockBytes = 1024 * 1024;
const mergedRangesMax = 32_768;
/**
 * Merged blocks stay for years: worth twenty times the work, as long as that is little, and packing. A step that fills sooner is compressed as it was.
 */
const mergedLevel = 12;
const mergedHarderAgeMsMin = 8_000;
/** What takes the main thread half a millisecond to pack. */
const packedBytesPerTurn = 64 * 1024;
/** Up to here sealing at once takes less time than a way to another thread and back. */
export const sealNowBytesMax: number = 64 * 1024;
/** Plaintext a step may hold back for merging; then it ends, so that nothing small stays as it is. */
const heldBytesMax = 8 * 1024 * 1024;

/** Keys of one tenant, class and epoch in one step. */
export interface StepSecrets {
  readonly stepKey: Uint8Array;
  readonly openings: Openings;
}

/** A small block, kept opened until the step ends. */
interface HeldBlock {
  readonly log: TenantLog;
  readonly retentionClass: RetentionClass;
  readonly epoch: number;
  readonly ranges: readonly IndexRange[];
  readonly plaintext: Buffer;
}

export class Step {
  readonly number: number;
  readonly writer: Uint8Array;
  readonly #startedMs: number;
  readonly #secrets: Map<string, StepSecrets> = new Map();
  readonly #firstIndexes: Map<TenantLog, number> = new Map();
  /** By tenant, class and epoch: blocks in order, undefined where a large one interrupts. */
  readonly #held: Map<string, (HeldBlock | undefined)[]> = new Map();
  #heldBytes = 0;
  events = 0;
  /** Bytes of m in it. */
  bytes = 0;
  /** Groups of this step that aren't durable yet. */
  openGroups = 0;

  constructor(number: number, writer: Uint8Array, startedMs: number) {
    this.number = number;
    this.writer = writer;
    this.#startedMs = startedMs;
  }

  /** Whether a group of up to `events` may still begin in it. */
  hasRoom(events: number, nowMs: number): boolean {
    return (
      this.events + events <= stepEventsMax &&
      this.bytes < stepBytesMax &&
      this.#heldBytes < heldBytesMax - smallBlockBytesMax &&
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
    const name = `${log.tenant} ${retentionClass} ${epoch}`;
    let secrets = this.#secrets.get(name);
    if (secrets === undefined) {
      const stepKey = keys.advance(this.number);
      secrets = { stepKey, openings: new Openings(openingKeyOf(stepKey)) };
      this.#secrets.set(name, secrets);
    }
    return secrets;
  }

  /** A block of the step is durable. */
  hold(block: HeldBlock): void {
    const name = `${block.log.tenant} ${block.retentionClass} ${block.epoch}`;
    let held = this.#held.get(name);
    if (held === undefined) {
      held = [];
      this.#held.set(name, held);
    }
    const { length } = block.plaintext;
    if (length > smallBlockBytesMax || this.#heldBytes + length > heldBytesMax) {
      if (held[held.length - 1] !== undefined) held.push(undefined);
      return;
    }
    this.#heldBytes += length;
    // A copy, no longer than it must be: the memory of chunks is used again.
    held.push({ ...block, plaintext: Buffer.from(new Uint8Array(block.plaintext).buffer) });
  }

  /** Larger blocks in place of runs of small ones, compressed beside. One at a time: memory. */
  async *merge(random: Random, nowMs: number): AsyncGenerator<MergedBlock> {
    const level = nowMs - this.#startedMs < mergedHarderAgeMsMin ? 1 : mergedLevel;
    for (const held of this.#held.values()) {
      let run: HeldBlock[] = [];
      let bytes = 0;
      let ranges = 0;
      for (const block of [...held, undefined]) {
        const full =
          block !== undefined &&
          (bytes + block.plaintext.length > mergedBlockBytes || ranges + block.ranges.length > mergedRangesMax);
        if (block === undefined || full) {
          if (run.length > 1) yield await this.#mergeRun(run, random, level);
          run = [];
          bytes = 0;
          ranges = 0;
        }
        if (block === undefined) continue;
        run.push(block);
        bytes += block.plaintext.length;
        ranges += block.ranges.length;
      }
    }
  }

  async #mergeRun(run: readonly HeldBlock[], random: Random, level: number): Promise<MergedBlock> {
    const { log, retentionClass, epoch } = run[0] as HeldBlock;
    const secrets = this.#secrets.get(`${log.tenant} ${retentionClass} ${epoch}`) as StepSecrets;
    const input = {
      scope: {
        retentionClass,
        originHash: log.originHash,
        epoch,
        writer: this.writer,
        step: this.number,
        stepFirstIndex: this.firstIndexOf(log, 0),
      },
      stepKey: secrets.stepKey,
      salt: random.bytes(16),
      ranges: joinRanges(run.flatMap(({ ranges }) => ranges)),
      plaintext: Buffer.concat(run.map(({ plaintext }) => plaintext)),
      packed: level === mergedLevel ? await packed(run) : undefined,
      level,
    };
    const block = input.plaintext.length <= sealNowBytesMax ? sealBlock(input) : await sealBlockBeside(input);
    const firsts = run.map(({ ranges }) => (ranges[0] as IndexRange).first);
    return { tenant: log.tenant, retentionClass, block, first: firsts[0] as number, replaces: firsts };
  }

  erase(): void {
    for (const { stepKey, openings } of this.#secrets.values()) {
      stepKey.fill(0);
      openings.erase();
    }
    this.#secrets.clear();
    this.#held.clear();
    this.#heldBytes = 0;
  }
}

/** The packed form of a run, made bit by bit: commits go on meanwhile. Undefined where there is none. */
async function packed(run: readonly HeldBlock[]): Promise<Uint8Array | undefined> {
  const packer = new RecordPacker(run.reduce((sum, { plaintext }) => sum + plaintext.length, 0));
  let sinceTurn = 0;
  for (const { plaintext } of run) {
    if (!packer.add(plaintext)) return undefined;
    sinceTurn += plaintext.length;
    if (sinceTurn < packedBytesPerTurn) continue;
    sinceTurn = 0;
    await setImmediate();
  }
  return packer.finish();
}

/** Adjacent ranges become one: the format wants them so. */
export function joinRanges(ranges: readonly IndexRange[]): IndexRange[] {
  const joined: { first: number; count: number }[] = [];
  for (const { first, count } of ranges) {
    const last = joined[joined.length - 1];
    if (last !== undefined && last.first + last.count === first) last.count += count;
    else joined.push({ first, count });
  }
  return joined;
}

/** Merges a step that got its last group, and erases its keys. It runs beside the next commits: it takes many times as long as one. */
export async function mergeAndErase(
  step: Step,
  { random, clock }: { readonly random: Random; readonly clock: Clock },
): Promise<MergedBlock[]> {
  const merged: MergedBlock[] = [];
  try {
    for await (const block of step.merge(random, clock.monotonicMs())) merged.push(block);
    return merged;
  } finally {
    step.erase();
  }
}
