import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ServerError, serverErrors } from '../errors.ts';
import { LedgerError, type LedgerErrorCode, ledgerErrorCodes } from '../ledger/errors.ts';
import { asRefusal } from './ledger-refusal.ts';

test('every refusal of the ledger has an answer at the doors', () => {
  const statuses = new Map<string, number>();
  for (const code of Object.keys(ledgerErrorCodes) as LedgerErrorCode[]) {
    const refusal = asRefusal(new LedgerError(code, 'x'));
    assert.ok(refusal instanceof ServerError, code);
    statuses.set(code, serverErrors[refusal.code].status);
  }
  for (const [code, status] of [
    ['read-only', 503],
    ['storage-full', 503],
    ['overloaded', 429],
    ['id-conflict', 409],
    ['record-too-large', 422],
    ['batch-too-large', 413],
    ['not-found', 404],
  ] as const) {
    assert.equal(statuses.get(code), status, code);
  }
});

test('a full disk and a busy ledger say when to come again', () => {
  for (const code of ['storage-full', 'overloaded'] as const) {
    assert.ok(((asRefusal(new LedgerError(code, 'x')) as ServerError).retryAfterMs ?? 0) > 0);
  }
});

test('a conflict names the event of the batch', () => {
  const refusal = asRefusal(new LedgerError('id-conflict', 'x', { position: 3 })) as ServerError;
  assert.deepEqual([refusal.errors?.[0]?.at, refusal.errors?.[0]?.path], [3, '/id']);
});

test('other errors stay what they are', () => {
  const error = new Error('x');
  assert.equal(asRefusal(error), error);
});
