import assert from 'node:assert/strict';
import { test } from 'node:test';
import { describeRange, formatAgo, formatClock, formatFullTime, formatRowTime, formatSpan } from './format.ts';

const instant = '2026-09-02T04:03:12.045Z';

test('a time names its zone', () => {
  assert.equal(formatRowTime(instant, 'utc'), '02 Sep 04:03:12');
  assert.equal(formatFullTime(instant, 'utc'), 'Wed 2 September 2026, 04:03:12.045 UTC');
  assert.equal(formatClock(instant, 'utc'), '04:03:12 UTC');
  assert.match(formatClock(instant, 'local'), /^\d\d:\d\d:\d\d UTC([+−]\d\d:\d\d)?$/);
});

test('relative time is coarse and says its direction', () => {
  const at = Date.parse(instant);
  assert.equal(formatAgo(instant, at + 400), 'just now');
  assert.equal(formatAgo(instant, at + 12 * 60_000), '12 min ago');
  assert.equal(formatAgo(instant, at - 3000), 'in 3 s');
  assert.equal(formatSpan(3 * 86_400_000), '3 days');
  assert.equal(formatSpan(26 * 3_600_000), '26 h');
});

test('a range reads as the end of a sentence', () => {
  assert.equal(describeRange({}, 'utc'), 'in the last 24 hours');
  assert.equal(describeRange({ range: 'all' }, 'utc'), 'over all time');
  assert.equal(
    describeRange({ from: '2026-03-12T10:00:00Z', to: '2026-03-12T11:00:00Z' }, 'utc'),
    'from 12 Mar 2026 10:00 to 11:00 UTC',
  );
  assert.equal(describeRange({ from: '2026-03-12T10:00:00Z' }, 'utc'), 'since 12 Mar 2026 10:00 UTC');
});
