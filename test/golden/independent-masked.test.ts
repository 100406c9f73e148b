/**
 * The second verifier's part on masked segments, written from docs/format.md alone ("Group and journal"): it imports nothing of ours. It takes the mask off every
 * group of a golden journal, and derives the root of each group and the signed one from what stands in it.
 */
import assert from 'node:assert/strict';
import { createPublicKey, verify } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { crc32 } from 'node:zlib';
import { Cursor, sha } from './octets.fixture.ts';

const ledger = join(import.meta.dirname, 'v1-masked/ledger');
const manifest = JSON.parse(readFileSync(join(ledger, 'manifest'), 'utf8').split('\n')[0] as string) as {
  group: number;
  tenants: Record<string, { origin: string; size: number; files: Record<string, number> }>;
};

/** RFC 6962 §2.1 over leaf hashes. */
function rootOf(hashes: Buffer[]): Buffer {
  if (hashes.length === 1) return hashes[0] as Buffer;
  const split = 2 ** Math.ceil(Math.log2(hashes.length) - 1);
  return sha(Buffer.of(1), rootOf(hashes.slice(0, split)), rootOf(hashes.slice(split)));
}

/** The bytes of a segment with the first 12 of each group as they are without the mask. */
function unmask(stored: Buffer): Buffer {
  const header = stored.subarray(0, 12);
  assert.equal(header.toString('latin1', 0, 4), 'WGJ2');
  assert.equal(header.readUInt16BE(10), crc32(header.subarray(0, 10)) & 0xffff);
  const mask = sha(header).subarray(0, 12);
  const plain = Buffer.from(stored);
  for (let at = 12; at < plain.length; at += 28 + plain.readUInt32BE(at + 20))
    for (const [i, byte] of mask.entries()) plain[at + i] = (plain[at + i] as number) ^ byte;
  return plain;
}

interface Log {
  readonly commitments: Buffer[];
  readonly ids: string[];
}

/** Takes a tenant's part of a group in, and holds its root to what is there by then. */
function takePart(at: Cursor, logs: ReadonlyMap<string, Log>): void {
  const { commitments, ids } = logs.get(at.take(at.uint(1)).toString()) as Log;
  assert.equal(at.uint(8), commitments.length);
  const count = at.uint(4);
  const root = at.take(32);
  for (let i = 0; i < count; i++) commitments.push(at.take(32));
  for (let i = 0; i < count; i++) ids.push(at.take(16).toString('hex'));
  assert.deepEqual(rootOf(commitments.map((one) => sha(Buffer.of(0, 1), one))), root);
  let named = commitments.length - count;
  for (let runs = at.uint(4); runs > 0; runs--) {
    at.take(at.uint(1));
    at.uint(8);
    assert.equal(at.uint(8), named);
    named += at.uint(4);
  }
  assert.equal(named, commitments.length);
  for (let blocks = at.uint(4); blocks > 0; blocks--)
    assert.equal(at.take(at.uint(4)).toString('latin1', 0, 4), 'WGB1');
}

/** What the archive has, and the journal's groups behind it. */
function readLogs(): ReadonlyMap<string, Log> {
  const logs = new Map<string, Log>();
  for (const [tenant, { size, files }] of Object.entries(manifest.tenants)) {
    const name = 'commitments/000000.wgc';
    const archived = new Cursor(readFileSync(join(ledger, tenant, name)).subarray(0, files[name]));
    logs.set(tenant, { commitments: Array.from({ length: size }, () => archived.take(32)), ids: [] });
    assert.ok(archived.done);
  }
  let next = manifest.group;
  for (const name of readdirSync(join(ledger, 'journal')).sort()) {
    assert.equal(name, `${String(next).padStart(16, '0')}.wgj`);
    const stored = readFileSync(join(ledger, 'journal', name));
    const at = new Cursor(unmask(stored));
    at.take(12);
    while (!at.done) {
      const from = at.at;
      // Nothing in the file looks like the beginning of this group, wherever somebody looks for it.
      assert.equal(stored.indexOf(at.bytes.subarray(from, from + 12)), -1);
      assert.equal(at.take(4).toString(), 'WGG1');
      assert.equal(at.uint(8), next++);
      at.uint(8);
      const payload = new Cursor(at.take(at.uint(4)));
      const crc = crc32(at.bytes.subarray(from, at.at));
      assert.equal(at.uint(4), crc);
      for (let tenants = payload.uint(2); tenants > 0; tenants--) takePart(payload, logs);
      assert.ok(payload.done);
    }
  }
  assert.ok(next > manifest.group + 10);
  return logs;
}

test('a verifier written from the page takes the mask off every group, up to the signed roots', () => {
  const logs = readLogs();
  for (const [tenant, { origin, size }] of Object.entries(manifest.tenants)) {
    const { commitments, ids } = logs.get(tenant) as Log;
    assert.ok(commitments.length > size);
    const note = readFileSync(join(ledger, tenant, 'checkpoint'), 'utf8');
    const body = note.slice(0, note.lastIndexOf('\n\n') + 1);
    const root = rootOf(commitments.map((one) => sha(Buffer.of(0, 1), one)));
    assert.equal(body, `${origin}\n${commitments.length}\n${root.toString('base64')}\n`);
    const vkey = readFileSync(join(ledger, tenant, 'vkey'), 'utf8').trimEnd();
    const spki = Buffer.from(vkey.split('+').slice(2).join('+'), 'base64').subarray(1);
    const head = Buffer.from('302a300506032b6570032100', 'hex');
    const key = createPublicKey({ key: Buffer.concat([head, spki]), format: 'der', type: 'spki' });
    const signature = Buffer.from(note.trimEnd().split(' ').at(-1) ?? '', 'base64').subarray(4);
    assert.ok(verify(null, Buffer.from(body), key, signature));
    // An id that its sender chose to look like a group stands there as it came.
    assert.equal(ids.filter((id) => id.startsWith('57474731')).length, tenant === 'clinic' ? 1 : 0);
  }
});
