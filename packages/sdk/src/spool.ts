/**
 * The durable spool: where events wait, sealed, until the server has acknowledged them.
 *
 * What it promises: `append` resolves only after the events are on stable storage (one write and one datasync for everything that has
 * arrived meanwhile); `seq` grows by one per event and never repeats, over restarts, kill -9 and an emptied spool; the directory never
 * outgrows `maxBytes`; room that was reserved stays until it is released; one process at a time. What it doesn't: a failed datasync is final
 * (nobody knows what the disk holds then), so everything after it is refused until a restart.
 *
 * On disk: `lock` (empty), `segments/` (segment.ts), `acked` (a hint: losing it only re-sends), `dead/` (dead-letters.ts).
 */
import { join } from 'node:path';

import { AckMark } from './ack-mark.ts';
import { type Appended, Appending } from './appending.ts';
import { Batch } from './batch.ts';
import { DeadLetters } from './dead-letters.ts';
import { realDisk, type SpoolDisk, type SpoolFile } from './disk.ts';
import { probeDisk } from './disk-probe.ts';
import { SdkError } from './errors.ts';
import { type Lock, takeLock } from './lock.ts';
import { encodeBody, type OutgoingEvent } from './outgoing.ts';
import { Pending } from './pending.ts';
import { type Recovered, recoverSpool, type SegmentInfo, segmentPath } from './recovery.ts';
import { type Reservation, Room } from './room.ts';
import { frameBodyBytesMax, makeSegmentHeader, sealFrame, segmentHeaderBytes, segmentKey } from './segment.ts';
import { diskFull, diskStalled, isFull, spoolClosed, spoolFailed } from './spool-errors.ts';
import { readSpoolKey } from './spool-key.ts';
import { SpoolTail } from './spool-tail.ts';

const segmentBytesMax = 8 * 1024 * 1024;
/** Sealing one group costs this much on top of its lines. */
const frameOverheadBytes = 64;
const healEveryMs = 500;

export interface SpoolOptions {
  readonly dir: string;
  /** 32 random bytes, made with mode 0600 where there is none. */
  readonly keyFile: string;
  /** Bound of all segments together, at least 1 MiB. */
  readonly maxBytes: number;
  /** `emitter.id` of every event: names the installation and the slot. */
  readonly emitterId: string;
  /** Below this the file system counts as full. Default 16 MiB. */
  readonly freeBytesMin?: number;
  /** A commit that takes longer makes `reserve` refuse. Default 1,000. */
  readonly stallMs?: number;
  /** Dead letters kept before the sender stops setting any aside. Default 1,000. */
  readonly deadLettersMax?: number;
  /** The machine's own, unless a test hands in one that fails. */
  readonly disk?: SpoolDisk;
}

export type { Appended, Appending } from './appending.ts';

export type SpoolState =
  | { readonly kind: 'open' }
  /** The disk is full; writing is tried again every half second. */
  | { readonly kind: 'full' }
  | { readonly kind: 'failed'; readonly reason: string }
  | { readonly kind: 'closed' };

export interface SpoolStatus {
  readonly state: SpoolState;
  readonly usedBytes: number;
  readonly reservedBytes: number;
  readonly maxBytes: number;
  /** Events that the server has not acknowledged yet. */
  readonly waitingCount: number;
  readonly deadLetterCount: number;
  /** `seq` of the newest durable event, 0 before the first. */
  readonly lastSeq: number;
  /** Bytes of an unfinished group that were cut off when this spool was opened. */
  readonly cutBytes: number;
}

