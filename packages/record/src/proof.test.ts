import assert from 'node:assert/strict';
import { test } from 'node:test';
import { concatBytes, encodeBase64 } from './bytes.ts';
import { formatCheckpoint, parseCheckpoint } from './checkpoint.ts';
import { commit, leafDataOf, leafHashOf, originHashOf } from './commitment.ts';
import { encode } from './encode.ts';
import { readVector, sampleRecord } from './event.fixture.ts';
import { signNote } from './note.ts';
import { generateSigner } from './note-key.ts';
import { formatProof, openCheckpoint, openProof, parseProof, verifyProof } from './proof.ts';

interface Vectors {
  readonly origin: string;
  readonly vkey: string;
  readonly skey: string;
  readonly witnessVkey: string;
  readonly witnessSkey: string;
  readonly timeSeconds: string;
  readonly checkpoint: string;
  readonly proof: string;
}

const vectors: Vectors = readVector('proof');
const { origin, vkey, witnessVkey, proof } = vectors;
const parsed = parseProof(proof);
const r = (parsed.extra as Uint8Array).subarray(0, 32);
const commitment = commit({ originHash: originHashOf(origin), index: 3, r, m: encode(sampleRecord) });

test('the vectors of a signed checkpoint and a proof hold', () => {
  const body = formatCheckpoint(parseCheckpoint(vectors.checkpoint));
  const timeSeconds = BigInt(vectors.timeSeconds);
  assert.equal(signNote(body, [vectors.skey, vectors.witnessSkey], { timeSeconds }), vectors.checkpoint);
  assert.equal(formatProof(parsed), proof);
  const { record, index, checkpoint, signatures } = openProof(proof, {
    vkey,
    witnesses: [witnessVkey],
    witnessesMin: 1,
  });
  assert.deepEqual(record, sampleRecord);
  assert.equal(index, 3n);
  assert.equal(checkpoint.size, 5n);
  assert.deepEqual(
    signatures.map((signature) => signature.type),
    [1, 4],
  );
});

test('a proof without its opening shows inclusion of the commitment', () => {
  const { extra: _extra, ...closed } = parsed;
  const text = formatProof(closed);
  assert.deepEqual(parseProof(text), closed);
  assert.equal(verifyProof({ proof: text, leafHash: leafHashOf(commitment), vkey }).index, 3n);
  assert.equal(verifyProof({ proof: text, leafData: leafDataOf(commitment), vkey }).index, 3n);
  assert.throws(() => openProof(text, { vkey }), { code: 'opening-missing' });
  assert.throws(() => verifyProof({ proof: text, vkey }), { code: 'argument-invalid' });
});

test('another record, opening, index or hash is not proven', () => {
  const extra = parsed.extra as Uint8Array;
  const change = (bytes: Uint8Array, at: number): Uint8Array => bytes.with(at, (bytes[at] as number) ^ 1);
  for (const bad of [
    { ...parsed, extra: change(extra, 0) },
    { ...parsed, extra: change(extra, 40) },
    { ...parsed, extra: concatBytes(extra, Uint8Array.of(0x20)) },
    { ...parsed, index: 2n },
    { ...parsed, index: 5n },
    { ...parsed, hashes: parsed.hashes.slice(1) },
    { ...parsed, hashes: parsed.hashes.map((hash, i) => (i === 1 ? change(hash, 5) : hash)) },
  ]) {
    assert.throws(() => openProof(bad, { vkey }), { code: 'inclusion-invalid' });
  }
});

test('a record of one log is not proven under another origin', () => {
  assert.throws(() => openProof(proof, { vkey, origin: 'watchglass.example/clinic-b' }), { code: 'origin-mismatch' });
});

test('a changed checkpoint, and one by another key, are refused', () => {
  const forged = { ...parsed, checkpoint: parsed.checkpoint.replace('\n5\n', '\n6\n') };
  assert.throws(() => openProof(forged, { vkey }), { code: 'signature-invalid' });
  const other = generateSigner(origin, new Uint8Array(32).fill(8));
  const body = formatCheckpoint(parseCheckpoint(parsed.checkpoint));
  assert.throws(() => openProof({ ...parsed, checkpoint: signNote(body, [other]) }, { vkey }), {
    code: 'note-unverified',
  });
});

test('a checkpoint that only witnesses signed is refused, and so is one that too few signed', () => {
  const body = formatCheckpoint(parseCheckpoint(vectors.checkpoint));
  const cosigned = signNote(body, [vectors.witnessSkey], { timeSeconds: 1n });
  assert.throws(() => openCheckpoint(cosigned, { vkey, witnesses: [witnessVkey] }), { code: 'note-unverified' });
  const alone = signNote(body, [vectors.skey]);
  assert.throws(() => openCheckpoint(alone, { vkey, witnesses: [witnessVkey], witnessesMin: 1 }), {
    code: 'note-unverified',
  });
  assert.equal(openCheckpoint(alone, { vkey }).checkpoint.origin, origin);
});

test('malformed proofs are refused', () => {
  const hash = encodeBase64(new Uint8Array(32));
  for (const text of [
    '',
    proof.replace('@v1', '@v2'),
    proof.replace('index 3', 'index 03'),
    proof.replace('index 3', 'index -3'),
    proof.replace('index 3', 'index'),
    proof.replace('index 3\n', ''),
    proof.replace('index 3', 'index 18446744073709551616'),
    proof.replace('extra ', 'extra  '),
    proof.replace(/extra .*\n/, 'extra \n'),
    proof.replace(/extra .*\n/, `extra ${'A'.repeat(120_000)}\n`),
    proof.replace('index 3\n', `index 3\n${`${hash}\n`.repeat(63)}`),
    proof.replace('index 3\n', 'index 3\nAAAA\n'),
    proof.replace('index 3\n', 'index 3\n\n'),
    proof.replaceAll('\n', '\r\n'),
    proof.slice(0, proof.indexOf('\n\n') + 2),
    proof.slice(0, -1),
    ` ${proof}`,
    'x'.repeat(3_000_000),
  ]) {
    assert.throws(() => parseProof(text), { code: 'proof-malformed' }, text.slice(0, 80));
  }
  assert.throws(() => formatProof({ ...parsed, extra: new Uint8Array(0) }), { code: 'proof-malformed' });
  assert.throws(() => formatProof({ ...parsed, index: -1n }), { code: 'proof-malformed' });
  assert.throws(() => formatProof({ ...parsed, hashes: [new Uint8Array(31)] }), { code: 'proof-malformed' });
  assert.throws(() => formatProof({ ...parsed, checkpoint: 'x' }), { code: 'proof-malformed' });
});
