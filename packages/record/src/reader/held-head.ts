/** Which head the files of a log have, whatever its checkpoint says: for a log that is left, and goes on in another one. Nothing is verified. */
import { tryDecodeUtf8 } from '../bytes.ts';
import type { KekFinder, Keyrings } from '../codec/kek.ts';
import { decode } from '../encode.ts';
import { Frontier } from '../frontier.ts';
import { CommitmentStore } from './commitment-store.ts';
import { type LedgerFiles, nodeFiles } from './ledger-files.ts';
import { openLedger } from './offline-ledger.ts';
import { takeSnapshot } from './snapshot.ts';

export interface HeldHead {
  readonly tenant: string;
  readonly origin: string;
  readonly size: number;
  readonly root: Uint8Array;
  readonly checkpoint: string | undefined;
  /** The newest verifier key, as text. */
  readonly vkey: string;
  /** Received time of the last record; undefined where there is none or it can't be opened. */
  readonly lastReceived: string | undefined;
}

/** @throws {RecordError} `ledger-unreadable`, `manifest-malformed` */
export async function readHeldHeads(options: {
  readonly ledgerDir: string;
  readonly keysDir: string;
  /** Where keys are kept elsewhere: instead of the local ones. */
  readonly keyrings?: Keyrings<KekFinder>;
  readonly files?: LedgerFiles;
}): Promise<HeldHead[]> {
  const { ledgerDir, keysDir, keyrings, files = nodeFiles } = options;
  const snapshot = await takeSnapshot(files, ledgerDir);
  const ledger = await openLedger({ ledgerDir, keysDir, files, ...(keyrings === undefined ? {} : { keyrings }) });
  const heads: HeldHead[] = [];
  for (const [tenant, log] of snapshot.manifest.tenants) {
    const tail: { first: number; commitments: Uint8Array }[] = [];
    let size = log.size;
    for (const { group } of snapshot.groups) {
      for (const part of group.tenants) {
        if (part.tenant !== tenant || part.sizeBefore !== size) continue;
        tail.push({ first: part.sizeBefore, commitments: part.commitments });
        size += part.count;
      }
    }
    const commitments = new CommitmentStore(files, `${ledgerDir}/${tenant}`, log, tail);
    const frontier = new Frontier();
    while (frontier.size < size) {
      const part = await commitments.from(frontier.size, size);
      if (part.length === 0) break;
      frontier.appendCommitments(part);
    }
    const bytes = await files.readFile(`${ledgerDir}/${tenant}/vkey`);
    heads.push({
      tenant,
      origin: log.origin,
      size: frontier.size,
      root: frontier.root(),
      checkpoint: snapshot.checkpoints.get(tenant),
      vkey: tryDecodeUtf8(bytes ?? new Uint8Array(0))?.split('\n')[0] ?? '',
      lastReceived: await lastReceived(),
    });

    async function lastReceived(): Promise<string | undefined> {
      try {
        const [last] = frontier.size === 0 ? [] : await ledger.read(tenant, frontier.size - 1, 1);
        return last === undefined ? undefined : decode(last.m).received;
      } catch {
        // A record that doesn't open is what verify is for.
        return undefined;
      }
    }
  }
  return heads;
}
