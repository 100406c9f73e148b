/**
 * Every error the server gives on purpose: one class, one table. The doors turn a code into problem+json (RFC 9457);
 * `docs/errors.md` is held equal to this table by a test. Details are safe to show: never PHI, never a secret.
 */

/** What a code means over HTTP, and what whoever meets it should do. */
export interface ErrorEntry {
  /** HTTP status. */
  readonly status: number;
  readonly title: string;
  readonly remedy: string;
}

export const serverErrors = {
  'bad-request': {
    status: 400,
    title: 'The request is not well-formed',
    remedy: 'Compare the request with /openapi.json; nothing of it was stored.',
  },
  'query-invalid': {
    status: 400,
    title: 'A filter is not valid',
    remedy: 'Correct the filter that `errors` names; /openapi.json lists them.',
  },
  'cursor-invalid': {
    status: 400,
    title: 'The cursor is not one of ours',
    remedy: 'Begin again without `cursor`; pass on `next` exactly as it came.',
  },
  unauthenticated: {
    status: 401,
    title: 'Nobody is signed in',
    remedy: 'Sign in, or send `Authorization: Bearer` with a valid token or key.',
  },
  'write-key-invalid': {
    status: 401,
    title: 'The write key is not known here',
    remedy: 'Send `Authorization: Bearer wgk_…` with a key that is not revoked; an administrator can make one.',
  },
  'sign-in-failed': {
    status: 401,
    title: 'Signing in did not work',
    remedy: 'Begin again at /auth/login.',
  },
  forbidden: {
    status: 403,
    title: 'This needs a right you do not have',
    remedy: 'Ask an administrator for the role that carries the right.',
  },
  'origin-refused': {
    status: 403,
    title: 'The request comes from another site',
    remedy: 'Send it from the console, or with a bearer token instead of a cookie.',
  },
  'not-found': {
    status: 404,
    title: 'There is nothing here',
    remedy: 'Check the path; /openapi.json lists all of them.',
  },
  'method-not-allowed': {
    status: 405,
    title: 'This path does not take this method',
    remedy: 'Use a method that `Allow` names.',
  },
  'request-timeout': {
    status: 408,
    title: 'The request did not arrive in time',
    remedy: 'Send it again; nothing of it was stored.',
  },
  'id-conflict': {
    status: 409,
    title: 'An event with this id and other content is stored',
    remedy:
      'Give a new event a new id, and send a stored event again only byte for byte; nothing of this body was stored.',
  },
  shredded: {
    status: 410,
    title: 'The event was shredded',
    remedy: 'Its retention is over: only its commitment and its proof are left; the log says who ended it, and when.',
  },
  'body-too-large': {
    status: 413,
    title: 'The body is too large',
    remedy: 'Send at most 8 MiB and 10,000 events at once; nothing of this batch was stored.',
  },
  'media-type': {
    status: 415,
    title: 'The content type is not one this door takes',
    remedy: 'Send application/json or application/x-ndjson.',
  },
  'event-invalid': {
    status: 422,
    title: 'An event is not valid',
    remedy: 'Correct what `errors` names and send the batch again; nothing of it was stored.',
  },
  'wrong-tenant': {
    status: 422,
    title: 'The event names another tenant than the key',
    remedy: 'Leave `tenant` out, or use a write key of that tenant; nothing of the body was stored.',
  },
  'event-in-future': {
    status: 422,
    title: 'The event lies in the future',
    remedy: 'Set the clock of the sender, up to five minutes ahead are accepted; nothing of the body was stored.',
  },
  'event-too-old': {
    status: 422,
    title: 'The event is older than the retention',
    remedy: 'Keep it where it is, here it would have to be removed at once; nothing of the body was stored.',
  },
  'input-invalid': {
    status: 422,
    title: 'A value is not valid',
    remedy: 'Correct what `errors` names.',
  },
  'bundle-too-large': {
    status: 422,
    title: 'More matches than a bundle holds',
    remedy: 'Narrow the filters, by time for instance, and make several bundles.',
  },
  'withholding-refused': {
    status: 422,
    title: 'A field cannot be withheld as asked',
    remedy: 'Correct what `errors` names; docs/bundle.md says what can be withheld.',
  },
  'plan-changed': {
    status: 409,
    title: 'What would go is not what was approved',
    remedy: 'Look at the plan again and propose it anew; nothing was touched.',
  },
  'person-required': {
    status: 403,
    title: 'This takes a person who signed in',
    remedy: 'Sign in as yourself; the operator of the machine may be several people.',
  },
  'sign-in-weak': {
    status: 403,
    title: 'This takes a sign-in with a second factor',
    remedy: 'Sign in with a second factor; retention.approval.acr names what else counts as one.',
  },
  'sign-in-stale': {
    status: 403,
    title: 'The sign-in is too old for this',
    remedy: 'Sign in again and repeat it.',
  },
  'same-person': {
    status: 409,
    title: 'One person can not be two',
    remedy: 'Have somebody else who has the right approve it.',
  },
  'proposal-expired': {
    status: 409,
    title: 'The proposal has expired',
    remedy: 'Propose it anew.',
  },
  'proposal-state': {
    status: 409,
    title: 'The proposal is not at this step',
    remedy: 'Look at the proposal: it takes a proposal, an approval by somebody else, and an order, in this order.',
  },
  'approval-unproven': {
    status: 409,
    title: 'The log does not say what the proposal does',
    remedy: 'Propose it anew; retention.json was changed, or is of another ledger.',
  },
  'hold-missing': {
    status: 409,
    title: 'A legal hold is not where it was',
    remedy: 'Restore the directory of the hold from its backup; nothing goes before that.',
  },
  'held-whole': {
    status: 409,
    title: 'A legal hold is about all of it',
    remedy: 'Leave it out: nothing of it could go before the hold is released.',
  },
  'nothing-to-shred': {
    status: 422,
    title: 'Nothing of this is over',
    remedy: 'Look at the plan: `watchglass retention plan` says what is over, and when.',
  },
  'retention-floor': {
    status: 422,
    title: 'Six years are not over',
    remedy: 'Wait, or have a person with the right confirm a shorter retention (docs/retention.md).',
  },
  'retention-not-over': {
    status: 422,
    title: 'The retention in force is not over',
    remedy: 'Wait, or change the retention; GET /v1/retention has what is in force.',
  },
  'over-capacity': {
    status: 429,
    title: 'More is asked than can be taken now',
    remedy: 'Send it again after `Retry-After`; nothing of it was stored.',
  },
  'rate-limited': { status: 429, title: 'Too many attempts', remedy: 'Wait for `Retry-After`.' },
  internal: {
    status: 500,
    title: 'Something went wrong here',
    remedy: 'Tell the operator the request id; the log has the cause under it.',
  },
  'read-only': {
    status: 503,
    title: 'The ledger takes no new records',
    remedy: 'Keep the events and send them later; the operator finds the reason under /v1/status.',
  },
  'storage-full': {
    status: 503,
    title: 'The disk of the ledger is full',
    remedy: 'Keep the events and send them after `Retry-After`; the operator has to make room.',
  },
  'keys-unavailable': {
    status: 503,
    title: 'The keeper of the keys does not do its part',
    remedy:
      'Send it again after `Retry-After`; the operator finds in the log what the keeper of the key-encryption key answered.',
  },
  'reading-forbidden': {
    status: 403,
    title: 'This server may store records and not open them',
    remedy: 'Ask a server whose configuration has `keys.rights: wrap-and-unwrap`.',
  },
  'key-in-use': {
    status: 409,
    title: 'The key is still needed',
    remedy: 'Rotate and wrap anew first.',
  },
  'keyring-invalid': {
    status: 422,
    title: 'The keyring does not allow this',
    remedy: 'Read the message; `watchglass keys list` shows what the keyring holds.',
  },
  'shred-unfinished': {
    status: 503,
    title: 'The shred has begun and is not over',
    remedy: 'Look after the keeper of the keys; the server goes on by itself.',
  },
  'keys-fixed': {
    status: 503,
    title: 'The key-encryption keys cannot be changed from here',
    remedy: 'Nothing was touched; give the server the right to end its keys (docs/retention.md).',
  },
  unavailable: {
    status: 503,
    title: 'A part this needs is not ready',
    remedy: 'Try again after `Retry-After`.',
  },
  'config-invalid': {
    status: 500,
    title: 'The configuration is not valid',
    remedy: 'Correct what the message names; docs/configuration.md has every key.',
  },
  'key-file-exposed': {
    status: 500,
    title: 'A key file can be read by others',
    remedy: 'Run `chmod 600` on the file the message names, and consider the key known.',
  },
  'key-file-invalid': {
    status: 500,
    title: 'A key file does not hold what it should',
    remedy: 'Restore the file the message names from its backup.',
  },
  'state-older': {
    status: 500,
    title: 'state.sqlite is an older copy than the one that was used last',
    remedy:
      'Put the newest copy back. Or go on with this one: run `watchglass fsck`, remove `state.mark`, start again, and end by hand what fsck names.',
  },
  'state-unknown': {
    status: 500,
    title: 'state.sqlite was written by a newer version',
    remedy: 'Start the version that wrote it, or a newer one.',
  },
  'witness-locked': {
    status: 500,
    title: 'Another process is this witness',
    remedy: 'End the other process first; two with one key could cosign two histories.',
  },
  'witness-state-damaged': {
    status: 503,
    title: 'The witness does not know what it cosigned of this log',
    remedy:
      'Restore the file the message names, and never an older copy of it; or give the witness a new name and key.',
  },
} as const;

