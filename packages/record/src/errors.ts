/**
 * Every error this package throws, in one table.
 *
 * A `RecordError` has a stable `code` for programs and a message for people that says what was expected, what came and
 * what to do. Neither the message nor `details` ever holds a value that may identify a patient.
 */

/** Code → meaning. `docs/errors.md` is held equal to this table by a test. */
export const errorTable = {
  'argument-invalid': 'A function was called with a value outside its documented range.',
  'tenant-invalid': 'A tenant name is not 1 to 63 lower-case letters, digits and hyphens starting with a letter.',
  'event-invalid': 'An event does not follow the schema; `details.errors` names each place.',
  'event-too-large': 'A stored record would have more than 65,536 bytes.',
  'json-invalid': 'A text is not strict JSON: malformed, not UTF-8, too long, too deep, or a member is given twice.',
  'record-invalid': 'Bytes are not a stored record (docs/format.md, "The stored record").',
  'base64-invalid': 'A text is not canonical standard base64 (RFC 4648 §4).',
  'key-invalid': 'A verifier key or signer key is malformed, of an unknown type, or its id does not match.',
  'key-unsupported': 'A key is of a kind that this platform cannot sign with (ML-DSA-44).',
  'note-malformed': 'A text is not a signed note (c2sp.org/signed-note).',
  'note-unverified': 'No known key signed the note.',
  'signature-invalid': 'A known key is named in a note, but its signature does not verify.',
  'checkpoint-malformed': 'A text is not a checkpoint (c2sp.org/tlog-checkpoint).',
  'origin-mismatch': 'A checkpoint belongs to another log than the expected one.',
  'tile-path-invalid': 'A path is not a tile path (c2sp.org/tlog-tiles).',
  'proof-malformed': 'A text is not a tlog-proof (c2sp.org/tlog-proof), or its parts have the wrong shape.',
  'inclusion-invalid': 'An inclusion proof does not lead to the root: the leaf is not in that tree at that index.',
  'consistency-invalid': 'A consistency proof does not hold: one tree is not an extension of the other.',
  'policy-malformed': 'A text is not a trust policy (c2sp.org/tlog-policy).',
  'witness-request-malformed': 'A text is not a request to a witness (c2sp.org/tlog-witness).',
  'witness-response-malformed': 'A text is not an answer of a witness (c2sp.org/tlog-witness).',
  'opening-missing': 'A proof carries no opening, so the event in it cannot be read.',
  'bundle-malformed': 'A text is not a bundle of evidence in its one spelling (docs/bundle.md).',
  'block-malformed': 'A block is not laid out as docs/format.md says, or is damaged.',
  'block-tampered': 'The authentication tag of a block is wrong: its bytes or its key were changed.',
  'group-malformed': 'A journal group is not laid out as docs/format.md says.',
  'group-torn': 'A journal group is cut short or its CRC is wrong.',
  'manifest-malformed': 'A manifest is not laid out as docs/format.md says, or its hash is wrong.',
  'seed-malformed': 'A wrapped seed is not laid out as docs/format.md says.',
  'seed-refused': 'A wrapped seed does not open under this key-encryption key.',
  'seal-malformed': 'A seal of an epoch is not laid out as docs/format.md says.',
  'kek-unknown': 'A secret is wrapped under a key that the keyring does not hold.',
  'unwrap-forbidden': 'This process may wrap secrets and not unwrap them.',
  'kek-refused':
    'The keeper of a key-encryption key refuses this process: its credentials or its rights are not enough.',
  'kek-throttled': 'The keeper of a key-encryption key asks to slow down, and still did after retries.',
  'kek-lost': 'A key-encryption key is destroyed, disabled or not there any more.',
  'kek-unreachable': 'The keeper of a key-encryption key did not answer in time.',
  'kek-malformed': 'The keeper of a key-encryption key answered something that is no answer.',
  'record-shredded': 'The record at an index was shredded with its class and epoch: only its commitment is left.',
  'shred-malformed': 'The record of a shred is not laid out as docs/format.md says.',
  'hold-malformed': 'A file of a legal hold is not laid out as docs/format.md says, or is damaged.',
  'hold-tampered': 'The authentication tag of a file of a legal hold is wrong: its bytes or its key were changed.',
  'rotation-malformed': 'A statement on a checkpoint key is not laid out as docs/format.md says.',
  'key-chain-broken':
    'The statements on the checkpoint keys of a log do not lead from one to the next: one is missing, forged, replaced or out of order.',
  'succession-malformed': 'What a successor log says of its predecessor is not laid out as docs/format.md says.',
  'ledger-unreadable': 'A ledger directory is missing, is not a ledger, or cannot be read.',
} as const;

export type ErrorCode = keyof typeof errorTable;

/** What was wrong at one place of an event. */
export interface FieldError {
  /** JSON Pointer (RFC 6901) into the event; empty for the event itself. */
  readonly at: string;
  readonly expected: string;
  /** A type, a length or a safe word; never a value that may identify somebody. */
  readonly got: string;
}

export interface ErrorDetails {
  /** For `event-invalid`: every error found, at most 20. */
  readonly errors?: readonly FieldError[];
  readonly [name: string]: unknown;
}

/**
 * The one error class of this package.
 *
 * @example
 * try { parseEvent(input); } catch (error) {
 *   if (error instanceof RecordError && error.code === 'event-invalid') console.log(error.details.errors);
 * }
 */
export class RecordError extends Error {
  override readonly name: string = 'RecordError';
  readonly code: ErrorCode;
  readonly details: ErrorDetails;

  constructor(code: ErrorCode, message: string, options: { cause?: unknown; details?: ErrorDetails } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.details = options.details ?? {};
  }
}
