/**
 * Review: what a person who may look sees of the ledger. Finds through the indexes, reads through the ledger, and shows patients and
 * resources by pseudonym only.
 *
 * Promises: no plain identifier of a patient leaves here, but in the opening of a proof (`prove` with `withOpening`), which is the caller's
 * to allow. Nothing here records: every caller mounts through `audited` (api/), the one choke point.
 *
 * `createReview(deps: ReviewDeps): Review` is in create-review.ts.
 */
import type { Target, TenantId } from '@watchglass/record';
import type { Indexes } from '../indexes/indexes.ts';
import type { Ledger } from '../ledger/ledger.ts';
import type { World } from '../world/world.ts';
import type { NamedPerson, Staff } from './people-of.ts';

export interface ReviewDeps {
  readonly ledger: Pick<Ledger, 'head' | 'read' | 'open' | 'prove' | 'grown' | 'cosigned'>;
  readonly indexes: Pick<Indexes, 'find' | 'summarise' | 'pseudonyms'>;
  /** Who is known here; names of staff go beside their events. */
  readonly staff: Staff;
  readonly world: World;
}

export interface Review {
  /** A page of matching events, newest first; `query` is the body of POST /v1/events/search. @throws ServerError `query-invalid`, `cursor-invalid`. */
  search(tenant: TenantId, query: unknown, signal?: AbortSignal): Promise<Asked<SearchPage>>;
  /** Counts over time and facets. @throws ServerError `query-invalid`. */
  summary(tenant: TenantId, query: unknown, signal?: AbortSignal): Promise<Asked<SummaryPage>>;
  /** One event. @throws ServerError `not-found`. */
  read(tenant: TenantId, index: number): Promise<ReviewEvent>;
  /** The text of a tlog-proof; with `withOpening` its `extra` carries r ‖ m. @throws ServerError `not-found`. */
  prove(tenant: TenantId, index: number, withOpening: boolean): Promise<string>;
  /** Events as they become durable, from the present head on, until the signal aborts. */
  tail(tenant: TenantId, signal: AbortSignal): AsyncGenerator<readonly ReviewEvent[], void, undefined>;
}

/** An answer, and what its record says was asked: names of filters, and patients and resources by pseudonym. */
export interface Asked<Answer> {
  readonly answer: Answer;
  readonly filters: readonly string[];
  readonly targets: readonly Target[];
}

/** A stored event flattened for display: identifiers of patients and clinical resources are pseudonyms (`·7F3K…`). */
export interface ReviewEvent {
  readonly index: number;
  readonly received: string;
  readonly submitter: string;
  /** Base64 of the leaf hash; present where one event is asked for. */
  readonly leaf?: string;
  /** How many witnesses cosigned a checkpoint that covers it; present where one event is asked for. */
  readonly witnessed?: number;
  /** The event's actors who are staff known here, by id; present where one event goes out by itself (asked for, or in a tail). */
  readonly people?: Readonly<Record<string, NamedPerson>>;
  readonly [member: string]: unknown;
}

export interface SearchPage {
  readonly events: readonly ReviewEvent[];
  /** The actors of the page who are staff known here, by id. */
  readonly people: Readonly<Record<string, NamedPerson>>;
  readonly next: string | null;
  /** All matches, as of the first page. */
  readonly count: number;
  /** Present and true when the time bound cut the count short. */
  readonly countTruncated?: true;
  /** Present where entries of the log are not in the index yet: that many may be missing here. */
  readonly unindexed?: number;
}

export interface SummaryPage {
  readonly count: number;
  readonly from: string;
  readonly to: string;
  readonly stepMs: number;
  readonly series: readonly {
    readonly time: string;
    readonly success: number;
    readonly denied: number;
    readonly failed: number;
    readonly error: number;
  }[];
  readonly facets: Readonly<Record<string, readonly { readonly value: string; readonly count: number }[]>>;
  /** The actors of the facet who are staff known here, by id. */
  readonly people: Readonly<Record<string, NamedPerson>>;
  readonly truncated?: true;
  /** As in a search. */
  readonly unindexed?: number;
}
