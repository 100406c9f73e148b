import assert from 'node:assert/strict';
import { test } from 'node:test';
import { brushRange, fromInput, resolveRange, shiftRange, toInput } from './range.ts';

const nowMs = Date.parse('2026-03-12T14:00:00.000Z');
const iso = (text: string): string => new Date(text).toISOString();

test('a preset begins before now and stays open', () => {
  assert.deepEqual(resolveRange({ range: '15m' }, nowMs), { from: iso('2026-03-12T13:45:00Z') });
  assert.deepEqual(resolveRange({}, nowMs), { from: iso('2026-03-11T14:00:00Z') });
  assert.deepEqual(resolveRange({ range: 'all' }, nowMs), {});
});

test('a range moves back by its own length, and forward not past now', () => {
  const back = shiftRange({ range: '1h' }, nowMs, -1);
  assert.deepEqual(back, { from: iso('2026-03-12T12:00:00Z'), to: iso('2026-03-12T13:00:00Z') });
  assert.ok(back);
  assert.deepEqual(shiftRange(back, nowMs, 1), { from: iso('2026-03-12T13:00:00Z'), to: iso('2026-03-12T14:00:00Z') });
  assert.equal(shiftRange({ from: iso('2026-03-12T13:00:00Z'), to: iso('2026-03-12T14:00:00Z') }, nowMs, 1), undefined);
  assert.equal(shiftRange({ range: '1h' }, nowMs, 1), undefined);
  assert.equal(shiftRange({ range: 'all' }, nowMs, -1), undefined);
});

test('a brush in either direction covers whole buckets', () => {
  const originMs = Date.parse('2026-03-12T10:00:00Z');
  const stepMs = 60_000;
  const expected = { from: iso('2026-03-12T10:01:00Z'), to: iso('2026-03-12T10:04:00Z') };
  const aMs = originMs + 90_000;
  const bMs = originMs + 200_000;
  assert.deepEqual(brushRange({ aMs, bMs, stepMs, originMs }), expected);
  assert.deepEqual(brushRange({ aMs: bMs, bMs: aMs, stepMs, originMs }), expected);
  const point = brushRange({ aMs, bMs: aMs, stepMs, originMs });
  assert.deepEqual(point, { from: iso('2026-03-12T10:01:00Z'), to: iso('2026-03-12T10:02:00Z') });
});

test('a typed time is the instant it was in its zone', () => {
  for (const zone of ['utc', 'local'] as const) {
    const instant = '2026-03-12T14:03:12.000Z';
    assert.equal(fromInput(toInput(instant, zone), zone), instant);
  }
  assert.equal(fromInput('2026-03-12T14:03', 'utc'), '2026-03-12T14:03:00.000Z');
  assert.equal(fromInput('12.3.2026', 'utc'), undefined);
  assert.equal(fromInput('2026-13-40T00:00', 'utc'), undefined);
});
