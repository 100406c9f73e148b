import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sampleEvent } from '../../dev/sample-event.ts';
import { matchEvent } from './match-event.ts';

const event = sampleEvent(3);

test('an event is held against every filter the browser can judge', () => {
  assert.equal(matchEvent(event, {}), 'yes');
  assert.equal(matchEvent(event, { kind: event.kind, actor: event.actor.id, outcome: event.outcome.status }), 'yes');
  assert.equal(matchEvent(event, { actor: 'somebody-else' }), 'no');
  assert.equal(matchEvent(event, { from: new Date(Date.parse(event.time) + 1).toISOString() }), 'no');
  assert.equal(matchEvent(event, { to: event.time }), 'no');
});

test('plain identifiers and free text are left to the server', () => {
  assert.equal(matchEvent(event, { patient: 'wg-pt-000417' }), 'unknown');
  assert.equal(matchEvent(event, { q: 'x', actor: 'somebody-else' }), 'no');
});
