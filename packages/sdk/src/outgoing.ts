/**
 * An event on its way out: minimised already, its `emitter.seq` still to be given by the spool, its tenant by the door where
 * the write key implies it.
 */
import type { Emitter, Event, MinimisationPolicy, MinimisedEvent } from '@watchglass/record';
import { encodeEventText, minimise, RecordError } from '@watchglass/record';

import { SdkError } from './errors.ts';

/** What the server takes as one event, format v1. */
export const eventBytesMax = 65_536;

/** What a spool takes. Only `minimiseOutgoing` makes one, so nothing unminimised can get in. */
export type OutgoingEvent = Omit<MinimisedEvent, 'emitter' | 'tenant'> & { readonly tenant?: string };

/** An event before it is minimised; tenant and emitter come later. */
export type EventFacts = Omit<Event, 'emitter' | 'tenant'>;

/** The minimiser takes whole events. This stands in for a tenant that only the door knows, and is dropped again. */
const unassignedTenant = 'unassigned';

/** Minimises `facts`. Without a `tenant` the door's write key decides it. */
export function minimiseOutgoing(
  facts: EventFacts,
  options: { readonly tenant?: string; readonly policy?: MinimisationPolicy } = {},
): OutgoingEvent {
  const event: Event = {
    ...facts,
    tenant: options.tenant ?? unassignedTenant,
    emitter: { id: 'unassigned', seq: 1 },
  };
  const { emitter: _emitter, tenant: _tenant, ...rest } = minimise(event, options.policy);
  return (options.tenant === undefined ? rest : { ...rest, tenant: options.tenant }) as OutgoingEvent;
}

/**
 * The event's JSON without `emitter`, which goes in front once its `seq` is known; members in the order in which they are stored, so that the
 * server takes the text over and the ledger needn't keep the digest of it (docs/format.md, "Packed records").
 */
export function bodyOf(event: OutgoingEvent): string {
  const { emitter: _ignored, ...rest } = event as OutgoingEvent & { readonly emitter?: Emitter };
  const body = inStoredOrder(rest);
  const bytes = Buffer.byteLength(body);
  if (bytes > eventBytesMax - 1_024) {
    throw new SdkError(
      'event-too-large',
      `expected an event of at most ${eventBytesMax - 1_024} bytes, got ${bytes}; shorten its lists`,
    );
  }
  return body;
}

function inStoredOrder(event: Partial<Event>): string {
  const asGiven = JSON.stringify(event);
  try {
    const text = encodeEventText(event);
    // A shorter one lacks what isn't in the schema: that is for the server to see, and to refuse.
    return text.length === asGiven.length ? text : asGiven;
  } catch (error) {
    if (error instanceof RecordError) return asGiven;
    throw error;
  }
}
