import assert from 'node:assert/strict';
import { test } from 'node:test';
import { count, instant, list, object, oneOf, orNull, text } from './shape.ts';

const check = object({ name: text, sizes: list(count) }, { state: oneOf(['on', 'off']), at: instant });

test('what is known is taken and what is not known is left out', () => {
  const value = check({ name: 'a', sizes: [1, 2], state: 'on', at: '1970-01-01T00:00:01Z', extra: true }, '');
  assert.deepEqual(value, { name: 'a', sizes: [1, 2], state: 'on', at: 1000 });
});

test('an optional member may be absent or null, and stays absent', () => {
  assert.deepEqual(check({ name: 'a', sizes: [], state: null }, ''), { name: 'a', sizes: [] });
  assert.equal(orNull(text)(undefined, ''), null);
});

test('a wrong member is refused by its place, without its value', () => {
  assert.throws(
    () => check({ name: 'a', sizes: [1, 'secret'] }, ''),
    (error: Error) => {
      assert.match(error.message, /expected a number at \/sizes\/1.*got string/i);
      assert.doesNotMatch(error.message, /secret/);
      return true;
    },
  );
  assert.throws(() => check({ name: 'a', sizes: [], state: 'broken' }, ''), { code: 'unexpected-answer' });
  assert.throws(() => check([], ''), /an object/);
});
