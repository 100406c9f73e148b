/**
 * Ending: what a shred takes of a log, and legal holds that keep some of it readable (docs/retention.md, docs/format.md "Shreds" and "Holds").
 *
 * Promises: nothing is destroyed before the log says so; from then on it counts as gone, and a restart goes on until it is. What a hold keeps is
 * copied, opened and compared before anything is touched. Who may order it, and how many people that takes, is decided above (retention/).
 *
 * `Shredder` (shredder.ts) and `Holds` (holds.ts) do it.
 */
import type { RetentionClass, TenantId } from '@watchglass/record';
import type { Destruction, Unit } from '@watchglass/record/reader';

/** What there is of a class and epoch. */
export interface UnitSurvey extends Unit {
  readonly events: number;
  /** Of its block files. */
  readonly bytes: number;
  readonly first: number;
  readonly last: number;
  /** Received times of the first and the last event, RFC 3339. */
  readonly oldest: string;
  readonly newest: string;
  /** SHA-256 of its ranges, hex. */
  readonly ranges: string;
  readonly seeds: readonly (readonly [name: string, sha256: string])[];
  /** Keys that are destroyed with it: those its seeds are or were wrapped under. */
  readonly keks: readonly string[];
  readonly held: readonly (readonly [hold: string, events: number])[];
}

/** A unit with the retention that lets it go. */
export interface PlannedUnit extends UnitSurvey {
  /** From the end of its epoch. */
  readonly days: number;
}

export interface ShredOrder {
  readonly units: readonly (Unit & { readonly days: number })[];
  /** What was approved: `hashPlan` of it. */
  readonly plan: string;
  readonly people: readonly string[];
}

export interface EndedKey {
  readonly kek: string;
  readonly destruction: Destruction;
}

export interface ShredOutcome extends Unit {
  readonly events: number;
  /** Index of the event that is the evidence. */
  readonly evidence: number;
  readonly keys: readonly EndedKey[];
}

/** The keys' part, handed in by whoever keeps them. */
export interface KeyEnding {
  /** Of these keys and of those that came before them in their rings, the ones that can still open something. Sorted. */
  standing(tenant: TenantId, keks: readonly string[]): Promise<readonly string[]>;
  /** Wraps all that is left under other keys, then destroys these; what is destroyed already stays so. @throws RecordError as a Kek does */
  end(tenant: TenantId, keks: readonly string[]): Promise<readonly EndedKey[]>;
}

/** Whose events a hold keeps: all that is said must be true of an event. */
export interface HoldCriteria {
  /** Bare id. */
  readonly patient?: string;
  readonly actor?: string;
  /** First and last index. */
  readonly indexes?: { readonly first: number; readonly last: number };
  readonly retentionClass?: RetentionClass;
  readonly operation?: string;
  /** RFC 3339: received in [from, to). */
  readonly from?: string;
  readonly to?: string;
}

export interface HoldTerms {
  readonly v: 1;
  readonly criteria: HoldCriteria;
  /** The case it is for, such as a file number. */
  readonly matter: string;
  readonly reason: string;
  readonly by: string;
  /** RFC 3339. */
  readonly added: string;
}

export interface Hold {
  readonly id: string;
  readonly terms: HoldTerms;
  /** Copies it keeps of what was shredded. */
  readonly kept: readonly (Unit & { readonly events: number })[];
}

/** `ledger.ending`. */
export interface Ending {
  /** Archived classes and epochs with their events; those before `epochEnd` and of `retentionClass` where said. Opens what holds ask for. */
  survey(tenant: TenantId, which: (unit: Unit) => boolean, signal?: AbortSignal): Promise<readonly UnitSurvey[]>;
  /**
   * Ends these units, if they are what the plan said. Once it has begun it is never taken back: a rejection then says that it isn't over yet, and `resume` goes on.
   * @throws LedgerError `plan-changed`, `hold-missing`, `shred-unfinished`, `keys-fixed`
   */
  shred(tenant: TenantId, order: ShredOrder): Promise<readonly ShredOutcome[]>;
  /** Goes on with what has begun. @returns what ended */
  resume(): Promise<readonly (ShredOutcome & { readonly tenant: TenantId })[]>;
  /** Shreds that have begun and are not over. */
  unfinished(tenant: TenantId): readonly Unit[];
  shredded(tenant: TenantId): readonly (Unit & { readonly events: number; readonly evidence: number | undefined })[];
  addHold(tenant: TenantId, terms: HoldTerms): Promise<Hold>;
  holds(tenant: TenantId): Promise<readonly Hold[]>;
  /** Ends a hold: its copies go, and with them what they kept of what was shredded. @throws LedgerError `not-found` */
  releaseHold(tenant: TenantId, hold: string, people: readonly string[]): Promise<void>;
}
