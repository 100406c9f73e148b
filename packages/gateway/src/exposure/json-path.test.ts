import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { type JsonPath, parseJsonPath, pathStepsMax, readPath } from './json-path.ts';

function read(text: string, value: unknown): ReturnType<typeof readPath> {
  return readPath(parseJsonPath(text) as JsonPath, value);
}

describe('a path', () => {
  it('names members, items and every item', () => {
    const value = { a: [{ b: 1 }, { b: [2, 3] }], 'odd name': { c: 'x' } };
    assert.deepEqual(read('$.a[*].b', value), { values: [1, [2, 3]], missingCount: 0 });
    assert.deepEqual(read('$.a[1].b[0]', value).values, [2]);
    assert.deepEqual(read("$['odd name'].c", value).values, ['x']);
    assert.deepEqual(read('$', 7).values, [7]);
    assert.deepEqual(read('$[*]', [1, 2]).values, [1, 2]);
  });

  it('tells an empty list from items that lack what is looked for', () => {
    assert.deepEqual(read('$.items[*].id', { items: [] }), { values: [], missingCount: 0 });
    assert.deepEqual(read('$.items[*].id', { items: [{}, { id: null }, { id: 'a' }] }), {
      values: ['a'],
      missingCount: 2,
    });
    assert.equal(read('$.items[*].id', {}).missingCount, 1);
    assert.equal(read('$.items[*].id', { items: 'text' }).missingCount, 1);
    assert.equal(read('$.constructor.name', {}).missingCount, 1);
    assert.equal(read('$.length', []).missingCount, 1);
  });

  it('of any other kind is none', () => {
    for (const text of [
      '',
      'a',
      '$.',
      '$..a',
      '$.a.',
      '$.*',
      '$[',
      '$[-1]',
      '$[01]',
      '$[1:2]',
      "$['a",
      "$['']",
      '$[?(@.a)]',
      '$ .a',
      "$['a\\'b']",
    ])
      assert.equal(parseJsonPath(text), undefined, text);
    assert.equal(parseJsonPath(`$${'.a'.repeat(pathStepsMax + 1)}`), undefined);
    assert.equal(parseJsonPath(`$.${'a'.repeat(300)}`), undefined);
  });
});
