/**
 * What witnesses say of the log that a bundle is of: their cosignatures on an older or equal tree, which has to be the beginning of the one that proves the events; and,
 * with a trust policy from elsewhere (c2sp.org/tlog-policy), whether enough of those whom it trusts have signed.
 */
import { type Checkpoint, parseCheckpoint } from '../checkpoint.ts';
import { RecordError } from '../errors.ts';
import { openNote, type VerifiedSignature } from '../note.ts';
import { openWitnessed, type Policy } from '../policy.ts';
import { verifyConsistency } from '../tree.ts';
import type { SignedBundle } from './bundle-keys.ts';
import { messageOf, type Read, type Tell } from './checking.ts';
import type { BundleContents } from './contents.ts';

export interface Cosigned {
  readonly size: number;
  readonly signatures: readonly VerifiedSignature[];
  /** By witnesses named here, with keys that this platform can't check. */
  readonly unchecked: readonly VerifiedSignature[];
  /** By keys that the bundle doesn't name. */
  readonly unknown: number;
  /** Of the policy that was given: the witnesses of it that signed, and since when they are enough. */
  readonly quorum?: { readonly names: readonly string[]; readonly timeSeconds: bigint | undefined };
}

export function checkCosigned(
  { contents, proof }: Read,
  signed: SignedBundle,
  policy: Policy | undefined,
  tell: Tell,
): Cosigned | undefined {
  const place = 'contents.cosigned';
  if (contents.cosigned === '') {
    if (proof.growth.length > 0)
      tell('growth-invalid', 'proof.growth', 'expected no hashes without a cosigned checkpoint');
    if (policy !== undefined && policy.quorum.kind !== 'none')
      tell('quorum-missing', place, 'no witness of the policy has cosigned: there is no cosigned checkpoint in it');
    return undefined;
  }
  try {
    const older = parseCheckpoint(contents.cosigned);
    if (older.origin !== contents.origin) throw new RecordError('origin-mismatch', 'it is of another log');
    const keys = [...signed.logKeys, ...contents.witnesses];
    const { signatures, unverified, unchecked } = openNote(contents.cosigned, keys);
    if (!signatures.some(({ name }) => name === contents.origin))
      throw new RecordError('note-unverified', 'the log itself did not sign it');
    refuseRevoked(signatures, signed, older, tell);
    checkGrowth(older, signed.checkpoint, proof.growth, tell);
    const isWitness = ({ name }: VerifiedSignature): boolean => name !== contents.origin;
    const quorum = policy === undefined ? undefined : checkPolicy({ contents, signed, policy, tell });
    return {
      size: Number(older.size),
      signatures: signatures.filter(isWitness),
      unchecked: unchecked.filter(isWitness),
      unknown: unverified.length,
      ...(quorum === undefined ? {} : { quorum }),
    };
  } catch (error) {
    tell('cosigned-invalid', place, messageOf(error));
    return undefined;
  }
}

function checkGrowth(older: Checkpoint, newer: Checkpoint | undefined, proof: readonly Uint8Array[], tell: Tell): void {
  if (newer === undefined) return;
  try {
    verifyConsistency({ size1: older.size, root1: older.root, size2: newer.size, root2: newer.root, proof });
  } catch (error) {
    tell('growth-invalid', 'proof.growth', messageOf(error));
  }
}

/** A policy names witnesses by their keys, whatever the bundle says of them. */
function checkPolicy(given: {
  readonly contents: BundleContents;
  readonly signed: SignedBundle;
  readonly policy: Policy;
  readonly tell: Tell;
}): Cosigned['quorum'] {
  const { contents, signed, policy, tell } = given;
  const { cosigned, quorum, quorumTimeSeconds } = openWitnessed(contents.cosigned, policy, signed.logKeys);
  const names = cosigned.map(({ witness }) => witness.verifier.name);
  if (quorum) return { names, timeSeconds: quorumTimeSeconds };
  tell(
    'quorum-missing',
    'contents.cosigned',
    `the witnesses of the policy that have cosigned are not enough: ${names.length === 0 ? 'none' : names.join(', ')}`,
  );
  return undefined;
}

/** What a stolen key signed past the size up to which it is believed counts for nothing. */
function refuseRevoked(
  signatures: readonly VerifiedSignature[],
  { chain }: SignedBundle,
  older: Checkpoint,
  tell: Tell,
): void {
  const own = signatures.filter(({ name }) => name === older.origin);
  const revoked = (chain?.rotations ?? []).filter(
    ({ kind, trusted }) => kind === 'compromised' && older.size > trusted,
  );
  if (own.every(({ keyId }) => revoked.some(({ old }) => old.keyId === keyId)))
    tell(
      'cosigned-invalid',
      'contents.cosigned',
      'only a key that was stolen signed it, at a size at which it is not believed',
    );
}
