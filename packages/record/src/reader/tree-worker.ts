/** The thread of tree-beside.ts: derives one log's tree from the files of this machine and tells what it found. */
import { isMainThread, parentPort, workerData } from 'node:worker_threads';
import { CommitmentStore } from './commitment-store.ts';
import { Findings } from './findings.ts';
import { guardedFiles } from './guarded-files.ts';
import { nodeFiles } from './ledger-files.ts';
import type { TreeAnswer, TreeOrder } from './tree-beside.ts';
import { checkTree } from './tree-check.ts';

export async function deriveTree(order: TreeOrder): Promise<TreeAnswer> {
  const { ledgerDir, tenant, log, tail, wanted, stated, ...rest } = order;
  const findings = new Findings();
  const files = guardedFiles(nodeFiles, ledgerDir, findings);
  const dir = `${ledgerDir}/${tenant}`;
  const commitments = new CommitmentStore(files, dir, log, tail);
  const progress = (): void => undefined;
  const derived: [number, Uint8Array][] = [];
  const asked = wanted.map((size) => ({ size, derived: (root: Uint8Array) => void derived.push([size, root]) }));
  const all = [...stated, ...asked];
  const tree = await checkTree({
    ...rest,
    stated: all,
    files,
    dir,
    tenant,
    findings,
    commitments,
    signal: undefined,
    progress,
  });
  return { ...tree, derived, findings: findings.list, findingCount: findings.count };
}

if (!isMainThread && parentPort !== null) parentPort.postMessage(await deriveTree(workerData as TreeOrder));
