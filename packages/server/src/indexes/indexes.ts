/**
 * The indexes: rebuildable views of the ledger by patient, resource, actor, operation, route and time, one SQLite file per tenant,
 * retention class and epoch under `DIR/index/<tenant>/`.
 *
 * Promises: every entry is indexed exactly once, in the order of the log, soon after it is durable; a file can be deleted at any time, or be damaged,
 * and is rebuilt within seconds of being missed; no file holds a plain identifier of a patient or of a resource, only tokens under a key of its own. A query
 * never runs on the main thread, ends within its time bound, and says so when the bound cut it short.
 *
 * `openIndexes(deps: IndexesDeps): Promise<Indexes>` is in open-indexes.ts.
 */
import type { TenantId } from '@watchglass/record';
import type { Keyrings, Unit } from '@watchglass/record/reader';
import type { Ledger } from '../ledger/ledger.ts';
import type { World } from '../world/world.ts';
import type { Filters } from './filters.ts';
import type { Pseudonyms } from './tokens.ts';

export interface IndexesDeps {
  /** `DIR/index`. */
  readonly dir: string;
  /** `DIR/keys`: holds `<tenant>.pseudonym-key`, wrapped. */
  readonly keysDir: string;
  readonly ledger: Pick<Ledger, 'tenants' | 'head' | 'read' | 'grown'>;
  /** Wraps the token keys and the pseudonym keys. */
  readonly keyrings: Keyrings;
  readonly world: World;
  /** Told what an operator should know; never PHI. */
  readonly report?: (line: IndexReport) => void;
}

export interface IndexReport {
  readonly level: 'info' | 'warn' | 'error';
  readonly message: string;
  readonly details?: Readonly<Record<string, string | number>>;
}

export interface Indexes extends AsyncDisposable {
  /** Starts to follow a tenant that was added after `openIndexes`. Idempotent. */
  follow(tenant: TenantId): Promise<void>;
  /** Indexes of matching entries, newest first. @throws ServerError `unavailable` while the index can't follow: it would answer with less than there is. */
  find(tenant: TenantId, query: FindQuery, signal?: AbortSignal): Promise<Found>;
  /** Counts over time by outcome, and the most frequent values. */
  summarise(tenant: TenantId, query: SummaryQuery, signal?: AbortSignal): Promise<Summary>;
  /** Resolves once every entry below `size` can be found. */
  reached(tenant: TenantId, size: number, signal?: AbortSignal): Promise<void>;
  /** Whether a stored record matches, by the same reading of it as the index has: for whoever opens every record instead of trusting the index. */
  matcher(tenant: TenantId, filters: Filters): (m: Uint8Array) => boolean;
  /** Closes and removes what there is of a class and epoch, its token key too: it is being shredded. What a hold keeps is indexed again by itself. */
  forget(tenant: TenantId, unit: Unit): Promise<void>;
  /** How far each follower is. */
  status(): readonly IndexStatus[];
  /** The names under which patients and resources of a tenant are shown. */
  pseudonyms(tenant: TenantId): Pick<Pseudonyms, 'patient' | 'resource'>;
}

export interface FindQuery {
  readonly filters: Filters;
  /** Only entries below this index (keyset paging). */
  readonly before: number;
  /** At most this many. */
  readonly limit: number;
  /** Count all matches below this index too; left out, nothing is counted. */
  readonly countBelow?: number;
}

export interface Found {
  /** Descending. */
  readonly indexes: readonly number[];
  /** Pass on as `before`; undefined when there is no more. */
  readonly next: number | undefined;
  /** Present when asked for. */
  readonly count?: number;
  /** The time bound cut the count short: it is a lower bound. */
  readonly countTruncated?: boolean;
  /** Entries of the log that were not in the index when it was asked: just in, or an index is being built again. */
  readonly unindexed: number;
}

export interface SummaryQuery {
  readonly filters: Filters;
  /** Entries below this index. */
  readonly below: number;
  readonly bucketsMax: number;
}

export interface Summary {
  readonly count: number;
  readonly fromMs: number;
  readonly toMs: number;
  readonly stepMs: number;
  readonly series: readonly SeriesPoint[];
  readonly facets: Readonly<Record<FacetName, readonly FacetValue[]>>;
  /** The time bound cut it short: what is counted is the newest part. */
  readonly truncated: boolean;
  /** As in `Found`. */
  readonly unindexed: number;
}

export interface SeriesPoint {
  readonly timeMs: number;
  readonly success: number;
  readonly denied: number;
  readonly failed: number;
  readonly error: number;
}

export type FacetName = 'kind' | 'action' | 'operation' | 'outcome' | 'actor' | 'route';

export interface FacetValue {
  readonly value: string;
  readonly count: number;
}

export interface IndexStatus {
  readonly tenant: TenantId;
  /** Entries below this index can be found. */
  readonly indexed: number;
  /** Size of the log. */
  readonly size: number;
  /** How long the oldest entry that is not yet indexed has waited; 0 when none. */
  readonly lagMs: number;
  /** Why following stopped; undefined while it goes on. */
  readonly failure: string | undefined;
}
