/**
 * The gateway's way to the record: minimise, spool, and wait until it is durable, but never longer than the deadline.
 *
 * In `strict` mode nothing passes without its event: `reserve` refuses before the upstream is asked, `record` before anything is released.
 * In `available` mode events are spooled and let go; what couldn't be spooled is counted. In either, once the record works again it says from when to when it didn't.
 */
import { type MinimisationPolicy, uuidv7 } from '@watchglass/record';
import {
  type Appending,
  type EventFacts,
  eventBytesMax,
  minimiseOutgoing,
  type OutgoingEvent,
  type Reservation,
  SdkError,
  type Spool,
} from '@watchglass/sdk';

import { Deadlines } from '../http/deadlines.ts';
import { lateCorrection, type TooLate } from './corrections.ts';
import type { EventDraftFacts } from './event-draft.ts';
import { drawBytes } from './random.ts';

export type AuditMode = 'strict' | 'available';

export type { EventDraftFacts } from './event-draft.ts';

export type Recorded = { readonly kind: 'durable' } | { readonly kind: 'unrecorded'; readonly reason: string };

/** A time in which something could not be recorded, and why at first. */
export interface Lapse {
  readonly fromMs: number;
  readonly toMs: number;
  readonly reason: string;
}

/** An event without lists of patients and resources stays below this. */
export const smallEventBytesMax: number = 16_384;
/** One request writes at most one event with lists, an intent before it, and the end of a stream after it. */
export const requestEventsBytesMax: number = eventBytesMax + 2 * smallEventBytesMax;

export class Recorder {
  readonly mode: AuditMode;
  readonly #spool: Spool;
  readonly #deadlines: Deadlines;
  readonly #minimising: { readonly tenant?: string; readonly policy?: MinimisationPolicy };
  readonly #lapseEvents: ((lapse: Lapse) => readonly EventDraftFacts[]) | undefined;
  #lapse: Omit<Lapse, 'toMs'> | undefined;
  unrecordedCount = 0;
  recordedCount = 0;
  /** Given to the spool, and not yet known to be durable. */
  pendingCount = 0;

