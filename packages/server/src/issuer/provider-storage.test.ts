/** What the provider keeps: bounded, kept where it has to be, used once also by two at the same moment. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openIssuedForTest } from '../access/issued.fixture.ts';
import { createProviderStorage } from './provider-storage.ts';

async function open() {
  const opened = await openIssuedForTest();
  const ended: string[] = [];
  const storage = createProviderStorage({ ...opened, onReuse: (grantId) => ended.push(grantId) });
  return { ...opened, ended, storage };
}

test('of what is in memory the oldest goes first', async () => {
  const { storage } = await open();
  const sessions = storage('Session');
  for (let n = 0; n <= 10_000; n++) await sessions.upsert(`session-${n}`, {}, 60);
  assert.equal(await sessions.find('session-0'), undefined);
  assert.ok(await sessions.find('session-10000'));
});

test('a refresh token that two use at the same moment is used by one, and its grant has ended', async () => {
  const { storage, ended } = await open();
  const tokens = storage('RefreshToken');
  await storage('Grant').upsert('grant', {}, 60);
  await tokens.upsert('token', { grantId: 'grant' }, 60);
  const uses = await Promise.allSettled([tokens.consume('token'), tokens.consume('token')]);
  assert.deepEqual(
    uses.map((use) => (use.status === 'rejected' ? (use.reason as { error: string }).error : use.status)),
    ['fulfilled', 'invalid_grant'],
  );
  assert.deepEqual(ended, ['grant']);
  assert.equal(await tokens.find('token'), undefined);
  assert.equal(await storage('Grant').find('grant'), undefined);
});

test('a proof that two show at the same moment counts for one', async () => {
  const { storage } = await open();
  const seen = storage('ReplayDetection');
  await seen.upsert('proof', {}, 60);
  await assert.rejects(async () => seen.upsert('proof', {}, 60), { error: 'invalid_request' });
});

test('a proof that says a time ahead is remembered as long as it is good', async () => {
  const { storage, clock } = await open();
  const seen = storage('ReplayDetection');
  // What the provider says of a proof, whatever time it says; one that is five minutes ahead is good for ten.
  await seen.upsert('proof', {}, 300);
  clock.advance(599_000);
  await assert.rejects(async () => seen.upsert('proof', {}, 300), { error: 'invalid_request' });
});

test('what was used says so, and what belongs to a grant ends with it', async () => {
  const { storage } = await open();
  const codes = storage('AuthorizationCode');
  await codes.upsert('code', { grantId: 'one' }, 60);
  await codes.upsert('another', { grantId: 'two' }, 60);
  assert.equal((await codes.find('code'))?.consumed, undefined);
  await codes.consume('code');
  assert.equal(typeof (await codes.find('code'))?.consumed, 'number');
  await storage('RefreshToken').revokeByGrantId('one');
  assert.equal(await codes.find('code'), undefined);
  assert.ok(await codes.find('another'));
  await codes.destroy('another');
  assert.equal(await codes.find('another'), undefined);
});
