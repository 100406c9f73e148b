/**
 * Verifies `<tenant>/timestamps/<size>.tsr` (RFC 3161): each is over the text of the checkpoint that the tree has at that size, which is derived here. What is in the
 * token is for the function that the caller hands in: CMS and certificates are beyond this package.
 */
import { encodeUtf8 } from '../bytes.ts';
import { formatCheckpoint, tryParseDecimal } from '../checkpoint.ts';
import { readCheckpoints, sizeOf } from './snapshot.ts';
import type { TenantCheck } from './tenant-check.ts';
import type { WantedRoot } from './tree-check.ts';

export interface Timestamps {
  readonly count: number;
  /** The newest by size, where they were verified. */
  readonly newest?: { readonly size: number; readonly timeMs: number };
}

export interface ListedTimestamps {
  readonly sizes: readonly number[];
  /** Roots that are needed to verify them; filled while the tree is derived. */
  readonly wanted: readonly WantedRoot[];
  readonly roots: ReadonlyMap<number, Uint8Array>;
}

/** A size in decimal: `812.tsr`. */
export function parseTimestampName(name: string): number | undefined {
  const size = name.endsWith('.tsr') ? tryParseDecimal(name.slice(0, -4)) : undefined;
  return size === undefined || size > BigInt(Number.MAX_SAFE_INTEGER) ? undefined : Number(size);
}

export async function listTimestamps(check: TenantCheck, held: number): Promise<ListedTimestamps> {
  const { files, ledgerDir, tenant, findings, log } = check;
  const sizes: number[] = [];
  for (const name of await files.list(`${ledgerDir}/${tenant}/timestamps`)) {
    const place = `${tenant}/timestamps/${name}`;
    const size = parseTimestampName(name);
    if (size === undefined) findings.add('file-unknown', place, 'expected timestamps only, named by their size');
    else if (size <= held) sizes.push(size);
    // A writer at work has gone on meanwhile.
    else if ((await newestSize(check)) < size)
      findings.add(
        'rollback',
        place,
        `a timestamp covers ${size} leaves of ${log.origin}, the files hold ${held}: an older copy was restored`,
      );
  }
  sizes.sort((a, b) => a - b);
  const roots = new Map<number, Uint8Array>();
  const wanted = sizes.map((size) => ({ size, derived: (root: Uint8Array) => void roots.set(size, root) }));
  return { sizes, wanted, roots };
}

export async function checkTimestamps(
  { files, ledgerDir, tenant, log, findings, notes, openTimestamp }: TenantCheck,
  { sizes, roots }: ListedTimestamps,
): Promise<Timestamps | undefined> {
  if (sizes.length === 0) return undefined;
  if (openTimestamp === undefined) {
    notes.push(`${sizes.length} timestamps of ${tenant} were not verified: nothing was given to do it with`);
    return { count: sizes.length };
  }
  let newest: Timestamps['newest'];
  for (const size of sizes) {
    const place = `${tenant}/timestamps/${size}.tsr`;
    const bytes = await files.readFile(`${ledgerDir}/${place}`);
    const root = roots.get(size);
    // What isn't there, or can't be read, is told already; so is a tree that is cut short.
    if (bytes === undefined || root === undefined) continue;
    const message = encodeUtf8(formatCheckpoint({ origin: log.origin, size: BigInt(size), root }));
    try {
      newest = { size, timeMs: openTimestamp(bytes, message).timeMs };
    } catch (error) {
      findings.add('timestamp-invalid', place, error instanceof Error ? error.message : 'it does not verify');
    }
  }
  return { count: sizes.length, ...(newest === undefined ? {} : { newest }) };
}

async function newestSize({ files, ledgerDir, tenant }: TenantCheck): Promise<number> {
  return sizeOf((await readCheckpoints(files, ledgerDir, [`${tenant}/`])).get(tenant)) ?? 0;
}
