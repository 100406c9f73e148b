/**
 * Nodes of one tenant's tree as the storage driver holds it: below tile level 1 from commitments, above from tile nodes.
 * Gives proofs, C2SP tiles, and the frontier of an archived log.
 */
import {
  consistencyPlan,
  Frontier,
  foldLevel,
  foldStep,
  inclusionPlan,
  type LeafType,
  type ProofStep,
  type TilePath,
  tileWidth,
  tileWidthAt,
} from '@watchglass/record';
import type { StorageDriver, TileNode } from './storage.ts';

const cachedTilesMax = 64;

export class TreeReader {
  readonly #driver: StorageDriver;
  readonly #tenant: string;
  readonly #leafType: LeafType;
  /** Full tiles of leaf hashes, by number. */
  readonly #tiles: Map<number, Uint8Array> = new Map();

  constructor(driver: StorageDriver, tenant: string, leafType: LeafType) {
    this.#driver = driver;
    this.#tenant = tenant;
    this.#leafType = leafType;
  }

  /** The frontier of the archived log, and the tile nodes that its last, partial tile of level 1 holds. */
  async frontier(size: number): Promise<{ readonly frontier: Frontier; readonly nodes: TileNode[] }> {
    const whole = tileWidth * tileWidth;
    const base = size - (size % whole);
    const frontier = await this.#frontierOf(base);
    const nodes: TileNode[] = [];
    const rest = await this.#driver.commitments(this.#tenant, base, size - base);
    frontier.appendCommitments(rest, (level, n, hash) => nodes.push({ level, n, hash }));
    return { frontier, nodes };
  }

  /** The root of the tree as it was at `size`. */
  async root(size: number): Promise<Uint8Array> {
    return (await this.#frontierOf(size)).root();
  }

  async #frontierOf(size: number): Promise<Frontier> {
    const known = new Map<string, Uint8Array>();
    for (let level = 0, n = size; n > 0; level++, n = Math.floor(n / 2)) {
      if (n % 2 === 1) known.set(`${level} ${n - 1}`, await this.node(level, n - 1, size));
    }
    return Frontier.from(size, (level, n) => known.get(`${level} ${n}`) as Uint8Array, this.#leafType);
  }

  /** The inclusion proof of a leaf, from the leaf to the root. */
  async prove(index: number, size: number): Promise<Uint8Array[]> {
    return this.fold(inclusionPlan(index, size), size);
  }

  /** That the tree of `size2` begins with that of `size1`. */
  consistency(size1: number, size2: number): Promise<Uint8Array[]> {
    return this.fold(consistencyPlan(size1, size2), size2);
  }

  /** The hash of each step of a proof in a log of at least `size` leaves. */
  async fold(plan: readonly ProofStep[], size: number): Promise<Uint8Array[]> {
    const hashes: Uint8Array[] = [];
    for (const step of plan) {
      hashes.push(foldStep(await Promise.all(step.map(({ level, n }) => this.node(level, n, size)))));
    }
    return hashes;
  }

  /** The hashes of a tile of the tree of `size` leaves; undefined when it isn't there, or is shorter. */
  async tile({ level, n, width }: TilePath, size: number): Promise<Uint8Array | undefined> {
    const number = Number(n);
    if (level === 'entries') {
      if (tileWidthAt(0, n, size) < width) return undefined;
      return entryBundle(await this.#driver.commitments(this.#tenant, number * tileWidth, width), this.#leafType);
    }
    if (tileWidthAt(level, n, size) < width) return undefined;
    if (level === 0) return Buffer.from((await this.#leafHashes(number, size)).subarray(0, width * 32));
    const hashes: Uint8Array[] = [];
    for (let i = 0; i < width; i++)
      hashes.push(await this.#driver.tileNode(this.#tenant, level, number * tileWidth + i));
    return Buffer.concat(hashes);
  }

  /** The root of the complete subtree of 2^level leaves from leaf n·2^level on, in a log of at least `size` leaves. */
  async node(level: number, n: number, size: number): Promise<Uint8Array> {
    const tileLevel = Math.floor(level / 8);
    const count = 2 ** (level % 8);
    const first = n * count;
    if (tileLevel > 0) {
      const hashes = new Uint8Array(count * 32);
      for (let i = 0; i < count; i++)
        hashes.set(await this.#driver.tileNode(this.#tenant, tileLevel, first + i), i * 32);
      return foldLevel(hashes, count);
    }
    const from = (first % tileWidth) * 32;
    const hashes = await this.#leafHashes(Math.floor(first / tileWidth), size);
    return foldLevel(hashes.slice(from, from + count * 32), count);
  }

  /** The leaf hashes of tile `n`, as far as a log of `size` leaves has them: read once, though a proof asks for its nodes one by one. */
  async #leafHashes(n: number, size: number): Promise<Uint8Array> {
    const width = Math.min(tileWidth, size - n * tileWidth);
    const known = this.#tiles.get(n);
    if (known !== undefined && known.length >= width * 32) return known;
    const commitments = await this.#driver.commitments(this.#tenant, n * tileWidth, width);
    const hashes = new Frontier(this.#leafType).appendCommitments(commitments);
    if (this.#tiles.size >= cachedTilesMax) this.#tiles.delete(this.#tiles.keys().next().value ?? 0);
    this.#tiles.set(n, hashes);
    return hashes;
  }
}

/** c2sp.org/tlog-tiles: each entry behind its length in two bytes; ours is the 33 bytes leaf type ‖ C. */
function entryBundle(commitments: Uint8Array, leafType: LeafType): Uint8Array {
  const count = commitments.length / 32;
  const bundle = Buffer.alloc(count * 35);
  for (let i = 0; i < count; i++) {
    bundle.writeUInt16BE(33, i * 35);
    bundle[i * 35 + 2] = leafType;
    bundle.set(commitments.subarray(i * 32, i * 32 + 32), i * 35 + 3);
  }
  return bundle;
}
