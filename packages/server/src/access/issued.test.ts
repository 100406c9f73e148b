/** What was issued: readable by nobody who has the file only, bounded, used once, and what was seen is not forgotten for a clock. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openIssuedForTest } from './issued.fixture.ts';
import { issuedMax } from './issued.ts';

const minuteMs = 60_000;

test('the file holds no token, no person and no patient, and what is moved within it opens nothing', async () => {
  const { issued, state, clock } = await openIssuedForTest();
  const untilMs = clock.now() + minuteMs;
  issued.put('RefreshToken', 'token-of-nurse', { payload: { who: 'n.abara' }, untilMs, grantId: 'grant-17' });
  issued.put('Launch', 'launch-1', { payload: { patient: 'wg-pt-000417' }, untilMs });
  const rows = JSON.stringify(state.prepare('SELECT * FROM issued').all());
  for (const secret of ['token-of-nurse', 'n.abara', 'grant-17', 'launch-1', 'wg-pt-000417'])
    for (const text of [secret, Buffer.from(secret).toString('base64url').slice(0, -2)])
      assert.ok(!rows.includes(text), `${text} can be read`);
  assert.deepEqual(issued.get('RefreshToken', 'token-of-nurse')?.payload, { who: 'n.abara' });
  state.exec(`UPDATE issued SET sealed = (SELECT sealed FROM issued WHERE kind = 'Launch')`);
  assert.equal(issued.get('RefreshToken', 'token-of-nurse'), undefined);
});

test('what was used is used after a restart, also when it is put again', async () => {
  const { issued, clock, again } = await openIssuedForTest();
  const entry = { payload: {}, untilMs: clock.now() + minuteMs };
  issued.put('RefreshToken', 'a', entry);
  assert.equal(issued.use('RefreshToken', 'a'), true);
  await issued.settled();
  const after = await again();
  assert.equal(after.use('RefreshToken', 'a'), false);
  after.put('RefreshToken', 'a', entry);
  assert.equal(after.get('RefreshToken', 'a')?.usedMs, clock.now());
  assert.equal(after.use('RefreshToken', 'nobody made'), false);
});

test('what ends with a grant leaves the sign-in, by which those are found who have to hear of it', async () => {
  const { issued, clock } = await openIssuedForTest();
  const entry = { payload: {}, untilMs: clock.now() + minuteMs, grantId: 'g' };
  for (const kind of ['Grant', 'RefreshToken', 'AuthorizationCode', 'SignIn'] as const) issued.put(kind, 'g', entry);
  issued.dropGrant('g');
  assert.equal(issued.get('Grant', 'g'), undefined);
  assert.equal(issued.get('RefreshToken', 'g'), undefined);
  assert.equal(issued.all('SignIn').length, 1);
});

test('a store of what was seen takes nothing more when it is full, and goes on when something has ended', async () => {
  const { issued, clock } = await openIssuedForTest();
  const until = (ms: number) => ({ payload: {}, untilMs: clock.now() + ms });
  issued.putFirst('ReplayDetection', 'stolen', until(5 * minuteMs));
  for (let n = 1; n < issuedMax.ReplayDetection; n++)
    issued.putFirst('ReplayDetection', `made-up-${n}`, until(minuteMs));
  assert.throws(() => issued.putFirst('ReplayDetection', 'one-too-many', until(minuteMs)), { code: 'unavailable' });
  clock.advance(minuteMs + 1_000);
  assert.equal(issued.putFirst('ReplayDetection', 'another', until(minuteMs)), true);
  assert.equal(issued.putFirst('ReplayDetection', 'stolen', until(minuteMs)), false);
});

test('of everything else the oldest goes first, and what is over goes by itself', async () => {
  const { issued, clock, state } = await openIssuedForTest();
  const until = (ms: number) => ({ payload: {}, untilMs: clock.now() + ms });
  for (let n = 0; n <= issuedMax.Grant; n++)
    issued.put('Grant', `grant-${n}`, { ...until(minuteMs), grantId: `grant-${n}` });
  assert.equal(issued.get('Grant', 'grant-0'), undefined);
  assert.ok(issued.get('Grant', 'grant-1'));
  clock.advance(2 * minuteMs);
  issued.put('Grant', 'new', until(minuteMs));
  assert.equal(state.prepare('SELECT count(*) AS count FROM issued').get()?.count, 1);
});

test('who renews without end signs nobody else out: the grant that was renewed most often ends, with all it gave', async () => {
  const { issued, clock } = await openIssuedForTest();
  const of = (grantId: string) => ({ payload: {}, untilMs: clock.now() + minuteMs, grantId });
  for (let n = 0; n < 50; n++) {
    issued.put('Grant', `ward-${n}`, of(`ward-${n}`));
    issued.put('RefreshToken', `token of ward-${n}`, of(`ward-${n}`));
  }
  issued.put('Grant', 'endless', of('endless'));
  issued.put('RefreshToken', 'stolen', of('endless'));
  assert.equal(issued.use('RefreshToken', 'stolen'), true);
  for (let n = 0; n < issuedMax.RefreshToken - 51; n++) issued.put('RefreshToken', `token-${n}`, of('endless'));
  assert.ok(issued.get('RefreshToken', 'stolen')?.usedMs, 'what was used is known as long as what came of it is good');
  issued.put('RefreshToken', 'one too many', of('endless'));
  for (const [kind, id] of [
    ['Grant', 'endless'],
    ['RefreshToken', 'one too many'],
    ['RefreshToken', 'stolen'],
  ] as const)
    assert.equal(issued.get(kind, id), undefined);
  for (let n = 0; n < 50; n++) assert.ok(issued.get('RefreshToken', `token of ward-${n}`));
});

test('a grant that made room for another leaves nothing of what it gave', async () => {
  const { issued, clock } = await openIssuedForTest();
  const of = (grantId: string) => ({ payload: {}, untilMs: clock.now() + minuteMs, grantId });
  issued.put('RefreshToken', 'of the first', of('grant-0'));
  for (let n = 0; n <= issuedMax.Grant; n++) issued.put('Grant', `grant-${n}`, of(`grant-${n}`));
  assert.equal(issued.get('RefreshToken', 'of the first'), undefined);
});

test('a clock that is set back shows nothing once more: what was seen is refused until it is past it', async () => {
  const { issued, clock, again } = await openIssuedForTest();
  const proof = { payload: {}, untilMs: clock.now() + 5 * minuteMs };
  assert.equal(issued.putFirst('ReplayDetection', 'proof', proof), true);
  clock.advance(6 * minuteMs);
  issued.put('Grant', 'something', { payload: {}, untilMs: clock.now() + minuteMs });
  clock.step(-6 * minuteMs);
  for (const store of [issued, await again()])
    assert.throws(() => store.putFirst('ReplayDetection', 'proof', proof), { code: 'unavailable' });
  // A proof is kept by when it is shown, so this one may be the same as before.
  const later = { ...proof, untilMs: proof.untilMs + 1_000 };
  assert.throws(() => issued.putFirst('ReplayDetection', 'proof', later), { code: 'unavailable' });
  clock.advance(5 * minuteMs);
  const fresh = { payload: {}, untilMs: clock.now() + minuteMs };
  assert.equal(issued.putFirst('ReplayDetection', 'fresh', fresh), true);
});

test('a clock that was years ahead for a moment does not shut everybody out for years', async () => {
  const { issued, clock } = await openIssuedForTest();
  const yearsMs = 10 * 365 * 24 * 60 * minuteMs;
  clock.step(yearsMs);
  issued.putFirst('ReplayDetection', 'then', { payload: {}, untilMs: clock.now() + minuteMs });
  clock.advance(2 * minuteMs);
  issued.put('Grant', 'something', { payload: {}, untilMs: clock.now() + minuteMs });
  clock.step(-yearsMs);
  const now = { payload: {}, untilMs: clock.now() + minuteMs };
  assert.equal(issued.putFirst('ReplayDetection', 'now', now), true);
});
