/**
 * Reads a spool in order. What was appended lately is still in memory (bounded), so a sender that keeps up never touches the disk; one that
 * fell behind, or comes after a restart, reads the sealed segments.
 */
import type { SpoolDisk } from './disk.ts';
import { SdkError } from './errors.ts';
import type { SegmentInfo } from './recovery.ts';
import { frameBodyBytesMax, frameHeaderBytes, openFrame, segmentHeaderBytes, viewFrame } from './segment.ts';

/** Events in order of `seq`, each as one line of JSON. */
export interface Batch {
  readonly firstSeq: number;
  readonly lines: readonly string[];
}

const recentBytesMax = 4 * 1024 * 1024;
const readBytes = 1024 * 1024;

interface Group {
  readonly firstSeq: number;
  readonly lines: readonly string[];
  readonly bytes: number;
}

export class SpoolTail {
  readonly #disk: SpoolDisk;
  /** The spool's own list: it changes as segments come and go. */
  readonly #segments: readonly SegmentInfo[];
  #recent: Group[] = [];
  #recentBytes = 0;
  /** The frame that was read last: where reading goes on, unless what is asked for stands before it. */
  #cursor: { path: string; offset: number; firstSeq: number } | undefined;

  constructor(parts: { readonly disk: SpoolDisk; readonly segments: readonly SegmentInfo[] }) {
    this.#disk = parts.disk;
    this.#segments = parts.segments;
  }

  /** Keeps a group that became durable just now. */
  remember(firstSeq: number, lines: readonly string[]): void {
    const bytes = lines.reduce((sum, line) => sum + line.length, 0);
    this.#recent.push({ firstSeq, lines, bytes });
    this.#recentBytes += bytes;
    while (this.#recentBytes > recentBytesMax) this.#dropOldest();
  }

  /** Lets go of what was acknowledged. */
  forget(acked: number): void {
    while (this.#recent.length > 0 && lastSeqOf(this.#recent[0]) <= acked) this.#dropOldest();
  }

  async read(fromSeq: number, bounds: { readonly eventsMax: number; readonly bytesMax: number }): Promise<Batch> {
    const lines: string[] = [];
    let bytes = 0;
    for await (const group of this.#groupsFrom(fromSeq)) {
      for (const [position, line] of group.lines.entries()) {
        if (group.firstSeq + position < fromSeq) continue;
        if (lines.length > 0 && (lines.length >= bounds.eventsMax || bytes + line.length + 1 > bounds.bytesMax)) {
          return { firstSeq: fromSeq, lines };
        }
        lines.push(line);
        bytes += Buffer.byteLength(line) + 1;
      }
    }
    return { firstSeq: fromSeq, lines };
  }

  async *#groupsFrom(fromSeq: number): AsyncGenerator<{ firstSeq: number; lines: readonly string[] }> {
    let seq = fromSeq;
    for (;;) {
      const recent = this.#recent.find((group) => group.firstSeq <= seq && seq <= lastSeqOf(group));
      const group = recent ?? (await this.#groupOnDisk(seq));
      if (group === undefined) return;
      yield group;
      seq = group.firstSeq + group.lines.length;
    }
  }

  /** The frame that holds `seq`; undefined past the end. */
  async #groupOnDisk(seq: number): Promise<{ firstSeq: number; lines: readonly string[] } | undefined> {
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
        const lines = openFrame(segment.key, chunk, offset - chunkAt, view.size, segment.path);
        return { firstSeq: view.firstSeq, lines };
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
    if (oldest !== undefined) this.#recentBytes -= oldest.bytes;
  }
}

function lastSeqOf(group: Group | undefined): number {
  return group === undefined ? 0 : group.firstSeq + group.lines.length - 1;
}
