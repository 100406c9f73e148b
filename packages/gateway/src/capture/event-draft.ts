/** An event as it is known before it has its id: minimised and numbered it is only on its way to the spool. */
import type { EventFacts } from '@watchglass/sdk';

export type EventDraftFacts = Omit<EventFacts, 'v' | 'id'> & { readonly id?: string };
