import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ServerError } from '../errors.ts';
import { Pseudonyms } from '../indexes/tokens.ts';
import { formatCursor, parseCursor } from './cursor.ts';
import { namesOf, parseSearchQuery, parseSummaryQuery } from './query.ts';

test('a query of a body and one of a URL mean the same', () => {
  const fromBody = parseSearchQuery({
    patient: 'Patient/123',
    outcome: 'denied',
    from: '2027-03-01T08:00:00Z',
    limit: 10,
  });
  const fromUrl = parseSearchQuery({
    patient: '123',
    outcome: 'denied',
    from: '2027-03-01T08:00:00Z',
    limit: '10',
    q: '',
    tenant: 'clinic',
  });
  assert.deepEqual(fromBody, fromUrl);
  assert.deepEqual(namesOf(fromBody.filters), ['patient', 'outcome', 'from']);
});

test('every wrong filter is named, and no value repeated', () => {
  const canary = 'canary-4b1d';
  assert.throws(
    () =>
      parseSearchQuery({
        kind: canary,
        outcome: canary,
        from: canary,
        limit: 501,
        resource: `${canary}/a/b`,
        actor: [canary],
        patient: `${canary}\n`,
        [canary]: 1,
      }),
    (error) => {
      assert.ok(error instanceof ServerError && error.code === 'query-invalid');
      assert.deepEqual(
        new Set(error.errors?.map(({ path }) => path)),
        new Set(['', '/kind', '/outcome', '/from', '/limit', '/resource', '/actor', '/patient']),
      );
      assert.ok(!JSON.stringify([error.message, error.errors]).includes(canary));
      return true;
    },
  );
  assert.throws(() => parseSummaryQuery([]), ServerError);
  assert.throws(() => parseSummaryQuery({ buckets: 121 }), ServerError);
});

test('a cursor goes on with its own filters only', () => {
  const names = new Pseudonyms(new Uint8Array(32));
  const cursor = { before: 812, count: 40, countTruncated: false };
  const text = formatCursor(cursor, { patient: '7', fromMs: 1 }, names);
  assert.deepEqual(parseCursor(text, { fromMs: 1, patient: '7' }, names), cursor);
  for (const [given, filters] of [
    [text, { patient: '8', fromMs: 1 }],
    [`${text}x`, { patient: '7', fromMs: 1 }],
    ['', {}],
  ] as const) {
    assert.throws(
      () => parseCursor(given, filters, names),
      (error) => error instanceof ServerError && error.code === 'cursor-invalid',
    );
  }
});
