/**
 * What is said of events that claim more than came true: those that reached the disk only after whoever asked had been refused, and those of a process that ended before it was known whether the
 * answer left. A second event completes the first, so that what is on record never says alone that something left which didn't, or may not have.
 */
import type { Event } from '@watchglass/record';

import type { EventDraftFacts } from './event-draft.ts';

/** What the client was told instead. */
export interface TooLate {
  /** The status. */
  readonly code: number;
  readonly reason: string;
}

/** Of an event that was on its way to the disk when nobody waited for it any longer. */
export function lateCorrection(draft: EventDraftFacts, id: string, { code, reason }: TooLate): EventDraftFacts {
  return corrected(draft, id, { status: 'error', code, reason });
}

/**
 * Of the group that an earlier process wrote last, as lines of JSON. What stood before it is followed by something, a correction if one was due; of this group nobody can say what became of it,
 * unless that process said goodbye in it.
 */
export function doubtCorrections(lines: readonly string[]): readonly EventDraftFacts[] {
  // Sealed under the spool's own key: nobody else can have written them.
  const events = lines.map((line) => JSON.parse(line) as Event);
  const last = events.at(-1);
  if (last?.kind === 'system' && last.operation === 'stop') return [];
  const corrections = new Set(
    events.flatMap(({ outcome, completes }) => (outcome.status === 'error' ? (completes ?? []) : [])),
  );
  return events
    .filter((event) => saysThatItLeft(event) && !corrections.has(event.id))
    .map(({ v: _v, id, emitter: _emitter, tenant: _tenant, ...draft }) =>
      corrected(draft, id, { status: 'error', reason: 'release-unknown' }),
    );
}

/** Not an intent, nor what is said only once something has left: how a stream ended, the rest of a list. */
function saysThatItLeft({ kind, outcome: { status, reason } }: Event): boolean {
  return kind === 'api' && status === 'success' && (reason === undefined || reason === 'opened');
}

/** The same, and how it ended; what left is not said: nothing did, or nobody knows. */
function corrected(
  { id: _id, exposure: _exposure, completes: _completes, request, ...rest }: EventDraftFacts,
  id: string,
  outcome: EventDraftFacts['outcome'],
): EventDraftFacts {
  const { status: _status, responseBytes: _bytes, durationMs: _duration, ...facts } = request ?? {};
  return {
    ...rest,
    time: new Date().toISOString(),
    outcome,
    ...(request === undefined
      ? {}
      : { request: { ...facts, ...(typeof outcome.code === 'number' ? { status: outcome.code } : {}) } }),
    completes: id,
  };
}
