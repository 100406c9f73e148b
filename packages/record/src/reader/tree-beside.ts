/**
 * The tree of a large log, derived on a thread of its own while this one opens blocks: the two share nothing but the files. The
 * answer is that of `checkTree`; a thread that fails is an error of the verification, never a tree that passed.
 */
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import type { ManifestTenant } from '../codec/manifest.ts';
import type { LeafType } from '../commitment.ts';
import type { Finding } from './findings.ts';
import { type CheckedTree, checkTree, type StatedRoot, type TreeCheck } from './tree-check.ts';

/** Below this many leaves a thread takes longer to begin than the tree. */
export const treeBesideLeavesMin: number = 50_000;

export interface TreeBesideCheck extends TreeCheck {
  readonly ledgerDir: string;
  readonly log: ManifestTenant;
  /** Commitments of journal groups. */
  readonly tail: readonly { readonly first: number; readonly commitments: Uint8Array }[];
}

/** What the thread is given: everything of the check that can be copied. */
export interface TreeOrder {
  readonly ledgerDir: string;
  readonly tenant: string;
  readonly leafType: LeafType;
  readonly log: ManifestTenant;
  readonly tail: TreeBesideCheck['tail'];
  readonly size: number;
  readonly archivedSize: number;
  readonly stated: readonly StatedRoot[];
  /** Sizes whose roots are asked for. */
  readonly wanted: readonly number[];
}

export interface TreeAnswer extends CheckedTree {
  /** Of the wanted sizes, in the order of their sizes. */
  readonly derived: readonly (readonly [size: number, root: Uint8Array])[];
  readonly findings: readonly Finding[];
  readonly findingCount: number;
}

/** Begins at once where it is `beside`; findings are told when the answer is taken, so that they come in the same order either way. */
export function beginTree(check: TreeBesideCheck, beside: boolean): () => Promise<CheckedTree> {
  if (!beside) return () => checkTree(check);
  const answer = deriveBeside(check);
  // It is awaited after the blocks; an error of theirs comes first.
  answer.catch(() => undefined);
  return async () => {
    const { findings, findingCount, derived, ...tree } = await answer;
    for (const [size, root] of derived)
      for (const one of check.stated) if ('derived' in one && one.size === size) one.derived(root);
    for (const { code, place, message, ...at } of findings) {
      const isTold =
        code === 'file-unreadable' && check.findings.list.some((told) => told.code === code && told.place === place);
      if (!isTold) check.findings.add(code, place, message, at);
    }
    check.findings.count += findingCount - findings.length;
    return tree;
  };
}

async function deriveBeside(check: TreeBesideCheck): Promise<TreeAnswer> {
  const { ledgerDir, tenant, leafType, log, size, archivedSize, signal } = check;
  const stated = check.stated.filter((one): one is StatedRoot => !('derived' in one));
  const wanted = check.stated.filter((one) => 'derived' in one).map((one) => one.size);
  // Copies: a view would be sent with all of the segment it is a part of.
  const tail = check.tail.map(({ first, commitments }) => ({ first, commitments: new Uint8Array(commitments) }));
  const order: TreeOrder = { ledgerDir, tenant, leafType, log, tail, size, archivedSize, stated, wanted };
  const ending = import.meta.url.endsWith('.ts') ? 'ts' : 'js';
  const worker = new Worker(new URL(`./tree-worker.${ending}`, import.meta.url), { workerData: order });
  try {
    const [answer] = (await once(worker, 'message', signal === undefined ? {} : { signal })) as [TreeAnswer];
    return answer;
  } finally {
    await worker.terminate();
  }
}
