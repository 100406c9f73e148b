import assert from 'node:assert/strict';
import { test } from 'node:test';
import { serverStatus } from './server-status.ts';

const status = {
  version: '1',
  ledger: { state: { kind: 'writable' }, size: 9 },
  index: null,
  emitters: [],
};

test('what the server says of witnesses is checked, and an older server says nothing of them', () => {
  assert.equal(serverStatus(status, '').witnesses, undefined);
  assert.equal(serverStatus({ ...status, witnesses: null }, '').witnesses, undefined);
  const said = {
    state: 'witnessed',
    size: 8,
    behind: 1,
    cosignatures: 2,
    ageSeconds: 12,
    witnesses: [
      { name: 'w1', size: 8 },
      { name: 'w2', size: 3, reason: 'it answered 503' },
    ],
  };
  assert.deepEqual(serverStatus({ ...status, witnesses: said }, '').witnesses, said);
  assert.throws(() => serverStatus({ ...status, witnesses: { ...said, size: 'eight' } }, ''), /witnesses\/size/);
});
