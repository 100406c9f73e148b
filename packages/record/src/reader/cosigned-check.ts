/**
 * Verifies `<tenant>/cosigned`: a checkpoint of this log, signed by it, that witnesses cosigned. Without a policy nobody knows whose signatures count, so they are
 * held to their form only; with one they must verify, and reach its quorum.
 */
import { type Checkpoint, formatCheckpoint, parseCheckpoint } from '../checkpoint.ts';
import { RecordError } from '../errors.ts';
import { openNote } from '../note.ts';
import type { Verifier } from '../note-key.ts';
import { openWitnessed } from '../policy.ts';
import type { TenantCheck } from './tenant-check.ts';
import type { StatedRoot } from './tree-check.ts';

export interface Witnessed {
  readonly size: number;
  /** Names of the witnesses: of the policy's, whose cosignatures were verified; without a policy as the lines state them, which proves nothing. */
  readonly by: readonly string[];
  /** Whether they were verified, and are a quorum of the policy given. */
  readonly quorum: boolean;
  /** Since when, or later, a quorum vouches for it, seconds since 1970. */
  readonly timeSeconds?: number;
}

/** Bytes behind the key id: a time and an Ed25519 or ML-DSA-44 signature (c2sp.org/tlog-cosignature). */
const cosignatureBytes: ReadonlySet<number> = new Set([8 + 64, 8 + 2420]);

/** @returns what is witnessed, and the root it states, for the tree to be held to */
export function checkCosigned(
  check: TenantCheck,
  keys: readonly Verifier[],
  held: number,
): { readonly witnessed: Witnessed; readonly stated: StatedRoot } | undefined {
  const { snapshot, tenant, log, findings, policy } = check;
  const place = `${tenant}/cosigned`;
  const text = snapshot.cosigned.get(tenant);
  if (text === undefined) {
    if (policy !== undefined && policy.quorum.kind !== 'none')
      findings.add('not-witnessed', place, 'no checkpoint has the cosignatures that the policy asks for');
    return undefined;
  }
  try {
    const checkpoint = openForm(text, keys, log.origin);
    if (Number(checkpoint.size) > held)
      findings.add(
        'rollback',
        place,
        `the cosigned checkpoint covers ${checkpoint.size} leaves of ${log.origin}, the files hold ${held}: an older copy was restored`,
      );
    const witnessed = witnessedBy(check, text, keys, checkpoint);
    if (policy !== undefined && !witnessed.quorum)
      findings.add(
        'not-witnessed',
        place,
        `the policy asks for more witnesses than cosigned: ${witnessed.by.length === 0 ? 'none of its own' : witnessed.by.join(', ')}`,
      );
    const { size, root } = checkpoint;
    return { witnessed, stated: { size: Number(size), root, place, who: 'the cosigned checkpoint' } };
  } catch (error) {
    if (!(error instanceof RecordError)) throw error;
    findings.add('cosigned-invalid', place, error.message);
    if (policy !== undefined && policy.quorum.kind !== 'none')
      findings.add('not-witnessed', place, 'the cosigned checkpoint counts for nothing');
    return undefined;
  }
}

/** One spelling: the log's signature, then cosignatures, each by another key. */
function openForm(text: string, logKeys: readonly Verifier[], origin: string): Checkpoint {
  const note = openNote(text, logKeys);
  const checkpoint = parseCheckpoint(note.text);
  if (checkpoint.origin !== origin)
    throw new RecordError('origin-mismatch', `expected the checkpoint of ${origin}, got that of another log`);
  const keys = new Set(note.unverified.map(({ name, keyId }) => `${name} ${keyId}`));
  if (
    formatCheckpoint(checkpoint) !== note.text ||
    checkpoint.extensions.length > 0 ||
    note.unverified.every(({ name }) => name === origin) ||
    keys.size !== note.unverified.length ||
    note.unverified.some(({ name, bytes }) => name !== origin && !cosignatureBytes.has(bytes.length))
  ) {
    throw new RecordError(
      'checkpoint-malformed',
      'expected the signature of the log and one cosignature of each witness, and no lines besides',
    );
  }
  return checkpoint;
}

function witnessedBy(
  { policy, log }: TenantCheck,
  text: string,
  logKeys: readonly Verifier[],
  { size }: Checkpoint,
): Witnessed {
  if (policy === undefined) {
    const by = openNote(text, logKeys)
      .unverified.map(({ name }) => name)
      .filter((name) => name !== log.origin);
    return { size: Number(size), by, quorum: false };
  }
  const { cosigned, quorum, quorumTimeSeconds } = openWitnessed(text, policy, logKeys);
  return {
    size: Number(size),
    by: cosigned.map(({ witness }) => witness.name),
    quorum,
    ...(quorumTimeSeconds === undefined ? {} : { timeSeconds: Number(quorumTimeSeconds) }),
  };
}
