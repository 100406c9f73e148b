import assert from 'node:assert/strict';
import { test } from 'node:test';
import { realClock } from '../world/real-world.ts';
import { createLockout, failuresPerAddressMax, failuresPerUsernameMax, lockoutWindowMs } from './lockout.ts';

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
