/** A review of an event is an event: found by what was found, and never somebody's own. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ask, indexed, post, startTestServer, testEvent } from './server.fixture.ts';

const opened = testEvent({
  kind: 'access-change',
  action: 'execute',
  operation: 'break-glass-opened',
  targets: [{ type: 'Patient', id: 'wg-pt-000417', patient: 'wg-pt-000417', role: 'object' }],
  purpose: { code: 'BTG', justification: 'emergency' },
});

test('broken glass is found, reviewed by somebody else, and the review is found', async () => {
  await using server = await startTestServer();
  const stored = (await post(server, opened)).json() as { receipts: { index: number }[] };
  const index = stored.receipts[0]?.index;
  await indexed(server);
  const officer = await server.token('privacy-officer');
  const found = (await ask(server, officer, '/v1/events/search', { operation: 'break-glass-opened' })).json() as {
    events: { index: number }[];
  };
  assert.deepEqual(
    found.events.map((event) => event.index),
    [index],
  );
  const answer = await ask(server, officer, `/v1/events/${index}/review`, { finding: 'unjustified' });
  assert.equal(answer.statusCode, 201, answer.body);
  const review = answer.json() as { index: number; of: number; finding: string };
  assert.deepEqual([review.of, review.finding], [index, 'unjustified']);
  await indexed(server);
  const reviews = (await ask(server, officer, '/v1/events/search', { operation: 'found-unjustified' })).json() as {
    events: { index: number; kind: string; targets: object[] }[];
  };
  assert.deepEqual(
    reviews.events.map((event) => [event.index, event.kind, event.targets]),
    [[review.index, 'review', [{ type: 'Event', id: String(index), role: 'object' }]]],
  );
  // Their own review isn't theirs to review.
  const own = await ask(server, officer, `/v1/events/${review.index}/review`, { finding: 'justified' });
  assert.deepEqual([own.statusCode, (own.json() as { code: string }).code], [403, 'forbidden']);
  const auditor = await server.token('auditor');
  assert.equal(
    (await ask(server, auditor, `/v1/events/${review.index}/review`, { finding: 'justified' })).statusCode,
    201,
  );
});

test('a review says one of three words, about an event there is, by somebody who may open it', async () => {
  await using server = await startTestServer();
  const { receipts } = (await post(server, opened)).json() as { receipts: { index: number }[] };
  const url = `/v1/events/${receipts[0]?.index}/review`;
  const officer = await server.token('privacy-officer');
  for (const body of [{}, { finding: 'fine' }, { finding: 'justified', note: 'Mrs …' }])
    assert.equal((await ask(server, officer, url, body)).statusCode, 400, JSON.stringify(body));
  assert.equal((await ask(server, officer, '/v1/events/999999/review', { finding: 'justified' })).statusCode, 404);
  for (const role of ['security-analyst', 'administrator', 'physician'])
    assert.equal((await ask(server, await server.token(role), url, { finding: 'justified' })).statusCode, 403, role);
});
