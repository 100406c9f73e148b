import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { encodeUtf8, tryDecodeUtf8 } from './bytes.ts';
import { countMembers, parseJson, splitJsonArray } from './strict-json.ts';

const bounds = { bytesMax: 100_000, depthMax: 64 };
const itemsOf = (text: string, itemsMax = 100): (string | undefined)[] =>
  splitJsonArray(encodeUtf8(text), itemsMax).map(tryDecodeUtf8);

test('members counted in the text are the members of the value, for any JSON', () => {
  fc.assert(
    fc.property(fc.json({ maxDepth: 5 }), (text) => {
      // fast-check may build objects with "__proto__", which JSON.parse keeps as an own member like any other.
      const { value, members } = parseJson(text, bounds);
      assert.equal(members, countMembers(value));
    }),
  );
});

test('an array is cut into the bytes of its items', () => {
  assert.deepEqual(itemsOf('[]'), []);
  assert.deepEqual(itemsOf(' [ ] '), []);
  assert.deepEqual(itemsOf('[1]'), ['1']);
  assert.deepEqual(itemsOf('[ {"a":"],}\\""} ,\n[1,[2]], "x" ]\n'), ['{"a":"],}\\""}', '[1,[2]]', '"x"']);
});

test('the cuts of any array parse to its items', () => {
  fc.assert(
    fc.property(fc.array(fc.jsonValue({ maxDepth: 4 })), fc.constantFrom(0, 1, 4), (values, indent) => {
      const items = itemsOf(JSON.stringify(values, null, indent), 1000);
      assert.deepEqual(
        items.map((item) => JSON.parse(item as string) as unknown),
        JSON.parse(JSON.stringify(values)),
      );
    }),
  );
});

test('what is no array, isn’t closed, has holes, or too many items is refused', () => {
  for (const text of ['', '{}', '1', '[', '[1', '[1,', '[1,]', '[,1]', '[1]2', '["', '[{]', '[1,,2]']) {
    assert.throws(() => itemsOf(text), { code: 'json-invalid' }, text);
  }
  assert.throws(() => itemsOf('[1,2,3]', 2), { code: 'json-invalid', message: /at most 2 items/ });
});
