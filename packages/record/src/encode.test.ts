import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { encodeUtf8, tryDecodeUtf8 } from './bytes.ts';
import { decode, encode, encodeEvent } from './encode.ts';
import { eventWith, readVector, sampleEvent, sampleRecord } from './event.fixture.ts';
import type { StoredRecord } from './event.ts';
import { recordShape } from './event-schema.ts';
import { arbitraryOf } from './shape.fixture.ts';

test('the vector of a stored record holds', () => {
  const vector: { record: StoredRecord; m: string } = readVector('record');
  assert.equal(tryDecodeUtf8(encode(vector.record)), vector.m);
  assert.deepEqual(decode(encodeUtf8(vector.m)), vector.record);
});

test('the order of members is the schema’s, whatever it was before', () => {
  const reversed = JSON.parse(JSON.stringify(sampleRecord), (_key, value: unknown) =>
    typeof value === 'object' && value !== null && !Array.isArray(value)
      ? Object.fromEntries(Object.entries(value).reverse())
      : value,
  ) as StoredRecord;
  assert.notEqual(JSON.stringify(reversed), JSON.stringify(sampleRecord));
  assert.deepEqual(encode(reversed), encode(sampleRecord));
});

test('what is not in the schema, and what is undefined, is not written', () => {
  const more = {
    ...sampleEvent,
    secret: 1,
    site: undefined,
    toJSON: () => 'x',
    actor: { ...sampleEvent.actor, name: 'x' },
  };
  const { site: _site, ...without } = sampleEvent;
  assert.deepEqual(encodeEvent(more as never), encodeEvent(without));
});

test('every record the description allows survives encoding and decoding', () => {
  fc.assert(
    fc.property(arbitraryOf(recordShape), (record) => {
      const m = encode(record as StoredRecord);
      assert.deepEqual(decode(m), record);
      assert.equal(tryDecodeUtf8(m), JSON.stringify(decode(m)));
    }),
    { numRuns: 200 },
  );
});

test('a record above 65,536 bytes is refused', () => {
  const changes = new Array(20).fill({ path: '/a', op: 'replace', before: 'x'.repeat(4096) });
  assert.throws(() => encode({ ...sampleRecord, event: eventWith({ changes }) }), { code: 'event-too-large' });
});

test('values that JSON cannot hold are refused, not written as null', () => {
  assert.throws(() => encodeEvent(eventWith({ request: { status: Number.NaN } })), { code: 'argument-invalid' });
  assert.throws(() => encodeEvent(eventWith({ actor: { id: 'x', roles: [undefined as never] } })), {
    code: 'argument-invalid',
  });
});

test('bytes that are no stored record are refused', () => {
  for (const text of [
    '',
    '{}',
    '[]',
    'x',
    JSON.stringify(sampleEvent),
    JSON.stringify({ ...sampleRecord, digest: 'ABC' }),
  ]) {
    assert.throws(() => decode(encodeUtf8(text)), { code: 'record-invalid' });
  }
  assert.throws(() => decode(Uint8Array.of(0xff)), { code: 'record-invalid' });
});
