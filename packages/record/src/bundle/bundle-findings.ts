/** What a verification of a bundle finds wrong: a code, a place and a sentence for each. */

/** Code → meaning. `docs/errors.md` is held equal to this table by a test. */
export const bundleFindingTable = {
  'bundle-malformed': 'The evidence is not in its one spelling, or the file was cut off.',
  'page-changed': 'The page around the evidence is not the one its maker put there: do not trust what it shows.',
  'key-invalid': 'A verifier key in the bundle is malformed, or of another log.',
  'key-mismatch':
    'The verifier key that was given is not among those of the bundle, and no statement of the log leads from it to one.',
  'key-chain-invalid':
    'The statements on the keys of the log do not hold, or lead to a key that the bundle does not name.',
  'key-revoked':
    'The verifier key that was given was stolen, as a statement of the log says: ask for the one of today.',
  'checkpoint-invalid': 'The checkpoint is malformed, of another log, or not signed by a key of the log.',
  'checkpoint-mismatch': 'A checkpoint that was remembered has another root at the same size: there are two histories.',
  'cosigned-invalid': 'The cosigned checkpoint is malformed, of another log, or a signature in it is wrong.',
  'quorum-missing': 'Too few of the witnesses of the policy that was given have cosigned.',
  'growth-invalid': 'The tree that witnesses cosigned is not the beginning of the one that proves the events.',
  'root-mismatch': 'The leaves and hashes do not lead to the signed root.',
  'event-mismatch': 'An event does not open the leaf stated for it.',
  'shred-unproven': 'An event has no content, and no event of the log proves that it was shredded.',
  'record-invalid': 'An event is not a stored record, or has fields withheld that cannot be.',
  'maker-mismatch': "The maker's own event does not open its leaf, or is not about a bundle like this one.",
  'contents-changed': "The contents are not those that the maker's own event names.",
} as const;

export type BundleFindingCode = keyof typeof bundleFindingTable;

export interface BundleFinding {
  readonly code: BundleFindingCode;
  /** Part of the evidence: `contents`, `events`, `proof`, … */
  readonly place: string;
  readonly message: string;
  /** Log index of the event it is about. */
  readonly index?: number;
}
