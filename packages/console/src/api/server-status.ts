/** What `/v1/status` says, checked. */
import { type Check, count, list, object, orNull, record, text } from './shape.ts';

export interface ServerStatus {
  readonly version: string;
  readonly ledger: {
    readonly state: { readonly kind: string; readonly reason?: string };
    /** Absent where the log is not open: damaged, or of another key. */
    readonly size?: number;
    readonly queuedEvents?: number;
    /** Of the newest group, ms. */
    readonly lastSyncMs?: number;
    readonly journalBytes?: number;
  };
  readonly index: {
    readonly indexed: number;
    readonly size: number;
    readonly lagMs: number;
    readonly failure?: string;
  } | null;
  readonly intake?: {
    readonly accepted: number;
    readonly duplicates: number;
    readonly refused: Readonly<Record<string, number>>;
  };
  /** Absent where nobody is asked to vouch for the log. */
  readonly witnesses?: WitnessState;
  readonly emitters: readonly EmitterState[];
}

/** How far a quorum of witnesses vouches for the log, as the server says. */
export interface WitnessState {
  readonly state: string;
  readonly size: number;
  readonly behind: number;
  readonly cosignatures: number;
  readonly ageSeconds?: number;
  readonly witnesses: readonly { readonly name: string; readonly size: number; readonly reason?: string }[];
}

export interface EmitterState {
  readonly id: string;
  readonly lastSeq: number;
  readonly received: number;
  /** Missing numbers, inclusive. */
  readonly gaps: readonly { readonly first: number; readonly last: number }[];
}

export const serverStatus: Check<ServerStatus> = object(
  {
    version: text,
    ledger: object(
      { state: object({ kind: text }, { reason: text }) },
      { size: count, queuedEvents: count, lastSyncMs: count, journalBytes: count },
    ),
    index: orNull(object({ indexed: count, size: count, lagMs: count }, { failure: text })),
    emitters: list(
      object({ id: text, lastSeq: count, received: count, gaps: list(object({ first: count, last: count })) }),
    ),
  },
  {
    witnesses: object(
      {
        state: text,
        size: count,
        behind: count,
        cosignatures: count,
        witnesses: list(object({ name: text, size: count }, { reason: text })),
      },
      { ageSeconds: count },
    ),
    intake: object({ accepted: count, duplicates: count, refused: record(count) }),
  },
);
