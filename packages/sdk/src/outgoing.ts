/**
 * An event on its way out: minimised already, its `emitter.seq` still to be given by the spool, its tenant by the door where
 * the write key implies it.
 */
import type { Event, MinimisationPolicy, MinimisedEvent } from '@watchglass/record';
import { arrangeEvent, minimise, RecordError } from '@watchglass/record';

import { SdkError } from './errors.ts';

/** What the server takes as one event, format v1. */
export const eventBytesMax = 65_536;

/** What a spool takes. Only `minimiseOutgoing` makes one, so nothing unminimised can get in. */
export type OutgoingEvent = Omit<MinimisedEvent, 'emitter' | 'tenant'> & { readonly tenant?: string };

/** An event before it is minimised; tenant and emitter come later. */
export type EventFacts = Omit<Event, 'emitter' | 'tenant'>;

/**
 * Minimises `facts`. Without a `tenant` the door's write key decides it. Its members are in the order in which they are stored where those of
 * `facts` are.
 */
export function minimiseOutgoing(
  facts: EventFacts,
  options: { readonly tenant?: string; readonly policy?: MinimisationPolicy } = {},
): OutgoingEvent {
  const { tenant, policy } = options;
  // Not a caller's to say, whatever its types are.
  const own = 'emitter' in facts || 'tenant' in facts ? withoutDoor(facts as Event) : facts;
  // The minimiser looks at neither.
  return minimise((tenant === undefined ? own : withTenant(own, tenant)) as Event, policy);
}

function withoutDoor({ emitter: _emitter, tenant: _tenant, ...rest }: Event): EventFacts {
  return rest;
}

function withTenant({ v, id, time, ...rest }: EventFacts, tenant: string): Omit<Event, 'emitter'> {
  return { v, id, time, tenant, ...rest };
}

/** The JSON of an event, up to the emitter's place. */
export interface EventBody {
  /** What stands behind the emitter: the members, and the end of the object. */
  readonly members: string;
  /** Of all of it, in UTF-8, with the beginning of the object. */
  readonly bytes: number;
}

/**
 * The event's JSON without `emitter`, which goes in front once its `seq` is known; members in the order in which they are stored, so that the
 * server takes the text over and the ledger needn't keep the digest of it (docs/format.md, "Packed records").
 */
export function encodeBody(event: OutgoingEvent): EventBody {
  const text = inStoredOrder(event);
  const bytes = Buffer.byteLength(text);
  if (bytes > eventBytesMax - 1_024) {
    throw new SdkError(
      'event-too-large',
      `expected an event of at most ${eventBytesMax - 1_024} bytes, got ${bytes}; shorten its lists`,
    );
  }
  return { members: text.slice(1), bytes };
}

function inStoredOrder(event: Partial<Event>): string {
  try {
    const arranged = arrangeEvent(event);
    if (arranged === event) return JSON.stringify(event);
    const asGiven = JSON.stringify(event);
    const text = JSON.stringify(arranged);
    // A shorter one lacks what isn't in the schema: that is for the server to see, and to refuse.
    return text.length === asGiven.length ? text : asGiven;
  } catch (error) {
    if (error instanceof RecordError) return JSON.stringify(event);
    throw error;
  }
}
