import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { JsonPieces, piecesOf } from './json-pieces.ts';

function texts(text: string): string[] | undefined {
  const bytes = Buffer.from(text);
  return piecesOf(bytes)?.map(
    ({ name, item, from, to }) => `${name}${item ? '[]' : ''}=${bytes.subarray(from, to).toString().trim()}`,
  );
}

/** Cut wherever it can be cut, the same is found. */
function inChunks(text: string, size: number): string[] {
  const bytes = Buffer.from(text);
  const scanner = new JsonPieces();
  const found: string[] = [];
  let start = 0;
  for (let at = 0; at < bytes.length; at += size) {
    for (const mark of scanner.push(bytes.subarray(at, at + size))) {
      if (mark.kind === 'start') start = at + mark.at;
      else
        found.push(
          `${mark.name}${mark.item ? '[]' : ''}=${bytes
            .subarray(start, at + mark.at)
            .toString()
            .trim()}`,
        );
    }
  }
  assert.equal(scanner.whole, true);
  return found;
}

const sample = ` { "a" : [ {"x":[1,"]"]}, "te,xt" ,2 , null, [3] ], "b":{"c":["}"]}, "d" : -1.50 , "e":"\\"{" , "f":[], "g":true}\n`;
const pieces = [
  'a[]={"x":[1,"]"]}',
  'a[]="te,xt"',
  'a[]=2',
  'a[]=null',
  'a[]=[3]',
  'b={"c":["}"]}',
  'd=-1.50',
  'e="\\"{"',
  'g=true',
];

describe('the pieces of an object', () => {
  it('are its members, and of a list its items', () => {
    assert.deepEqual(texts(sample), pieces);
    assert.deepEqual(texts('{}'), []);
    assert.deepEqual(texts('{"\\u006cink":[1]}'), ['link[]=1']);
    assert.deepEqual(texts('\ufeff{"a":1}'), ['a=1']);
  });

  it('are the same however the bytes come', () => {
    for (let size = 1; size <= sample.length; size += 1) assert.deepEqual(inChunks(sample, size), pieces);
  });

  it('are those of a sound object only', () => {
    for (const text of ['', '[]', '7', '"a"', '{"a":1', '{"a":1}x', '{"a":1}{}', '{"a":1,"a":2}', '{"a":[1}', '[{]'])
      assert.equal(texts(text), undefined, text);
    const many = Object.fromEntries(Array.from({ length: 200 }, (_, n) => [`m${n}`, 0]));
    assert.equal(texts(JSON.stringify(many)), undefined);
    assert.equal(texts(`{"${'n'.repeat(300)}":1}`), undefined);
  });
});
