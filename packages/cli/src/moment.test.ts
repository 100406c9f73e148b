import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseMoment } from './moment.ts';

const nowMs = Date.parse('2026-03-12T08:00:00.000Z');

test('a moment is RFC 3339, a date, or how long ago', () => {
  assert.equal(parseMoment('15m', nowMs), '2026-03-12T07:45:00.000Z');
  assert.equal(parseMoment('7d', nowMs), '2026-03-05T08:00:00.000Z');
  assert.equal(parseMoment('2026-03-12', nowMs), '2026-03-12T00:00:00.000Z');
  assert.equal(parseMoment('2026-03-12T10:00:00+02:00', nowMs), '2026-03-12T08:00:00.000Z');
  for (const wrong of ['', 'yesterday', '2026-13-40', '12/03/2026', '2026-03-12 10:00', '5y']) {
    assert.throws(() => parseMoment(wrong, nowMs), { code: 'usage' }, wrong);
  }
});
