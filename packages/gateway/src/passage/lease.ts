/** Who is asked, and what is learnt about them from how it went. */
import type { Reservation } from '@watchglass/sdk';

import type { PhaseFacts } from '../trace/request-trace.ts';
import type { Place } from '../tunnel/lasting.ts';
import type { Lease, Upstream } from '../upstream/upstream.ts';
import type { Admitted } from './admission.ts';
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
  admitted: Admitted,
  wanted: { readonly safe: boolean; readonly origin?: string | undefined },
): Lease {
  const lasting = asksForEvents(admitted) || admitted.interaction.name === 'subscribe';
  // A page is where the search was, as long as that is there: only there it may be known.
  const taken = upstream.take({ ...wanted, lasting, preferred: admitted.page?.origin });
  if (taken.kind === 'taken') return taken.lease;
  throw denied(admitted, 'upstream-unavailable', 'upstream-unavailable', {
    headers: { 'retry-after': String(Math.max(1, Math.ceil(taken.waitMs / 1_000))) },
    floodKey: `upstream-unavailable ${admitted.actor.id}`,
    floodSinglesMax: 1,
  });
}

/** An answer of any status is one; that the client went away says nothing. */
export function noteHeld(lease: Lease, held: Held): void {
  if (held.kind !== 'fault') lease.succeeded();
  else if (held.fault === 'client-closed' || held.fault === 'request-body') lease.unknown();
  else lease.failed();
}

/** For a trace. */
export function saidOf(held: Held, lease: Lease | undefined): PhaseFacts {
  const origin = lease?.origin;
  return held.kind === 'fault' ? { fault: held.fault, origin } : { status: held.status, origin };
}
