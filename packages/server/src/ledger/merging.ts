/**
 * Larger blocks in place of runs of small ones, made while a step lasts: a run is sealed as soon as it is full, packed and compressed
 * beside the next commits. So a step holds little back, and its end is no burst of work.
 *
 * One run at a time is sealed; what is full meanwhile waits, within the bound that the step holds to.
 */
import { setImmediate } from 'node:timers/promises';
import { type BlockScope, type IndexRange, RecordPacker, sealBlock, sealBlockBeside } from '@watchglass/record/reader';
import type { Random } from '../world/world.ts';
import { GrowingBytes, type SpareBytes } from './growing-bytes.ts';
import type { MergedBlock } from './storage.ts';

/** Blocks with more plaintext than this are large enough to stay as they are. */
export const smallBlockBytesMax: number = 256 * 1024;
const mergedBlockBytes = 1024 * 1024;
const mergedRangesMax = 32_768;
/**
 * Merged blocks stay for years: worth twenty times the work, as long as that is little, and packing. A run that fills sooner is compressed as it was.
 */
const mergedLevel = 12;
const mergedHarderBytesPerMsMax: number = mergedBlockBytes / 1000;
/** Up to here sealing at once takes less time than a way to another thread and back. */
export const sealNowBytesMax: number = 64 * 1024;
/** What takes the main thread half a millisecond to pack. */
const packedBytesPerTurn = 64 * 1024;

/** Whose blocks follow each other in a step: one tenant, class and epoch. */
export interface Merger {
  readonly tenant: string;
  readonly scope: BlockScope;
  readonly stepKey: Uint8Array;
}

/** Blocks that become one. */
interface Run {
  plaintext: GrowingBytes;
  readonly startedMs: number;
  readonly ranges: { first: number; count: number }[];
  /** First indexes of the blocks. */
  readonly firsts: number[];
}

export interface MergingParts {
  readonly random: Random;
  readonly spare: SpareBytes;
}

export class Merging {
  readonly #parts: MergingParts;
  readonly #filling: Map<Merger, Run> = new Map();
  readonly #merged: MergedBlock[] = [];
  #sealing: Promise<void> = Promise.resolve();
  /** Plaintext that isn't sealed yet. */
  heldBytes = 0;

  constructor(parts: MergingParts) {
    this.#parts = parts;
  }

  /** Takes a copy of a small block. */
  add(merger: Merger, ranges: readonly IndexRange[], plaintext: Uint8Array, nowMs: number): void {
    let run = this.#filling.get(merger);
    if (
      run !== undefined &&
      (run.plaintext.length + plaintext.length > mergedBlockBytes ||
        run.ranges.length + ranges.length > mergedRangesMax)
    ) {
      this.end(merger, nowMs);
      run = undefined;
    }
    if (run === undefined) {
      run = { plaintext: new GrowingBytes(2 * plaintext.length), startedMs: nowMs, ranges: [], firsts: [] };
      this.#filling.set(merger, run);
    }
    this.#growInSpare(run, plaintext.length);
    run.plaintext.put(plaintext);
    run.firsts.push((ranges[0] as IndexRange).first);
    for (const range of ranges) joinRange(run.ranges, range);
    this.heldBytes += plaintext.length;
  }

  /** Nothing more joins the run of this merger: the next block begins another. */
  end(merger: Merger, nowMs: number): void {
    const run = this.#filling.get(merger);
    if (run === undefined) return;
    this.#filling.delete(merger);
    if (run.firsts.length < 2) {
      this.#letGo(run);
      return;
    }
    const isSlow = run.plaintext.length <= (nowMs - run.startedMs) * mergedHarderBytesPerMsMax;
    this.#sealing = this.#sealing.then(async () => {
      this.#merged.push(await this.#seal(merger, run, isSlow));
      this.#letGo(run);
    });
    // `finish` waits for it and is told; until then a failure is nobody's.
    this.#sealing.catch(() => undefined);
  }

  /** What became of the blocks; nothing is added any more. */
  async finish(nowMs: number): Promise<MergedBlock[]> {
    for (const merger of [...this.#filling.keys()]) this.end(merger, nowMs);
    await this.#sealing;
    return this.#merged;
  }

  async #seal({ tenant, scope, stepKey }: Merger, run: Run, isSlow: boolean): Promise<MergedBlock> {
    const plaintext = run.plaintext.view();
    const input = {
      scope,
      stepKey,
      salt: this.#parts.random.bytes(16),
      ranges: run.ranges,
      plaintext,
      packed: isSlow ? await packed(plaintext) : undefined,
      level: isSlow ? mergedLevel : 1,
    };
    const block = plaintext.length <= sealNowBytesMax ? sealBlock(input) : await sealBlockBeside(input);
    return {
      tenant,
      retentionClass: scope.retentionClass,
      block,
      first: run.firsts[0] as number,
      replaces: run.firsts,
    };
  }

  /** A run that became large grows in memory that is used again. */
  #growInSpare(run: Run, bytes: number): void {
    if (run.plaintext.length + bytes <= smallBlockBytesMax || run.plaintext.buffer.length >= mergedBlockBytes) return;
    const larger = this.#parts.spare.take();
    larger.put(run.plaintext.view());
    run.plaintext = larger;
  }

  #letGo(run: Run): void {
    this.heldBytes -= run.plaintext.length;
    this.#parts.spare.give(run.plaintext);
  }
}

/** The packed form of records, made bit by bit: commits go on meanwhile. Undefined where there is none. */
async function packed(plaintext: Buffer): Promise<Uint8Array | undefined> {
  const packer = new RecordPacker(plaintext.length);
  for (let from = 0, at = 0; from < plaintext.length; from = at) {
    while (at < plaintext.length && at - from < packedBytesPerTurn) at += 4 + plaintext.readUInt32BE(at);
    if (!packer.add(plaintext.subarray(from, at))) return undefined;
    if (at < plaintext.length) await setImmediate();
  }
  return packer.finish();
}

/** Adjacent ranges become one: the format wants them so. */
function joinRange(ranges: { first: number; count: number }[], { first, count }: IndexRange): void {
  const last = ranges[ranges.length - 1];
  if (last !== undefined && last.first + last.count === first) last.count += count;
  else ranges.push({ first, count });
}
