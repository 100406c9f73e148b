/**
 * What the ledger refuses, in the words of the doors: every room that appends or reads over HTTP answers the same for the same cause.
 */
import { RecordError } from '@watchglass/record';
import { isKeeperFault } from '@watchglass/record/reader';
import { ServerError, type ServerErrorCode } from '../errors.ts';
import { LedgerError, type LedgerErrorCode } from '../ledger/errors.ts';

const storageRetryMs = 30_000;
const overloadedRetryMs = 1_000;
const keeperRetryMs = 5_000;

const doors: Readonly<Record<LedgerErrorCode, { readonly code: ServerErrorCode; readonly retryAfterMs?: number }>> = {
  'unknown-tenant': { code: 'not-found' },
  'read-only': { code: 'read-only' },
  'storage-full': { code: 'storage-full', retryAfterMs: storageRetryMs },
  overloaded: { code: 'over-capacity', retryAfterMs: overloadedRetryMs },
  'id-conflict': { code: 'id-conflict' },
  'record-too-large': { code: 'event-invalid' },
  'batch-too-large': { code: 'body-too-large' },
  'not-found': { code: 'not-found' },
  locked: { code: 'unavailable' },
  corrupt: { code: 'internal' },
  'keys-unavailable': { code: 'keys-unavailable', retryAfterMs: keeperRetryMs },
  'keyring-invalid': { code: 'keyring-invalid' },
  'key-in-use': { code: 'key-in-use' },
  shredded: { code: 'shredded' },
  'plan-changed': { code: 'plan-changed' },
  'shred-unfinished': { code: 'shred-unfinished', retryAfterMs: storageRetryMs },
  'keys-fixed': { code: 'keys-fixed' },
  'key-change-refused': { code: 'input-invalid' },
  'timestamp-invalid': { code: 'unavailable' },
  'timestamp-refused': { code: 'unavailable' },
  closed: { code: 'unavailable', retryAfterMs: overloadedRetryMs },
};

/** A LedgerError, or one of the keeper of keys, as a ServerError; anything else as it is. */
export function asRefusal(error: unknown): unknown {
  if (error instanceof RecordError) return keyRefusal(error) ?? error;
  if (!(error instanceof LedgerError)) return error;
  const { code, retryAfterMs } = doors[error.code];
  const at = Number(error.details.position ?? 0);
  const options = { cause: error, ...(retryAfterMs === undefined ? {} : { retryAfterMs }) };
  if (error.code === 'id-conflict') {
    const place = {
      at,
      path: '/id',
      expected: 'a new id, or the same bytes as before',
      got: 'an id that is stored with other bytes',
    };
    return new ServerError(code, undefined, { ...options, errors: [place] });
  }
  if (error.code === 'record-too-large') {
    const place = {
      at,
      path: '',
      expected: 'an event of at most 64,000 bytes',
      got: 'a larger one',
    };
    return new ServerError(code, undefined, { ...options, errors: [place] });
  }
  // What is wrong with keys, or said of a shred, is for whoever keeps them to read: classes, epochs and counts, nobody's name.
  const isTold = code === 'keyring-invalid' || code === 'key-in-use' || shredCodes.has(error.code);
  return new ServerError(code, isTold ? error.message : undefined, options);
}

/** What a keeper of keys refuses, or what this process has no right to. */
function keyRefusal(error: RecordError): ServerError | undefined {
  if (error.code === 'unwrap-forbidden') return new ServerError('reading-forbidden', undefined, { cause: error });
  if (!isKeeperFault(error) && error.code !== 'kek-lost') return undefined;
  const details = { keeper: error.code };
  return new ServerError('keys-unavailable', error.message, { cause: error, retryAfterMs: keeperRetryMs, details });
}

const shredCodes: ReadonlySet<string> = new Set(['shredded', 'plan-changed', 'shred-unfinished', 'keys-fixed']);
