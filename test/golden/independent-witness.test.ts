/**
 * A second reader of policies, requests to witnesses and cosigned checkpoints, written from docs/format.md and the C2SP pages alone: it imports nothing of ours and holds the
 * vectors to what those pages say.
 */
import assert from 'node:assert/strict';
import { createPublicKey, verify } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { sha } from './octets.fixture.ts';

const vectors = JSON.parse(
  readFileSync(new URL('../../packages/record/vectors/witness.json', import.meta.url), 'utf8'),
) as {
  policy: string;
  vkey: string;
  addCheckpoint: string;
  answer: string;
  cosigned: string;
  size: number;
  by: string[];
  quorumTimeSeconds: number;
  originHash: string;
};

const leafHash = (i: number): Buffer => sha(Buffer.of(0), `leaf ${i}`);

/** RFC 6962 §2.1 over leaves [from, to). */
function rootOf(from: number, to: number): Buffer {
  if (to - from === 1) return leafHash(from);
  const split = 2 ** Math.ceil(Math.log2(to - from) - 1);
  return sha(Buffer.of(1), rootOf(from, from + split), rootOf(from + split, to));
}

/** RFC 6962 §2.1.2, PROOF(m, D[n]). */
function proofOf(m: number, from: number, to: number, whole: boolean): Buffer[] {
  if (m === to - from) return whole ? [] : [rootOf(from, to)];
  const split = 2 ** Math.ceil(Math.log2(to - from) - 1);
  return m <= split
    ? [...proofOf(m, from, from + split, whole), rootOf(from + split, to)]
    : [...proofOf(m - split, from + split, to, false), rootOf(from, from + split)];
}

interface Key {
  readonly name: string;
  readonly type: number;
  readonly id: Buffer;
  readonly verifies: (message: string, signature: Buffer) => boolean;
}

/** c2sp.org/signed-note, "Verifier keys". */
function keyOf(vkey: string): Key {
  const [name = '', id = ''] = vkey.split('+');
  const material = Buffer.from(vkey.slice(name.length + id.length + 2), 'base64');
  assert.equal(sha(`${name}\n`, material).subarray(0, 4).toString('hex'), id);
  const spki = Buffer.concat([Buffer.from('302a300506032b6570032100', 'hex'), material.subarray(1)]);
  const key = createPublicKey({ key: spki, format: 'der', type: 'spki' });
  return {
    name,
    type: material[0] as number,
    id: Buffer.from(id, 'hex'),
    verifies: (message, signature) => verify(null, Buffer.from(message), key, signature),
  };
}

function signatureLines(block: string): { name: string; id: Buffer; bytes: Buffer }[] {
  return block.split('\n').flatMap((line) => {
    if (line === '') return [];
    const [dash, name = '', base64 = ''] = line.split(' ');
    assert.equal(dash, '\u2014');
    const bytes = Buffer.from(base64, 'base64');
    return [{ name, id: bytes.subarray(0, 4), bytes: bytes.subarray(4) }];
  });
}

/** c2sp.org/tlog-cosignature, "Ed25519 signed message"; the time. */
function timeOf(key: Key, body: string, bytes: Buffer): number {
  assert.equal(key.type, 4);
  assert.equal(bytes.length, 72);
  const time = bytes.readBigUInt64BE();
  assert.ok(key.verifies(`cosignature/v1\ntime ${time}\n${body}`, bytes.subarray(8)));
  return Number(time);
}

const policy = vectors.policy.split('\n').map((line) => line.split(' '));
const witnesses = new Map(
  policy.filter(([word]) => word === 'witness').map(([, name, vkey]) => [name, keyOf(vkey ?? '')]),
);

test('the cosigned checkpoint is what its page says, and a quorum of its policy', () => {
  const { cosigned } = vectors;
  const body = cosigned.slice(0, cosigned.lastIndexOf('\n\n') + 1);
  const [first, ...others] = signatureLines(cosigned.slice(body.length + 1));
  const log = keyOf(vectors.vkey);
  assert.ok(first !== undefined && first.name === log.name && first.id.equals(log.id));
  assert.equal(log.type, 1);
  assert.ok(log.verifies(body, first.bytes));
  assert.deepEqual(body.split('\n'), [log.name, String(vectors.size), rootOf(0, vectors.size).toString('base64'), '']);
  const times = new Map<string, number>();
  for (const { name, id, bytes } of others) {
    const [found] = [...witnesses].filter(([, key]) => key.name === name && key.id.equals(id));
    assert.ok(found?.[0] !== undefined);
    assert.equal(times.has(found[0]), false);
    times.set(found[0], timeOf(found[1], body, bytes));
  }
  assert.deepEqual([...times.keys()], vectors.by);
  const group = policy.find(([word]) => word === 'group') ?? [];
  const [, groupName, k, ...members] = group;
  assert.deepEqual(
    policy.find(([word]) => word === 'quorum'),
    ['quorum', groupName],
  );
  const counted = members.flatMap((name) => times.get(name) ?? []).sort((a, b) => b - a);
  assert.ok(counted.length >= Number(k));
  assert.equal(counted[Number(k) - 1], vectors.quorumTimeSeconds);
});

test('the request and the answer are what c2sp.org/tlog-witness says', () => {
  const { addCheckpoint, answer, cosigned } = vectors;
  const split = addCheckpoint.indexOf('\n\n');
  const [old = '', ...hashes] = addCheckpoint.slice(0, split).split('\n');
  const size = Number(/^old (\d+)$/.exec(old)?.[1]);
  assert.deepEqual(
    hashes,
    proofOf(size, 0, vectors.size, true).map((hash) => hash.toString('base64')),
  );
  const checkpoint = addCheckpoint.slice(split + 2);
  assert.ok(cosigned.startsWith(checkpoint + answer));
  const [line] = signatureLines(answer);
  const body = checkpoint.slice(0, checkpoint.lastIndexOf('\n\n') + 1);
  assert.equal(timeOf(witnesses.get('w1') as Key, body, line?.bytes ?? Buffer.alloc(0)), vectors.quorumTimeSeconds);
  assert.equal(vectors.originHash, sha(keyOf(vectors.vkey).name).toString('hex'));
});
