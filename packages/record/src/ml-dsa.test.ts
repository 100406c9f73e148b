/** The cosignature type 0x06 of c2sp.org/tlog-cosignature: what is signed, what a platform without ML-DSA-44 says. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { encodeBase64, encodeHex, encodeUtf8 } from './bytes.ts';
import { mlDsa44CosignedMessage } from './cosigned-message.ts';
import * as browser from './crypto-browser.ts';
import { openNote, signNote } from './note.ts';
import {
  formatSignerKey,
  formatVerifierKey,
  generateMlDsaSigner,
  generateSigner,
  parseSignerKey,
  parseVerifierKey,
} from './note-key.ts';

const origin = 'watchglass.example/clinic';
const root = new Uint8Array(32).fill(0xab);
const text = `${origin}\n812\n${encodeBase64(root)}\n`;
const second = generateMlDsaSigner(origin, new Uint8Array(32).fill(6));
const signer = generateSigner(origin, new Uint8Array(32).fill(1));

test('the signed message is the structure of the specification, field by field', () => {
  const message = mlDsa44CosignedMessage({ cosigner: 'w.example', timeSeconds: 0x1234n }, encodeUtf8(text));
  const expected = [
    Buffer.from('subtree/v1\n\0').toString('hex'),
    '09',
    Buffer.from('w.example').toString('hex'),
    '0000000000001234',
    origin.length.toString(16),
    Buffer.from(origin).toString('hex'),
    '0000000000000000',
    '000000000000032c',
    'ab'.repeat(32),
  ].join('');
  assert.equal(encodeHex(message ?? new Uint8Array(0)), expected);
  assert.equal(mlDsa44CosignedMessage({ cosigner: 'w', timeSeconds: 0n }, encodeUtf8('a note\nof words\n')), undefined);
});

test('keys are read as they were written; the id covers name, type and key', () => {
  const vkey = formatVerifierKey(second);
  assert.deepEqual(parseVerifierKey(vkey).publicKey, second.publicKey);
  assert.equal(second.publicKey.length, 1312);
  assert.deepEqual(parseSignerKey(formatSignerKey(second)).publicKey, second.publicKey);
  assert.throws(() => parseVerifierKey(vkey.slice(0, -4)), { code: 'key-invalid' });
});

test('a checkpoint carries both signatures; each is verified, and a changed one spoils the note', () => {
  const note = signNote(text, [signer, second]);
  const opened = openNote(note, [signer, second]);
  assert.deepEqual(
    opened.signatures.map(({ type, timeSeconds }) => [type, timeSeconds]),
    [
      [1, undefined],
      [6, 0n],
    ],
  );
  assert.deepEqual([opened.unchecked, opened.unverified], [[], []]);
  assert.throws(() => openNote(note.replace('\n812\n', '\n813\n'), [second]), { code: 'signature-invalid' });
  // Who knows the Ed25519 key only ignores the other.
  assert.equal(openNote(note, [signer]).unverified.length, 1);
  const other = generateMlDsaSigner(origin, new Uint8Array(32).fill(7));
  assert.throws(() => openNote(signNote(text, [other]), [second]), { code: 'note-unverified' });
});

test('what is no checkpoint is not signed', () => {
  assert.throws(() => signNote('a note\n', [second]), { code: 'argument-invalid' });
});

test('a browser says that it cannot tell, and never that it holds', () => {
  assert.equal(browser.mlDsa44Verify(second.publicKey, new Uint8Array(1), new Uint8Array(2420)), undefined);
  assert.equal(browser.mlDsa44PublicKey(new Uint8Array(32)), undefined);
  assert.equal(browser.mlDsa44Sign(new Uint8Array(32), new Uint8Array(1)), undefined);
});
