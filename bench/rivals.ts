/**
 * Other stores that keep events durably and say when they were changed, driven as their own documentation would: events in batches of a
 * hundred, as a caller of ours sends them, and each batch on stable storage before the next. What isn't installed is named and left out.
 */
export interface Rival {
  readonly name: string;
  /** A turn of it: enough that a turn takes some tenths of a second. */
  readonly turnEvents: number;
  append(records: Uint8Array, recordBytes: number): Promise<void>;
  close(): Promise<void>;
}

export async function openRivals(_dir: string, _log: (line: string) => void): Promise<Rival[]> {
  return [];
}
