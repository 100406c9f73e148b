/**
 * The gateway's way to the record: minimise, spool, and wait until it is durable, but never longer than the deadline.
 *
 * In `strict` mode nothing passes without its event: `reserve` refuses before the upstream is asked, `record` before anything is released.
 * In `available` mode events are spooled and let go; what couldn't be spooled is counted. In either, once the record works again it says from when to when it didn't.
 */
import { type MinimisationPolicy, uuidv7 } from '@watchglass/record';
import {
  type EventFacts,
  eventBytesMax,
  minimiseOutgoing,
  type OutgoingEvent,
  type Reservation,
  SdkError,
  type Spool,
} from '@watchglass/sdk';

import { Deadlines } from '../http/deadlines.ts';
import { drawBytes } from './random.ts';

export type AuditMode = 'strict' | 'available';

/** What is known of an event before it has its id. */
export type EventDraftFacts = Omit<EventFacts, 'v' | 'id'> & { readonly id?: string };

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

  /** Resolves when the request may go on: in `strict` mode once the events are durable, or it is known that they aren't. Never rejects. */
  record(drafts: readonly EventDraftFacts[], reservation?: Reservation): Promise<Recorded> {
    if (this.mode === 'strict') return this.recordDurably(drafts, reservation);
    void this.#append(drafts, reservation);
    return Promise.resolve(durable);
  }

  /** Waits in either mode, within the deadline. Never rejects. */
  recordDurably(drafts: readonly EventDraftFacts[], reservation?: Reservation): Promise<Recorded> {
    return new Promise((resolve) => {
      const wait = this.#deadlines.begin(() => {
        this.#failed('deadline');
        resolve({ kind: 'unrecorded', reason: 'deadline' });
      });
      void this.#append(drafts, reservation).then((recorded) => {
        this.#deadlines.end(wait);
        resolve(recorded);
      });
    });
  }

  #append(drafts: readonly EventDraftFacts[], reservation: Reservation | undefined): Promise<Recorded> {
    const { length } = drafts;
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
    try {
      const events = this.#outgoing(drafts);
      return this.#spool
        .append(events, reservation === undefined || reservation.bytes === 0 ? {} : { reservation })
        .then(onDurable, onError);
    } catch (error) {
      return Promise.resolve(onError(error));
    }
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

const durable: Recorded = { kind: 'durable' };
