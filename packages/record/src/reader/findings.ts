/** What a verification finds wrong: a code, a place and a sentence for each; the list is bounded, the count isn't. */

/** Code → meaning. Damage and tampering are told apart where the bytes tell. */
export const findingTable = {
  'file-missing': 'A file that must be there is not.',
  'file-unknown': 'A file that no ledger has.',
  'file-unreadable': 'A file cannot be read, or is not a plain file, or far larger than its name lets it be.',
  'file-short': 'A file is shorter than the manifest says.',
  'lock-not-empty': 'The lock file holds bytes.',
  'manifest-malformed': 'The manifest is not laid out as it should be, or its hash is wrong.',
  'key-mismatch': 'The verifier key in the ledger is not the expected one, or not a key.',
  'key-revoked': 'The key that was given, or one that took its place, was revoked as compromised.',
  'rotation-missing': 'A statement on a checkpoint key is missing.',
  'rotation-malformed':
    'A statement on a checkpoint key is not laid out as it should be, or has another number than its name says.',
  'rotation-forged':
    'A statement on a checkpoint key is not signed by the keys it must be, or does not continue the one before it.',
  'rotation-unfinished':
    'A checkpoint key was stated that the log does not use: an interrupted change, or older files put back.',
  'succession-invalid':
    'What a successor log says of its predecessor is malformed, not signed as it must be, or not what its first record says.',
  'checkpoint-invalid': 'A checkpoint is malformed, of another log, or not signed by every key it must be.',
  'checkpoint-ahead': 'The checkpoint covers more leaves than the files hold: the log was cut off.',
  'checkpoint-behind': 'The checkpoint covers fewer leaves than it must: an older copy of it was restored.',
  'cosigned-invalid':
    'A cosigned checkpoint is malformed, of another log, not signed by it, or a cosignature does not verify.',
  'not-witnessed': 'No checkpoint of the log has the cosignatures that the policy asks for.',
  'timestamp-invalid': 'A timestamp does not verify, is over another tree, or is of no authority that is trusted.',
  'root-mismatch': 'The tree over the commitments has another root than was signed or written.',
  rollback: 'The log was longer once: an older copy of some of its files was restored.',
  'log-missing': 'There is no log of the origin that a key or a checkpoint names.',
  'journal-malformed': 'A journal segment or group is not laid out as it should be, or out of order.',
  'group-damaged': 'A group is cut short or its CRC is wrong, and it is not the last.',
  'block-malformed': 'A block is not laid out as it should be.',
  'block-damaged': 'The CRC of a block is wrong: damage.',
  'block-tampered': 'The CRC of a block is right and its authentication tag wrong: tampering.',
  'block-misplaced': 'A block is of another log, class, epoch or place than where it lies.',
  'index-twice': 'Two blocks hold the same index.',
  'index-missing': 'No block holds an index.',
  'commitment-mismatch': 'A record does not open the commitment at its index.',
  'record-mismatch': 'A record contradicts the group or the block that holds it.',
  'tile-mismatch': 'A tile is not the one derived from the commitments.',
  'seal-missing': 'A seal of an epoch is missing.',
  'seal-malformed': 'A seal of an epoch is not laid out as it should be, or is of another epoch than its name says.',
  'seal-forged': 'A seal is not signed by the key announced for it, or does not continue the seal before it.',
  'epoch-unsealed': 'Events were written in an epoch, and an earlier one has no seal.',
  'epoch-mixed': 'A block holds indexes that by the seals belong to another epoch.',
  'seed-malformed': 'A wrapped seed is not laid out as it should be, or is of another place than its name says.',
  'shred-malformed': 'The record of a shred is not laid out as it should be, or its ranges are not.',
  'shred-unproven': 'The record of a shred and the events of the log that it names do not say the same.',
  'shred-missing':
    'The log says that something was shredded, or held, and there is no record of it: older files were restored, or one was removed.',
  'shred-undone': 'Blocks or seeds of a shredded class and epoch lie there again.',
  'hold-malformed': 'A file of a legal hold is not laid out as it should be, or is damaged.',
  'hold-tampered': 'A copy that a hold kept does not open, or does not open the commitment at its index.',
  'hold-missing': 'A hold kept events of a shred, and not all of their copies are there.',
  'seed-refused': 'A wrapped seed does not open under the key-encryption key.',
} as const;
export type FindingCode = keyof typeof findingTable;

export interface Finding {
  readonly code: FindingCode;
  /** Path of the file, relative to the ledger's directory. */
  readonly place: string;
  readonly message: string;
  /** Which block of the file, from 0. */
  readonly block?: number;
  /** Log index. */
  readonly index?: number;
}

const listedMax = 1000;

export class Findings {
  readonly list: Finding[] = [];
  count = 0;

  add(
    code: FindingCode,
    place: string,
    message: string,
    at: { readonly block?: number; readonly index?: number } = {},
  ): void {
    this.count++;
    if (this.list.length < listedMax) this.list.push({ code, place, message, ...at });
  }
}
