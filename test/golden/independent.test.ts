/**
 * A second verifier, written from docs/format.md alone: it imports nothing of ours. It opens the golden log with its keys and derives every
 * commitment, root and tag again. Where it can't be written from the page, the page is wrong.
 */
import assert from 'node:assert/strict';
import { createCipheriv, createPublicKey, verify } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { crc32, zstdDecompressSync } from 'node:zlib';
import { Cursor, hmac, openGcm, sha, u32, u64 } from './octets.fixture.ts';

const golden = join(import.meta.dirname, 'v1');
const ledger = join(golden, 'ledger');
const kek = readFileSync(join(golden, 'keys/kek'));

function seedOf(tenant: string, origin: string, retentionClass: string, epoch: number, writer: string): Buffer {
  const text = readFileSync(join(ledger, tenant, 'seeds', `${retentionClass}-${epoch}-${writer}.json`), 'utf8');
  const file = JSON.parse(text) as { kek: string; wrapped: string };
  const expected = { v: 1, origin, class: retentionClass, epoch, writer, kek: file.kek, wrapped: file.wrapped };
  assert.equal(text, `${JSON.stringify(expected)}\n`);
  assert.equal(file.kek, `local:${sha('watchglass/v1/kek-id', kek).toString('hex').slice(0, 16)}`);
  const wrapped = Buffer.from(file.wrapped, 'base64');
  assert.equal(wrapped.length, 12 + 32 + 16);
  const aad = Buffer.from(`watchglass/v1/seed\n${origin}\n${retentionClass}\n${epoch}\n${writer}\n`);
  return openGcm(kek, wrapped.subarray(0, 12), wrapped.subarray(12), aad);
}

function stepKeyOf(seed: Buffer, step: number): Buffer {
  let node = seed;
  for (let k = 1; k <= 32; k++) node = hmac(node, 'watchglass/v1/node', Buffer.of(k, (step >>> (32 - k)) & 1));
  return node;
}

/** Opens a block and gives index, r and m of each of its events. */
function* openBlock(
  tenant: string,
  origin: string,
  bytes: Buffer,
): Generator<{ index: number; r: Buffer; m: Buffer; retentionClass: string; epoch: number }> {
  const at = new Cursor(bytes);
  assert.equal(at.take(4).toString(), 'WGB1');
  const codec = at.uint(1);
  const retentionClass = at.name();
  assert.deepEqual(at.take(32), sha(origin));
  const epoch = at.uint(4);
  const writer = at.take(16).toString('hex');
  const step = at.uint(4);
  const first = at.uint(8);
  const salt = at.take(16);
  const plainBytes = at.uint(4);
  const ranges = Array.from({ length: at.uint(2) }, () => ({ first: at.uint(8), count: at.uint(4) }));
  const length = at.uint(4);
  const header = bytes.subarray(0, at.at);
  const sealed = at.take(length);
  assert.ok(at.done);
  const stepKey = stepKeyOf(seedOf(tenant, origin, retentionClass, epoch, writer), step);
  const dek = hmac(hmac(salt, stepKey), 'watchglass/v1/block', header, Buffer.of(1));
  const body = openGcm(dek, Buffer.alloc(12), sealed, header);
  const plain = new Cursor(codec === 1 ? zstdDecompressSync(body) : body);
  assert.equal(plain.bytes.length, plainBytes);
  const opening = hmac(stepKey, 'watchglass/v1/opening');
  for (const range of ranges) {
    for (let index = range.first; index < range.first + range.count; index++) {
      const counter = Buffer.concat([Buffer.alloc(8), u64(2 * (index - first))]);
      const r = createCipheriv('aes-256-ctr', opening, counter).update(Buffer.alloc(32));
      yield { index, r, m: plain.take(plain.uint(4)), retentionClass, epoch };
    }
  }
  assert.ok(plain.done);
}

/** F(m) of a leaf of type 0x02. */
function fieldRootOf(r: Buffer, m: string): Buffer {
  let fields = 0;
  const node = (value: unknown, path: string): Buffer => {
    const place = [u32(Buffer.byteLength(path)), path];
    if (typeof value !== 'object' || value === null || Object.keys(value).length === 0) {
      const k = fields++;
      const pair = hmac(r, 'watchglass/f/v1\0', u32(k >>> 1));
      const salt = pair.subarray(16 * (k & 1), 16 * (k & 1) + 16);
      return sha('watchglass/f/v1\0', Buffer.of(0), salt, ...place, JSON.stringify(value));
    }
    const children = Object.entries(value).map(([name, one]) => node(one, `${path}/${name}`));
    return sha('watchglass/f/v1\0', Buffer.of(Array.isArray(value) ? 2 : 1), ...place, ...children);
  };
  return node(JSON.parse(m), '');
}

