import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseSearchBox } from './search-box.ts';

test('names set filters and the rest is free text', () => {
  assert.deepEqual(parseSearchBox('patient:wg-pt-000417 outcome:denied  10.4.0.12'), {
    patient: 'wg-pt-000417',
    outcome: 'denied',
    q: '10.4.0.12',
  });
});

test('a value may hold a colon, and quotes hold spaces', () => {
  assert.deepEqual(parseSearchBox('actor:"dana ito" resource:Observation/a:b "two words"'), {
    actor: 'dana ito',
    resource: 'Observation/a:b',
    q: 'two words',
  });
});

test('an unknown name is text, and an empty box asks for nothing', () => {
  assert.deepEqual(parseSearchBox('https://example.test/x'), { q: 'https://example.test/x' });
  assert.deepEqual(parseSearchBox('q:hello'), { q: 'q:hello' });
  assert.deepEqual(parseSearchBox('   '), {});
});
