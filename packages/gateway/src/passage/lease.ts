/** Who is asked, and what is learnt about them from how it went. */
import type { Reservation } from '@watchglass/sdk';
import { BodyCounter } from '../http/body.ts';
import type { PhaseFacts } from '../trace/request-trace.ts';
import type { Place } from '../tunnel/lasting.ts';
import type { Lease, Taken, Upstream } from '../upstream/upstream.ts';
import type { Admitted, Carried } from './admission.ts';
import { asksForEvents } from './event-stream.ts';
import type { Held } from './forward.ts';
import { denied } from './refused.ts';

/** What a request has while it goes to the API and back. */
export interface Means {
  readonly reservation: Reservation;
  /** Undefined where only files lie. */
  readonly lease: Lease | undefined;
  /** Where a stream of events is asked for. */
  readonly place: Place | undefined;
}

/** The right to ask one replica; throws `Refused` where none may be asked. While that lasts the first refusal is an event, the rest are one. */
export function leaseOf(
  upstream: Upstream,
  { admitted, carried }: { readonly admitted: Admitted; readonly carried: Carried },
  wanted: { readonly safe: boolean; readonly origin?: string | undefined },
): Lease | Promise<Lease> {
  const lasting = asksForEvents(admitted) || admitted.interaction.name === 'subscribe';
  const slow = carried.body instanceof BodyCounter;
  // A page is where the search was, as long as that is there: only there it may be known.
  const taking = upstream.take({ ...wanted, lasting, slow, preferred: admitted.page?.origin });
  return taking instanceof Promise ? taking.then((taken) => leaseIn(taken, admitted)) : leaseIn(taking, admitted);
}

function leaseIn(taken: Taken, admitted: Admitted): Lease {
  if (taken.kind === 'taken') return taken.lease;
  throw denied(admitted, 'upstream-unavailable', 'upstream-unavailable', {
    headers: { 'retry-after': String(Math.max(1, Math.ceil(taken.waitMs / 1_000))) },
    floodKey: `upstream-unavailable ${admitted.actor.id}`,
    floodSinglesMax: 1,
  });
}

/** An answer of any status is one; that the client went away, or didn't come to the end of what it sent, says nothing. */
export function noteHeld(lease: Lease, held: Held, { body }: Pick<Carried, 'body'>): void {
  if (held.kind !== 'fault') lease.succeeded();
  else if (held.fault === 'client-closed' || held.fault === 'request-body' || isOwing(body)) lease.unknown();
  else lease.failed();
}

/** The API can't be blamed for what it still waited for. */
function isOwing(body: Carried['body']): boolean {
  return body instanceof BodyCounter && !body.whole;
}

/** For a trace. */
export function saidOf(held: Held, lease: Lease | undefined): PhaseFacts {
  const origin = lease?.origin;
  return held.kind === 'fault' ? { fault: held.fault, origin } : { status: held.status, origin };
}
