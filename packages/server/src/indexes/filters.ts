/**
 * What can be asked of an index: every filter narrows, and all are applied where the rows are, never on a page afterwards.
 */
import type { EventAction, EventKind, OutcomeStatus } from '@watchglass/record';

export interface Filters {
  /** Actor id, exactly. */
  readonly actor?: string;
  /** Bare FHIR id, or a pseudonym as search results show it. */
  readonly patient?: string;
  /** `Type` or `Type/id`; the id may be a pseudonym. */
  readonly resource?: string;
  readonly kind?: EventKind;
  readonly action?: EventAction;
  readonly operation?: string;
  readonly outcome?: OutcomeStatus;
  /** Time of the event, ms since 1970, inclusive. */
  readonly fromMs?: number;
  /** Exclusive. */
  readonly toMs?: number;
  /** A part of the actor, operation, route, client, address or resource type; or exactly a patient or `Type/id`. */
  readonly q?: string;
}
