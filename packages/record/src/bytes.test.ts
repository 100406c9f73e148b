import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  decodeBase64,
  encodeBase64,
  encodeHex,
  equalBytes,
  tryDecodeBase64,
  tryDecodeHex,
  tryDecodeUtf8,
} from './bytes.ts';

test('base64 is the platform’s, and decodes back', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => {
      const text = encodeBase64(bytes);
      assert.equal(text, Buffer.from(bytes).toString('base64'));
      assert.ok(equalBytes(decodeBase64(text), bytes));
    }),
  );
});

test('a text decodes only if it is the one spelling of its bytes', () => {
  const alphabet = fc.constantFrom(...'AQgw+/=-_ \nZz09é');
  fc.assert(
    fc.property(fc.string({ unit: alphabet, maxLength: 12 }), (text) => {
      const bytes = tryDecodeBase64(text);
      if (bytes !== undefined) assert.equal(encodeBase64(bytes), text);
    }),
    { numRuns: 2000 },
  );
});

test('left-over bits, missing padding, white space and the URL alphabet are refused', () => {
  for (const text of ['QQ', 'QQ=', 'QR==', 'QQE', 'QQF=', 'Q Q=', 'QQ==\n', '-_==', '====', 'A===', '=QQ=']) {
    assert.throws(() => decodeBase64(text), { code: 'base64-invalid' }, text);
  }
});

test('hex is lower case only', () => {
  assert.equal(encodeHex(Uint8Array.of(0, 15, 255)), '000fff');
  assert.deepEqual(tryDecodeHex('000fff'), Uint8Array.of(0, 15, 255));
  for (const text of ['0', 'FF', 'gg', ' 0']) assert.equal(tryDecodeHex(text), undefined);
});

test('bytes that are not UTF-8 do not decode', () => {
  for (const bytes of [[0xff], [0xc0, 0x80], [0xed, 0xa0, 0x80], [0xe2, 0x82]]) {
    assert.equal(tryDecodeUtf8(Uint8Array.from(bytes)), undefined);
  }
});
