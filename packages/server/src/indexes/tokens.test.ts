import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { test } from 'node:test';
import { isPseudonym, keysFingerprint, Pseudonyms, Tokens } from './tokens.ts';

const key = (fill: number): Uint8Array => new Uint8Array(32).fill(fill);

test('a patient has one pseudonym, and it names the patient wherever an id is taken', () => {
  const pseudonyms = new Pseudonyms(key(1));
  const pseudonym = pseudonyms.patient('canary-0417');
  assert.match(pseudonym, /^·[A-Z2-7]{12}$/);
  assert.equal(new Pseudonyms(key(1)).patient('canary-0417'), pseudonym);
  assert.equal(pseudonyms.patient(pseudonym), pseudonym);
  assert.equal(pseudonyms.resource('Patient', 'canary-0417'), pseudonym);
  assert.ok(isPseudonym(pseudonym) && !isPseudonym('canary-0417') && !isPseudonym(`${pseudonym}A`));
  assert.ok(!pseudonym.includes('0417'));
});

test('a pseudonym is the first sixty bits of an HMAC, in base32', () => {
  const digest = createHmac('sha256', key(1)).update('patient\0canary-0417').digest();
  let value = digest.readBigUInt64BE(0) >> 4n;
  let expected = '';
  for (let i = 0; i < 12; i++) {
    expected = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'[Number(value & 31n)] + expected;
    value >>= 5n;
  }
  assert.equal(new Pseudonyms(key(1)).patient('canary-0417'), `·${expected}`);
});

test('a token is the first twelve bytes of an HMAC, whatever the length of the id and of the key', () => {
  for (const keyBytes of [16, 32, 64, 100]) {
    const fileKey = new Uint8Array(keyBytes).fill(9);
    const tokens = new Tokens(fileKey, new Pseudonyms(key(1)));
    for (const id of ['1', 'é'.repeat(100), 'canary-0417', 'x'.repeat(256)]) {
      const pseudonym = new Pseudonyms(key(1)).patient(id);
      const expected = createHmac('sha256', fileKey).update(`patient\0${pseudonym}`).digest().subarray(0, 12);
      assert.deepEqual(tokens.patient(id), new Uint8Array(expected));
    }
  }
});

test('pseudonyms differ between patients, resources, types and tenants', () => {
  const one = new Pseudonyms(key(1));
  const other = new Pseudonyms(key(2));
  const all = [
    one.patient('7'),
    one.patient('8'),
    one.resource('Observation', '7'),
    one.resource('Encounter', '7'),
    other.patient('7'),
  ];
  assert.equal(new Set(all).size, all.length);
});

test('a token is found by the id and by the pseudonym, and is another in every file', () => {
  const pseudonyms = new Pseudonyms(key(1));
  const tokens = new Tokens(key(3), pseudonyms);
  const token = tokens.patient('canary-0417');
  assert.equal(token.length, 12);
  assert.deepEqual(tokens.patient(pseudonyms.patient('canary-0417')), token);
  assert.notDeepEqual(new Tokens(key(4), pseudonyms).patient('canary-0417'), token);
  assert.notDeepEqual(tokens.resource('Patient', 'canary-0417'), token);
  assert.deepEqual(
    tokens.resource('Observation', pseudonyms.resource('Observation', '9')),
    tokens.resource('Observation', '9'),
  );
});

test('a file knows which keys it was written under', () => {
  assert.equal(keysFingerprint(key(1), key(2)), keysFingerprint(key(1), key(2)));
  assert.notEqual(keysFingerprint(key(1), key(2)), keysFingerprint(key(1), key(3)));
  assert.notEqual(keysFingerprint(key(1), key(2)), keysFingerprint(key(2), key(2)));
});
