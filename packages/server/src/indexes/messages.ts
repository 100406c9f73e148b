/**
 * What the main thread and the two workers of the indexes say to each other. Everything here survives structured cloning.
 */
import type { RetentionClass } from '@watchglass/record';
import type { Filters } from './filters.ts';
import type { FileState } from './index-file.ts';
import type { FacetName, FacetValue, SeriesPoint } from './indexes.ts';

/** A file and the keys its tokens are made with; keys live in memory only. */
export interface FileAccess {
  readonly path: string;
  readonly tokenKey: Uint8Array;
  readonly pseudonymKey: Uint8Array;
}

export type WriteRequest =
  /** Opens or makes a file, with `check` reading all of it; answers its state, or `unusable` for one to be removed and built afresh. */
  | { readonly kind: 'open'; readonly file: FileAccess; readonly start: number; readonly check: boolean }
  /** Takes in entries of one log, each into its file; answers nothing. */
  | { readonly kind: 'add'; readonly batch: Batch }
  /** Closes files, so that they can be removed. */
  | { readonly kind: 'close'; readonly paths: readonly string[] };

export type OpenAnswer =
  | { readonly kind: 'opened'; readonly state: FileState }
  | { readonly kind: 'unusable'; readonly reason: string };

/** Entries of one log, ascending; where entries were shredded, positions are missing. `bytes` is transferred. */
export interface Batch {
  /** Position in the log of each entry. */
  readonly indexes: Float64Array;
  /** Every m, one after another. */
  readonly bytes: Uint8Array;
  /** Length of each m. */
  readonly lengths: Uint32Array;
  /** Position in `files`, for each entry. */
  readonly fileOf: Uint16Array;
  /** The files concerned, and how far each covers the log afterwards. */
  readonly files: readonly { readonly path: string; readonly next: number }[];
}

export interface ReadableFile extends FileAccess {
  readonly retentionClass: RetentionClass;
  /** Another number than before: another file may stand at the path. */
  readonly opening: number;
  /** It covers positions start … next − 1. */
  readonly start: number;
  readonly next: number;
}

export type ReadRequest =
  /** Closes files that are gone, so that nothing of them stays readable; answers nothing. */
  | { readonly kind: 'close'; readonly paths: readonly string[] }
  | {
      readonly kind: 'find';
      readonly files: readonly ReadableFile[];
      readonly filters: Filters;
      readonly before: number;
      readonly limit: number;
      readonly countBelow: number | undefined;
      /** Set to 1 to give up. */
      readonly cancel: Int32Array;
    }
  | {
      readonly kind: 'summarise';
      readonly files: readonly ReadableFile[];
      readonly filters: Filters;
      readonly below: number;
      readonly bucketsMax: number;
      readonly cancel: Int32Array;
    };

export interface FindAnswer {
  readonly indexes: readonly number[];
  readonly next: number | undefined;
  readonly count: number | undefined;
  readonly countTruncated: boolean;
}

export interface SummaryAnswer {
  readonly count: number;
  readonly fromMs: number;
  readonly toMs: number;
  readonly stepMs: number;
  readonly series: readonly SeriesPoint[];
  readonly facets: Readonly<Record<FacetName, readonly FacetValue[]>>;
  readonly truncated: boolean;
}

export interface Envelope<Request> {
  readonly id: number;
  readonly request: Request;
}

export type Reply =
  | { readonly id: number; readonly answer: unknown }
  /** `damaged`: what stands on the disk is not what was written, or is gone. */
  | { readonly id: number; readonly failure: string; readonly damaged: boolean };

/** SQLITE_IOERR, SQLITE_CORRUPT, SQLITE_CANTOPEN, SQLITE_NOTADB (sqlite.org/rescode.html). */
const damage: ReadonlySet<number> = new Set([10, 11, 14, 26]);

export function failureOf(id: number, error: unknown): Reply {
  const failure = error instanceof Error ? error.message : String(error);
  const code = error instanceof Error && 'errcode' in error ? Number(error.errcode) & 0xff : 0;
  return { id, failure, damaged: damage.has(code) };
}
