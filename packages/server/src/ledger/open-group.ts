/**
 * A group while it fills: events are committed to, hashed into the tree and laid out in blocks as they arrive, while the
 * group before it is on its way to the disk. `close` seals what is left and gives the bytes of the group. Large blocks are compressed on other threads.
 *
 * Nothing here is durable or visible; `sequencer.ts` commits it or takes it back.
 */
import { type Frontier, type RetentionClass, retentionClasses } from '@watchglass/record';
import {
  type Committer,
  commitFields,
  type EmitterRun,
  type EncodedGroup,
  encodeGroup,
  type Group,
  type IndexRange,
  sealBlock,
  sealBlockBeside,
} from '@watchglass/record/reader';
import type { Random } from '../world/world.ts';
import { GrowingBytes, type SpareBytes } from './growing-bytes.ts';
import type { EncodedBatch } from './ledger.ts';
import { sealNowBytesMax } from './merging.ts';
import type { RecentPart } from './recent-records.ts';
import type { Step, StepSecrets } from './step.ts';
import type { TileNode } from './storage.ts';
import type { TenantLog } from './tenant-log.ts';

export const groupEventsMax = 32_768;
export const groupBytesMax: number = 8 * 1024 * 1024;
const chunkBytes = 1024 * 1024;
/** A chunk takes records until it has `chunkBytes`: the last of them may be the longest there is. */
export const chunkBufferBytes: number = chunkBytes + 65_540;
const chunkRangesMax = 32_768;
const groupBytesKeptMax = 4 * 1024 * 1024;

/** Plaintext on its way into one block. */
interface Chunk {
  readonly retentionClass: RetentionClass;
  readonly epoch: number;
  readonly secrets: StepSecrets;
  readonly plaintext: GrowingBytes;
  readonly ranges: { first: number; count: number }[];
  block: Buffer | Promise<Buffer> | undefined;
}

export class GroupPart {
  readonly log: TenantLog;
  readonly sizeBefore: number;
  /** The tree as it was, to go back to. */
  readonly frontierBefore: Frontier;
  readonly stepFirstIndex: number;
  readonly commitments: GrowingBytes;
  readonly ids: GrowingBytes;
  readonly runs: { emitter: string; firstSeq: number; firstIndex: number; count: number }[] = [];
  readonly nodes: TileNode[] = [];
  readonly chunks: Chunk[] = [];
  /** The chunk that is filling, by position of the class. */
  readonly filling: (number | undefined)[] = [];
  chunkOf: Uint16Array;
  offsets: Uint32Array;
  count = 0;
  /** Of m. */
  bytes = 0;

  /** @param eventsUsual a guess: what grows past it is copied */
  constructor(log: TenantLog, step: Step, eventsUsual: number) {
    this.log = log;
    this.commitments = new GrowingBytes(32 * eventsUsual);
    this.ids = new GrowingBytes(16 * eventsUsual);
    this.chunkOf = new Uint16Array(eventsUsual);
    this.offsets = new Uint32Array(eventsUsual);
    this.sizeBefore = log.frontier.size;
    this.frontierBefore = log.frontier.clone();
    this.stepFirstIndex = step.firstIndexOf(log, this.sizeBefore);
  }

  /** For followers, once the group is durable. */
  recent(): RecentPart {
    const plaintexts = this.chunks.map((chunk) => ({
      bytes: chunk.plaintext,
      retentionClass: chunk.retentionClass,
      epoch: chunk.epoch,
    }));
    const heldBytes =
      plaintexts.reduce((sum, { bytes }) => sum + bytes.buffer.length, 0) +
      this.chunkOf.byteLength +
      this.offsets.byteLength;
    return {
      first: this.sizeBefore,
      count: this.count,
      plaintexts,
      chunkOf: this.chunkOf,
      offsets: this.offsets,
      heldBytes,
    };
  }
}

/** What groups of one writer have in common. */
export interface GroupTools {
  readonly random: Random;
  readonly committer: Committer;
  readonly spareChunks: SpareBytes;
  /** Where a group's bytes are put together: one group at a time is on its way to the disk. */
  groupBytes: Uint8Array;
  /** Each log's last group: a guess at the next one. */
  readonly usual: Map<TenantLog, { readonly events: number; readonly bytes: number }>;
}

/** A group that takes no more events. */
export interface ClosedGroup {
  readonly group: Group;
  readonly parts: readonly GroupPart[];
  readonly encoded: EncodedGroup;
}

export class OpenGroup {
  readonly step: Step;
  readonly parts: Map<TenantLog, GroupPart> = new Map();
  readonly #tools: GroupTools;
  events = 0;
  bytes = 0;
  receivedMs = 0;

