import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatUuid, uuidBytes, uuidv7, uuidv7Pattern } from './uuid.ts';

// RFC 9562, appendix A.6.
test('the example of RFC 9562 holds', () => {
  const random = Uint8Array.of(0x0c, 0xc3, 0x18, 0xc4, 0xdc, 0x0c, 0x0c, 0x07, 0x39, 0x8f);
  assert.equal(uuidv7(0x017f22e279b0, random), '017f22e2-79b0-7cc3-98c4-dc0c0c07398f');
});

test('any time and randomness give an id that events may have', () => {
  for (const nowMs of [0, 1, 1_772_354_400_000, 2 ** 48 - 1]) {
    for (const fill of [0, 255]) assert.match(uuidv7(nowMs, new Uint8Array(10).fill(fill)), uuidv7Pattern);
  }
});

test('ids sort by time', () => {
  const random = new Uint8Array(10).fill(255);
  assert.ok(uuidv7(1_772_354_400_000, random) < uuidv7(1_772_354_400_001, new Uint8Array(10)));
});

test('an id and its 16 bytes give each other', () => {
  const id = '017f22e2-79b0-7cc3-98c4-dc0c0c07398f';
  assert.equal(uuidBytes(id).length, 16);
  assert.equal(formatUuid(uuidBytes(id)), id);
  for (const bad of ['', id.toUpperCase(), id.slice(1), `${id}0`, id.replaceAll('-', '')]) {
    assert.throws(() => uuidBytes(bad), { code: 'argument-invalid' });
  }
});

test('times and randomness out of range are refused', () => {
  assert.throws(() => uuidv7(-1, new Uint8Array(10)), { code: 'argument-invalid' });
  assert.throws(() => uuidv7(1.5, new Uint8Array(10)), { code: 'argument-invalid' });
  assert.throws(() => uuidv7(2 ** 48, new Uint8Array(10)), { code: 'argument-invalid' });
  assert.throws(() => uuidv7(1, new Uint8Array(9)), { code: 'argument-invalid' });
});
