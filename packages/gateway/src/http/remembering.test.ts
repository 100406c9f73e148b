import assert from 'node:assert/strict';
import { test } from 'node:test';

import { remembering } from './remembering.ts';

test('what is remembered is judged once, and false is remembered too', () => {
  const judged: string[] = [];
  const isShort = remembering((text) => {
    judged.push(text);
    return text.length < 3;
  });
  assert.deepEqual([isShort('a'), isShort('long'), isShort('a'), isShort('long')], [true, false, true, false]);
  assert.deepEqual(judged, ['a', 'long']);
});

test('neither many texts nor long ones are kept', () => {
  let count = 0;
  const length = remembering((text) => {
    count += 1;
    return text.length;
  });
  for (let n = 0; n < 64; n++) length(`text-${n}`);
  length('text-0');
  assert.equal(count, 64);
  length('one more: it starts over');
  length('text-0');
  assert.equal(count, 66);
  const long = 'x'.repeat(257);
  assert.equal(length(long), 257);
  assert.equal(length(long), 257);
  assert.equal(count, 68);
});