  constructor(step: Step, tools: GroupTools) {
    this.step = step;
    this.#tools = tools;
  }

  hasRoom(events: number, bytes: number): boolean {
    return this.events === 0 || (this.events + events <= groupEventsMax && this.bytes + bytes <= groupBytesMax);
  }

  /**
   * Takes the events of a batch that are new, at the next indexes of the log.
   *
   * @param isDuplicate by position in the batch: 1 for what is in the log already
   * @returns the leaf hashes of the new events, in order
   */
  absorb(log: TenantLog, batch: EncodedBatch, isDuplicate: Uint8Array): Uint8Array {
    let part = this.parts.get(log);
    if (part === undefined) {
      part = new GroupPart(log, this.step, Math.max(16, batch.count, this.#tools.usual.get(log)?.events ?? 0));
      this.parts.set(log, part);
    }
    const before = part.count;
    const bytesBefore = this.bytes;
    this.#place(part, batch, isDuplicate);
    addRuns(part, batch, isDuplicate, before);
    const added = part.commitments.view(before * 32, part.count * 32);
    const hashes = log.frontier.appendCommitments(added, (level, n, hash) => part.nodes.push({ level, n, hash }));
    this.events += part.count - before;
    this.step.events += part.count - before;
    this.step.bytes += this.bytes - bytesBefore;
    part.bytes += this.bytes - bytesBefore;
    this.receivedMs = Math.max(this.receivedMs, batch.receivedMs);
    return hashes;
  }

  #place(part: GroupPart, batch: EncodedBatch, isDuplicate: Uint8Array): void {
    const { originHash, leafType } = part.log;
    const { committer } = this.#tools;
    reserve(part, batch.count);
    let from = 0;
    for (let i = 0; i < batch.count; i++) {
      const length = batch.lengths[i] as number;
      if (isDuplicate[i] === 0) {
        const m = batch.records.subarray(from, from + length);
        const index = part.sizeBefore + part.count;
        const at = this.#chunk(part, batch.classes[i] as number, batch);
        const chunk = part.chunks[at] as Chunk;
        const offset = chunk.plaintext.extend(4 + length);
        const { buffer } = chunk.plaintext;
        buffer.writeUInt32BE(length, offset);
        buffer.set(m, offset + 4);
        extendRanges(chunk.ranges, index);
        const { openings } = chunk.secrets;
        const to = part.commitments.extend(32);
        if (leafType === 1) {
          // First: it may put the stream into other memory.
          const openingAt = openings.seek(index - part.stepFirstIndex);
          const opening = { originHash, index, openings: openings.stream, openingAt, m };
          committer.commitInto(opening, part.commitments.buffer, to);
        } else {
          const r = openings.at(index - part.stepFirstIndex);
          part.commitments.buffer.set(commitFields({ originHash, index, r, m }), to);
        }
        const id = part.ids.extend(16);
        for (let k = 0; k < 16; k++) part.ids.buffer[id + k] = batch.ids[i * 16 + k] as number;
        part.chunkOf[part.count] = at;
        part.offsets[part.count] = offset;
        part.count++;
        this.bytes += length;
      }
      from += length;
    }
  }

  /** The chunk of this class that is filling; a full one is sealed here and now, beside the disk's work on the group before. */
  #chunk(part: GroupPart, classPosition: number, batch: EncodedBatch): number {
    const at = part.filling[classPosition];
    const { log } = part;
    if (at !== undefined) {
      const chunk = part.chunks[at] as Chunk;
      const full = chunk.plaintext.length >= chunkBytes || chunk.ranges.length >= chunkRangesMax;
      if (!full && chunk.epoch === log.epoch) return at;
      this.#seal(part, chunk);
    }
    const retentionClass = retentionClasses[classPosition] as RetentionClass;
    const keys = log.keysOf(retentionClass, log.epoch);
    if (keys === undefined) throw new TypeError(`the seed of ${retentionClass} must be durable before its first use`);
    const secrets = this.step.secrets(log, retentionClass, log.epoch, keys);
    const usualBytes = Math.max(batch.records.length, this.#tools.usual.get(log)?.bytes ?? 0);
    part.chunks.push({
      retentionClass,
      epoch: log.epoch,
      secrets,
      plaintext:
        usualBytes >= chunkBytes / 4
          ? this.#tools.spareChunks.take()
          : new GrowingBytes(Math.max(1024, batch.records.length + 4 * batch.count)),
      ranges: [],
      block: undefined,
    });
    part.filling[classPosition] = part.chunks.length - 1;
    return part.chunks.length - 1;
  }

  /** Begun once for each chunk, when nothing more comes into it. */
  #seal(part: GroupPart, chunk: Chunk): void {
    if (chunk.block !== undefined) return;
    const plaintext = chunk.plaintext.view();
    const input = {
      scope: {
        retentionClass: chunk.retentionClass,
        originHash: part.log.originHash,
        epoch: chunk.epoch,
        writer: this.step.writer,
        step: this.step.number,
        stepFirstIndex: part.stepFirstIndex,
      },
      stepKey: chunk.secrets.stepKey,
      salt: this.#tools.random.bytes(16),
      ranges: chunk.ranges,
      plaintext,
    };
    if (plaintext.length <= sealNowBytesMax) {
      chunk.block = sealBlock(input);
      return;
    }
    const sealing = sealBlockBeside(input);
    // `close` waits for it and is told; until then a failure is nobody's.
    sealing.catch(() => undefined);
    chunk.block = sealing;
  }

