/**
 * Every vector made with Go's sumdb and transparency-dev libraries (leaves are the ASCII text `entry-<i>`), and the
 * transcript of a real witness.
 */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { before, describe, test } from 'node:test';
import {
  concatBytes,
  consistencyProof,
  cosignatureVerifierOf,
  cosignerOf,
  decodeBase64,
  encodeBase64,
  encodeHex,
  Frontier,
  formatCheckpoint,
  formatProof,
  formatSignerKey,
  formatVerifierKey,
  hashLeaf,
  inclusionProof,
  openNote,
  parseCheckpoint,
  parseProof,
  parseSignerKey,
  parseTilePath,
  parseVerifierKey,
  rootOf,
  signNote,
  tilePath,
  tryDecodeHex,
  verifyConsistency,
  verifyInclusion,
  verifyProof,
} from '@watchglass/record';

interface Vectors {
  readonly log_skey: string;
  readonly log_vkey: string;
  readonly witness_skey: string;
  readonly witness_cosig_keyhash_hex: string;
  readonly roots_hex: Readonly<Record<string, string>>;
  readonly inclusion: readonly { index: number; size: number; leaf_hash: string; proof: readonly string[] | null }[];
  readonly consistency: readonly { old: number; new: number; proof: readonly string[] | null }[];
  readonly checkpoints: readonly { size: number; checkpoint: string; cosigned: string }[];
  readonly paths: readonly { level: string; index: string; partial: number; tile: string; entries: string }[];
  readonly tiles_size_70000: readonly { path: string; len: number; sha256: string }[];
  readonly tlog_proof_index123_size300: string;
}

const reference = new URL('../../../shared/reference/tlog/', import.meta.url);
const skip = existsSync(new URL('go-reference-vectors.json', reference)) ? false : 'needs ../shared/reference/tlog';

const entry = (i: number): Uint8Array => new TextEncoder().encode(`entry-${i}`);
const hex = (text: string): Uint8Array => tryDecodeHex(text) as Uint8Array;

