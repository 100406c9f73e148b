/**
 * Reads a spool in order. What was appended lately is still in memory (bounded), so a sender that keeps up never touches the disk; one that
 * fell behind, or comes after a restart, reads the sealed segments.
 */
import { Batch, joinBatches } from './batch.ts';
import type { SpoolDisk } from './disk.ts';
import { SdkError } from './errors.ts';
import type { SegmentInfo } from './recovery.ts';
import { frameBodyBytesMax, frameHeaderBytes, openFrame, segmentHeaderBytes, viewFrame } from './segment.ts';

const recentBytesMax = 4 * 1024 * 1024;
const readBytes = 1024 * 1024;
const lineEnd = Buffer.from('\n');

export class SpoolTail {
  readonly #disk: SpoolDisk;
  /** The spool's own list: it changes as segments come and go. */
  readonly #segments: readonly SegmentInfo[];
  #recent: Batch[] = [];
  #recentBytes = 0;
  /** The frame that was read last: where reading goes on, unless what is asked for stands before it. */
  #cursor: { path: string; offset: number; firstSeq: number } | undefined;

  constructor(parts: { readonly disk: SpoolDisk; readonly segments: readonly SegmentInfo[] }) {
    this.#disk = parts.disk;
    this.#segments = parts.segments;
  }

  /** Keeps a group that became durable just now. */
  remember(group: Batch): void {
    this.#recent.push(group);
    this.#recentBytes += group.bytes.length;
    while (this.#recentBytes > recentBytesMax) this.#dropOldest();
  }

  /** Lets go of what was acknowledged. */
  forget(acked: number): void {
    while (this.#recent.length > 0 && (this.#recent[0] as Batch).lastSeq <= acked) this.#dropOldest();
  }

  async read(fromSeq: number, bounds: { readonly eventsMax: number; readonly bytesMax: number }): Promise<Batch> {
    const parts: Batch[] = [];
    let { eventsMax, bytesMax } = bounds;
    for await (const group of this.#groupsFrom(fromSeq)) {
      const asked = group.slice(Math.max(0, fromSeq - group.firstSeq));
      const part = asked.within({ eventsMax, bytesMax });
      // One event is given whatever its size: a bound that it doesn't fit would hold up all behind it.
      parts.push(parts.length === 0 && part.count === 0 ? asked.slice(0, 1) : part);
      if (part.count < asked.count) break;
      eventsMax -= part.count;
      bytesMax -= part.bytes.length;
    }
    return joinBatches(fromSeq, parts);
  }

  async *#groupsFrom(fromSeq: number): AsyncGenerator<Batch> {
    let seq = fromSeq;
    for (;;) {
      const recent = this.#recent.find((group) => group.firstSeq <= seq && seq <= group.lastSeq);
      const group = recent ?? (await this.#groupOnDisk(seq));
      if (group === undefined) return;
      yield group;
      seq = group.lastSeq + 1;
    }
  }

  /** The frame that holds `seq`; undefined past the end. */
  async #groupOnDisk(seq: number): Promise<Batch | undefined> {
    const segment = this.#segments.find(({ firstSeq, lastSeq }) => firstSeq <= seq && seq <= lastSeq);
    if (segment === undefined) return undefined;
    const cursor = this.#cursor?.path === segment.path && this.#cursor.firstSeq <= seq ? this.#cursor : undefined;
    let offset = cursor?.offset ?? segmentHeaderBytes;
    let chunk = await this.#disk.readAt(segment.path, offset, Math.min(readBytes, segment.size - offset));
    let chunkAt = offset;
    while (offset < segment.size) {
      const view = viewFrame(chunk, offset - chunkAt);
      if (view.kind === 'short' && chunkAt + chunk.length < segment.size) {
        const length = Math.min(
          Math.max(readBytes, view.size),
          segment.size - offset,
          frameHeaderBytes + frameBodyBytesMax,
        );
        chunk = await this.#disk.readAt(segment.path, offset, length);
        chunkAt = offset;
        continue;
      }
      if (view.kind !== 'frame') break;
      if (view.firstSeq + view.count > seq) {
        this.#cursor = { path: segment.path, offset, firstSeq: view.firstSeq };
        const plain = openFrame(segment.key, chunk, offset - chunkAt, view.size, segment.path);
        return new Batch({ firstSeq: view.firstSeq, count: view.count, bytes: Buffer.concat([plain, lineEnd]) });
      }
      offset += view.size;
    }
    throw new SdkError(
      'spool-damaged',
      `${segment.path}: expected a whole frame at byte ${offset}, got a wrong checksum; check the disk, keep the directory and restart`,
    );
  }

  #dropOldest(): void {
    const oldest = this.#recent.shift();
    if (oldest !== undefined) this.#recentBytes -= oldest.bytes.length;
  }
}
