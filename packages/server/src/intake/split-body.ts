/**
 * Cuts a body into the bytes of each event, as they were sent: one event, an array, or a line each. Only the outer structure is looked at here.
 */
import { RecordError, splitJsonArray } from '@watchglass/record';
import { ServerError } from '../errors.ts';

export const eventsMax = 10_000;

export interface SplitBody {
  readonly items: readonly Uint8Array[];
  /** One event that is not in a list: places in it have no position before them. */
  readonly single: boolean;
}

const newline = 0x0a;
const bracket = 0x5b;

/** @throws ServerError `media-type`, `bad-request`, `body-too-large` */
export function splitBody(bytes: Uint8Array, contentType: string | undefined): SplitBody {
  const kind = kindOf(contentType);
  const split = kind === 'lines' ? { items: lines(bytes), single: false } : json(bytes);
  if (split.items.length === 0) throw new ServerError('bad-request', 'expected at least one event, got none');
  if (split.items.length > eventsMax) {
    throw new ServerError(
      'body-too-large',
      `expected at most ${eventsMax} events at once, got more; send them in parts, nothing of them was stored`,
    );
  }
  return split;
}

/** @throws ServerError `media-type` */
export function kindOf(contentType: string | undefined): 'json' | 'lines' {
  if (contentType === 'application/json') return 'json';
  const [type = '', ...parameters] = (contentType ?? '').split(';').map((part) => part.trim().toLowerCase());
  const charset = parameters.find((one) => one.startsWith('charset='))?.slice('charset='.length);
  const utf8 = charset === undefined || charset === 'utf-8' || charset === '"utf-8"';
  if (utf8 && type === 'application/json') return 'json';
  if (utf8 && type === 'application/x-ndjson') return 'lines';
  throw new ServerError('media-type', 'expected Content-Type application/json or application/x-ndjson, in UTF-8');
}

function json(bytes: Uint8Array): SplitBody {
  const body = trimmed(bytes);
  if (body[0] !== bracket) return { items: body.length === 0 ? [] : [body], single: true };
  try {
    return { items: splitJsonArray(body, eventsMax + 1), single: false };
  } catch (error) {
    if (!(error instanceof RecordError)) throw error;
    // More items than that are no error of their JSON.
    if (error.message.includes('items')) return { items: new Array(eventsMax + 1).fill(body), single: false };
    throw new ServerError('bad-request', `${error.message}; nothing of the body was stored`, { cause: error });
  }
}

function lines(bytes: Uint8Array): Uint8Array[] {
  const items: Uint8Array[] = [];
  let from = 0;
  while (from < bytes.length && items.length <= eventsMax) {
    const found = bytes.indexOf(newline, from);
    const end = found < 0 ? bytes.length : found;
    const line = trimmed(bytes.subarray(from, end));
    if (line.length > 0) items.push(line);
    from = end + 1;
  }
  return items;
}

/** Without the white space of JSON around it. */
function trimmed(bytes: Uint8Array): Uint8Array {
  let from = 0;
  let to = bytes.length;
  while (from < to && isSpace(bytes[from])) from += 1;
  while (to > from && isSpace(bytes[to - 1])) to -= 1;
  return bytes.subarray(from, to);
}

function isSpace(byte: number | undefined): boolean {
  return byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09;
}