describe('transparency log vectors', { skip }, () => {
  let vectors: Vectors;
  const leaves: Uint8Array[] = [];
  const rootAt = (size: number): Uint8Array => hex(vectors.roots_hex[size] as string);

  before(() => {
    vectors = JSON.parse(readFileSync(new URL('go-reference-vectors.json', reference), 'utf8')) as Vectors;
    for (let i = 0; i < 70_000; i++) leaves.push(hashLeaf(entry(i)));
  });

  test('roots, by growing a frontier and at once', () => {
    const frontier = new Frontier();
    let checked = 0;
    for (let size = 0; size <= leaves.length; size++) {
      if (vectors.roots_hex[size] !== undefined) {
        assert.deepEqual(frontier.root(), rootAt(size));
        assert.deepEqual(rootOf(leaves.slice(0, size)), rootAt(size));
        checked++;
      }
      const next = leaves[size];
      if (next !== undefined) frontier.appendLeafHashes(next);
    }
    assert.equal(checked, Object.keys(vectors.roots_hex).length);
  });

  test('inclusion proofs, verified and made', () => {
    for (const { index, size, leaf_hash, proof } of vectors.inclusion) {
      const hashes = (proof ?? []).map(decodeBase64);
      const leafHash = decodeBase64(leaf_hash);
      assert.deepEqual(leafHash, leaves[index]);
      verifyInclusion({ leafHash, index: BigInt(index), size: BigInt(size), proof: hashes, root: rootAt(size) });
      assert.deepEqual(inclusionProof(index, size, leaves), hashes);
    }
  });

  test('consistency proofs, verified and made', () => {
    for (const { old: size1, new: size2, proof } of vectors.consistency) {
      const hashes = (proof ?? []).map(decodeBase64);
      const roots = { root1: rootAt(size1), root2: rootAt(size2) };
      verifyConsistency({ size1: BigInt(size1), size2: BigInt(size2), ...roots, proof: hashes });
      assert.deepEqual(consistencyProof(size1, size2, leaves), hashes);
    }
  });

  test('keys', () => {
    const log = parseSignerKey(vectors.log_skey);
    assert.equal(formatSignerKey(log), vectors.log_skey);
    assert.equal(formatVerifierKey(log), vectors.log_vkey);
    const witness = parseSignerKey(vectors.witness_skey);
    assert.equal(cosignerOf(witness).keyId.toString(16), vectors.witness_cosig_keyhash_hex);
    assert.equal(cosignatureVerifierOf(parseVerifierKey(formatVerifierKey(witness))).keyId, cosignerOf(witness).keyId);
  });

  test('checkpoints, signed and cosigned', () => {
    const witness = cosignerOf(parseSignerKey(vectors.witness_skey));
    for (const { size, checkpoint, cosigned } of vectors.checkpoints) {
      const { text } = openNote(checkpoint, [vectors.log_vkey]);
      const parsed = parseCheckpoint(text);
      assert.equal(parsed.size, BigInt(size));
      assert.deepEqual(parsed.root, rootAt(size));
      assert.equal(formatCheckpoint(parsed), text);
      assert.equal(signNote(text, [vectors.log_skey]), checkpoint);
      const { signatures } = openNote(cosigned, [vectors.log_vkey, formatVerifierKey(witness)]);
      const timeSeconds = signatures[1]?.timeSeconds;
      assert.ok(timeSeconds);
      assert.equal(signNote(text, [vectors.log_skey, witness], { timeSeconds }), cosigned);
    }
  });

  test('tile paths', () => {
    for (const { level, index, partial, tile, entries } of vectors.paths) {
      assert.equal(tilePath(Number(level), BigInt(index), partial), tile);
      assert.equal(tilePath('entries', BigInt(index), partial), entries);
      assert.deepEqual(parseTilePath(tile), { level: Number(level), n: BigInt(index), width: partial || 256 });
    }
  });

  test('tiles and entry bundles of a tree of 70,000', () => {
    const frontier = new Frontier();
    const levels: Uint8Array[][] = [leaves, [], []];
    frontier.appendLeafHashes(concatBytes(...leaves), (level, _n, hash) => levels[level]?.push(hash));
    for (const { path, len, sha256 } of vectors.tiles_size_70000) {
      const { level, n, width } = parseTilePath(path);
      const from = Number(n) * 256;
      const bytes =
        level === 'entries'
          ? concatBytes(...Array.from({ length: width }, (_, i) => framed(entry(from + i))))
          : concatBytes(...(levels[level] as Uint8Array[]).slice(from, from + width));
      assert.equal(bytes.length, len, path);
      assert.equal(createHash('sha256').update(bytes).digest('hex'), sha256, path);
    }
  });

  test('a tlog-proof', () => {
    const text = vectors.tlog_proof_index123_size300;
    assert.equal(formatProof(parseProof(text)), text);
    const witness = cosignerOf(parseSignerKey(vectors.witness_skey));
    const { index, checkpoint } = verifyProof({
      proof: text,
      leafData: entry(123),
      vkey: vectors.log_vkey,
      witnesses: [witness],
      witnessesMin: 1,
    });
    assert.equal(index, 123n);
    assert.equal(encodeHex(checkpoint.root), vectors.roots_hex[300]);
    assert.throws(() => verifyProof({ proof: text, leafData: entry(124), vkey: vectors.log_vkey }), {
      code: 'inclusion-invalid',
    });
  });

  test('hashes in base64 are canonical', () => {
    for (const { proof } of vectors.inclusion) {
      for (const hash of proof ?? []) assert.equal(encodeBase64(decodeBase64(hash)), hash);
    }
  });
});

interface Transcript {
  readonly witness_vkey: string;
  readonly transcript: readonly { request: string; status: number; response: string }[];
}

test('a real witness’s answers agree with ours', { skip }, () => {
  const file = readFileSync(new URL('sigsum-witness-0.14.1-transcript.json', reference), 'utf8');
  const { witness_vkey, transcript } = JSON.parse(file) as Transcript;
  let seen = { size: 0n, root: rootOf([]) };
  let cosigned = 0;
  let refused = 0;
  for (const { request, status, response } of transcript) {
    if (status !== 200 && status !== 422) continue;
    const split = request.indexOf('\n\n');
    const [old, ...hashes] = request.slice(0, split).split('\n') as [string, ...string[]];
    const note = request.slice(split + 2);
    const { size, root } = parseCheckpoint(note);
    const size1 = BigInt(old.slice(4));
    const claim = { size1, root1: seen.root, size2: size, root2: root, proof: hashes.map(decodeBase64) };
    if (status === 422) {
      assert.throws(() => verifyConsistency(claim), { code: 'consistency-invalid' });
      refused++;
      continue;
    }
    assert.equal(size1, seen.size);
    verifyConsistency(claim);
    const { signatures } = openNote(note + response, [witness_vkey]);
    assert.equal(signatures[0]?.type, 4);
    seen = { size, root };
    cosigned++;
  }
  assert.ok(cosigned >= 3 && refused >= 1, `${cosigned} cosigned, ${refused} refused`);
});

function framed(data: Uint8Array): Uint8Array {
  return concatBytes(Uint8Array.of(data.length >> 8, data.length & 0xff), data);
}