export type ServerErrorCode = keyof typeof serverErrors;

/** One member of a problem's `errors`: where, what was expected, what came (a type or a length, never PHI). */
export interface ErrorPlace {
  /** Position of the event in the body, from 0; only of events. */
  readonly at?: number;
  /** JSON Pointer into that event, or into the request; empty for the whole of it. */
  readonly path: string;
  readonly expected: string;
  readonly got: string;
}

export interface ServerErrorOptions {
  readonly cause?: unknown;
  readonly errors?: readonly ErrorPlace[];
  /** Becomes `Retry-After`, rounded up to seconds. */
  readonly retryAfterMs?: number;
  /** Further members for the answer; safe to show. */
  readonly details?: Readonly<Record<string, string | number | boolean>>;
}

/** The one error class of the server. `message` says what was expected, what came and what to do. */
export class ServerError extends Error {
  override readonly name: string = 'ServerError';
  readonly code: ServerErrorCode;
  readonly errors: readonly ErrorPlace[] | undefined;
  readonly retryAfterMs: number | undefined;
  readonly details: Readonly<Record<string, string | number | boolean>> | undefined;

  constructor(code: ServerErrorCode, message: string = serverErrors[code].remedy, options: ServerErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.errors = options.errors;
    this.retryAfterMs = options.retryAfterMs;
    this.details = options.details;
  }

  /** HTTP status of the code. */
  get status(): number {
    const entry: ErrorEntry = serverErrors[this.code];
    return entry.status;
  }
}
