/**
 * Server-sent events, and their like: an answer that goes on as long as both ends like. It is released as it comes, nobody reads what it says (`truncated`), and who has it is
 * looked at as long as it lasts, like who has a WebSocket.
 */
import { isEventStream } from '../http/media-type.ts';
import type { LastingOnes } from '../tunnel/lasting.ts';
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

/** Is there room for one more that lasts? Throws `Refused`. */
export function refuseLasting(admitted: Admitted, lasting: LastingOnes): void {
  const { id } = admitted.actor;
  const refusal = lasting.refusal(id);
  if (refusal === undefined) return;
  const options = { headers: { 'retry-after': '5' }, floodKey: `${refusal} ${id}`, floodSinglesMax: 1 };
  throw refusal === 'too-many-of-one'
    ? denied(admitted, 'concurrency-exceeded', 'lasting-of-one', options)
    : denied(admitted, 'over-capacity', refusal === 'too-many' ? 'lasting' : refusal, options);
}

/** Undefined for what is no stream of events. `leave` is owed once it is over, and tells why it was ended here, if it was. */
export function keepEvents(
  admitted: Admitted,
  held: HeldBeginning,
  lifetimeMs: number,
  parts: EventStreamParts,
): { leave(complete: boolean): string | undefined } | undefined {
  if (!isEventStream(held.headers['content-type'])) return undefined;
  const standing = standingOf(admitted, parts);
  const beganMs = performance.now();
  let ended: string | undefined;
  const leave = parts.lasting.add({
    holder: admitted.actor.id,
    standing: (nowMs) => (performance.now() - beganMs >= lifetimeMs ? 'lifetime' : standing(nowMs)),
    end(reason) {
      ended ??= reason;
      held.abandon();
    },
  });
  return {
    leave(complete) {
      leave();
      const reason = ended ?? (complete ? 'streamed' : 'stream-cut-off');
      parts.metrics.lastingEnds.inc({ kind: 'events', reason });
      return ended;
    },
  };
}
