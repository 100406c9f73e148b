/**
 * One proof for many leaves of one tree: the hashes of RFC 6962 inclusion proofs, each once, and none that the leaves
 * themselves give (docs/bundle.md, "The proof of many leaves").
 *
 * Which hashes these are, and in which order, follows from the indexes and the size alone: so a proof has one spelling, and
 * one hash more, fewer or otherwise is found.
 */
import { RecordError } from './errors.ts';
import { hashChildren } from './tree.ts';
import { completeSubtrees, largestPowerBelow, type ProofStep } from './tree-proof.ts';

/** A leaf that is to be proven. */
export interface PlacedLeaf {
  readonly index: number;
  /** Leaf hash, 32 bytes. */
  readonly hash: Uint8Array;
}

/**
 * The subtrees whose hashes prove the leaves at `indexes` (strictly ascending, at least one, below `size`), from left to right.
 *
 * @throws {RecordError} `argument-invalid`
 */
export function multiproofPlan(indexes: readonly number[], size: number): readonly ProofStep[] {
  const steps: ProofStep[] = [];
  walk(indexes, size, {
    leaf: () => undefined,
    subtree: (start, end) => void steps.push(completeSubtrees(start, end)),
    join: () => undefined,
  });
  return steps;
}

/**
 * The root that these leaves (strictly ascending) and the hashes of a proof lead to.
 *
 * @throws {RecordError} `inclusion-invalid` where the number of hashes is another than the leaves need, `argument-invalid`
 */
export function rootOfMultiproof(proof: {
  readonly leaves: readonly PlacedLeaf[];
  readonly size: number;
  readonly hashes: readonly Uint8Array[];
}): Uint8Array {
  const { leaves, size, hashes } = proof;
  let used = 0;
  const root = walk<Uint8Array>(
    leaves.map(({ index }) => index),
    size,
    {
      leaf: (position) => (leaves[position] as PlacedLeaf).hash,
      subtree: () => {
        const hash = hashes[used++];
        if (hash === undefined) throw wrongCount(hashes.length);
        return hash;
      },
      join: hashChildren,
    },
  );
  if (used !== hashes.length) throw wrongCount(hashes.length);
  return root;
}

interface Walker<Node> {
  readonly leaf: (position: number) => Node;
  readonly subtree: (start: number, end: number) => Node;
  readonly join: (left: Node, right: Node) => Node;
}

function walk<Node>(indexes: readonly number[], size: number, walker: Walker<Node>): Node {
  assertIndexes(indexes, size);
  // Leaves [start, end) of the tree; those that are to be proven stand at [from, to) of `indexes`.
  const visit = (start: number, end: number, from: number, to: number): Node => {
    if (from === to) return walker.subtree(start, end);
    if (end - start === 1) return walker.leaf(from);
    const middle = start + largestPowerBelow(end - start);
    let split = from;
    while (split < to && (indexes[split] as number) < middle) split++;
    const left = visit(start, middle, from, split);
    return walker.join(left, visit(middle, end, split, to));
  };
  return visit(0, size, 0, indexes.length);
}

function assertIndexes(indexes: readonly number[], size: number): void {
  let last = -1;
  for (const index of indexes) {
    if (!Number.isSafeInteger(index) || index <= last)
      throw new RecordError('argument-invalid', 'expected whole numbers in ascending order, each once');
    last = index;
  }
  if (last < 0 || !Number.isSafeInteger(size) || last >= size)
    throw new RecordError('argument-invalid', `expected indexes below the size ${size} of the tree, got ${last}`);
}

function wrongCount(got: number): RecordError {
  return new RecordError(
    'inclusion-invalid',
    `the proof has another number of hashes (${got}) than its leaves need: hashes, leaves or the size were changed`,
  );
}
