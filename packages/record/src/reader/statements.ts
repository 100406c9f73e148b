/**
 * Everything a log states with a signature: its seals, how its keys came and went, and the checkpoint. From a directory or from behind a URL; the roots
 * they state are given back, to be held against the tree.
 */
import type { Checkpoint } from '../checkpoint.ts';
import { formatVerifierKey, parseVerifierKey } from '../note-key.ts';
import { type Finding, Findings } from './findings.ts';
import {
  checkCheckpoint,
  checkKeys,
  type LogKeys,
  type PlacedRotation,
  readRotations,
  readVkeys,
  rotationRoots,
} from './key-check.ts';
import type { LedgerFiles } from './ledger-files.ts';
import { checkSeals, type SealedEpochs } from './seal-check.ts';
import type { StatementCheck } from './tenant-check.ts';
import type { StatedRoot } from './tree-check.ts';

export interface CheckedStatements {
  readonly checkpoint: Checkpoint | undefined;
  readonly keys: LogKeys;
  readonly epochs: SealedEpochs;
  readonly rotations: readonly PlacedRotation[];
  readonly stated: readonly StatedRoot[];
}

/** @param held leaves there are */
export async function checkStatements(
  check: StatementCheck,
  held: number,
  checkpointText: string | undefined,
): Promise<CheckedStatements> {
  const vkeys = await readVkeys(check);
  const rotations = await readRotations(check);
  const pinned = check.pinnedKey === undefined ? undefined : parseVerifierKey(check.pinnedKey);
  const began = rotations[0]?.rotation.old ?? (pinned?.type === 1 ? pinned : vkeys?.[0]);
  const epochs = await checkSeals(check, began, held);
  const keys = checkKeys(check, { vkeys, rotations, epochs });
  const checkpoint = checkCheckpoint(check, keys, checkpointText);
  return { checkpoint, keys, epochs, rotations, stated: [...epochs.stated(), ...rotationRoots(rotations)] };
}

export interface VerifiedStatements {
  readonly findings: readonly Finding[];
  readonly notes: readonly string[];
  /** Undefined where it is not signed as it must be. */
  readonly checkpoint: Checkpoint | undefined;
  /** The key that signs now, as text. */
  readonly vkey: string | undefined;
  /** To be held against the tree. */
  readonly stated: readonly StatedRoot[];
}

/**
 * Verifies what a log states without its leaves, as far as that goes.
 *
 * @param log `files` has the log's `vkey`, `checkpoint`, `seals/…` and `rotations/…` under `<dir>/<tenant>`
 * @throws {RecordError} `key-invalid`, `seal-malformed` for what the caller gave
 */
export async function verifyStatements(log: {
  readonly files: LedgerFiles;
  readonly dir: string;
  readonly tenant: string;
  readonly origin: string;
  readonly checkpoint: string;
  readonly size: number;
  readonly vkey?: string;
  /** Bytes of a seal kept from earlier. */
  readonly seal?: Uint8Array;
  readonly nowMs: number;
}): Promise<VerifiedStatements> {
  const findings = new Findings();
  const notes: string[] = [];
  const check: StatementCheck = {
    files: log.files,
    ledgerDir: log.dir,
    tenant: log.tenant,
    log: { origin: log.origin },
    findings,
    notes,
    pinnedKey: log.vkey,
    rememberedSeal: log.seal,
    nowMs: log.nowMs,
  };
  const { checkpoint, keys, stated } = await checkStatements(check, log.size, log.checkpoint);
  const current = keys.all.at(-1);
  const vkey = current === undefined ? undefined : formatVerifierKey(current);
  return { findings: findings.list, notes, checkpoint, vkey, stated };
}
