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

export class RequestCounters {
  readonly #sinceMs: number;
  #received = 0;
  readonly #fates: Record<Fate, number> = { recorded: 0, flooded: 0, faulted: 0, unrecorded: 0 };
  /** Requests under way, by what was captured of them. */
  readonly #underWay = new Map<object, Fate>();
  answered = 0;
  refused = 0;
  connectionFaults = 0;

  constructor(sinceMs: number) {
    this.#sinceMs = sinceMs;
  }

  begin(request: object): void {
    this.#received += 1;
    this.#underWay.set(request, 'unrecorded');
  }

  /** What is recorded stays recorded, whatever comes after it. */
  mark(request: object, fate: Exclude<Fate, 'unrecorded'>): void {
    if (this.#underWay.has(request) && this.#underWay.get(request) !== 'recorded') this.#underWay.set(request, fate);
  }

  end(request: object): void {
    const fate = this.#underWay.get(request);
    if (fate === undefined) return;
    this.#underWay.delete(request);
    this.#fates[fate] += 1;
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
      inFlight: this.#underWay.size,
      answered: this.answered,
      refused: this.refused,
      connectionFaults: this.connectionFaults,
      eventsRecorded: events.recordedCount,
      eventsPending: events.pendingCount,
      eventsUnrecorded: events.unrecordedCount,
    };
  }
}