/** Opens (making it where needed) the spool in `dir`; throws `spool-locked`, `spool-damaged`, `spool-tampered`, `key-file`. */
export async function openSpool(options: SpoolOptions): Promise<Spool> {
  if (!(options.maxBytes >= 1024 * 1024)) {
    throw new SdkError(
      'configuration',
      `expected maxBytes ≥ 1048576, got ${options.maxBytes}; give the spool more room`,
    );
  }
  const disk = options.disk ?? realDisk;
  const segments = join(options.dir, 'segments');
  await disk.makeDir(segments);
  const lock = takeLock(join(options.dir, 'lock'));
  try {
    const spoolKey = await readSpoolKey(options.keyFile);
    const deadLetters = await DeadLetters.open({
      disk,
      directory: join(options.dir, 'dead'),
      spoolKey,
      countMax: options.deadLettersMax ?? 1_000,
    });
    const recovered = await recoverSpool({ disk, directory: segments, spoolKey });
    const ackMark = new AckMark({ disk, path: join(options.dir, 'acked') });
    const acked = await ackMark.read();
    const spool = new Spool({ options, disk, segments, lock, spoolKey, deadLetters, recovered, ackMark, acked });
    await spool.startSegment();
    return spool;
  } catch (error) {
    lock.release();
    throw error;
  }
}

export class Spool implements AsyncDisposable {
  readonly emitterId: string;
  readonly deadLetters: DeadLetters;
  readonly #options: SpoolOptions;
  readonly #disk: SpoolDisk;
  readonly #directory: string;
  readonly #lock: Lock;
  readonly #spoolKey: Uint8Array;
  readonly #ackMark: AckMark;
  readonly #tail: SpoolTail;
  /** Oldest first; the last is the one being written. */
  readonly #segments: SegmentInfo[];
  readonly #cutBytes: number;
  readonly #room: Room;
  readonly #emitterPrefix: string;
  /** What the emitter, its `seq` and the end of the line add to an event. */
  readonly #numberingBytes: number;

  #state: SpoolState = { kind: 'open' };
  #nextSeq: number;
  #acked: number;
  readonly #pending = new Pending();
  #file: SpoolFile | undefined;
  #nonce = 0;
  #committing: Promise<void> | undefined;
  #commitStartedAt = 0;
  #healTimer: NodeJS.Timeout | undefined;
  #lastGroup: Buffer | undefined;
  #growth: PromiseWithResolvers<void> = Promise.withResolvers<void>();

