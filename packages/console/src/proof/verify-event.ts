/** The whole proof of one event: its chain (`checkProof`), and that its checkpoint continues what this browser remembers. */
import type { ListedEvent } from '../api/client.ts';
import { checkProof, type Verdict } from './check-proof.ts';
import { checkGrowth, type TileReader } from './growth.ts';
import { recall, rememberCheckpoint, type TextStore } from './log-memory.ts';

export async function verifyEvent(options: {
  readonly tenant: string;
  readonly shown: ListedEvent;
  /** A tlog-proof. */
  readonly proof: string;
  readonly store: TextStore;
  readonly readTile: TileReader;
}): Promise<Verdict> {
  const { tenant, shown, store } = options;
  const log = recall(store, tenant);
  if (!log)
    return { kind: 'not-intact', link: 'signature', reason: 'This browser remembers no verifier key for this log.' };
  const verdict = checkProof(options.proof, shown, log.vkey, log.earlier);
  if (verdict.kind !== 'sealed') return verdict;
  const growth = await checkGrowth({
    remembered: log.checkpoint,
    next: verdict.chain.checkpoint,
    vkey: log.vkey,
    earlier: log.earlier,
    readTile: options.readTile,
  });
  switch (growth.kind) {
    case 'rolled-back':
    case 'split':
      return {
        kind: 'not-intact',
        link: 'history',
        reason: `The proof leads to a log of ${growth.now} events that does not fit the ${growth.before} this browser has proof of.`,
      };
    case 'first':
    case 'grown':
      rememberCheckpoint(store, tenant, verdict.chain.checkpoint);
      return verdict;
    case 'older':
      return verdict;
    default:
      return growth satisfies never;
  }
}
