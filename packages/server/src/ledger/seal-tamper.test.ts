/** What becomes of a log whose seals were tampered with: flipped, dropped, swapped, replayed, forged, cut off; and of blocks put into another epoch. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { crc32 } from 'node:zlib';
import {
  generateSigner,
  hashSeal,
  parseSeal,
  parseSignerKey,
  type Signer,
  sealKeyName,
  signSeal,
} from '@watchglass/record';
import {
  encodeManifest,
  frameHeaderBytes,
  parseManifest,
  type VerifyReport,
  verifyLedger,
} from '@watchglass/record/reader';
import { clinic, filesInMemory, items, memoryFiles, type TestPlace, testPlace } from './ledger.fixture.ts';

// Three events in March, none in April, two in May, none in June, and July is open.
const march = 674;
const monthMs = 31 * 24 * 3_600_000;
let place: TestPlace;
let contents: Map<string, Uint8Array>;
/** As it was at the end of May. */
let older: Map<string, Uint8Array>;
let vkey: string;

before(async () => {
  place = await testPlace();
  const first = await place.open();
  await first.addTenant(clinic);
  await first.append(clinic, items(place, 3));
  place.clock.advance(2 * monthMs);
  await first.append(clinic, items(place, 2));
  vkey = first.vkey(clinic);
  await first[Symbol.asyncDispose]();
  older = (await filesInMemory(place.dir)).contents;
  place.clock.advance(2 * monthMs);
  const second = await place.open();
  await second.append(clinic, items(place, 1));
  await second[Symbol.asyncDispose]();
  contents = (await filesInMemory(place.dir)).contents;
});

after(() => place.remove());

const path = (epoch: number): string => join(place.ledgerDir, `clinic/seals/${epoch}`);
const bytesOf = (epoch: number): Uint8Array => contents.get(path(epoch)) as Uint8Array;

function verify(given: ReadonlyMap<string, Uint8Array>, options: { seal?: Uint8Array } = {}): Promise<VerifyReport> {
  const { ledgerDir, keysDir } = place;
  return verifyLedger({ ledgerDir, keysDir, vkey, files: memoryFiles(given), nowMs: place.clock.now(), ...options });
}

async function codesWith(changes: ReadonlyMap<number, Uint8Array | undefined>): Promise<string[]> {
  const changed = new Map(contents);
  for (const [epoch, bytes] of changes) {
    if (bytes === undefined) changed.delete(path(epoch));
    else changed.set(path(epoch), bytes);
  }
  return codesOf(await verify(changed));
}

function codesOf({ findings }: VerifyReport): string[] {
  return [...new Set(findings.map(({ code }) => code))].sort();
}

test('the log that is tampered with here is intact before', async () => {
  const report = await verify(contents);
  assert.deepEqual([report.findings, report.notes], [[], []]);
  assert.equal([...contents.keys()].filter((name) => name.includes('/seals/')).length, 5);
});

test('every flipped byte of a seal is found', async () => {
  for (const epoch of [march - 1, march + 1, march + 3]) {
    const bytes = bytesOf(epoch);
    for (let at = 0; at < bytes.length; at++) {
      const changed = Uint8Array.from(bytes);
      changed[at] = (changed[at] as number) ^ 1;
      assert.notDeepEqual(await codesWith(new Map([[epoch, changed]])), [], `byte ${at} of ${epoch}`);
    }
  }
});

test('a dropped seal is found: the first, one of an empty month, the last before the newest event', async () => {
  for (const epoch of [march - 1, march, march + 1, march + 2]) {
    assert.ok((await codesWith(new Map([[epoch, undefined]]))).includes('seal-missing'), String(epoch));
  }
  assert.deepEqual(await codesWith(new Map([[march + 3, undefined]])), ['epoch-unsealed']);
  const none = new Map(Array.from({ length: 5 }, (_, i) => [march - 1 + i, undefined] as const));
  assert.deepEqual(await codesWith(none), ['seal-missing']);
});

test('two seals that swapped names, and an older one in place of a newer, are found', async () => {
  const swapped = new Map([
    [march, bytesOf(march + 1)],
    [march + 1, bytesOf(march)],
  ]);
  assert.ok((await codesWith(swapped)).includes('seal-malformed'));
  assert.ok((await codesWith(new Map([[march + 1, bytesOf(march)]]))).includes('seal-malformed'));
});

test('a seal by another key than the one announced is forged, and so is one that does not follow the one before', async () => {
  const stranger = generateSigner(sealKeyName('watchglass.example/clinic', march + 1), new Uint8Array(32).fill(5));
  const mine = parseSeal(bytesOf(march + 1));
  assert.deepEqual(await codesWith(new Map([[march + 1, signSeal(mine, stranger)]])), ['seal-forged']);
  // Who has a key that wasn't erased can sign, and still not put the seal into the chain that follows.
  const seal = parseSeal(bytesOf(march + 2));
  const stolen = signSeal({ ...seal, size: 3, root: parseSeal(bytesOf(march)).root }, keyOf(older, march + 2));
  assert.deepEqual(await codesWith(new Map([[march + 2, stolen]])), ['epoch-mixed', 'seal-forged']);
});