  /**
   * Ends the group: no event comes in any more. At once where blocks are small; otherwise when those on other threads are
   * sealed. The next group may fill meanwhile; the one before must have ended, since its bytes are written over.
   */
  close(number: number): ClosedGroup | Promise<ClosedGroup> {
    const parts = [...this.parts.values()].filter((part) => part.count > 0);
    for (const part of parts) for (const chunk of part.chunks) this.#seal(part, chunk);
    const sealing = parts.map((part) => part.chunks.map(({ block }) => block as Buffer | Promise<Buffer>));
    const closed = parts.map((part) => {
      this.#tools.usual.set(part.log, { events: part.count, bytes: part.bytes });
      return {
        tenant: part.log.tenant,
        sizeBefore: part.sizeBefore,
        count: part.count,
        rootAfter: part.log.frontier.root(),
        commitments: part.commitments.view(),
        ids: part.ids.view(),
        runs: part.runs as readonly EmitterRun[],
      };
    });
    const finish = (blocks: readonly (readonly Buffer[])[]): ClosedGroup => {
      const tenants = closed.map((part, at) => ({ ...part, blocks: blocks[at] as readonly Buffer[] }));
      const group: Group = { number, receivedMs: this.receivedMs, tenants };
      const encoded = encodeGroup(group, this.#tools.groupBytes);
      if (encoded.bytes.length <= groupBytesKeptMax && encoded.bytes.length > this.#tools.groupBytes.length)
        this.#tools.groupBytes = encoded.bytes;
      return { group, parts, encoded };
    };
    if (areSealed(sealing)) return finish(sealing);
    return Promise.all(sealing.map((blocks) => Promise.all(blocks))).then(finish);
  }

  /** Hands the plaintexts to the step, which merges small ones. */
  hold(nowMs: number): void {
    for (const { log, chunks } of this.parts.values()) {
      for (const { retentionClass, epoch, ranges, plaintext } of chunks) {
        const durable = {
          log,
          retentionClass,
          epoch,
          ranges: ranges as readonly IndexRange[],
          plaintext: plaintext.view(),
        };
        this.step.hold(durable, nowMs);
      }
    }
  }
}

function reserve(part: GroupPart, count: number): void {
  const needed = part.count + count;
  if (needed <= part.offsets.length) return;
  const capacity = Math.max(needed, part.offsets.length * 2);
  const offsets = new Uint32Array(capacity);
  offsets.set(part.offsets);
  part.offsets = offsets;
  const chunkOf = new Uint16Array(capacity);
  chunkOf.set(part.chunkOf);
  part.chunkOf = chunkOf;
}

function extendRanges(ranges: { first: number; count: number }[], index: number): void {
  const last = ranges[ranges.length - 1];
  if (last !== undefined && last.first + last.count === index) last.count++;
  else ranges.push({ first: index, count: 1 });
}

function addRuns(part: GroupPart, batch: EncodedBatch, isDuplicate: Uint8Array, before: number): void {
  let position = 0;
  let index = part.sizeBefore + before;
  for (const { emitter, firstSeq, count } of batch.runs) {
    for (let i = 0; i < count; i++, position++) {
      if (isDuplicate[position] !== 0) continue;
      const last = part.runs[part.runs.length - 1];
      const seq = firstSeq + i;
      if (
        last !== undefined &&
        last.emitter === emitter &&
        last.firstSeq + last.count === seq &&
        last.firstIndex + last.count === index
      )
        last.count++;
      else part.runs.push({ emitter, firstSeq: seq, firstIndex: index, count: 1 });
      index++;
    }
  }
}

function areSealed(
  blocks: readonly (readonly (Buffer | Promise<Buffer>)[])[],
): blocks is readonly (readonly Buffer[])[] {
  return blocks.every((ofLog) => ofLog.every((block) => !(block instanceof Promise)));
}
