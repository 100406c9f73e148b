import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { crc32 } from 'node:zlib';
import { type Event, parseTenantId } from '@watchglass/record';
import { frameHeaderBytes, type LedgerFiles, type VerifyReport, verifyLedger } from '@watchglass/record/reader';
import { encodeBatch } from './encoded-batch.ts';
import {
  clinic,
  digestOf,
  filesInMemory,
  item,
  items,
  memoryFiles,
  type TestPlace,
  testPlace,
} from './ledger.fixture.ts';

// One ledger for the whole file: archived twice, with three groups in the journal, two tenants, as a killed process leaves it.
let place: TestPlace;
let contents: Map<string, Uint8Array>;
let olderContents: Map<string, Uint8Array>;
let files: LedgerFiles;
let vkey: string;
let newest: string;
const other = parseTenantId('other');
const seed = 20260314;

before(async () => {
  const origin = await testPlace();
  const run = async (last: boolean): Promise<void> => {
    const ledger = await origin.open();
    await ledger.addTenant(clinic);
    await ledger.addTenant(other);
    for (const kind of ['api', 'review', 'auth'] as const) await ledger.append(clinic, items(origin, 6, { kind }));
    await ledger.append(other, [theirs(origin)]);
    vkey = ledger.vkey(clinic);
    newest = ledger.head(clinic).checkpoint;
    if (last) place = await origin.copy();
    await ledger[Symbol.asyncDispose]();
  };
  await run(false);
  olderContents = (await filesInMemory(origin.ledgerDir)).contents;
  await run(false);
  await run(true);
  ({ contents, files } = await filesInMemory(place.ledgerDir));
  olderContents = new Map([...olderContents].map(([name, bytes]) => [name.replace(origin.dir, place.dir), bytes]));
  await origin.remove();
});

after(() => place.remove());

function theirs(from: TestPlace): ReturnType<typeof item> {
  const mine = item(from, { emitter: { id: 'their-gateway', seq: 1 } });
  const event = { ...mine.event, tenant: other };
  return { event, envelope: { ...mine.envelope, digest: digestOf(event as Event) } } as ReturnType<typeof item>;
}

function verify(given: LedgerFiles = files, checkpoint?: string): Promise<VerifyReport> {
  const { ledgerDir, keysDir } = place;
  const keyed: LedgerFiles = {
    ...given,
    readFile: (path) => (path === `${keysDir}/kek` ? readFile(path) : given.readFile(path)),
  };
  return verifyLedger({ ledgerDir, keysDir, vkey, files: keyed, ...(checkpoint === undefined ? {} : { checkpoint }) });
}

function pathOf(pattern: RegExp): string {
  const found = [...contents.keys()].find((name) => pattern.test(name));
  assert.ok(found !== undefined, String(pattern));
  return found;
}

/** Verifies with one file replaced, or removed. */
function verifyWith(path: string, bytes: Uint8Array | undefined, checkpoint?: string): Promise<VerifyReport> {
  const changed = new Map(contents);
  if (bytes === undefined) changed.delete(path);
  else changed.set(path, bytes);
  return verify(memoryFiles(changed), checkpoint);
}

function codesOf(report: VerifyReport): string[] {
  return [...new Set(report.findings.map(({ code }) => code))].sort();
}

test('the ledger that is tampered with here is intact before', async () => {
  const report = await verify();
  assert.deepEqual(report.findings, []);
  assert.deepEqual(
    report.tenants.map(({ tenant, size, opened }) => [tenant, size, opened]),
    [
      ['clinic', 54, 54],
      ['other', 3, 3],
    ],
  );
  assert.ok(report.pinned && report.opened);
});

