/**
 * A checkpoint with cosignatures, as `<tenant>/cosigned` keeps it (docs/format.md, "Cosigned checkpoints"): signed by the log itself, behind it a line for each
 * witness. Whether the witnesses are the right ones is for whoever has the policy.
 */
import { openNote, parseCheckpoint, type Verifier } from '@watchglass/record';
import { LedgerError } from './errors.ts';
import type { CosignedHead } from './ledger.ts';
import type { TenantLog } from './tenant-log.ts';

/** @throws RecordError, LedgerError `corrupt` */
export function openCosigned(
  text: string,
  log: { readonly origin: string; readonly verifiers: readonly Verifier[] },
): CosignedHead & { readonly root: Uint8Array } {
  const { text: body, unverified } = openNote(text, log.verifiers);
  const { origin, size, root } = parseCheckpoint(body);
  if (origin !== log.origin) throw new LedgerError('corrupt', `expected a checkpoint of ${log.origin}`);
  const witnesses = new Set(unverified.map(({ name }) => name).filter((name) => name !== origin));
  return { size: Number(size), root, text, witnesses: witnesses.size };
}

/** A checkpoint that takes the place of the one before: not smaller, and not past the log. @throws LedgerError `corrupt` */
export function assertNewer(
  head: CosignedHead,
  { head: newest, cosigned }: Pick<TenantLog, 'head' | 'cosigned'>,
): void {
  const least = cosigned?.size ?? 0;
  if (head.size >= least && head.size <= newest.size) return;
  throw new LedgerError(
    'corrupt',
    `expected a cosigned checkpoint of ${least} to ${newest.size} leaves, got ${head.size}; run watchglass verify`,
  );
}
