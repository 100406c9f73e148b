import assert from 'node:assert/strict';
import { test } from 'node:test';
import { encodeBase64, encodeUtf8 } from './bytes.ts';
import { noteSignaturesMax, openNote, signNote, splitNote } from './note.ts';
import {
  cosignatureVerifierOf,
  cosignerOf,
  formatSignerKey,
  formatVerifierKey,
  generateSigner,
  parseSignerKey,
  parseVerifierKey,
} from './note-key.ts';

const alice = generateSigner('example.com/alice', new Uint8Array(32).fill(1));
const bob = generateSigner('example.com/bob', new Uint8Array(32).fill(2));
const witness = cosignerOf(generateSigner('witness.example/w', new Uint8Array(32).fill(3)));
const text = 'One\n\ntwo\n';
const signed = signNote(text, [alice]);

// The example of c2sp.org/signed-note, "Example".
test('the example of the specification opens', () => {
  const note =
    'This is an example message.\n\n— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n';
  const opened = openNote(note, ['example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k']);
  assert.equal(opened.text, 'This is an example message.\n');
  assert.deepEqual(opened.signatures, [{ name: 'example.com/foo', keyId: 0x530d903a, type: 1 }]);
});

test('a text may have empty lines: the note splits at the last one', () => {
  assert.equal(openNote(signed, [alice]).text, text);
  assert.equal(openNote(encodeUtf8(signed), [formatVerifierKey(alice)]).text, text);
});

test('signatures by unknown keys are ignored, and alone are not enough', () => {
  const both = signNote(text, [bob, alice]);
  const opened = openNote(both, [alice]);
  assert.deepEqual(
    opened.signatures.map((s) => s.name),
    [alice.name],
  );
  assert.deepEqual(
    opened.unverified.map((s) => s.name),
    [bob.name],
  );
  assert.throws(() => openNote(signed, [bob]), { code: 'note-unverified' });
  assert.throws(() => openNote(signed, []), { code: 'note-unverified' });
});

test('one wrong signature by a known key spoils the note', () => {
  const broken = signNote('other\n', [bob]).split('\n\n')[1] as string;
  assert.throws(() => openNote(signed + broken, [alice, bob]), { code: 'signature-invalid' });
  assert.throws(() => openNote(signed.replace('One', 'Two'), [alice]), { code: 'signature-invalid' });
});

test('a key of the same name but another id is unknown', () => {
  const other = generateSigner(alice.name, new Uint8Array(32).fill(9));
  assert.throws(() => openNote(signed, [other]), { code: 'note-unverified' });
});

test('a repeated signature line counts once', () => {
  const line = signed.split('\n\n')[2] as string;
  assert.equal(openNote(signed + line, [alice, alice]).signatures.length, 1);
});

test('a cosignature carries its time, and covers it', () => {
  const note = signNote(text, [alice, witness], { timeSeconds: 1772354400n });
  const { signatures } = openNote(note, [alice, formatVerifierKey(witness)]);
  assert.deepEqual(signatures[1], { name: witness.name, keyId: witness.keyId, type: 4, timeSeconds: 1772354400n });
  const later = signNote(text, [alice, witness], { timeSeconds: 1772354401n });
  const cut = (note_: string): Uint8Array => splitNote(note_).signatures[1]?.bytes as Uint8Array;
  const mixed = Uint8Array.of(...id(witness.keyId), ...cut(later).subarray(0, 8), ...cut(note).subarray(8));
  const forged = `${note.slice(0, note.lastIndexOf('— '))}— ${witness.name} ${encodeBase64(mixed)}\n`;
  assert.throws(() => openNote(forged, [alice, witness]), { code: 'signature-invalid' });
});

test('a cosigner needs a time', () => {
  assert.throws(() => signNote(text, [witness]), { code: 'argument-invalid' });
  assert.throws(() => signNote(text, [witness], { timeSeconds: 2n ** 63n }), { code: 'argument-invalid' });
});