test('a changed byte anywhere is found: every byte of the small files, a sample of every file', async () => {
  let state = seed;
  const random = (below: number): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state % below;
  };
  const everyByte = new Set(
    [/ledger\/manifest$/, /clinic\/checkpoint$/, /clinic\/vkey$/, /clinic\/seeds\/access/].map(pathOf),
  );
  for (const [path, bytes] of contents) {
    const count = everyByte.has(path) ? bytes.length : Math.min(bytes.length, 30);
    for (let i = 0; i < count; i++) {
      const at = everyByte.has(path) ? i : random(bytes.length);
      const changed = Uint8Array.from(bytes);
      changed[at] = (changed[at] as number) ^ (1 << random(8));
      const report = await verifyWith(path, changed);
      assert.ok(!report.intact, `${path.replace(place.dir, '')} byte ${at}, seed ${seed}`);
      for (const finding of report.findings) assert.ok(finding.place.length > 0 && finding.message.length > 10);
    }
  }
});

test('a byte more at the end of a file is found, but for left-overs that count for nothing', async () => {
  for (const [path, bytes] of contents) {
    const report = await verifyWith(path, Buffer.concat([bytes, Uint8Array.of(0)]));
    const leftover = /\.(wgb|wgc|wgj)$/.test(path);
    assert.equal(report.intact, leftover, path.replace(place.dir, ''));
  }
});

test('a missing file is found', async () => {
  for (const path of contents.keys())
    assert.ok(!(await verifyWith(path, undefined)).intact, path.replace(place.dir, ''));
});

test('a file that no ledger has is found, wherever it lies', async () => {
  for (const name of [
    'extra',
    'clinic/extra',
    'clinic/blocks/extra',
    'clinic/seeds/extra',
    'clinic/tile/1/000',
    'clinic/tile/0/000',
    'journal/extra',
    'ghost/vkey',
  ]) {
    const report = await verifyWith(`${place.ledgerDir}/${name}`, Uint8Array.of(1));
    assert.ok(!report.intact, name);
  }
});

test('damage and tampering are told apart', async () => {
  const path = pathOf(/clinic\/blocks\/access.*\.wgb$/);
  const bytes = contents.get(path) as Uint8Array;
  const damaged = Uint8Array.from(bytes);
  damaged[bytes.length - 1] = (damaged[bytes.length - 1] as number) ^ 1;
  assert.deepEqual(codesOf(await verifyWith(path, damaged)), ['block-damaged', 'index-missing']);
  // Who tampers on purpose puts the CRC right too.
  const at = lastFrame(bytes);
  const repaired = Buffer.from(damaged);
  repaired.writeUInt32BE(crc32(damaged.subarray(at + frameHeaderBytes)), at + 4);
  assert.deepEqual(codesOf(await verifyWith(path, repaired)), ['block-tampered']);
});

function framesOf(bytes: Uint8Array): Uint8Array[] {
  const frames: Uint8Array[] = [];
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  for (let at = 0; at < bytes.length; ) {
    const end = at + frameHeaderBytes + view.getUint32(at);
    frames.push(bytes.subarray(at, end));
    at = end;
  }
  return frames;
}

function lastFrame(bytes: Uint8Array): number {
  return bytes.length - (framesOf(bytes).at(-1) as Uint8Array).length;
}

test('a dropped last block, and two that swapped files, are found with their indexes', async () => {
  const path = pathOf(/clinic\/blocks\/access.*\.wgb$/);
  const bytes = contents.get(path) as Uint8Array;
  const dropped = await verifyWith(path, bytes.subarray(0, lastFrame(bytes)));
  assert.ok(codesOf(dropped).includes('file-short') && codesOf(dropped).includes('index-missing'));
  assert.equal(dropped.findings.find(({ code }) => code === 'index-missing')?.index, 18);
  const review = pathOf(/clinic\/blocks\/oversight.*\.wgb$/);
  const swapped = new Map(contents).set(path, contents.get(review) as Uint8Array).set(review, bytes);
  assert.ok(codesOf(await verify(memoryFiles(swapped))).includes('block-misplaced'));
});

