/**
 * Holds what was allowed against what the fronts say became of it. An outcome completes its intent; an intent that none completes in time, and an outcome
 * that no intent allowed, are raised as events. A log can lose lines, so an outcome that is missing means: look. One that comes too late completes its intent all the same.
 *
 * What is open stands in memory, within a bound; past it the oldest are raised early. It doesn't outlive the process: what an earlier one allowed is known by the time inside its id, and its
 * outcome is recorded with less.
 */
import { outcomeOfStatus } from '../capture/capture.ts';
import type { Floods } from '../capture/flood.ts';
import { type Own, ownEvent } from '../capture/own-event.ts';
import type { EventDraftFacts, Recorder } from '../capture/recorder.ts';
import { type Outcome, uuidTimeMs } from './outcome-lines.ts';

export type OpenIntent = EventDraftFacts & { readonly id: string };

interface Open {
  readonly intent: OpenIntent;
  readonly requestId: string;
  readonly sinceMs: number;
}

export interface ReconcilerParts {
  readonly recorder: Pick<Recorder, 'recordDurably'>;
  readonly floods: Pick<Floods, 'admit'>;
  readonly own: Own;
  readonly withinMs: number;
  readonly openMax: number;
  /** Of this process: what is older was allowed by another one. */
  readonly startedMs: number;
}

export interface ReconcilerStatus {
  joined: number;
  /** Of an earlier process, or raised as missing before. */
  joinedLate: number;
  outcomesMissing: number;
  intentsMissing: number;
  unreadable: number;
}

/** Outcomes that wait to be recorded together. */
const waitingMax = 4_096;

export class Reconciler implements Disposable {
  readonly #parts: ReconcilerParts;
  readonly #open = new Map<string, Open>();
  /** The last that were raised as missing, as many as may be open. */
  readonly #missed = new Map<string, Open>();
  readonly #timer: NodeJS.Timeout;
  #waiting: EventDraftFacts[] = [];
  #flushing: Promise<unknown> | undefined;
  /** Whether what was raised has an event of its own: others are asked. */
  readonly #asking = new Set<Promise<void>>();
  #emptied: PromiseWithResolvers<void> | undefined;
  readonly status: ReconcilerStatus = {
    joined: 0,
    joinedLate: 0,
    outcomesMissing: 0,
    intentsMissing: 0,
    unreadable: 0,
  };

  constructor(parts: ReconcilerParts) {
    this.#parts = parts;
    this.#timer = setInterval(() => this.sweep(Date.now()), Math.max(50, Math.min(1_000, parts.withinMs / 4)));
    this.#timer.unref();
  }

  get openCount(): number {
    return this.#open.size;
  }

