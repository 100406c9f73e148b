/**
 * What becomes of each request, counted so that it adds up by construction: a request is under way until it has ended, and then is exactly one of recorded,
 * flooded, faulted or unrecorded. So received = recorded + flooded + faulted + unrecorded + inFlight at every moment, and what the ledger lacks shows.
 */
import type { Counters } from '@watchglass/record';

/**
 * `recorded`: at least one event of it was made durable (in `available` mode: handed to the spool). `flooded`: refused like many before it, and only counted.
 * `faulted`: its connection broke the protocol, and the event is the connection's. `unrecorded`: nothing of it is on record.
 */
export type Fate = 'recorded' | 'flooded' | 'faulted' | 'unrecorded';

/** What a request carries of its count: no table of what is under way, whose churn would cost more than the counting. */
export interface Counted {
  /** Undefined while it isn't under way. */
  fate: Fate | undefined;
}

interface Request {
  readonly counted: Counted;
}

export class RequestCounters {
  readonly #sinceMs: number;
  #received = 0;
  readonly #fates: Record<Fate, number> = { recorded: 0, flooded: 0, faulted: 0, unrecorded: 0 };
  #inFlight = 0;
  answered = 0;
  refused = 0;
  connectionFaults = 0;

  constructor(sinceMs: number) {
    this.#sinceMs = sinceMs;
  }

  begin({ counted }: Request): void {
    this.#received += 1;
    this.#inFlight += 1;
    counted.fate = 'unrecorded';
  }

  /** What is recorded stays recorded, whatever comes after it. */
  mark({ counted }: Request, fate: Exclude<Fate, 'unrecorded'>): void {
    if (counted.fate !== undefined && counted.fate !== 'recorded') counted.fate = fate;
  }

  end({ counted }: Request): void {
    if (counted.fate === undefined) return;
    this.#fates[counted.fate] += 1;
    this.#inFlight -= 1;
    counted.fate = undefined;
  }

  read(events: {
    readonly recordedCount: number;
    readonly pendingCount: number;
    readonly unrecordedCount: number;
  }): Counters {
    return {
      since: this.#sinceMs,
      received: this.#received,
      ...this.#fates,
      inFlight: this.#inFlight,
      answered: this.answered,
      refused: this.refused,
      connectionFaults: this.connectionFaults,
      eventsRecorded: events.recordedCount,
      eventsPending: events.pendingCount,
      eventsUnrecorded: events.unrecordedCount,
    };
  }
}
