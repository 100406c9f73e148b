/** Every error of the ledger: one class, a `code` from one table. Messages say what was expected, what came, and what to do; never PHI. */
import { RecordError } from '@watchglass/record';

export const ledgerErrorCodes = {
  'unknown-tenant': 'The tenant has no log here: add it first.',
  'read-only': 'The ledger takes no appends: its message says why and what to do.',
  'storage-full': 'No room on the disk: nothing of the call was stored; free some and send again.',
  overloaded: 'More is waiting than the ledger lets wait: send again later.',
  'id-conflict': 'An event with this id and other bytes is in the ledger already.',
  'record-too-large': 'A stored record is larger than 65,536 bytes.',
  'batch-too-large': 'A call has more events or bytes than one group may hold.',
  'not-found': 'No such index in this log.',
  locked: 'Another process writes this ledger.',
  corrupt: 'The files of the ledger contradict each other.',
  'keys-unavailable':
    'A new seed is needed, or an old one, and the keeper of the key-encryption key does not do its part: send again later.',
  'keyring-invalid': 'keys/keyring.json is damaged, or contradicts the configuration or what is asked.',
  'key-in-use': 'A key can’t be destroyed while it is current, or while something that must stay is wrapped under it.',
  shredded: 'The record at this index was shredded with its class and epoch; its commitment and proofs are left.',
  'plan-changed': 'What a shred would take is not what was approved any more: nothing was touched.',
  'shred-unfinished':
    'A shred has begun and is not over, since the keeper of the keys did not do its part; it is gone on with.',
  'keys-fixed': 'The key-encryption keys of this ledger can’t be changed from here, so nothing can be shredded.',
  'key-change-refused': 'The checkpoint keys of the log do not allow this change now.',
  'timestamp-invalid': 'A timestamp (RFC 3161) does not verify, or is over something else than the checkpoint.',
  'timestamp-refused': 'The timestamp authority answered without a timestamp.',
  closed: 'The ledger was closed.',
} as const;
export type LedgerErrorCode = keyof typeof ledgerErrorCodes;

export class LedgerError extends Error {
  override readonly name = 'LedgerError';
  readonly code: LedgerErrorCode;
  readonly details: Readonly<Record<string, string | number>>;

  constructor(
    code: LedgerErrorCode,
    message: string,
    details: Readonly<Record<string, string | number>> = {},
    cause?: unknown,
  ) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
    this.details = details;
  }
}

/** A record that was shredded, as the ledger says it; anything else as it is. */
export function throwShredded(error: unknown): never {
  if (!(error instanceof RecordError) || error.code !== 'record-shredded') throw error;
  throw new LedgerError('shredded', error.message, {}, error);
}
