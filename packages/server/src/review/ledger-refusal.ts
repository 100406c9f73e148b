/**
 * What the ledger refuses, in the words of the doors: every room that appends or reads over HTTP answers the same for the same cause.
 */
import { ServerError, type ServerErrorCode } from '../errors.ts';
import { LedgerError, type LedgerErrorCode } from '../ledger/errors.ts';

const storageRetryMs = 30_000;
const overloadedRetryMs = 1_000;

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
  'timestamp-invalid': { code: 'unavailable' },
  'timestamp-refused': { code: 'unavailable' },
  closed: { code: 'unavailable', retryAfterMs: overloadedRetryMs },
};

/** A LedgerError as a ServerError; anything else as it is. `at` turns a position in the call into a JSON Pointer. */
export function asRefusal(error: unknown, at: (position: number | undefined) => string = () => ''): unknown {
  if (!(error instanceof LedgerError)) return error;
  const { code, retryAfterMs } = doors[error.code];
  const position = error.details.position;
  const options = { cause: error, ...(retryAfterMs === undefined ? {} : { retryAfterMs }) };
  if (error.code === 'id-conflict') {
    const place = {
      at: `${at(Number(position ?? 0))}/id`,
      expected: 'a new id, or the same bytes as before',
      got: 'an id that is stored with other bytes',
    };
    return new ServerError(code, undefined, { ...options, errors: [place] });
  }
  if (error.code === 'record-too-large') {
    const place = {
      at: at(position === undefined ? undefined : Number(position)),
      expected: 'an event of at most 64,000 bytes',
      got: 'a larger one',
    };
    return new ServerError(code, undefined, { ...options, errors: [place] });
  }
  return new ServerError(code, undefined, options);
}
