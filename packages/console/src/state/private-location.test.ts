import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hidePrivate, showPrivate } from './private-location.ts';

test('a patient identifier is written to the fragment and never to the search', () => {
  const href = hidePrivate('/explorer?kind=api&patient=wg-pt-000417&q=two+words');
  assert.equal(href, '/explorer?kind=api#patient=wg-pt-000417&q=two+words');
});

test('what was hidden is shown again unchanged', () => {
  for (const href of [
    '/explorer',
    '/explorer?kind=api',
    '/explorer?patient=1',
    '/explorer?kind=api&patient=a%26b%23c&q=x%3D1',
  ]) {
    assert.equal(showPrivate(hidePrivate(href)), href);
  }
});

test('a private member given in the search is accepted and moves', () => {
  assert.equal(hidePrivate(showPrivate('/explorer?patient=1')), '/explorer#patient=1');
});

test('an unrelated fragment is dropped', () => {
  assert.equal(showPrivate('/explorer#main'), '/explorer');
});
