/**
 * The nodes of tile levels ≥ 1 of one log: full tiles are files (docs/format.md, "Archive"), the growing right edge is in
 * memory. 1.25 MB for each 10 million events that aren't in full tiles yet would be the worst; a full tile leaves memory once its file is durable.
 */
import { rootOf, tilePath } from '@watchglass/record';
import type { Disk } from '../world/disk.ts';
import { LedgerError } from './errors.ts';
import type { TileNode } from './storage.ts';

const width = 256;
const cachedTilesMax = 64;

interface Edge {
  /** Number of the first node in memory; a multiple of 256. */
  start: number;
  hashes: Uint8Array[];
}

export class TileNodes {
  readonly #disk: Disk;
  /** The tenant's directory. */
  readonly #dir: string;
  readonly #tmpDir: string;
  /** By tile level, from 1. */
  readonly #edges: Edge[] = [{ start: 0, hashes: [] }];
  /** By level and number in one: a proof asks a few hundred times. */
  readonly #tiles: Map<number, Uint8Array> = new Map();

  private constructor(disk: Disk, dir: string, tmpDir: string) {
    this.#disk = disk;
    this.#dir = dir;
    this.#tmpDir = tmpDir;
  }

  /** The nodes of a log with `archivedSize` leaves up to its last full tile of level 1; the rest comes by `add`. */
  static async open(disk: Disk, dir: string, tmpDir: string, archivedSize: number): Promise<TileNodes> {
    const nodes = new TileNodes(disk, dir, tmpDir);
    // Nodes of level 1 stand for 256 leaves each. Full tiles of level l hold 256 nodes; what a level has beyond its own
    // full tiles is derived from the full tiles below.
    let tilesBelow = Math.floor(archivedSize / (width * width));
    nodes.#edges[1] = { start: tilesBelow * width, hashes: [] };
    for (let level = 2; tilesBelow > 0; level++) {
      const count = tilesBelow;
      tilesBelow = Math.floor(count / width);
      const edge: Edge = { start: tilesBelow * width, hashes: [] };
      for (let n = edge.start; n < count; n++) edge.hashes.push(foldTile(await nodes.#tile(level - 1, n)));
      nodes.#edges[level] = edge;
    }
    return nodes;
  }

  add(nodes: readonly TileNode[]): void {
    for (const { level, n, hash } of nodes) {
      this.#edges[level] ??= { start: 0, hashes: [] };
      const edge = this.#edges[level] as Edge;
      if (n !== edge.start + edge.hashes.length) {
        throw new LedgerError(
          'corrupt',
          `expected node ${edge.start + edge.hashes.length} of tile level ${level}, got ${n}; run watchglass verify`,
        );
      }
      edge.hashes.push(hash);
    }
  }

  async get(level: number, n: number): Promise<Uint8Array> {
    const edge = this.#edges[level];
    if (edge !== undefined && n >= edge.start) {
      const hash = edge.hashes[n - edge.start];
      if (hash !== undefined) return hash;
      throw new LedgerError('not-found', `tile level ${level} has no node ${n} yet`);
    }
    const tile = await this.#tile(level, Math.floor(n / width));
    const at = (n % width) * 32;
    return tile.subarray(at, at + 32);
  }

  /** Writes the tiles that are full in a log of `size` leaves and keeps only what lies behind them in memory. */
  async writeFull(size: number): Promise<void> {
    let nodes = Math.floor(size / width);
    for (let level = 1; nodes >= width; level++) {
      const full = Math.floor(nodes / width);
      const edge = this.#edges[level] as Edge;
      const from = edge.start / width;
      for (let n = from; n < full; n++) {
        const at = (n - from) * width;
        await this.#write(level, n, Buffer.concat(edge.hashes.slice(at, at + width)));
      }
      edge.hashes.splice(0, (full - from) * width);
      edge.start = full * width;
      nodes = full;
    }
  }

  /** A tile is a function of the log: one that is there already must be equal. */
  async #write(level: number, n: number, bytes: Uint8Array): Promise<void> {
    const path = `${this.#dir}/${tilePath(level, n)}`;
    await this.#disk.makeDirectory(parentOf(path));
    const known = await this.#disk.readFile(path);
    if (known !== undefined) {
      if (Buffer.compare(known, bytes) !== 0) {
        throw new LedgerError(
          'corrupt',
          `${tilePath(level, n)} differs from the log it is derived from; run watchglass verify`,
        );
      }
      // Of an archiving that was interrupted, maybe before its name was durable.
      await this.#disk.syncDirectory(parentOf(path));
      return;
    }
    await this.#disk.replace(path, bytes, { temporary: `${this.#tmpDir}/tile` });
  }

  async #tile(level: number, n: number): Promise<Uint8Array> {
    const key = n * 64 + level;
    const known = this.#tiles.get(key);
    if (known !== undefined) return known;
    const path = tilePath(level, n);
    const bytes = await this.#disk.readFile(`${this.#dir}/${path}`);
    if (bytes === undefined || bytes.length !== width * 32) {
      throw new LedgerError(
        'corrupt',
        `expected ${path} with ${width * 32} bytes, got ${bytes?.length ?? 'no file'}; run watchglass verify`,
      );
    }
    if (this.#tiles.size >= cachedTilesMax) this.#tiles.delete(this.#tiles.keys().next().value ?? 0);
    this.#tiles.set(key, bytes);
    return bytes;
  }
}

function foldTile(tile: Uint8Array): Uint8Array {
  const hashes: Uint8Array[] = [];
  for (let at = 0; at < tile.length; at += 32) hashes.push(tile.subarray(at, at + 32));
  return rootOf(hashes);
}

function parentOf(path: string): string {
  return path.slice(0, path.lastIndexOf('/'));
}