/** RFC 6962 §2.1 over leaf hashes. */
function rootOf(hashes: Buffer[]): Buffer {
  if (hashes.length === 0) return sha('');
  if (hashes.length === 1) return hashes[0] as Buffer;
  const split = 2 ** Math.ceil(Math.log2(hashes.length) - 1);
  return sha(Buffer.of(1), rootOf(hashes.slice(0, split)), rootOf(hashes.slice(split)));
}

interface Part {
  readonly tenant: string;
  readonly sizeBefore: number;
  readonly count: number;
  readonly root: Buffer;
  readonly commitments: Buffer;
  readonly ids: Buffer;
  readonly seqs: { emitter: string; seq: number }[];
  readonly blocks: Buffer[];
}

/** All groups of the journal from group `next` on; the golden log has no torn one. */
function readJournal(next: number): Part[] {
  const parts: Part[] = [];
  for (const name of readdirSync(join(ledger, 'journal')).sort()) {
    const at = new Cursor(readFileSync(join(ledger, 'journal', name)));
    assert.equal(at.take(4).toString(), 'WGJ1');
    assert.equal(at.uint(8), next);
    assert.equal(name, `${String(next).padStart(16, '0')}.wgj`);
    while (!at.done) {
      const from = at.at;
      assert.equal(at.take(4).toString(), 'WGG1');
      assert.equal(at.uint(8), next++);
      at.uint(8);
      const payload = new Cursor(at.take(at.uint(4)));
      const crc = crc32(at.bytes.subarray(from, at.at));
      assert.equal(at.uint(4), crc);
      for (let tenants = payload.uint(2); tenants > 0; tenants--) parts.push(readPart(payload));
      assert.ok(payload.done);
    }
  }
  return parts;
}

function readPart(at: Cursor): Part {
  const tenant = at.name();
  const sizeBefore = at.uint(8);
  const count = at.uint(4);
  const root = at.take(32);
  const commitments = at.take(32 * count);
  const ids = at.take(16 * count);
  const seqs: Part['seqs'] = [];
  for (let runs = at.uint(4); runs > 0; runs--) {
    const emitter = at.name();
    const firstSeq = at.uint(8);
    assert.equal(at.uint(8), sizeBefore + seqs.length);
    for (let left = at.uint(4), seq = firstSeq; left > 0; left--) seqs.push({ emitter, seq: seq++ });
  }
  const blocks = Array.from({ length: at.uint(4) }, () => at.take(at.uint(4)));
  return { tenant, sizeBefore, count, root, commitments, ids, seqs, blocks };
}

interface Key {
  readonly name: string;
  readonly id: string;
  readonly type: number;
  readonly bytes: Buffer;
}

function keyOf(vkey: string): Key {
  const [name = '', keyId = ''] = vkey.split('+');
  const material = Buffer.from(vkey.slice(name.length + keyId.length + 2), 'base64');
  const id = sha(`${name}\n`, material).subarray(0, 4).toString('hex');
  assert.equal(id, keyId);
  return { name, id, type: material[0] as number, bytes: material.subarray(1) };
}

const spkiHeads: Record<number, string> = {
  1: '302a300506032b6570032100',
  6: '30820532300b06096086480165030403110382052100',
};

/** The text of a signed note that these keys have signed, in this order, and no others (c2sp.org/signed-note, tlog-cosignature). */
function openNote(note: string, keys: readonly Key[]): string {
  const body = note.slice(0, note.lastIndexOf('\n\n') + 1);
  const lines = note.slice(body.length + 1).split('\n');
  assert.equal(lines.pop(), '');
  assert.equal(lines.length, keys.length);
  for (const [at, { name, id, type, bytes }] of keys.entries()) {
    const [dash, signer, signature = ''] = (lines[at] as string).split(' ');
    assert.deepEqual([dash, signer], ['\u2014', name]);
    const signed = Buffer.from(signature, 'base64');
    assert.equal(signed.subarray(0, 4).toString('hex'), id);
    const spki = Buffer.concat([Buffer.from(spkiHeads[type] as string, 'hex'), bytes]);
    const key = createPublicKey({ key: spki, format: 'der', type: 'spki' });
    if (type === 1) {
      assert.ok(verify(null, Buffer.from(body), key, signed.subarray(4)));
    } else {
      const [origin = '', size = '', root = ''] = body.split('\n');
      assert.deepEqual(signed.subarray(4, 12), u64(0));
      const head = [Buffer.from('subtree/v1\n\0'), Buffer.of(name.length), Buffer.from(name), u64(0)];
      const log = [
        Buffer.of(origin.length),
        Buffer.from(origin),
        u64(0),
        u64(Number(size)),
        Buffer.from(root, 'base64'),
      ];
      assert.ok(verify(null, Buffer.concat([...head, ...log]), key, signed.subarray(12)));
    }
  }
  return body;
}

