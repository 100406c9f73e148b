import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ServerError } from '../errors.ts';
import { eventsMax, splitBody } from './split-body.ts';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const textOf = (item: Uint8Array): string => new TextDecoder().decode(item);
const code = (expected: string) => (error: unknown) => error instanceof ServerError && error.code === expected;
const space = fc.string({ unit: fc.constantFrom(' ', '\n', '\t', '\r'), maxLength: 3 });

test('items of an array are the very bytes that were sent', () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(space, fc.json(), space), { minLength: 1, maxLength: 20 }),
      space,
      space,
      (items, before, after) => {
        const text = `${before}[${items.map((item) => item.join('')).join(',')}]${after}`;
        const split = splitBody(bytes(text), 'application/json');
        assert.deepEqual(
          split.items.map(textOf),
          items.map(([, json]) => json.trim()),
        );
        assert.equal(split.single, false);
      },
    ),
    { seed: 7 },
  );
});

test('an array whose items all parse is an array that parses, whatever the bytes', () => {
  const piece = fc.constantFrom(
    '[',
    ']',
    '{',
    '}',
    ',',
    ':',
    '"',
    '\\',
    '1',
    '"a"',
    '{"a":1}',
    'null',
    ' ',
    '\\"',
    'é',
  );
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 16 }), (pieces) => {
      const text = `[${pieces.join('')}]`;
      let items: readonly string[];
      try {
        items = splitBody(bytes(text), 'application/json').items.map(textOf);
      } catch (error) {
        assert.ok(error instanceof ServerError);
        return;
      }
      const parses = (one: string): boolean => {
        try {
          JSON.parse(one);
          return true;
        } catch {
          return false;
        }
      };
      if (items.every(parses))
        assert.deepEqual(
          JSON.parse(text),
          items.map((one) => JSON.parse(one)),
        );
      else assert.ok(!parses(text));
    }),
    { numRuns: 3_000, seed: 11 },
  );
});

test('one event is one item, without the white space around it', () => {
  assert.deepEqual(splitBody(bytes(' {"a":1}\r\n'), 'application/json; charset=UTF-8'), {
    items: [bytes('{"a":1}')],
    single: true,
  });
});

test('lines are items; empty lines and a missing last newline are fine', () => {
  const { items, single } = splitBody(bytes('{"a":1}\r\n\n  {"b":2}'), 'application/x-ndjson');
  assert.deepEqual(items.map(textOf), ['{"a":1}', '{"b":2}']);
  assert.equal(single, false);
});

test('an empty body, an empty array and no lines are refused', () => {
  for (const [text, type] of [
    ['', 'application/json'],
    [' ', 'application/json'],
    ['[]', 'application/json'],
    ['\n\n', 'application/x-ndjson'],
  ] as const) {
    assert.throws(() => splitBody(bytes(text), type), code('bad-request'), JSON.stringify(text));
  }
});

test('more events than a batch may hold are too large, in either form', () => {
  const many = Array.from({ length: eventsMax + 5 }, () => '{}');
  assert.throws(() => splitBody(bytes(`[${many.join(',')}]`), 'application/json'), code('body-too-large'));
  assert.throws(() => splitBody(bytes(many.join('\n')), 'application/x-ndjson'), code('body-too-large'));
  assert.equal(splitBody(bytes(`[${many.slice(0, eventsMax).join(',')}]`), 'application/json').items.length, eventsMax);
});

test('other types and other charsets are refused', () => {
  for (const type of [
    undefined,
    '',
    'text/plain',
    'application/fhir+json',
    'application/json; charset=latin1',
    'application/x-www-form-urlencoded',
  ]) {
    assert.throws(() => splitBody(bytes('{}'), type), code('media-type'), String(type));
  }
});
