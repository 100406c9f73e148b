/**
 * The second verifier's part on packed blocks, written from docs/format.md alone ("Packed records"): it imports nothing of ours. It opens every block of a golden
 * log that has nothing else, and derives every commitment and the signed root from what it unpacked.
 */
import assert from 'node:assert/strict';
import { createCipheriv } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { crc32, zstdDecompressSync } from 'node:zlib';
import { Cursor, hmac, openGcm, sha, u32, u64 } from './octets.fixture.ts';

const golden = join(import.meta.dirname, 'v1-packed');
const log = join(golden, 'ledger/clinic');
const kek = readFileSync(join(golden, 'keys/kek'));
const manifest = JSON.parse(readFileSync(join(golden, 'ledger/manifest'), 'utf8').split('\n')[0] as string) as {
  tenants: Record<string, { origin: string; size: number; files: Record<string, number> }>;
};
const { origin, size, files } = manifest.tenants.clinic as (typeof manifest.tenants)[string];

interface Tokens {
  literals: number;
  digits: number;
  uuids: number;
  digests: Record<number, number>;
}

const seen: Tokens = { literals: 0, digits: 0, uuids: 0, digests: {} };

/** What a sender of this form sent for an event. */
function sentText(event: string, form: number): string {
  if (form === 1) return event;
  const { v, id, time, tenant, emitter } = JSON.parse(event) as Record<string, unknown>;
  const members = (some: object): string => JSON.stringify(some).slice(1, -1);
  const head = `{${members({ v, id, time })},${members({ tenant })},${members({ emitter })},`;
  assert.ok(event.startsWith(head));
  const kept = form === 2 ? { v, id, time, tenant } : { v, id, time };
  return `{${members({ emitter })},${members(kept)},${event.slice(head.length)}`;
}

/** One record: its spelling is read from the text, and what the spelling leaves to chance from the octets. */
function unpackRecord(text: Cursor, octets: Cursor): Buffer {
  const length = text.uint(4);
  const parts: Buffer[] = [];
  let form = 0;
  let before = 0;
  for (let made = 0; made < length; made = parts.reduce((sum, part) => sum + part.length, 0)) {
    const byte = text.uint(1);
    if (byte < 0xf8) {
      seen.literals++;
      parts.push(Buffer.of(byte));
    } else if (byte === 0xfd) {
      seen.digits++;
      const count = text.uint(1);
      assert.ok(count >= 8);
      parts.push(Buffer.from(octets.take(count).toString('hex')));
    } else if (byte === 0xfe) {
      seen.uuids++;
      parts.push(
        Buffer.from(
          octets
            .take(16)
            .toString('hex')
            .replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-'),
        ),
      );
    } else {
      assert.deepEqual([byte, form], [0xff, 0]);
      form = text.uint(1);
      assert.ok(form >= 1 && form <= 3);
      seen.digests[form] = (seen.digests[form] ?? 0) + 1;
      before = made;
      parts.push(Buffer.alloc(64));
    }
  }
  const m = Buffer.concat(parts);
  assert.equal(m.length, length);
  if (form > 0) {
    const event = m.subarray(before + 64).toString();
    assert.ok(event.startsWith('","event":') && event.endsWith('}'));
    m.write(sha(sentText(event.slice(10, -1), form)).toString('hex'), before);
  }
  return m;
}

const stored = Buffer.concat(
  Object.keys(files)
    .filter((name) => name.startsWith('commitments/'))
    .sort()
    .map((name) => readFileSync(join(log, name)).subarray(0, files[name])),
);

/** Opens a packed block; gives the indexes whose commitments its records open. */
function* openPacked(bytes: Buffer): Generator<number> {
  const at = new Cursor(bytes);
  assert.equal(at.take(4).toString(), 'WGB1');
  assert.equal(at.uint(1), 2);
  const retentionClass = at.take(at.uint(1)).toString();
  at.take(32);
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
  const seedFile = readFileSync(join(log, 'seeds', `${retentionClass}-${epoch}-${writer}.json`), 'utf8');
  const wrapped = Buffer.from((JSON.parse(seedFile) as { wrapped: string }).wrapped, 'base64');
  const seedData = Buffer.from(`watchglass/v1/seed\n${origin}\n${retentionClass}\n${epoch}\n${writer}\n`);
  let stepKey = openGcm(kek, wrapped.subarray(0, 12), wrapped.subarray(12), seedData);
  for (let k = 1; k <= 32; k++) stepKey = hmac(stepKey, 'watchglass/v1/node', Buffer.of(k, (step >>> (32 - k)) & 1));
  const dek = hmac(hmac(salt, stepKey), 'watchglass/v1/block', header, Buffer.of(1));
  const packed = zstdDecompressSync(openGcm(dek, Buffer.alloc(12), sealed, header));
  assert.ok(packed.length <= plainBytes + 4);
  const parts = new Cursor(packed);
  const text = new Cursor(parts.take(parts.uint(4)));
  const octets = new Cursor(packed.subarray(parts.at));
  const opening = hmac(stepKey, 'watchglass/v1/opening');
  let unpacked = 0;
  for (const range of ranges) {
    for (let index = range.first; index < range.first + range.count; index++) {
      const m = unpackRecord(text, octets);
      unpacked += 4 + m.length;
      const counter = Buffer.concat([Buffer.alloc(8), u64(2 * (index - first))]);
      const r = createCipheriv('aes-256-ctr', opening, counter).update(Buffer.alloc(32));
      const commitment = sha('watchglass/c/v1\0', sha(origin), u64(index), r, u32(m.length), m);
      assert.deepEqual(commitment, stored.subarray(32 * index, 32 * index + 32), `index ${index}`);
      yield index;
    }
  }
  assert.deepEqual([text.done, octets.done, unpacked], [true, true, plainBytes]);
}

/** RFC 6962 §2.1 over leaf hashes. */
function rootOf(hashes: Buffer[]): Buffer {
  if (hashes.length === 1) return hashes[0] as Buffer;
  const split = 2 ** Math.ceil(Math.log2(hashes.length) - 1);
  return sha(Buffer.of(1), rootOf(hashes.slice(0, split)), rootOf(hashes.slice(split)));
}

test('a verifier written from the page opens every packed block of the golden log', () => {
  const opened: number[] = [];
  for (const name of readdirSync(join(log, 'blocks'))) {
    for (const at = new Cursor(readFileSync(join(log, 'blocks', name))); !at.done; ) {
      const length = at.uint(4);
      const crc = at.uint(4);
      const block = at.take(length);
      assert.equal(crc32(block), crc);
      opened.push(...openPacked(block));
    }
  }
  assert.deepEqual(
    opened.sort((a, b) => a - b),
    Array.from({ length: size }, (_, index) => index),
  );
  const leaves = opened.map((index) => sha(Buffer.of(0, 1), stored.subarray(32 * index, 32 * index + 32)));
  const [, checkpointSize, root] = readFileSync(join(log, 'checkpoint'), 'utf8').split('\n');
  assert.deepEqual([Number(checkpointSize), root], [size, rootOf(leaves).toString('base64')]);
  // The log has everything that there is to unpack, and digests that nothing is known of.
  assert.deepEqual(Object.keys(seen.digests), ['1', '2', '3']);
  const derived = Object.values(seen.digests).reduce((sum, count) => sum + count, 0);
  assert.ok(derived > size / 2 && derived < size && seen.uuids >= 2 * size && seen.digits > size && seen.literals > 0);
});