  constructor(options: {
    readonly spool: Spool;
    readonly mode: AuditMode;
    readonly deadlineMs: number;
    readonly tenant?: string;
    readonly minimisation?: MinimisationPolicy;
    /** What is said of a lapse that is over. */
    readonly lapseEvents?: (lapse: Lapse) => readonly EventDraftFacts[];
  }) {
    this.#spool = options.spool;
    this.mode = options.mode;
    this.#deadlines = new Deadlines(options.deadlineMs);
    const { tenant, minimisation } = options;
    this.#minimising = {
      ...(tenant === undefined ? {} : { tenant }),
      ...(minimisation === undefined ? {} : { policy: minimisation }),
    };
    this.#lapseEvents = options.lapseEvents;
  }

  newId(nowMs: number): string {
    return uuidv7(nowMs, drawBytes(10));
  }

  /** Room for everything that one request can come to say; undefined when there is none. In `available` mode it is not asked for. */
  reserve(bytes: number = requestEventsBytesMax): Reservation | undefined {
    if (this.mode === 'available') return { bytes: 0, shrinkTo: () => undefined, release: () => undefined };
    try {
      return this.#spool.reserve(bytes);
    } catch (error) {
      if (!(error instanceof SdkError)) throw error;
      this.#failed(error.code);
      return undefined;
    }
  }

  /** Why a request would not pass now; empty when it would. */
  problems(): readonly string[] {
    try {
      this.#spool.reserve(requestEventsBytesMax).release();
      return [];
    } catch (error) {
      if (error instanceof SdkError) return [error.code];
      throw error;
    }
  }

  /**
   * Resolves when the request may go on: in `strict` mode once the events are durable, or it is known that they aren't. Never rejects. `tooLate` is what whoever waits is told when
   * that takes too long: then the events don't come to be, or each is followed by one that says so.
   */
  record(drafts: readonly EventDraftFacts[], reservation?: Reservation, tooLate?: TooLate): Promise<Recorded> {
    if (this.mode === 'strict') return this.recordDurably(drafts, reservation, tooLate);
    void this.#append(drafts, reservation);
    return Promise.resolve(durable);
  }

  /** Waits in either mode, within the deadline. Never rejects. */
  recordDurably(drafts: readonly EventDraftFacts[], reservation?: Reservation, tooLate?: TooLate): Promise<Recorded> {
    return new Promise((resolve) => {
      let begun: Begun | undefined;
      const wait = this.#deadlines.begin(() => {
        this.#failed('deadline');
        if (begun !== undefined && tooLate !== undefined) this.#retract(drafts, begun, tooLate);
        resolve({ kind: 'unrecorded', reason: 'deadline' });
      });
      const onBegun = (one: Begun): void => {
        begun = one;
      };
      void this.#append(drafts, reservation, tooLate === undefined ? undefined : onBegun).then((recorded) => {
        this.#deadlines.end(wait);
        resolve(recorded);
      });
    });
  }

  /** What couldn't be corrected either is as it would be after a crash: the next start says that nobody knows. */
  #retract(drafts: readonly EventDraftFacts[], { appending, events }: Begun, tooLate: TooLate): void {
    const corrections = this.#outgoing(
      drafts.map((draft, position) => lateCorrection(draft, events[position]?.id ?? '', tooLate)),
    );
    const correcting = this.#spool.retract(appending, corrections);
    if (correcting !== undefined) void this.#settled(correcting, corrections.length);
  }

  #append(
    drafts: readonly EventDraftFacts[],
    reservation: Reservation | undefined,
    onBegun?: (begun: Begun) => void,
  ): Promise<Recorded> {
    try {
      const events = this.#outgoing(drafts);
      const appending = this.#spool.begin(
        events,
        reservation === undefined || reservation.bytes === 0 ? {} : { reservation },
      );
      onBegun?.({ appending, events });
      return this.#settled(appending, drafts.length);
    } catch (error) {
      return this.#settled({ appended: Promise.reject(error) }, drafts.length);
    }
  }

  #settled({ appended }: Pick<Appending, 'appended'>, length: number): Promise<Recorded> {
    this.pendingCount += length;
    const onError = (error: unknown): Recorded => {
      this.pendingCount -= length;
      this.unrecordedCount += length;
      const reason = error instanceof SdkError ? error.code : 'event-invalid';
      this.#failed(reason);
      return { kind: 'unrecorded', reason };
    };
    const onDurable = (): Recorded => {
      this.pendingCount -= length;
      this.recordedCount += length;
      if (this.#lapse !== undefined) this.#worked(this.#lapse);
      return durable;
    };
    return appended.then(onDurable, onError);
  }

  #failed(reason: string): void {
    this.#lapse ??= { fromMs: Date.now(), reason };
  }

  /** A lapse is over once a whole request would pass again: of a nearly full spool small events come and go. */
  #worked(lapse: Omit<Lapse, 'toMs'>): void {
    if (this.#lapseEvents === undefined || this.problems().length > 0) return;
    this.#lapse = undefined;
    void this.#append(this.#lapseEvents({ ...lapse, toMs: Date.now() }), undefined).then(({ kind }) => {
      if (kind === 'unrecorded') this.#lapse = lapse;
    });
  }

  /** In the order of members in which events are stored, so that nothing has to be arranged afterwards. */
  #outgoing(drafts: readonly EventDraftFacts[]): readonly OutgoingEvent[] {
    const nowMs = Date.now();
    return drafts.map((draft) =>
      minimiseOutgoing({ v: 1, id: draft.id ?? this.newId(nowMs), ...draft } as EventFacts, this.#minimising),
    );
  }
}

interface Begun {
  readonly appending: Appending;
  readonly events: readonly OutgoingEvent[];
}

const durable: Recorded = { kind: 'durable' };