/** The key of an epoch as it lay on the disk then. */
function keyOf(from: ReadonlyMap<string, Uint8Array>, epoch: number): Signer {
  const bytes = from.get(join(place.keysDir, `clinic.epoch-key-${epoch}`));
  return parseSignerKey(
    Buffer.from(bytes ?? [])
      .toString('utf8')
      .split('\n')[0] ?? '',
  );
}

test('a seal that states another root than the log has is found', async () => {
  const wrong = signSeal(
    {
      origin: 'watchglass.example/clinic',
      epoch: march + 4,
      size: 6,
      root: new Uint8Array(32),
      previous: hashSeal(bytesOf(march + 3)),
      next: generateSigner(sealKeyName('watchglass.example/clinic', march + 5), new Uint8Array(32)),
    },
    keyOf(contents, march + 4),
  );
  assert.deepEqual(await codesWith(new Map([[march + 4, wrong]])), ['root-mismatch']);
});

test('older files under newer seals are a rollback', async () => {
  const mixed = new Map(older);
  for (const [name, bytes] of contents) if (name.includes('/seals/')) mixed.set(name, bytes);
  const manifest = codesOf(await verify(mixed));
  assert.deepEqual(manifest, []);
  // With a seal of the month the older files lack.
  const later = new Map(mixed);
  const last = parseSeal(bytesOf(march + 3));
  assert.equal(last.size, 5);
  later.set(path(march + 4), nextSeal(6));
  assert.deepEqual(codesOf(await verify(later)), ['rollback']);
});

function nextSeal(size: number): Uint8Array {
  const next = generateSigner(sealKeyName('watchglass.example/clinic', march + 5), new Uint8Array(32));
  const previous = hashSeal(bytesOf(march + 3));
  const origin = 'watchglass.example/clinic';
  return signSeal(
    { origin, epoch: march + 4, size, root: new Uint8Array(32), previous, next },
    keyOf(contents, march + 4),
  );
}

test('an older copy of everything is consistent in itself, said to be old, and found against a remembered seal', async () => {
  const report = await verify(older);
  assert.deepEqual(report.findings, []);
  assert.match(report.notes.join(), /newest seal of clinic is of 2026-04/);
  assert.deepEqual(codesOf(await verify(older, { seal: bytesOf(march + 3) })), ['rollback']);
  assert.deepEqual(codesOf(await verify(contents, { seal: bytesOf(march - 1) })), []);
});

test('a log written anew with all keys of its own is found against its first seal, remembered', async () => {
  await using anew = await testPlace();
  const ledger = await anew.open();
  await ledger.addTenant(clinic);
  await ledger.append(clinic, items(anew, 3));
  await ledger[Symbol.asyncDispose]();
  const report = await verifyLedger({ ledgerDir: anew.ledgerDir, keysDir: anew.keysDir, seal: bytesOf(march - 1) });
  assert.deepEqual(codesOf(report), ['seal-forged']);
  assert.ok(report.pinned);
});

/** Moves the block file of an epoch to another one, headers, CRCs and manifest included: all that needs no key. */
function movedTo(epoch: number, target: number): Map<string, Uint8Array> {
  const changed = new Map(contents);
  const from = `blocks/access-${epoch}-000000.wgb`;
  const to = `blocks/access-${target}-000000.wgb`;
  const bytes = Buffer.from(contents.get(join(place.ledgerDir, 'clinic', from)) as Uint8Array);
  for (let at = 0; at < bytes.length; at += frameHeaderBytes + bytes.readUInt32BE(at)) {
    const block = bytes.subarray(at + frameHeaderBytes, at + frameHeaderBytes + bytes.readUInt32BE(at));
    // WGB1, codec, class with its length, hash of the origin; then the epoch.
    block.writeUInt32BE(target, 4 + 1 + 1 + 'access'.length + 32);
    bytes.writeUInt32BE(crc32(block), at + 4);
  }
  changed.delete(join(place.ledgerDir, 'clinic', from));
  changed.set(join(place.ledgerDir, 'clinic', to), bytes);
  const { group, tenants } = parseManifest(contents.get(join(place.ledgerDir, 'manifest')) as Uint8Array);
  const log = tenants.get('clinic');
  assert.ok(log !== undefined);
  const files = new Map([...log.files].map(([name, count]) => [name === from ? to : name, count]));
  changed.set(
    join(place.ledgerDir, 'manifest'),
    encodeManifest({ group, tenants: new Map([['clinic', { ...log, files }]]) }),
  );
  return changed;
}

test('a block in a file of another epoch is found without any key: earlier, later, not sealed, before the log', async () => {
  const codes = async (from: number, to: number): Promise<string[]> =>
    codesOf(await verifyLedger({ ledgerDir: place.ledgerDir, files: memoryFiles(movedTo(from, to)) }));
  assert.deepEqual(await codes(march + 2, march + 1), ['epoch-mixed']);
  assert.deepEqual(await codes(march, march + 3), ['block-misplaced', 'epoch-mixed']);
  assert.deepEqual(await codes(march + 4, march + 6), ['epoch-unsealed']);
  assert.deepEqual(await codes(march, march - 1), ['epoch-mixed']);
});
