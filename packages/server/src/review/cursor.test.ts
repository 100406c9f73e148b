import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Pseudonyms } from '../indexes/tokens.ts';
import { formatCursor, parseCursor } from './cursor.ts';

const digester = new Pseudonyms(new Uint8Array(32).fill(1));
const cursor = { before: 812, count: 90_000, countTruncated: false };

test('a cursor comes back as it was given', () => {
  const text = formatCursor(cursor, { actor: 'nurse-1' }, digester);
  assert.deepEqual(parseCursor(text, { actor: 'nurse-1' }, digester), cursor);
});

test('a cursor of other filters, of another tenant, or with another place is refused', () => {
  const text = formatCursor(cursor, { actor: 'nurse-1' }, digester);
  const moved = Buffer.from(Buffer.from(text, 'base64url').toString().replace('812', '813')).toString('base64url');
  const foreign = new Pseudonyms(new Uint8Array(32).fill(2));
  const refused = { code: 'cursor-invalid' };
  assert.throws(() => parseCursor(text, { actor: 'nurse-2' }, digester), refused);
  assert.throws(() => parseCursor(text, { actor: 'nurse-1' }, foreign), refused);
  assert.throws(() => parseCursor(moved, { actor: 'nurse-1' }, digester), refused);
});