  /** Allowed, durable, and about to be answered. */
  expect(intent: OpenIntent, requestId: string): void {
    this.#open.set(intent.id, { intent, requestId, sinceMs: Date.now() });
    if (this.#open.size <= this.#parts.openMax) return;
    const [oldest] = this.#open.values();
    if (oldest !== undefined) this.#raiseMissing(oldest);
  }

  join(outcome: Outcome | undefined): void {
    if (outcome === undefined) {
      this.status.unreadable += 1;
      return;
    }
    const { auditId, requestId, passed } = outcome;
    if (auditId === undefined) {
      // What was refused has its event already.
      if (passed) this.#raiseUnasked('outcome-without-audit-id');
      return;
    }
    const late = this.#missed.get(auditId);
    const open = this.#open.get(auditId) ?? late;
    if (open === undefined) this.#joinUnknown(auditId, outcome);
    else if (requestId !== undefined && requestId !== open.requestId) this.#raiseUnasked('outcome-of-another');
    // Where too many wait already its intent stays open, and is raised in its time.
    else if (this.#waiting.length < waitingMax) {
      if (open === late) {
        this.#missed.delete(auditId);
        this.status.joinedLate += 1;
      } else {
        this.#forget(auditId);
        this.status.joined += 1;
      }
      this.#record(outcomeEvent(open.intent, outcome));
    }
  }

  /** Raises what has been open for too long. */
  sweep(nowMs: number): void {
    for (const open of this.#open.values()) {
      if (nowMs - open.sinceMs < this.#parts.withinMs) return;
      this.#raiseMissing(open);
    }
  }

  /** Waits a moment for outcomes that are on their way, raises the rest, and resolves once all of that was recorded, or couldn't be. */
  async close(waitMs: number): Promise<void> {
    if (this.#open.size > 0) {
      this.#emptied = Promise.withResolvers();
      const late = setTimeout(() => this.#emptied?.resolve(), waitMs);
      await this.#emptied.promise;
      clearTimeout(late);
    }
    for (const open of this.#open.values()) this.#raiseMissing(open);
    await this.flush();
  }

  /** Resolves once what was joined until now was recorded, or couldn't be. */
  async flush(): Promise<void> {
    while (this.#asking.size > 0) await Promise.all(this.#asking);
    while (this.#flushing !== undefined) await this.#flushing;
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }

  #joinUnknown(auditId: string, outcome: Outcome): void {
    const { startedMs, withinMs, own } = this.#parts;
    const madeMs = uuidTimeMs(auditId) ?? 0;
    if (madeMs >= startedMs || madeMs < startedMs - withinMs) {
      this.#raiseUnasked('outcome-without-intent');
      return;
    }
    if (this.#waiting.length >= waitingMax) return;
    const { status = 0 } = outcome;
    const event = ownEvent(own, { operation: 'front-outcome', status: outcomeOfStatus(status) });
    this.status.joinedLate += 1;
    this.#record({ ...event, completes: auditId, request: { ...event.request, ...factsOf(outcome) } });
  }

  #raiseMissing(open: Open): void {
    const { intent } = open;
    this.#forget(intent.id);
    this.#missed.set(intent.id, open);
    if (this.#missed.size > this.#parts.openMax) {
      const [oldest = ''] = this.#missed.keys();
      this.#missed.delete(oldest);
    }
    this.status.outcomesMissing += 1;
    const { id, ...rest } = intent;
    const event: EventDraftFacts = {
      ...rest,
      time: new Date().toISOString(),
      outcome: { status: 'error', reason: 'outcome-missing' },
      completes: id,
    };
    this.#raise('outcome-missing', event);
  }

  #raiseUnasked(reason: string): void {
    this.status.intentsMissing += 1;
    const event = ownEvent(this.#parts.own, { operation: 'front-unasked', status: 'error', reason });
    this.#raise(reason, event);
  }

  #raise(reason: string, event: EventDraftFacts): void {
    const admitting = this.#parts.floods.admit(`front ${reason}`, event);
    const judge = (admitted: boolean): void => {
      if (admitted) this.#record(event);
    };
    if (!(admitting instanceof Promise)) {
      judge(admitting);
      return;
    }
    const asking = admitting.then(judge).finally(() => this.#asking.delete(asking));
    this.#asking.add(asking);
  }

  #forget(auditId: string): void {
    this.#open.delete(auditId);
    if (this.#open.size === 0) this.#emptied?.resolve();
  }

  /** Together with others: nobody waits for it. */
  #record(event: EventDraftFacts): void {
    this.#waiting.push(event);
    this.#flushing ??= this.#flush();
  }

  async #flush(): Promise<void> {
    while (this.#waiting.length > 0) {
      await new Promise((resolve) => setImmediate(resolve));
      const events = this.#waiting.splice(0, 256);
      await this.#parts.recorder.recordDurably(events);
    }
    this.#flushing = undefined;
  }
}

/** The same event, and how it ended. What left was seen by nobody who can tell whose it was. */
function outcomeEvent({ id, ...intent }: OpenIntent, outcome: Outcome): EventDraftFacts {
  const { status, bytes } = outcome;
  return {
    ...intent,
    time: new Date().toISOString(),
    outcome:
      status === undefined
        ? { status: 'failed', reason: 'client-closed' }
        : { status: outcomeOfStatus(status), code: status },
    request: { ...intent.request, ...factsOf(outcome) },
    ...(intent.exposure === undefined
      ? {}
      : { exposure: { ...(bytes === undefined ? {} : { bytes }), truncated: true } }),
    completes: id,
  };
}

function factsOf({ status, bytes, durationMs }: Outcome): NonNullable<EventDraftFacts['request']> {
  return {
    ...(status === undefined ? {} : { status }),
    ...(bytes === undefined ? {} : { responseBytes: bytes }),
    ...(durationMs === undefined ? {} : { durationMs }),
  };
}
