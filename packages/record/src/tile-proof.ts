/**
 * Proofs made from tiles (c2sp.org/tlog-tiles) by whoever checks them: nothing is asked of the log but what it publishes for all. Tiles are not
 * trusted: a wrong one makes the proof fail against the signed roots.
 */
import { RecordError } from './errors.ts';
import { tilePath, tileWidth, tileWidthAt } from './tile.ts';
import { hashChildren } from './tree.ts';
import { foldStep, type ProofStep } from './tree-proof.ts';

/** Reads a tile by its C2SP path, such as `tile/0/x001/067.p/8`; rejects where there is none. */
export type TileReader = (path: string) => Promise<Uint8Array>;

/**
 * The hashes of a proof, in its order.
 *
 * @param plan of `inclusionPlan` or `consistencyPlan`
 * @param size of the tree that the tiles are of
 * @throws {RecordError} `argument-invalid` where a tile is shorter than the size says; and what `readTile` rejects with
 * @example
 * const proof = await proofFromTiles(inclusionPlan(3, 812), 812, readTile);
 */
export async function proofFromTiles(
  plan: readonly ProofStep[],
  size: number,
  readTile: TileReader,
): Promise<Uint8Array[]> {
  const tiles = new Map<string, Promise<Uint8Array>>();
  const node = async (level: number, n: number): Promise<Uint8Array> => {
    const tileLevel = Math.floor(level / 8);
    const count = 2 ** (level % 8);
    const first = n * count;
    const tile = Math.floor(first / tileWidth);
    const path = tilePath(tileLevel, tile, tileWidthAt(tileLevel, tile, size));
    const reading = tiles.get(path) ?? readTile(path);
    tiles.set(path, reading);
    return subtree(await reading, first % tileWidth, count);
  };
  return await Promise.all(
    plan.map(async (step) => foldStep(await Promise.all(step.map(({ level, n }) => node(level, n))))),
  );
}

/** The root over `count` (a power of two) hashes of a tile, from the hash at `first` on. */
function subtree(tile: Uint8Array, first: number, count: number): Uint8Array {
  if (count === 1) {
    const hash = tile.subarray(first * 32, first * 32 + 32);
    if (hash.length !== 32)
      throw new RecordError(
        'argument-invalid',
        `expected a tile of more than ${first} hashes, got ${Math.floor(tile.length / 32)}`,
      );
    return hash;
  }
  return hashChildren(subtree(tile, first, count / 2), subtree(tile, first + count / 2, count / 2));
}
