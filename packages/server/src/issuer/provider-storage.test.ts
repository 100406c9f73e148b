/** What the provider keeps is bounded, and what must not be shown twice is not forgotten for it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SimClock } from '../world/simulated.ts';
import { createProviderStorage } from './provider-storage.ts';

test('a store of what was seen takes nothing more when it is full, and goes on when something has ended', async () => {
  const clock = new SimClock(1_767_225_600_000);
  const storage = createProviderStorage(clock);
  const seen = storage('ReplayDetection');
  await seen.upsert('stolen', {}, 300);
  for (let n = 1; n < 100_000; n++) await seen.upsert(`made-up-${n}`, {}, 60);
  await assert.rejects(async () => seen.upsert('one-too-many', {}, 60), { code: 'unavailable' });
  assert.ok(await seen.find('stolen'));
  clock.advance(61_000);
  await seen.upsert('another', {}, 60);
  assert.ok(await seen.find('stolen'));
});

test('of everything else the oldest goes first', async () => {
  const clock = new SimClock(1_767_225_600_000);
  const sessions = createProviderStorage(clock)('Session');
  for (let n = 0; n <= 10_000; n++) await sessions.upsert(`session-${n}`, {}, 60);
  assert.equal(await sessions.find('session-0'), undefined);
  assert.ok(await sessions.find('session-10000'));
});
