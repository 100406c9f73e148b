/** What SIGHUP means: the terminal is gone, unless a command reads its configuration again by it. */
import assert from 'node:assert/strict';
import { afterEach, test } from 'node:test';
import { openProcessIo } from './process.ts';

const before = process.listeners('SIGHUP');

afterEach(() => {
  for (const signal of ['SIGHUP', 'SIGINT', 'SIGTERM'] as const)
    for (const listener of process.listeners(signal)) if (!before.includes(listener)) process.off(signal, listener);
});

test('a hang-up ends a command', () => {
  const io = openProcessIo();
  process.emit('SIGHUP', 'SIGHUP');
  assert.equal(io.signal.aborted, true);
});

test('a hang-up has a command that asked for it read again, and go on', () => {
  const io = openProcessIo();
  let reloads = 0;
  io.onHangUp?.(() => {
    reloads += 1;
  });
  process.emit('SIGHUP', 'SIGHUP');
  process.emit('SIGHUP', 'SIGHUP');
  assert.deepEqual([reloads, io.signal.aborted], [2, false]);
});
