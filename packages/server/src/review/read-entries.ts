/**
 * Reads scattered entries of a log with few calls: positions close together are read as one run, since the ledger seals events in blocks.
 */
import type { TenantId } from '@watchglass/record';
import type { Ledger } from '../ledger/ledger.ts';

/** A hole up to this many entries wide is read over. */
const runGapMax = 32;
/** Runs read at the same time. */
const runsUnderWayMax = 4;

/** The stored records at `indexes`, in the same order; one that was shredded meanwhile is left out. @throws LedgerError */
export async function readEntries(
  ledger: Pick<Ledger, 'read'>,
  tenant: TenantId,
  indexes: readonly number[],
): Promise<readonly { readonly index: number; readonly m: Uint8Array }[]> {
  const wanted = new Set(indexes);
  const found = new Map<number, Uint8Array>();
  const runs = runsOf([...wanted].sort((a, b) => a - b));
  const readRuns = async (): Promise<void> => {
    for (let run = runs.pop(); run !== undefined; run = runs.pop()) {
      let from = run.first;
      while (from <= run.last) {
        const entries = await ledger.read(tenant, from, run.last - from + 1);
        const last = entries.at(-1);
        if (last === undefined) break;
        for (const { index, m } of entries) if (wanted.has(index)) found.set(index, m);
        from = last.index + 1;
      }
    }
  };
  await Promise.all(Array.from({ length: runsUnderWayMax }, readRuns));
  return indexes.flatMap((index) => {
    const m = found.get(index);
    return m === undefined ? [] : [{ index, m }];
  });
}

function runsOf(ascending: readonly number[]): { first: number; last: number }[] {
  const runs: { first: number; last: number }[] = [];
  for (const index of ascending) {
    const run = runs.at(-1);
    if (run !== undefined && index - run.last <= runGapMax) run.last = index;
    else runs.push({ first: index, last: index });
  }
  return runs;
}
