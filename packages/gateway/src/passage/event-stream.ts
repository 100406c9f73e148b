/**
 * Server-sent events, and their like: an answer that goes on as long as both ends like. It is released as it comes, nobody reads what it says (`truncated`), and who has it is
 * looked at as long as it lasts, like who has a WebSocket. Only who asks for events gets them so: what comes unasked is held like any other answer, or an API, or who has its ear, could
 * choose what is looked at, and take up places that are nobody's.
 */
import { isEventStream } from '../http/media-type.ts';
import type { LastingOnes, Place } from '../tunnel/lasting.ts';
import type { Metrics } from '../watch/metrics.ts';
import type { Admitted } from './admission.ts';
import type { HeldBeginning } from './forward.ts';
import { denied } from './refused.ts';
import { type StandingParts, standingOf } from './standing.ts';

export interface EventStreamParts extends StandingParts {
  readonly lasting: LastingOnes;
  readonly metrics: Metrics;
}

/** What a browser's EventSource asks for. */
export function asksForEvents({ accept }: Admitted): boolean {
  return accept.split(',').some(isEventStream);
}

/** A place for one more that lasts. Throws `Refused` where there is none. */
export async function placeOf(admitted: Admitted, lasting: LastingOnes): Promise<Place> {
  const { id } = admitted.actor;
  const refusal = await lasting.enter(id);
  if (typeof refusal === 'object') return refusal;
  const options = { headers: { 'retry-after': '5' }, floodKey: `${refusal} ${id}`, floodSinglesMax: 1 };
  throw refusal === 'too-many-of-one'
    ? denied(admitted, 'concurrency-exceeded', 'lasting-of-one', options)
    : denied(admitted, 'over-capacity', refusal === 'too-many' ? 'lasting' : refusal, options);
}

/** Undefined for what is no stream of events that was asked for. `over` is owed once it is, and tells why it was ended here, if it was. */
export function keepEvents(
  admitted: Admitted,
  held: HeldBeginning,
  parts: EventStreamParts & { readonly place: Place | undefined; readonly lifetimeMs: number },
): { over(complete: boolean): string | undefined } | undefined {
  const { place, lifetimeMs } = parts;
  if (place === undefined || !isEventStream(held.headers['content-type'])) return undefined;
  const standing = standingOf(admitted, parts);
  const beganMs = performance.now();
  let ended: string | undefined;
  place.begin({
    standing: (nowMs) => (performance.now() - beganMs >= lifetimeMs ? 'lifetime' : standing(nowMs)),
    end(reason) {
      ended ??= reason;
      held.abandon();
    },
  });
  return {
    over(complete) {
      const reason = ended ?? (complete ? 'streamed' : 'stream-cut-off');
      parts.metrics.lastingEnds.inc({ kind: 'events', reason });
      return ended;
    },
  };
}
