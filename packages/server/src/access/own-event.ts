/**
 * The events Watchglass records about itself: who signed in, what was changed, who read what. Whoever makes one leaves
 * out what `main` fills in: version, id, time, and the emitter `server` with its gap-free sequence.
 */
import type { Actor, Event, TenantId } from '@watchglass/record';

export type OwnActor = Actor;

/** An event of Watchglass's own, before it is completed, minimised and appended. */
export type OwnEvent = Omit<Event, 'v' | 'id' | 'time' | 'tenant' | 'emitter'> & { readonly tenant: TenantId };

/** Resolves once the event is durable in the ledger of its tenant; rejects when it is not, and then nothing may leave. */
export type RecordOwn = (event: OwnEvent) => Promise<void>;

/** The same, and says at which index of the log it is: for an answer that proves its own record. */
export type RecordPlaced = (event: OwnEvent) => Promise<number>;
