/**
 * The second verifier's part on shreds and holds, written from docs/format.md alone ("Shreds", "Holds"): it imports nothing of ours. It accounts for every index of the
 * golden log, shredded ones by their evidence, and opens what the hold kept.
 */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { crc32, zstdDecompressSync } from 'node:zlib';
import { hmac, openGcm, sha, u32, u64 } from './octets.fixture.ts';

const golden = join(import.meta.dirname, 'v1-shredded');
const log = join(golden, 'ledger/clinic');
const manifest = JSON.parse((readFileSync(join(golden, 'ledger/manifest'), 'utf8').split('\n')[0] as string) ?? '') as {
  tenants: Record<string, { origin: string; size: number; files: Record<string, number> }>;
};
const { origin, size, files } = manifest.tenants.clinic as (typeof manifest.tenants)[string];

const stored = Buffer.concat(
  Object.keys(files)
    .filter((name) => name.startsWith('commitments/'))
    .sort()
    .map((name) => readFileSync(join(log, name)).subarray(0, files[name])),
);

function assertOpens(index: number, r: Buffer, m: Buffer): void {
  const commitment = sha('watchglass/c/v1\0', sha(origin), u64(index), r, u32(m.length), m);
  assert.deepEqual(commitment, stored.subarray(32 * index, 32 * index + 32), `index ${index}`);
}

interface Said {
  readonly submitter: string;
  readonly event: {
    readonly kind: string;
    readonly site: string;
    readonly operation: string;
    readonly targets: readonly { readonly type: string; readonly id: string }[];
    readonly changes: readonly { readonly path: string; readonly after: string }[];
  };
}

/** An opened event of the log, from a line of a record. */
function eventOf(line: string): { readonly index: number; readonly said: Said } {
  const { index, r, m } = JSON.parse(line) as { index: number; r: string; m: string };
  assert.equal(line, JSON.stringify({ index, r, m }));
  const record = Buffer.from(m, 'base64');
  assertOpens(index, Buffer.from(r, 'base64'), record);
  const said = JSON.parse(record.toString()) as Said;
  assert.deepEqual([said.submitter, said.event.kind, said.event.site], ['self', 'system', 'ledger']);
  return { index, said };
}

interface Terms {
  readonly class: string;
  readonly epoch: number;
  readonly events: number;
  readonly first: number;
  readonly last: number;
  readonly ranges: string;
  readonly seeds: readonly (readonly [string, string])[];
  readonly held: readonly (readonly [string, number])[];
}

const shredded = new Map<number, string>();
const heldBy = new Map<string, number>();

test('every record of a shred stands on two events of the log', () => {
  const names = readdirSync(join(log, 'shreds')).filter((name) => !name.endsWith('.ranges'));
  assert.deepEqual(names, ['access-672']);
  for (const unit of names) {
    const [first = '', second = '', third = '', rest] = readFileSync(join(log, 'shreds', unit), 'utf8').split('\n');
    assert.equal(rest, '');
    const terms = JSON.parse(first) as Terms;
    assert.equal(unit, `${terms.class}-${terms.epoch}`);
    const begun = eventOf(second);
    const done = eventOf(third);
    assert.ok(begun.index < done.index && done.index < size);
    for (const [{ said }, operation] of [
      [begun, 'shred-begun'],
      [done, 'shred-completed'],
    ] as const) {
      assert.equal(said.event.operation, operation);
      assert.deepEqual([said.event.targets[0]?.type, said.event.targets[0]?.id], ['Shred', unit]);
      assert.equal(said.event.changes.find(({ path }) => path === '/terms')?.after, sha(first).toString('hex'));
    }
    const ranges = readFileSync(join(log, 'shreds', `${unit}.ranges`));
    assert.equal(sha(ranges).toString('hex'), terms.ranges);
    let end = -1;
    for (let at = 0; at < ranges.length; at += 12) {
      const from = Number(ranges.readBigUInt64BE(at));
      const count = ranges.readUInt32BE(at + 8);
      assert.ok(from > end && count > 0);
      end = from + count;
      for (let index = from; index < end; index++) shredded.set(index, unit);
    }
    assert.deepEqual([shredded.size, Math.min(...shredded.keys()), end - 1], [terms.events, terms.first, terms.last]);
    for (const [name] of terms.seeds) assert.ok(!existsSync(join(log, 'seeds', name)), `${name} is gone`);
    assert.ok(!readdirSync(join(log, 'blocks')).some((name) => name.startsWith(`${unit}-`)));
    for (const [hold, count] of terms.held) heldBy.set(hold, count);
  }
});

