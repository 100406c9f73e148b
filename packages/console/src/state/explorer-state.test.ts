import assert from 'node:assert/strict';
import { test } from 'node:test';
import { changeState, clearFilters, parseSearch, queryOf, readExplorerState, writeSearch } from './explorer-state.ts';

const nowMs = Date.parse('2026-03-12T14:00:00.000Z');

test('a state survives the URL', () => {
  const state = readExplorerState({
    kind: 'api',
    outcome: 'denied',
    actor: 'p-17',
    patient: 'wg-pt-000417',
    from: '2026-03-12T10:00:00Z',
    to: '2026-03-12T11:00:00Z',
    zone: 'utc',
    event: '812',
  });
  assert.deepEqual(readExplorerState(parseSearch(writeSearch({ ...state }))), state);
  assert.equal(state.event, 812);
});

test('what a URL holds that is not valid is left out', () => {
  const state = readExplorerState({
    kind: 'no-such-kind',
    outcome: 4,
    range: 'fortnight',
    from: 'yesterday',
    event: '-1',
    actor: ' ',
    q: 'x'.repeat(300),
    surprise: 'yes',
  });
  assert.deepEqual(state, {});
});

test('an identifier that reads like a number stays text', () => {
  assert.deepEqual(readExplorerState({ patient: 417 }), { patient: '417' });
  assert.deepEqual(readExplorerState(parseSearch('?patient=00417')), { patient: '00417' });
});

test('the default range is not written', () => {
  assert.deepEqual(readExplorerState({ range: '24h' }), {});
});

test('fixed instants win over a preset, and an end before its start is dropped', () => {
  assert.deepEqual(readExplorerState({ range: '1h', from: '2026-03-12T10:00:00Z' }), {
    from: '2026-03-12T10:00:00.000Z',
  });
  assert.deepEqual(readExplorerState({ from: '2026-03-12T10:00:00Z', to: '2026-03-12T09:00:00Z' }), {
    from: '2026-03-12T10:00:00.000Z',
  });
});

test('a query holds filters and absolute times, and nothing of the view', () => {
  const query = queryOf(
    readExplorerState({ range: '1h', zone: 'utc', event: '4', patient: '123', tenant: 'clinic' }),
    nowMs,
  );
  assert.deepEqual(query, { from: '2026-03-12T13:00:00.000Z', patient: '123', tenant: 'clinic' });
});

test('a change removes a filter by undefined, and clearing keeps range, zone and the open event', () => {
  const state = readExplorerState({ kind: 'api', q: 'x', range: '7d', zone: 'utc', event: 3 });
  assert.deepEqual(changeState(state, { kind: undefined, event: undefined }), { q: 'x', range: '7d', zone: 'utc' });
  assert.deepEqual(clearFilters(state), { range: '7d', zone: 'utc', event: 3 });
});
