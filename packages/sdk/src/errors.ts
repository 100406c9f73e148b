/**
 * Everything that can go wrong in the spool and its sender, by code. A message says what was expected, what came and
 * what to do; it never holds an event, an identifier of a patient, or a key.
 */

/** What each code means to whoever has to act on it. */
export const sdkErrorCodes = {
  'spool-locked': 'Another process has this spool open.',
  'spool-full': 'There is no room for more events: the spool reached its bound or the disk is full.',
  'spool-failed': 'The disk under the spool failed; nothing more is accepted until a restart.',
  'spool-stalled': 'The disk under the spool does not answer in time.',
  'spool-closed': 'The spool was closed.',
  'spool-damaged': 'A finished part of the spool does not have the checksum it was written with.',
  'spool-tampered': 'A part of the spool does not open: it was changed on purpose, or the key file is another one.',
  'key-file': 'The key file is missing its 32 bytes, or others can read it.',
  'event-too-large': 'An event is larger than what the server takes, or one append holds too many.',
  'insecure-url': 'Events would leave this machine without TLS.',
  'receipt-invalid': 'A receipt is not covered by the checkpoint it came with, or that is not signed by the log’s key.',
  'receipt-key-changed':
    'The log signs with a key that no statement leads to from the remembered one, or that was revoked.',
  'receipt-rolled-back':
    'The log has fewer events than it had, or is gone: what was acknowledged is not in it any more.',
  'receipt-history-changed':
    'The log is not the remembered one with something appended: it was rewritten, or shown to others differently.',
  'receipt-missing': 'An event that was acknowledged is not in the log at the place of its receipt.',
  'log-unreachable':
    'The public log of the server does not answer, or not as a log does; nothing is known of the receipts.',
  configuration: 'An option has a value that cannot work.',
} as const;

export type SdkErrorCode = keyof typeof sdkErrorCodes;

/** The one error class of this package. `details` are safe to log. */
export class SdkError extends Error {
  readonly code: SdkErrorCode;
  readonly details: Readonly<Record<string, string | number>>;

  constructor(
    code: SdkErrorCode,
    message: string,
    options: { readonly cause?: unknown; readonly details?: Readonly<Record<string, string | number>> } = {},
  ) {
    super(message, options.cause === undefined ? {} : { cause: options.cause });
    this.name = 'SdkError';
    this.code = code;
    this.details = options.details ?? {};
  }
}