test('every index is in a block or was shredded, and none is both', () => {
  const seen = new Set<number>();
  for (const name of Object.keys(files).filter((known) => known.startsWith('blocks/'))) {
    const bytes = readFileSync(join(log, name)).subarray(0, files[name]);
    for (let at = 0; at < bytes.length; at += 8 + bytes.readUInt32BE(at)) {
      const block = bytes.subarray(at + 8);
      let from = 4 + 1 + 1 + block.readUInt8(5) + 32 + 4 + 16 + 4 + 8 + 16 + 4;
      const count = block.readUInt16BE(from);
      from += 2;
      for (let i = 0; i < count; i++, from += 12) {
        const first = Number(block.readBigUInt64BE(from));
        for (let index = first; index < first + block.readUInt32BE(from + 8); index++) {
          assert.ok(!seen.has(index) && !shredded.has(index), `index ${index}`);
          seen.add(index);
        }
      }
    }
  }
  assert.equal(seen.size + shredded.size, size);
});

test('what a hold kept opens the commitments, and what was released is gone', () => {
  const keys = new Map<string, Buffer>();
  for (const name of readdirSync(join(golden, 'keys')).filter((one) => /^kek(-[0-9a-f]{16})?$/.test(one))) {
    const kek = readFileSync(join(golden, 'keys', name));
    keys.set(`local:${sha('watchglass/v1/kek-id', kek).toString('hex').slice(0, 16)}`, kek);
  }
  let released = 0;
  for (const id of readdirSync(join(log, 'holds'))) {
    const dir = join(log, 'holds', id);
    if (existsSync(join(dir, 'released'))) {
      released++;
      const { said } = eventOf(readFileSync(join(dir, 'released'), 'utf8').trimEnd());
      assert.deepEqual([said.event.operation, said.event.targets[0]?.id], ['hold-released', id]);
      assert.deepEqual(readdirSync(dir), ['released']);
      continue;
    }
    const { kek, wrapped } = JSON.parse(readFileSync(join(dir, 'seed'), 'utf8')) as { kek: string; wrapped: string };
    const bytes = Buffer.from(wrapped, 'base64');
    const aad = Buffer.from(`watchglass/v1/hold-seed\n${origin}\n${id}\n`);
    const seed = openGcm(keys.get(kek) as Buffer, bytes.subarray(0, 12), bytes.subarray(12), aad);
    const terms = readFileSync(join(dir, 'terms'));
    assert.equal(terms.subarray(0, 4).toString(), 'WGT1');
    assert.deepEqual(terms.subarray(4, 52), Buffer.concat([sha(origin), Buffer.from(id, 'hex')]));
    const header = terms.subarray(0, 72);
    const termsKey = hmac(hmac(terms.subarray(52, 68), seed), 'watchglass/v1/hold-terms', header, Buffer.of(1));
    const said = JSON.parse(openGcm(termsKey, Buffer.alloc(12), terms.subarray(72), header).toString()) as {
      criteria: { patient: string };
    };
    let kept = 0;
    for (const name of readdirSync(dir).filter((one) => one.endsWith('.wgh'))) {
      const file = readFileSync(join(dir, name));
      for (let at = 0; at < file.length; at += 8 + file.readUInt32BE(at)) {
        const copy = file.subarray(at + 8, at + 8 + file.readUInt32BE(at));
        assert.equal(crc32(copy), file.readUInt32BE(at + 4));
        for (const { index, m } of openCopy(copy, id, seed)) {
          assert.equal(`${shredded.get(index)}.wgh`, name);
          assert.ok(m.includes(said.criteria.patient));
          kept++;
        }
      }
    }
    assert.equal(kept, heldBy.get(id));
  }
  assert.equal(released, 1);
});

function* openCopy(copy: Buffer, id: string, seed: Buffer): Generator<{ readonly index: number; readonly m: string }> {
  assert.equal(copy.subarray(0, 4).toString(), 'WGH1');
  let at = 6 + copy.readUInt8(5);
  assert.deepEqual(copy.subarray(at, at + 32), sha(origin));
  assert.equal(copy.subarray(at + 36, at + 52).toString('hex'), id);
  const salt = copy.subarray(at + 52, at + 68);
  const plainBytes = copy.readUInt32BE(at + 68);
  const count = copy.readUInt32BE(at + 72);
  at += 76;
  const indexes: number[] = [];
  for (let i = 0; i < count; i++, at += 12) {
    const first = Number(copy.readBigUInt64BE(at));
    for (let k = 0; k < copy.readUInt32BE(at + 8); k++) indexes.push(first + k);
  }
  const header = copy.subarray(0, at + 4);
  assert.equal(copy.readUInt32BE(at), copy.length - header.length);
  const key = hmac(hmac(salt, seed), 'watchglass/v1/hold-copy', header, Buffer.of(1));
  const body = openGcm(key, Buffer.alloc(12), copy.subarray(header.length), header);
  const plain = copy[4] === 1 ? zstdDecompressSync(body) : body;
  assert.equal(plain.length, plainBytes);
  let position = 0;
  for (const index of indexes) {
    const r = plain.subarray(position, position + 32);
    const m = plain.subarray(position + 36, position + 36 + plain.readUInt32BE(position + 32));
    assertOpens(index, r, m);
    yield { index, m: m.toString() };
    position += 36 + m.length;
  }
  assert.equal(position, plain.length);
}
