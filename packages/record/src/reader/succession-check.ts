/** A successor log names the log it goes on from, in a file that its first key signed and in its first record: both must say the same. */
import { encodeHex } from '../bytes.ts';
import { RecordError } from '../errors.ts';
import { openNote } from '../note.ts';
import { parseVerifierKey, type Verifier } from '../note-key.ts';
import { hashSuccession, openSuccession, type Succession } from '../succession.ts';
import type { TenantCheck } from './tenant-check.ts';

/** A log that another one goes on from. */
export interface Predecessor {
  readonly origin: string;
  readonly size: number;
  /** Hex. */
  readonly root: string;
  /** Received time of its last record; undefined where it isn't known. */
  readonly recovery: string | undefined;
  /** Whether its own key signed that. */
  readonly byItsKey: boolean;
}

export interface CheckedSuccession {
  readonly predecessor: Predecessor;
  readonly succession: Succession;
  readonly place: string;
  readonly bytes: Uint8Array;
  readonly hash: Uint8Array;
}

/** @param began the checkpoint key the successor began with */
export async function checkSuccession(
  { files, ledgerDir, tenant, log, findings, notes }: TenantCheck,
  began: Verifier | undefined,
): Promise<CheckedSuccession | undefined> {
  const place = `${tenant}/predecessor`;
  if ((await files.size(`${ledgerDir}/${place}`)) === undefined) return undefined;
  const bytes = (await files.readFile(`${ledgerDir}/${place}`)) ?? new Uint8Array(0);
  try {
    if (began === undefined) return undefined;
    const { succession, byPredecessor } = openSuccession(bytes, began);
    if (succession.origin !== log.origin || succession.predecessor === log.origin)
      throw new RecordError('succession-malformed', 'it is of another log');
    const { predecessor: origin, size, recovery } = succession;
    const root = encodeHex(succession.root);
    notes.push(
      `${tenant} goes on from ${origin}, which was left at ${size} leaves; recovery point ${recovery ?? 'not known'}: what that log took later is not in it${byPredecessor ? '' : ', and its own key did not sign that'}`,
    );
    return {
      predecessor: { origin, size, root, recovery, byItsKey: byPredecessor },
      succession,
      place,
      bytes,
      hash: hashSuccession(bytes),
    };
  } catch (error) {
    if (!(error instanceof RecordError)) throw error;
    findings.add('succession-invalid', place, error.message);
    return undefined;
  }
}

/** Whether who trusts this key of the old log is led to the new one. */
export function isVouchedFor({ bytes }: CheckedSuccession, vkey: string): boolean {
  try {
    return openNote(bytes, [parseVerifierKey(vkey)]).signatures.length === 1;
  } catch {
    return false;
  }
}