/** Values of the lines after the first two, which are the kind of statement and the origin. */
function valuesOf(body: string, kind: string, origin: string, names: readonly string[]): string[] {
  const lines = body.split('\n');
  assert.deepEqual([lines[0], lines[1], lines.length], [kind, origin, names.length + 3]);
  return names.map((name, at) => {
    const line = lines[at + 2] as string;
    assert.ok(line.startsWith(`${name} `));
    return line.slice(name.length + 1);
  });
}

const read = (...path: string[]): string => readFileSync(join(ledger, ...path), 'utf8');

/** Every file of a folder named by a number, in order; the numbers follow each other. */
function numbered(tenant: string, folder: string): { number: number; text: string; hash: string }[] {
  const numbers = existsSync(join(ledger, tenant, folder)) ? readdirSync(join(ledger, tenant, folder)).map(Number) : [];
  numbers.sort((a, b) => a - b);
  for (const [at, number] of numbers.entries()) assert.equal(number, (numbers[0] as number) + at);
  return numbers.map((number) => {
    const text = read(tenant, folder, String(number));
    return { number, text, hash: sha(text).toString('base64') };
  });
}

interface Sealed {
  readonly size: number;
  readonly root: string;
  readonly next: Key;
  readonly hash: string;
}

/** The chain of seals, by epoch. */
function sealsOf(tenant: string, origin: string, firstKey: Key): Map<number, Sealed> {
  const seals = new Map<number, Sealed>();
  let signer = firstKey;
  let before: Sealed | undefined;
  for (const { number, text, hash } of numbered(tenant, 'seals')) {
    const body = openNote(text, [signer]);
    const names = ['epoch', 'size', 'root', 'previous', 'next'];
    const [epoch, size, root = '', previous, next = ''] = valuesOf(body, 'watchglass/seal/v1', origin, names);
    assert.deepEqual([Number(epoch), previous], [number, before?.hash ?? 'none']);
    assert.ok(Number(size) >= (before?.size ?? 0) && (before !== undefined || size === '0'));
    signer = keyOf(next);
    assert.deepEqual([signer.name, signer.type], [`${origin}/epoch/${number + 1}`, 1]);
    before = { size: Number(size), root, next: signer, hash };
    seals.set(number, before);
  }
  return seals;
}

interface Stated {
  readonly size: number;
  readonly root: string;
}

/** Follows the statements on checkpoint keys from the first key to those that sign, and opens the checkpoint with them. */
function checkpointOf(
  tenant: string,
  origin: string,
): { checkpoint: Stated; stated: Stated[]; seals: Map<number, Sealed> } {
  const listed = read(tenant, 'vkey').trimEnd().split('\n').map(keyOf);
  const statements = numbered(tenant, 'rotations');
  const firstOld = /^old (.*)$/m.exec(statements[0]?.text ?? '')?.[1];
  let current = firstOld === undefined ? (listed[0] as Key) : keyOf(firstOld);
  const seals = sealsOf(tenant, origin, current);
  const stated: Stated[] = [...seals.values()];
  let overlap: Key | undefined;
  let second: Key | undefined;
  let previousHash = 'none';
  const names = ['number', 'kind', 'size', 'root', 'trusted', 'epoch', 'previous', 'old', 'new'];
  for (const { number, text, hash } of statements) {
    const body = text.slice(0, text.lastIndexOf('\n\n') + 1);
    const [stating, kind, size, root = '', trusted, epoch, previous, old = '', next = ''] = valuesOf(
      body,
      'watchglass/rotation/v1',
      origin,
      names,
    );
    const epochKey = seals.get(Number(epoch) - 1)?.next as Key;
    const comes = keyOf(next);
    openNote(text, kind === 'added' ? [current, epochKey] : [current, comes, epochKey]);
    assert.deepEqual([Number(stating), previous, keyOf(old)], [number, previousHash, current]);
    assert.ok(Number(trusted) <= Number(size));
    if (kind === 'added') second = comes;
    else {
      overlap = kind === 'planned' ? current : undefined;
      current = comes;
    }
    stated.push({ size: Number(size), root });
    previousHash = hash;
  }
  const without = [current, second].filter((key) => key !== undefined);
  const withOverlap = [current, overlap, second].filter((key) => key !== undefined);
  assert.deepEqual(listed, listed.length === without.length ? without : withOverlap);
  const [said, size, root = ''] = openNote(read(tenant, 'checkpoint'), listed).split('\n');
  assert.equal(said, origin);
  return { checkpoint: { size: Number(size), root }, stated, seals };
}