test('two blocks that changed places in one file are found', async () => {
  const path = pathOf(/clinic\/blocks\/access.*\.wgb$/);
  const frames = framesOf(contents.get(path) as Uint8Array);
  const [finding] = (await verifyWith(path, Buffer.concat(frames.reverse()))).findings;
  assert.deepEqual([finding?.code, finding?.block, finding?.index], ['block-misplaced', 1, 0]);
});

test('two events that changed places under the right keys do not open their commitments', async () => {
  const path = pathOf(/clinic\/commitments\/000000\.wgc$/);
  const bytes = Buffer.from(contents.get(path) as Uint8Array);
  const swapped = Buffer.concat([bytes.subarray(32, 64), bytes.subarray(0, 32), bytes.subarray(64)]);
  const report = await verifyWith(path, swapped);
  assert.deepEqual(codesOf(report), ['commitment-mismatch', 'root-mismatch']);
  assert.deepEqual(
    report.findings.filter(({ code }) => code === 'commitment-mismatch').map(({ index }) => index),
    [0, 1],
  );
});

test('an older copy of any one file is found', async () => {
  for (const [path, bytes] of olderContents) {
    const now = contents.get(path);
    if (now !== undefined && Buffer.compare(bytes, now) === 0) continue;
    // A segment that is archived since is a left-over: it counts for nothing.
    if (path.endsWith('.wgj')) continue;
    assert.ok(!(await verifyWith(path, bytes)).intact, path.replace(place.dir, ''));
  }
});

test('an older copy of the whole directory is consistent in itself, and found against a remembered checkpoint', async () => {
  const older = memoryFiles(olderContents);
  assert.deepEqual((await verify(older)).findings, []);
  assert.deepEqual(codesOf(await verify(older, newest)), ['rollback']);
});

test('a remembered checkpoint of another tree of the same log is found', async () => {
  const forged = newest.replace(/\n54\n/, '\n53\n');
  const report = await verify(files, forged);
  assert.ok(codesOf(report).includes('root-mismatch'));
});

test('another key than the pinned one is found', async () => {
  const path = `${place.ledgerDir}/clinic/vkey`;
  const report = await verifyWith(path, contents.get(`${place.ledgerDir}/other/vkey`));
  assert.ok(codesOf(report).includes('key-mismatch'));
});

test('without the key-encryption key everything but the contents is verified, and that is said', async () => {
  const report = await verifyLedger({ ledgerDir: place.ledgerDir, files });
  assert.deepEqual([report.intact, report.opened, report.pinned], [true, false, false]);
  assert.deepEqual(
    report.tenants.map(({ opened }) => opened),
    [0, 0],
  );
});

test('a changed tile is found, and so is a missing one', async () => {
  await using big = await testPlace();
  const ledger = await big.open();
  await ledger.addTenant(clinic);
  for (let sent = 0; sent < 66_000; sent += 11_000)
    await ledger.appendEncoded(clinic, encodeBatch(clinic, items(big, 11_000)));
  await ledger[Symbol.asyncDispose]();
  const held = await filesInMemory(big.ledgerDir);
  const path = join(big.ledgerDir, 'clinic/tile/1/000');
  const tile = held.contents.get(path) as Uint8Array;
  const check = (bytes: Uint8Array | undefined): Promise<VerifyReport> => {
    const changed = new Map(held.contents);
    if (bytes === undefined) changed.delete(path);
    else changed.set(path, bytes);
    return verifyLedger({ ledgerDir: big.ledgerDir, files: memoryFiles(changed) });
  };
  assert.deepEqual((await check(tile)).findings, []);
  for (const at of [0, 4095, 8191]) {
    const changed = Uint8Array.from(tile);
    changed[at] = (changed[at] as number) ^ 1;
    const [finding] = (await check(changed)).findings;
    assert.deepEqual([finding?.code, finding?.place], ['tile-mismatch', 'clinic/tile/1/000']);
  }
  assert.deepEqual(codesOf(await check(undefined)), ['file-missing']);
});
