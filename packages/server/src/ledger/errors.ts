/** Every error of the ledger: one class, a `code` from one table. Messages say what was expected, what came, and what to do; never PHI. */
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
