/**
 * Making the proofs of RFC 6962 §2.1.1 and §2.1.2 from stored nodes.
 *
 * A plan says which complete subtrees a proof needs, before anything is read: whoever stores the nodes (in tiles, in
 * files, over HTTP) reads them as it likes, also asynchronously, and folds them with `foldStep`.
 */
import { RecordError } from './errors.ts';
import { hashChildren } from './tree.ts';

/** The root of the complete subtree of 2^level leaves that begins at leaf n·2^level. */
export interface TreeNode {
  readonly level: number;
  readonly n: number;
}

/** One hash of a proof: the root over these subtrees, which stand side by side, left to right. */
export type ProofStep = readonly TreeNode[];

/** Reads one stored node. */
export type NodeReader = (level: number, n: number) => Uint8Array;

/** The nodes of an inclusion proof, leaf to root. `index` < `size` ≤ 2^53 - 1. */
export function inclusionPlan(index: number, size: number): readonly ProofStep[] {
  if (!Number.isSafeInteger(index) || !Number.isSafeInteger(size) || index < 0 || index >= size) {
    throw new RecordError('argument-invalid', `expected an index below the tree size, got ${index} and ${size}`);
  }
  const steps: ProofStep[] = [];
  let start = 0;
  let end = size;
  while (end - start > 1) {
    const middle = start + largestPowerBelow(end - start);
    if (index < middle) {
      steps.push(completeSubtrees(middle, end));
      end = middle;
    } else {
      steps.push(completeSubtrees(start, middle));
      start = middle;
    }
  }
  return steps.reverse();
}

/** The nodes of a consistency proof between two sizes, 0 ≤ size1 ≤ size2; empty where nothing needs proving. */
export function consistencyPlan(size1: number, size2: number): readonly ProofStep[] {
  if (!Number.isSafeInteger(size1) || !Number.isSafeInteger(size2) || size1 < 0 || size1 > size2) {
    throw new RecordError('argument-invalid', `expected 0 ≤ size1 ≤ size2, got ${size1} and ${size2}`);
  }
  if (size1 === 0 || size1 === size2) return [];
  const steps: ProofStep[] = [];
  let start = 0;
  let end = size2;
  while (end !== size1) {
    const middle = start + largestPowerBelow(end - start);
    if (size1 <= middle) {
      steps.push(completeSubtrees(middle, end));
      end = middle;
    } else {
      steps.push(completeSubtrees(start, middle));
      start = middle;
    }
  }
  // The subtree that ends at size1 is the old root itself when it begins at 0, and then isn't repeated.
  if (start !== 0) steps.push(completeSubtrees(start, end));
  return steps.reverse();
}

/** The hash of one step from the hashes of its nodes, in the order of the step. */
export function foldStep(hashes: readonly Uint8Array[]): Uint8Array {
  let hash = hashes[hashes.length - 1];
  if (hash === undefined) throw new RecordError('argument-invalid', 'expected at least one hash');
  for (let i = hashes.length - 2; i >= 0; i--) hash = hashChildren(hashes[i] as Uint8Array, hash);
  return hash;
}

/**
 * The proof that the leaf at `index` is in the tree of `size`.
 *
 * @param nodes a reader of stored nodes, or all leaf hashes in order
 * @example
 * verifyInclusion({ leafHash, index: 3n, size: 8n, root, proof: inclusionProof(3, 8, leafHashes) });
 */
export function inclusionProof(
  index: number | bigint,
  size: number | bigint,
  nodes: NodeReader | readonly Uint8Array[],
): Uint8Array[] {
  return readPlan(inclusionPlan(Number(index), Number(size)), nodes);
}

/** The proof that the tree of `size2` begins with the tree of `size1`. */
export function consistencyProof(
  size1: number | bigint,
  size2: number | bigint,
  nodes: NodeReader | readonly Uint8Array[],
): Uint8Array[] {
  return readPlan(consistencyPlan(Number(size1), Number(size2)), nodes);
}

function readPlan(plan: readonly ProofStep[], nodes: NodeReader | readonly Uint8Array[]): Uint8Array[] {
  const read = typeof nodes === 'function' ? nodes : readerOver(nodes);
  return plan.map((step) => foldStep(step.map(({ level, n }) => read(level, n))));
}

function readerOver(leafHashes: readonly Uint8Array[]): NodeReader {
  const read = (level: number, n: number): Uint8Array => {
    if (level > 0) return hashChildren(read(level - 1, 2 * n), read(level - 1, 2 * n + 1));
    const hash = leafHashes[n];
    if (hash === undefined)
      throw new RecordError('argument-invalid', `expected more than ${n} leaf hashes, got ${leafHashes.length}`);
    return hash;
  };
  return read;
}

/** The complete subtrees that make up leaves [start, end), left to right; `start` is aligned as the tree aligns it. */
export function completeSubtrees(start: number, end: number): ProofStep {
  const nodes: TreeNode[] = [];
  while (start < end) {
    let level = 0;
    let width = 1;
    while (start % (2 * width) === 0 && start + 2 * width <= end) {
      width *= 2;
      level++;
    }
    nodes.push({ level, n: start / width });
    start += width;
  }
  return nodes;
}

/** The largest power of two below `count`, for `count` ≥ 2. */
export function largestPowerBelow(count: number): number {
  let power = 1;
  while (power * 2 < count) power *= 2;
  return power;
}