  /** Use `openSpool`. */
  constructor(parts: {
    readonly options: SpoolOptions;
    readonly disk: SpoolDisk;
    readonly segments: string;
    readonly lock: Lock;
    readonly spoolKey: Uint8Array;
    readonly deadLetters: DeadLetters;
    readonly recovered: Recovered;
    readonly ackMark: AckMark;
    readonly acked: number;
  }) {
    this.#options = parts.options;
    this.emitterId = parts.options.emitterId;
    this.#emitterPrefix = `{"emitter":{"id":${JSON.stringify(parts.options.emitterId)},"seq":`;
    this.#numberingBytes = Buffer.byteLength(this.#emitterPrefix) + 20;
    this.#disk = parts.disk;
    this.#directory = parts.segments;
    this.#lock = parts.lock;
    this.#spoolKey = parts.spoolKey;
    this.deadLetters = parts.deadLetters;
    this.#ackMark = parts.ackMark;
    this.#segments = parts.recovered.segments;
    this.#lastGroup = parts.recovered.lastGroup;
    this.#cutBytes = parts.recovered.cutBytes;
    this.#room = new Room({
      disk: parts.disk,
      directory: parts.segments,
      maxBytes: parts.options.maxBytes,
      freeBytesMin: parts.options.freeBytesMin ?? 16 * 1024 * 1024,
    });
    // The mark is only a hint, but one that survived the segments still keeps their numbers from being given twice.
    this.#nextSeq = Math.max(parts.recovered.nextSeq, parts.acked + 1);
    const oldest = parts.recovered.segments[0]?.firstSeq ?? this.#nextSeq;
    this.#acked = Math.max(parts.acked, oldest - 1);
    this.#tail = new SpoolTail({ disk: parts.disk, segments: this.#segments });
  }

  get status(): SpoolStatus {
    return {
      state: this.#state,
      usedBytes: this.#usedBytes(),
      reservedBytes: this.#room.reservedBytes,
      maxBytes: this.#options.maxBytes,
      waitingCount: this.#nextSeq - 1 - this.#acked,
      deadLetterCount: this.deadLetters.count,
      lastSeq: this.#nextSeq - 1,
      cutBytes: this.#cutBytes,
    };
  }

  /** `seq` of the newest event that the server acknowledged. */
  get acked(): number {
    return this.#acked;
  }

  /**
   * Sets `bytes` aside, so that an event about something that is still to happen will find its place. Throws
   * `spool-full`, `spool-failed`, `spool-stalled` or `spool-closed`.
   */
  reserve(bytes: number): Reservation {
    this.#assertOpen();
    this.#assertMoving();
    return this.#room.reserve(bytes, this.#usedBytes() + this.#pending.bytes);
  }

  /**
   * Writes the events, 4 MiB at most; resolves once they are durable, all of them or none. With a reservation its room is used, and
   * stays reserved until the caller releases it.
   */
  append(events: readonly OutgoingEvent[], options: { readonly reservation?: Reservation } = {}): Promise<Appended> {
    return this.begin(events, options).appended;
  }

  /** As `append`, for who may have to `retract`. */
  begin(events: readonly OutgoingEvent[], options: { readonly reservation?: Reservation } = {}): Appending {
    try {
      this.#assertOpen();
      const appending = this.#appendingOf(events);
      const { bytes } = appending;
      // A longer frame would be taken for a torn one when it is read again.
      if (bytes > frameBodyBytesMax) {
        throw new SdkError(
          'event-too-large',
          `expected at most ${frameBodyBytesMax} bytes of events in one append, got ${bytes}; append them in parts`,
        );
      }
      if (bytes > (options.reservation?.bytes ?? 0)) {
        this.#assertMoving();
        this.#room.assert(bytes, this.#usedBytes() + this.#pending.bytes);
      }
      this.#pending.push(appending);
      this.#committing ??= this.#commitLoop();
      return appending;
    } catch (error) {
      return Appending.refused(error);
    }
  }

  /**
   * What was begun holds no more, since nobody waits for it any longer. What isn't being written yet is taken back, and rejects. Of what is, nobody can say whether it comes to be durable: then
   * `corrections` are returned as an `Appending` of their own, and stand in the very next group, whatever else waits. A full disk they outlast. So only in the last group of a spool there can be something that nothing corrects.
   */
  retract(begun: Appending, corrections: readonly OutgoingEvent[]): Appending | undefined {
    if (this.#pending.takeBack(begun)) {
      begun.reject(diskStalled(this.#stallMs));
      return undefined;
    }
    const correcting = this.#appendingOf(corrections, begun);
    this.#pending.pushFirst(correcting);
    this.#committing ??= this.#commitLoop();
    return correcting;
  }

  #appendingOf(events: readonly OutgoingEvent[], corrects?: Appending): Appending {
    const bodies = events.map(encodeBody);
    const bytes = bodies.reduce((sum, body) => sum + body.bytes + this.#numberingBytes, frameOverheadBytes);
    return new Appending(bodies, bytes, corrects === undefined ? {} : { corrects });
  }

  /** The group that was written last before this start, as lines of JSON; given once. Who wrote it may have ended before it was known what became of it. */
  takeLastGroup(): readonly string[] {
    const lines = this.#lastGroup?.toString('utf8').split('\n') ?? [];
    this.#lastGroup = undefined;
    return lines;
  }

  /** The oldest events that aren't acknowledged, in order, as lines of JSON; undefined when there are none. */
  async read(bounds: { readonly eventsMax: number; readonly bytesMax: number }): Promise<Batch | undefined> {
    if (this.#acked >= this.#nextSeq - 1) return undefined;
    return this.#tail.read(this.#acked + 1, bounds);
  }

  /** Resolves once there is something to read; rejects when the signal aborts. */
  async waitForEvents(signal: AbortSignal): Promise<void> {
    while (this.#acked >= this.#nextSeq - 1) {
      signal.throwIfAborted();
      const { promise, resolve } = Promise.withResolvers<void>();
      const onAbort = (): void => resolve();
      signal.addEventListener('abort', onAbort, { once: true });
      await Promise.race([this.#growth.promise, promise]);
      // The signal lives as long as its sender: what stayed on it would pile up.
      signal.removeEventListener('abort', onAbort);
    }
  }

  /** The server has everything up to `seq`; segments that are through are removed. */
  async ack(seq: number): Promise<void> {
    if (seq <= this.#acked) return;
    this.#acked = Math.min(seq, this.#nextSeq - 1);
    this.#tail.forget(this.#acked);
    this.#ackMark.note(this.#acked);
    await this.#dropAcked();
  }

  /** Finishes what was appended and lets go of the directory. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#state.kind === 'closed') return;
    while (this.#committing !== undefined) await this.#committing;
    this.#state = { kind: 'closed' };
    this.#pending.refuseAll([], spoolClosed());
    clearTimeout(this.#healTimer);
    await this.#file?.close();
    await this.#ackMark.flush();
    this.#growth.resolve();
    this.#lock.release();
  }

  /** Opens a fresh segment behind the others. For `openSpool` and the commit loop. */
  async startSegment(): Promise<void> {
    const { bytes, salt } = makeSegmentHeader(this.#nextSeq);
    const path = segmentPath(this.#directory, this.#nextSeq);
    // By rename, since a segment of this number may be left from a start that nothing was appended in: at no moment may
    // the directory be without the number that comes next.
    await this.#disk.remove(`${path}.new`);
    const file = await this.#disk.create(`${path}.new`);
    try {
      await file.write(bytes, 0);
      await file.datasync();
      await this.#disk.rename(`${path}.new`, path);
      await this.#disk.syncDir(this.#directory);
    } catch (error) {
      await file.close();
      throw error;
    }
    await this.#file?.close();
    this.#file = file;
    this.#nonce = 0;
    if (this.#segments.at(-1)?.path === path) this.#segments.pop();
    this.#segments.push({
      path,
      key: segmentKey(this.#spoolKey, salt),
      firstSeq: this.#nextSeq,
      lastSeq: this.#nextSeq - 1,
      size: segmentHeaderBytes,
    });
    await this.#dropAcked();
  }

  async #dropAcked(): Promise<void> {
    for (;;) {
      const [oldest, next] = this.#segments;
      // The last group stays until another one follows it: what became of it may be asked after a restart.
      if (oldest === undefined || next === undefined || next.lastSeq < next.firstSeq) return;
      if (oldest.lastSeq > this.#acked) return;
      this.#segments.shift();
      await this.#disk.remove(oldest.path);
    }
  }

  async #commitLoop(): Promise<void> {
    while (this.#pending.count > 0) {
      // One turn of the event loop lets everything that is ready join the group; and whoever waited for the one before goes on, so that only of the last group it can be unknown what came of it.
      await new Promise((resolve) => setImmediate(resolve));
      const group = this.#pending.takeGroup();
      // All of it was taken back meanwhile.
      if (group.length === 0) break;
      this.#commitStartedAt = performance.now();
      const failed = await this.#commit(group).then(
        () => undefined,
        (error: unknown) => ({ error }),
      );
      this.#commitStartedAt = 0;
      // Until here it was on its way to the disk, and took room.
      if (failed === undefined) this.#pending.through(group);
      else if (this.#state.kind === 'full') {
        // What is owed waits for room: it must not come to stand behind others.
        this.#pending.refuse(group, failed.error);
        break;
      } else this.#pending.refuseAll(group, failed.error);
    }
    this.#committing = undefined;
  }

  async #commit(group: readonly Appending[]): Promise<void> {
    this.#assertOpen();
    const current = this.#segments.at(-1);
    if (current !== undefined && current.size >= Math.min(segmentBytesMax, this.#options.maxBytes / 8)) {
      await this.#guarded(() => this.startSegment());
    }
    const segment = this.#segments.at(-1);
    const file = this.#file;
    if (segment === undefined || file === undefined) throw this.#fail('no segment is open');
    const batch = this.#number(group);
    this.#nonce += 1;
    const { firstSeq, count, bytes } = batch;
    const frame = sealFrame({ key: segment.key, nonce: this.#nonce, firstSeq, count, plain: bytes.subarray(0, -1) });
    await this.#guarded(() => file.write(frame, segment.size), { file, size: segment.size });
    try {
      await file.datasync();
    } catch (cause) {
      throw this.#fail('datasync failed', cause);
    }
    this.#commitStartedAt = 0;
    if (!file.linked()) throw this.#fail('the segment being written was removed from the directory');
    segment.size += frame.length;
    segment.lastSeq = batch.lastSeq;
    this.#nextSeq = batch.lastSeq + 1;
    this.#tail.remember(batch);
    let seq = firstSeq;
    for (const appending of group) {
      const { length } = appending.bodies;
      appending.resolve({ firstSeq: seq, lastSeq: seq + length - 1 });
      seq += length;
    }
    const grown = this.#growth;
    this.#growth = Promise.withResolvers<void>();
    grown.resolve();
  }

  /** Gives the events of a group their numbers. */
  #number(group: readonly Appending[]): Batch {
    const firstSeq = this.#nextSeq;
    let text = '';
    let count = 0;
    for (const { bodies } of group)
      for (const { members } of bodies) text += `${this.#emitterPrefix}${firstSeq + count++}},${members}\n`;
    return new Batch({ firstSeq, count, bytes: Buffer.from(text, 'utf8') });
  }

  /** A full disk is survived: the half-written end is cut and the group refused. Any other failure is final. */
  async #guarded(
    write: () => Promise<void>,
    undo?: { readonly file: SpoolFile; readonly size: number },
  ): Promise<void> {
    try {
      await write();
    } catch (cause) {
      if (!isFull(cause)) throw this.#fail('writing failed', cause);
      try {
        await undo?.file.truncate(undo.size);
      } catch (error) {
        throw this.#fail('cutting a half-written group failed', error);
      }
      this.#state = { kind: 'full' };
      this.#healLater();
      throw diskFull(cause);
    }
  }

  #healLater(): void {
    this.#healTimer = setTimeout(() => {
      // Full is over once a real write went through.
      probeDisk(this.#disk, join(this.#options.dir, 'probe')).then(
        () => {
          if (this.#state.kind !== 'full') return;
          this.#state = { kind: 'open' };
          if (this.#pending.count > 0) this.#committing ??= this.#commitLoop();
        },
        () => {
          if (this.#state.kind === 'full') this.#healLater();
        },
      );
    }, healEveryMs);
    this.#healTimer.unref();
  }

  #fail(reason: string, cause?: unknown): SdkError {
    this.#state = { kind: 'failed', reason };
    return spoolFailed(this.#options.dir, reason, cause);
  }

  #assertOpen(): void {
    switch (this.#state.kind) {
      case 'open':
        return;
      case 'full':
        throw diskFull();
      case 'failed':
        throw spoolFailed(this.#options.dir, this.#state.reason);
      case 'closed':
        throw spoolClosed();
      default:
        this.#state satisfies never;
    }
  }

  #assertMoving(): void {
    if (this.#commitStartedAt === 0 || performance.now() - this.#commitStartedAt <= this.#stallMs) return;
    throw diskStalled(this.#stallMs);
  }

  get #stallMs(): number {
    return this.#options.stallMs ?? 1_000;
  }

  #usedBytes(): number {
    return this.#segments.reduce((sum, { size }) => sum + size, 0);
  }
}