test('sixteen signatures and more are taken, up to a bound', () => {
  const many = (count: number): string => {
    const signers = Array.from({ length: count - 1 }, (_, i) => generateSigner(`w${i}`, new Uint8Array(32).fill(i)));
    return signNote(text, [...signers, alice]);
  };
  assert.equal(openNote(many(16), [alice]).unverified.length, 15);
  assert.equal(openNote(many(noteSignaturesMax), [alice]).unverified.length, noteSignaturesMax - 1);
  const line = `— x ${encodeBase64(new Uint8Array(68))}\n`;
  assert.throws(() => openNote(`a\n\n${line.repeat(noteSignaturesMax + 1)}`, [alice]), { code: 'note-malformed' });
});

test('malformed notes are refused', () => {
  const [body, block] = [signed.slice(0, text.length + 1), signed.slice(text.length + 1)];
  for (const note of [
    '',
    text,
    body,
    signed.slice(0, -1),
    `${signed}x`,
    `${signed}\n`,
    signed.replace('One', 'O\tne'),
    signed.replace('One', 'O\rne'),
    signed.replace('One', '\ud800'),
    signed.replace('— ', '- '),
    signed.replace('— ', '—  '),
    signed.replace('example.com/alice', ''),
    signed.replace('example.com/alice', 'a+b'),
    signed.replace('example.com/alice', 'a\u00a0b'),
    signed.replace('example.com/alice', 'a\u0085b'),
    `${body}${block.replace(/=\n$/, '\n')}`,
    `${body}— ${alice.name} \n`,
    `${body}— ${alice.name} AAAA\n`,
    `${body}— ${alice.name} ${encodeBase64(new Uint8Array(4))}\n`,
  ]) {
    assert.throws(() => openNote(note, [alice]), { code: 'note-malformed' }, JSON.stringify(note));
  }
  assert.throws(() => openNote(Uint8Array.of(0xff, 0x0a), [alice]), { code: 'note-malformed' });
  assert.throws(() => signNote('no newline', [alice]), { code: 'note-malformed' });
  assert.throws(() => signNote(text, []), { code: 'argument-invalid' });
});

test('keys survive being written and read', () => {
  for (const signer of [alice, bob, witness]) {
    assert.deepEqual(parseSignerKey(formatSignerKey(signer)), signer);
    const { seed: _seed, ...verifier } = signer;
    assert.deepEqual({ ...parseVerifierKey(formatVerifierKey(signer)) }, verifier);
  }
});

test('a cosigner’s id differs from the signer’s of the same key', () => {
  const plain = generateSigner(witness.name, witness.seed);
  assert.notEqual(plain.keyId, witness.keyId);
  assert.equal(cosignatureVerifierOf(plain).keyId, witness.keyId);
});

test('malformed keys are refused', () => {
  const vkey = formatVerifierKey(alice);
  const [name, hex, key] = vkey.split('+') as [string, string, string];
  for (const bad of [
    '',
    name,
    `${name}+${hex}`,
    `+${hex}+${key}`,
    `a b+${hex}+${key}`,
    `${name}+${hex.toUpperCase()}x+${key}`,
    `${name}+00000000+${key}`,
    `other+${hex}+${key}`,
    `${name}+${hex}+${key.slice(0, -4)}`,
    `${name}+${hex}+${key} `,
    `${name}+${hex}+${encodeBase64(Uint8Array.of(2, ...alice.publicKey))}`,
    `${name}+${hex}+`,
    'x'.repeat(2000),
  ]) {
    assert.throws(() => parseVerifierKey(bad), { code: 'key-invalid' }, bad);
  }
  assert.throws(() => parseSignerKey(vkey), { code: 'key-invalid' });
  assert.throws(() => generateSigner('a b', alice.seed), { code: 'key-invalid' });
  assert.throws(() => generateSigner('a', new Uint8Array(31)), { code: 'key-invalid' });
});

test('two different keys under one name and id are refused, not guessed', () => {
  const twin = { ...alice, publicKey: bob.publicKey };
  assert.throws(() => openNote(signed, [alice, twin]), { code: 'key-invalid' });
});

function id(keyId: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, keyId);
  return bytes;
}