const classes: Record<string, string> = {
  api: 'access',
  data: 'access',
  file: 'access',
  auth: 'security',
  'access-change': 'security',
  network: 'security',
  review: 'oversight',
  system: 'oversight',
};

const [line = '', lineHash] = readFileSync(join(ledger, 'manifest'), 'utf8').split('\n');
const manifest = JSON.parse(line) as {
  group: number;
  tenants: Record<string, { origin: string; leaf?: 2; size: number; files: Record<string, number> }>;
};

for (const [tenant, { origin, leaf = 1, size, files }] of Object.entries(manifest.tenants)) {
  test(`a verifier written from the page derives every byte of the golden log of ${tenant}`, () => {
    assert.equal(lineHash, sha(line).toString('hex'));
    const journal = readJournal(manifest.group).filter((part) => part.tenant === tenant);
    const counted = (name: string): Buffer => readFileSync(join(ledger, tenant, name)).subarray(0, files[name]);
    const archived = Object.keys(files).filter((name) => name.startsWith('commitments/'));
    const stored = Buffer.concat([...archived.sort().map(counted), ...journal.map((part) => part.commitments)]);
    assert.equal(Buffer.concat(archived.map(counted)).length, 32 * size);
    const seen = new Map<number, { id: string; emitter: string; seq: number }>();
    const { checkpoint, stated, seals } = checkpointOf(tenant, origin);
    const lastSealed = Math.max(...seals.keys());
    const said: string[] = [];
    const open = (bytes: Buffer): void => {
      for (const { index, r, m, retentionClass, epoch } of openBlock(tenant, origin, bytes)) {
        const commitment =
          leaf === 1
            ? sha('watchglass/c/v1\0', sha(origin), u64(index), r, u32(m.length), m)
            : sha('watchglass/d/v1\0', sha(origin), u64(index), fieldRootOf(r, m.toString()));
        assert.deepEqual(commitment, stored.subarray(32 * index, 32 * index + 32), `index ${index}`);
        const { received, submitter, event } = JSON.parse(m.toString()) as {
          received: string;
          submitter: string;
          event: {
            id: string;
            kind: string;
            operation?: string;
            targets?: { id?: string }[];
            changes?: { path: string; after?: string }[];
            emitter: { id: string; seq: number };
          };
        };
        assert.equal(classes[event.kind], retentionClass);
        assert.ok(epoch <= lastSealed + 1 && index >= (seals.get(epoch - 1)?.size as number));
        assert.ok(index < (seals.get(epoch)?.size ?? Number.POSITIVE_INFINITY));
        if (submitter === 'self' && /^(epoch-sealed|sealing-begun)$/.test(event.operation ?? '')) {
          const hash = event.changes?.find(({ path }) => path === '/seal/hash')?.after;
          assert.equal(hash, seals.get(Number(event.targets?.[0]?.id))?.hash);
          said.push(String(hash));
        }
        const date = new Date(received);
        assert.ok((date.getUTCFullYear() - 1970) * 12 + date.getUTCMonth() <= epoch);
        assert.equal(seen.has(index), false);
        seen.set(index, { id: event.id.replaceAll('-', ''), emitter: event.emitter.id, seq: event.emitter.seq });
      }
    };
    for (const name of Object.keys(files).filter((known) => known.startsWith('blocks/'))) {
      for (const at = new Cursor(counted(name)); !at.done; ) {
        const length = at.uint(4);
        const crc = at.uint(4);
        const block = at.take(length);
        assert.equal(crc32(block), crc);
        open(block);
      }
    }
    assert.equal(seen.size, size);
    const leaves = Array.from({ length: stored.length / 32 }, (_, i) =>
      sha(Buffer.of(0, leaf), stored.subarray(32 * i, 32 * i + 32)),
    );
    for (const part of journal) {
      part.blocks.forEach(open);
      const end = part.sizeBefore + part.count;
      assert.deepEqual(rootOf(leaves.slice(0, end)), part.root);
      for (let i = 0; i < part.count; i++) {
        const id = part.ids.subarray(16 * i, 16 * i + 16).toString('hex');
        assert.deepEqual(seen.get(part.sizeBefore + i), { id, ...part.seqs[i] });
      }
    }
    assert.equal(seen.size, leaves.length);
    for (const { size, root } of [...stated, checkpoint])
      assert.equal(rootOf(leaves.slice(0, size)).toString('base64'), root, `the root at ${size}`);
    // January, February, and March, in which nothing happened, as the logs say themselves; the last one began in April.
    assert.deepEqual([...seals.keys()], tenant === 'research' ? [674] : [671, 672, 673, 674]);
    assert.ok(said.length > 0 || tenant === 'research');
    assert.equal(checkpoint.size, leaves.length);
  });
}
