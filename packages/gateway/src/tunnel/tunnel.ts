/**
 * Two ends of a WebSocket, joined: what one sends the other gets, as it comes and no faster than it is taken, as long as it is made of sound frames. However it ends,
 * both ends are told by a close frame where one may stand, and both are let go of within a moment.
 */
import type { Duplex } from 'node:stream';

import { closeFrame, type FrameFault, FrameReader } from './frames.ts';

export interface TunnelEnd {
  /** From a fixed list. */
  readonly reason: string;
  /** Of the first close frame; undefined where there was none. */
  readonly closeCode: number | undefined;
  /** From the client, and to it. */
  readonly receivedBytes: number;
  readonly sentBytes: number;
}

/** Who was told to close has this long to leave. */
const closeTimeoutMs = 2_000;

/** RFC 6455 §7.4.1, and 1014 of the registry: the other end is gone. */
const closeCodes: Readonly<Record<string, number>> = {
  'going-away': 1_001,
  'gateway-fault': 1_011,
  'message-too-large': 1_009,
  'upstream-gone': 1_014,
  'client-gone': 1_001,
  idle: 1_001,
  lifetime: 1_001,
};
/** Somebody may go on no longer. */
const policyCode = 1_008;
const protocolCode = 1_002;

/** One direction. */
interface Lane {
  readonly from: Duplex;
  readonly to: Duplex;
  readonly frames: FrameReader;
  readonly mask: (() => Uint8Array) | undefined;
  bytes: number;
  /** Until `from` is closed. */
  open: boolean;
}

export class Tunnel {
  /** Resolves once both ends are let go of. */
  readonly ended: Promise<TunnelEnd>;
  readonly #resolve: (end: TunnelEnd) => void;
  readonly #received: Lane;
  readonly #sent: Lane;
  #reason: string | undefined;
  /** Nothing is passed on any more. */
  #over = false;
  #lastMs = performance.now();
  #timer: NodeJS.Timeout | undefined;

  /** `drawMask` gives four random bytes: what is said to the API as its client is masked. */
  constructor(parts: {
    readonly client: Duplex;
    readonly upstream: Duplex;
    readonly messageBytesMax: number;
    readonly drawMask: () => Uint8Array;
  }) {
    const { client, upstream, messageBytesMax, drawMask } = parts;
    const { promise, resolve } = Promise.withResolvers<TunnelEnd>();
    this.ended = promise;
    this.#resolve = resolve;
    const readerOf = (masked: boolean): FrameReader => new FrameReader({ masked, messageBytesMax });
    this.#received = { from: client, to: upstream, frames: readerOf(true), mask: drawMask, bytes: 0, open: true };
    this.#sent = { from: upstream, to: client, frames: readerOf(false), mask: undefined, bytes: 0, open: true };
    this.#join(this.#received, 'client');
    this.#join(this.#sent, 'upstream');
  }

  /** For how long nothing has moved, in either direction. */
  idleMs(): number {
    return performance.now() - this.#lastMs;
  }

  /** Ends it for a reason that lies outside of it. */
  end(reason: string): void {
    if (this.#over) return;
    this.#close(
      reason,
      closeCodes[reason] ?? policyCode,
      this.#sent.frames.atBoundary,
      this.#received.frames.atBoundary,
    );
  }

  #join(lane: Lane, who: 'client' | 'upstream'): void {
    const { from, to } = lane;
    from.on('data', (chunk: Buffer) => this.#pass(lane, chunk));
    to.on('drain', () => {
      if (!this.#over) from.resume();
    });
    from.on('end', () => this.#gone(who));
    from.on('error', () => from.destroy());
    const onClose = (): void => {
      this.#gone(who);
      lane.open = false;
      if (!this.#received.open && !this.#sent.open) this.#settle();
    };
    // One may have said its last, or be gone, before anybody listened.
    if (from.closed) queueMicrotask(onClose);
    else from.on('close', onClose).resume();
    if (from.readableEnded) queueMicrotask(() => this.#gone(who));
  }

  #pass(lane: Lane, chunk: Buffer): void {
    if (this.#over) return;
    this.#lastMs = performance.now();
    const boundary = lane.frames.atBoundary;
    const fault = lane.frames.push(chunk);
    if (fault !== undefined) {
      this.#violated(lane, fault, boundary);
      return;
    }
    lane.bytes += chunk.length;
    if (!lane.to.write(chunk)) lane.from.pause();
    if (lane.frames.closeCode === undefined) return;
    this.#reason ??= lane === this.#received ? 'closed-by-client' : 'closed-by-upstream';
    // Who asked to close is answered by the other end, and doesn't wait for ever.
    this.#timer ??= setTimeout(() => this.#letGo(), closeTimeoutMs);
  }

  /** What came with the fault isn't passed on, so the other end stands where it stood before. */
  #violated(lane: Lane, fault: FrameFault, boundary: boolean): void {
    const of = lane === this.#received ? 'client' : 'upstream';
    const reason = fault === 'message-too-large' ? fault : `${of}-${fault}`;
    const sent = lane === this.#sent ? boundary : this.#sent.frames.atBoundary;
    const received = lane === this.#received ? boundary : this.#received.frames.atBoundary;
    this.#close(reason, closeCodes[reason] ?? protocolCode, sent, received);
  }

  /** One end has nothing more to say. After a close frame that is how it ends; the rest is for both to leave. */
  #gone(who: 'client' | 'upstream'): void {
    if (this.#over) return;
    const reason = this.#reason ?? `${who}-gone`;
    this.#close(reason, closeCodes[reason] ?? 1_000, this.#sent.frames.atBoundary, this.#received.frames.atBoundary);
  }

  /** A close frame can stand between frames only: in the midst of one there is nothing but the end. */
  #close(reason: string, code: number, toClient: boolean, toUpstream: boolean): void {
    this.#over = true;
    this.#reason = reason;
    for (const [lane, boundary] of [
      [this.#sent, toClient],
      [this.#received, toUpstream],
    ] as const) {
      const { to, from, frames, mask } = lane;
      if (boundary && frames.closeCode === undefined && to.writable) to.write(closeFrame(code, mask?.()));
      to.end();
      // What still comes is read and dropped, so that its end is seen.
      from.resume();
    }
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#letGo(), closeTimeoutMs);
  }

  #letGo(): void {
    this.#received.from.destroy();
    this.#sent.from.destroy();
  }

  #settle(): void {
    clearTimeout(this.#timer);
    const client = this.#received.frames.closeCode;
    const upstream = this.#sent.frames.closeCode;
    this.#resolve({
      reason: this.#reason ?? 'client-gone',
      closeCode: client ?? upstream,
      receivedBytes: this.#received.bytes,
      sentBytes: this.#sent.bytes,
    });
  }
}
