/**
 * What anybody may read of a log without a key: proofs, roots, and the resources of c2sp.org/tlog-tiles. A proof leads to the newest cosigned checkpoint
 * where that covers the leaf: what others vouch for is worth more than what only we say, though it be older.
 */
import { parseTilePath, type TilePath } from '@watchglass/record';
import { parseTimestampName } from '@watchglass/record/reader';
import { LedgerError } from './errors.ts';
import type { StorageDriver } from './storage.ts';
import type { TenantLog } from './tenant-log.ts';
import type { TreeReader } from './tree-reader.ts';

/** @throws LedgerError `not-found` */
export async function proveLeaf(
  { head, cosigned }: TenantLog,
  tree: TreeReader,
  index: number,
): Promise<{ index: number; hashes: Uint8Array[]; checkpoint: string }> {
  assertIndex(index, head.size);
  const { size, checkpoint } =
    cosigned !== undefined && index < cosigned.size ? { size: cosigned.size, checkpoint: cosigned.text } : head;
  return { index, hashes: await tree.prove(index, size), checkpoint };
}

/** @throws LedgerError `not-found` */
export async function consistencyOf(
  { head }: TenantLog,
  tree: TreeReader,
  size1: number,
  size2: number,
): Promise<Uint8Array[]> {
  assertSize(size2, head.size);
  assertSize(size1, size2);
  return await tree.consistency(size1, size2);
}

/** @throws LedgerError `not-found` */
export async function rootOfSize({ head }: TenantLog, tree: TreeReader, size: number): Promise<Uint8Array> {
  assertSize(size, head.size);
  return size === head.size ? head.root : await tree.root(size);
}

/** `checkpoint`, `cosigned`, `vkey` and tiles; undefined where there is none. */
export async function resourceOf(log: TenantLog, tree: TreeReader, path: string): Promise<Uint8Array | undefined> {
  if (path === 'checkpoint') return log.head.checkpoint === '' ? undefined : Buffer.from(publishedCheckpoint(log));
  if (path === 'cosigned') return log.cosigned === undefined ? undefined : Buffer.from(log.cosigned.text);
  if (path === 'vkey') return Buffer.from(log.vkeys.map((vkey) => `${vkey}\n`).join(''));
  let tile: TilePath;
  try {
    tile = parseTilePath(path);
  } catch {
    return undefined;
  }
  return await tree.tile(tile, log.head.size);
}

/** By size, which is in the names. */
export async function newestTimestamp(
  driver: StorageDriver,
  tenant: string,
): Promise<{ size: number; response: Uint8Array } | undefined> {
  const sizes = (await driver.timestamps(tenant)).map(parseTimestampName).filter((size) => size !== undefined);
  if (sizes.length === 0) return undefined;
  const size = Math.max(...sizes);
  const response = await driver.timestamp(tenant, `${size}.tsr`);
  return response === undefined ? undefined : { size, response };
}

/** The newest checkpoint, with its cosignatures where it has some. */
function publishedCheckpoint({ head, cosigned }: TenantLog): string {
  return cosigned?.text.startsWith(head.checkpoint) === true ? cosigned.text : head.checkpoint;
}

export function assertIndex(index: number, size: number): void {
  if (!Number.isSafeInteger(index) || index < 0 || index >= size) {
    throw new LedgerError('not-found', `expected an index below the size ${size} of the log, got ${index}`);
  }
}

function assertSize(size: number, most: number): void {
  if (!Number.isSafeInteger(size) || size < 0 || size > most)
    throw new LedgerError('not-found', `expected a size up to the ${most} of the log, got ${size}`);
}
