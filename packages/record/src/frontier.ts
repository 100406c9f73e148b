/**
 * The right edge of a growing Merkle tree (a *compact range*): everything needed to append leaves and to know the root,
 * in at most 53 hashes.
 *
 * Built for the ledger's writer: a batch of leaves goes in by one call, and an append costs two hashes on average, its
 * own and one node. Not safe for use after an error was thrown from the tile callback.
 */
import { sha256Into } from '#crypto';
import type { LeafType } from './commitment.ts';
import { RecordError } from './errors.ts';
import { emptyRoot } from './tree.ts';
import type { NodeReader } from './tree-proof.ts';

/** Called when a full tile has filled: `hash` is its root, that is node `n` of tile level `level` (≥ 1). The hash may be kept. */
export type TileNodeSink = (level: number, n: number, hash: Uint8Array) => void;

const sizeMax = Number.MAX_SAFE_INTEGER;
const levelsMax = 53;

/**
 * @example
 * const frontier = new Frontier();
 * frontier.appendLeafHashes(hashLeaf(data));
 * frontier.root(); // equals rootOf([hashLeaf(data)])
 */
export class Frontier {
  #size = 0;
  /** Root of the complete subtree of 2^k leaves at 32·k, valid where bit k of the size is set. */
  readonly #nodes: Uint8Array = new Uint8Array(levelsMax * 32);
  readonly #pair: Uint8Array = new Uint8Array(65);
  readonly #leaf: Uint8Array = new Uint8Array(34);

  /** @param leafType of the leaves that `appendCommitments` appends */
  constructor(leafType: LeafType = 1) {
    this.#pair[0] = 1;
    this.#leaf[1] = leafType; // 0x00 of RFC 6962, then the leaf type of docs/format.md, "The leaf"
  }

  /** The frontier of an existing tree of `size` leaves, its at most 53 nodes taken from `read`. */
  static from(size: number, read: NodeReader, leafType: LeafType = 1): Frontier {
    if (!Number.isSafeInteger(size) || size < 0) {
      throw new RecordError('argument-invalid', 'expected a tree size from 0 to 2^53 - 1');
    }
    const frontier = new Frontier(leafType);
    for (let level = 0, n = size; n > 0; level++, n = Math.floor(n / 2)) {
      if (n % 2 === 1) frontier.#nodes.set(read(level, n - 1), level * 32);
    }
    frontier.#size = size;
    return frontier;
  }

  /** How many leaves the tree has. */
  get size(): number {
    return this.#size;
  }

  /** An independent copy: keep one to go back to when what was appended isn't committed. */
  clone(): Frontier {
    const copy = new Frontier(this.#leaf[1] as LeafType);
    copy.#size = this.#size;
    copy.#nodes.set(this.#nodes);
    return copy;
  }

  /** The root of the tree as it is now. */
  root(): Uint8Array {
    if (this.#size === 0) return emptyRoot();
    const pair = this.#pair;
    let found = false;
    for (let level = 0, n = this.#size; n > 0; level++, n = Math.floor(n / 2)) {
      if (n % 2 === 0) continue;
      if (found) {
        pair.set(this.#nodes.subarray(level * 32, level * 32 + 32), 1);
        sha256Into(pair, pair, 33);
      } else {
        pair.set(this.#nodes.subarray(level * 32, level * 32 + 32), 33);
        found = true;
      }
    }
    return pair.slice(33, 65);
  }

  /**
   * Appends the leaves of these commitments: leaf data is the leaf type ‖ C (docs/format.md).
   *
   * @param commitments n × 32 bytes
   * @returns the n × 32 bytes of leaf hashes
   */
  appendCommitments(commitments: Uint8Array, onTileNode?: TileNodeSink): Uint8Array {
    const count = countOf(commitments);
    const hashes = new Uint8Array(commitments.length);
    const leaf = this.#leaf;
    for (let i = 0; i < count; i++) {
      const from = i * 32;
      for (let k = 0; k < 32; k++) leaf[2 + k] = commitments[from + k] as number;
      sha256Into(leaf, hashes, from);
    }
    this.appendLeafHashes(hashes, onTileNode);
    return hashes;
  }

  /** Appends leaves by their leaf hashes, n × 32 bytes. */
  appendLeafHashes(hashes: Uint8Array, onTileNode?: TileNodeSink): void {
    const count = countOf(hashes);
    if (this.#size + count > sizeMax) throw new RecordError('argument-invalid', 'a tree has at most 2^53 - 1 leaves');
    for (let i = 0; i < count; i++) this.#append(hashes, i * 32, onTileNode);
  }

  #append(hashes: Uint8Array, from: number, onTileNode: TileNodeSink | undefined): void {
    const pair = this.#pair;
    const nodes = this.#nodes;
    let n = this.#size;
    let level = 0;
    for (let k = 0; k < 32; k++) pair[33 + k] = hashes[from + k] as number;
    while (n % 2 === 1) {
      const at = level * 32;
      for (let k = 0; k < 32; k++) pair[1 + k] = nodes[at + k] as number;
      sha256Into(pair, pair, 33);
      n = (n - 1) / 2;
      level++;
      if (onTileNode !== undefined && level % 8 === 0) onTileNode(level / 8, n, pair.slice(33, 65));
    }
    const at = level * 32;
    for (let k = 0; k < 32; k++) nodes[at + k] = pair[33 + k] as number;
    this.#size++;
  }
}

function countOf(hashes: Uint8Array): number {
  if (hashes.length % 32 !== 0) {
    throw new RecordError('argument-invalid', `expected a multiple of 32 bytes, got ${hashes.length}`);
  }
  return hashes.length / 32;
}
