/**
 * Where a search goes on: opaque to whoever holds it, bound to its place and filters by a keyed digest, and free of anything that identifies a patient. The size of the log at the
 * first page is in it, so that pages stay what they are while events keep coming.
 */
import { ServerError } from '../errors.ts';
import type { Filters } from '../indexes/filters.ts';
import type { Pseudonyms } from '../indexes/tokens.ts';

export interface Cursor {
  /** The page holds entries below this index. */
  readonly before: number;
  /** All matches, counted at the first page. */
  readonly count: number;
  readonly countTruncated: boolean;
}

type Digester = Pick<Pseudonyms, 'resource'>;

export function formatCursor(cursor: Cursor, filters: Filters, digester: Digester): string {
  const place = [cursor.before, cursor.count, cursor.countTruncated ? 1 : 0].join('.');
  return Buffer.from(`1.${place}.${digestOf(place, filters, digester)}`).toString('base64url');
}

/** @throws ServerError `cursor-invalid` for anything but what `formatCursor` made for the same filters */
export function parseCursor(text: string, filters: Filters, digester: Digester): Cursor {
  const match = /^1\.((\d{1,16})\.(\d{1,16})\.([01]))\.([A-Z2-7]{12})$/.exec(
    Buffer.from(text, 'base64url').toString('latin1'),
  );
  const [, place = '', before, count, truncated, digest] = match ?? [];
  if (match === null || digest !== digestOf(place, filters, digester)) {
    throw new ServerError(
      'cursor-invalid',
      'expected the `next` of the page before, with the same filters; begin again without `cursor`',
    );
  }
  return { before: Number(before), count: Number(count), countTruncated: truncated === '1' };
}

function digestOf(place: string, filters: Filters, digester: Digester): string {
  const ordered = Object.entries(filters).sort(([a], [b]) => (a < b ? -1 : 1));
  return digester.resource('Query', JSON.stringify([place, ordered])).slice(1);
}
