import assert from 'node:assert/strict';
import { test } from 'node:test';
import { realClock } from '../world/real-world.ts';
import { SimClock } from '../world/simulated.ts';
import { openFailures } from './failures.ts';
import { openIssuedForTest } from './issued.fixture.ts';
import { createLockout, failuresPerAddressMax, failuresPerUsernameMax, lockMsMax, lockoutWindowMs } from './lockout.ts';

function lockoutAt(): { lockout: ReturnType<typeof createLockout>; pass: (ms: number) => void } {
  let nowMs = 0;
  const lockout = createLockout({ ...realClock, monotonicMs: () => nowMs });
  return {
    lockout,
    pass: (ms) => {
      nowMs += ms;
    },
  };
}

test('an address that fails a hundred times is locked for everybody there and nobody elsewhere', () => {
  const { lockout, pass } = lockoutAt();
  for (let n = 0; n < failuresPerAddressMax; n++) lockout.begin({ username: `guess-${n}`, address: '192.0.2.1' });
  assert.equal(lockout.remainingMs({ username: 'nurse', address: '192.0.2.1' }), lockoutWindowMs);
  assert.equal(lockout.remainingMs({ username: 'nurse', address: '192.0.2.2' }), 0);
  pass(lockoutWindowMs);
  assert.equal(lockout.remainingMs({ username: 'nurse', address: '192.0.2.1' }), 0);
});

test('people who sign in well never lock the address they share', () => {
  const { lockout } = lockoutAt();
  for (let n = 0; n < 3 * failuresPerAddressMax; n++) {
    const attempt = { username: `nurse-${n}`, address: '192.0.2.1' };
    lockout.begin(attempt);
    lockout.succeeded(attempt);
  }
  assert.equal(lockout.remainingMs({ username: 'nurse', address: '192.0.2.1' }), 0);
});

test('a success forgets the failures of the username', () => {
  const { lockout } = lockoutAt();
  const attempt = { username: 'nurse', address: undefined };
  for (let n = 0; n < failuresPerUsernameMax - 1; n++) lockout.begin(attempt);
  lockout.begin(attempt);
  lockout.succeeded(attempt);
  assert.equal(lockout.remainingMs(attempt), 0);
});

test('an attempt whose password nobody looked at counts for nothing', () => {
  const { lockout } = lockoutAt();
  const attempt = { username: 'nurse', address: '192.0.2.1' };
  for (let n = 0; n < 2 * failuresPerUsernameMax; n++) {
    lockout.begin(attempt);
    lockout.withdraw(attempt);
  }
  assert.equal(lockout.remainingMs(attempt), 0);
});

test('attempts that meet a lock are recorded once a minute', () => {
  const { lockout, pass } = lockoutAt();
  const attempt = { username: 'nurse', address: '192.0.2.1' };
  assert.equal(lockout.shouldRecord(attempt), true);
  assert.equal(lockout.shouldRecord(attempt), false);
  pass(60_000);
  assert.equal(lockout.shouldRecord(attempt), true);
});

test('an IPv6 network of /64 is one address', () => {
  const { lockout } = lockoutAt();
  for (let n = 0; n < failuresPerAddressMax; n++)
    lockout.begin({ username: `guess-${n}`, address: `2001:db8:1:2::${n.toString(16)}` });
  assert.equal(lockout.remainingMs({ username: 'nurse', address: '2001:db8:1:2:ffff::1' }), lockoutWindowMs);
  assert.equal(lockout.remainingMs({ username: 'nurse', address: '2001:db8:1:3::1' }), 0);
});

/** Over one file; each call is another process, with a monotonic clock of its own. */
async function kept() {
  const { state, seal } = await openIssuedForTest();
  const rows = (): string => JSON.stringify(state.prepare('SELECT * FROM failures').all());
  const start = (wallMs: number) => {
    const clock = new SimClock(wallMs);
    return { clock, lockout: createLockout(clock, openFailures({ state, clock, seal })) };
  };
  return { rows, start };
}
const bootMs = 1_767_225_600_000;
const attempt = { username: 'nurse', address: '192.0.2.1' };

test('a restart forgives nobody: failures are counted on, and a lock lasts as long as it would have', async () => {
  const { start, rows } = await kept();
  const first = start(bootMs);
  for (let n = 0; n < failuresPerUsernameMax - 1; n++) first.lockout.begin(attempt);
  const second = start(bootMs + 60_000);
  assert.equal(second.lockout.remainingMs(attempt), 0);
  second.lockout.begin(attempt);
  assert.equal(second.lockout.remainingMs(attempt), lockoutWindowMs);
  const third = start(bootMs + 2 * 60_000);
  assert.equal(third.lockout.remainingMs(attempt), lockoutWindowMs - 60_000);
  // The next lock within a day is longer, also when the server was not there for the first one's end.
  const fourth = start(bootMs + 60 * 60_000);
  assert.equal(fourth.lockout.remainingMs(attempt), 0);
  for (let n = 0; n < failuresPerUsernameMax; n++) fourth.lockout.begin(attempt);
  assert.equal(fourth.lockout.remainingMs(attempt), 2 * lockoutWindowMs);
  assert.doesNotMatch(rows(), /nurse|192\.0\.2\.1/);
});

test('whoever signs in well is forgiven after a restart too, and what is over is not kept', async () => {
  const { start, rows } = await kept();
  const { lockout } = start(bootMs);
  for (let n = 0; n < failuresPerUsernameMax - 1; n++) lockout.begin(attempt);
  lockout.succeeded(attempt);
  const second = start(bootMs);
  for (let n = 0; n < failuresPerUsernameMax - 1; n++) second.lockout.begin(attempt);
  assert.equal(second.lockout.remainingMs(attempt), 0);
  start(bootMs + 2 * 24 * 3_600_000);
  assert.equal(rows(), '[]');
});

test('a clock that was set back while the server was down makes no lock longer than the longest', async () => {
  const { start } = await kept();
  const { lockout } = start(bootMs);
  for (let n = 0; n < failuresPerUsernameMax; n++) lockout.begin(attempt);
  assert.equal(start(bootMs - 7 * 24 * 3_600_000).lockout.remainingMs(attempt), lockMsMax);
});
