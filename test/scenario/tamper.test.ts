/** Whoever changes what was written, in whatever way, is found by `verify`, which names the place and ends with 3. */
import assert from 'node:assert/strict';
import { cp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { after, before, test } from 'node:test';
import { verifyLedger } from '@watchglass/record/reader';
import { makeFolder, watchglass, watchglassJson } from './command.fixture.ts';
import { anEvent, type Installation, install, post, serve } from './server.fixture.ts';

const events = 700;

let folder: Awaited<ReturnType<typeof makeFolder>>;
let here: Installation;
/** A checkpoint from when half of it was there, and the whole directory of that time. */
let earlier: { readonly checkpoint: string; readonly data: string };

before(async () => {
  folder = await makeFolder('tamper');
  here = await install(join(folder.path, 'installation'));
  await writeHalf();
  earlier = { checkpoint: join(folder.path, 'earlier.checkpoint'), data: join(folder.path, 'earlier') };
  await cp(here.dataDir, earlier.data, { recursive: true });
  await writeHalf();
  await cp(join(here.dataDir, 'ledger/clinic/checkpoint'), earlier.checkpoint);
});

after(async () => {
  await folder?.[Symbol.asyncDispose]();
});

async function writeHalf(): Promise<void> {
  await using server = await serve(here);
  for (let sent = 0; sent < events / 2; sent += 70) {
    const kinds = ['api', 'auth', 'file'];
    const batch = Array.from({ length: 70 }, (_, at) => anEvent({ kind: kinds[at % kinds.length] }));
    const { status, body } = await post(here, batch);
    assert.equal(status, 201, JSON.stringify(body));
  }
  assert.equal(await server.stop(), 0);
}

interface Report {
  readonly intact: boolean;
  readonly findings: readonly {
    readonly code: string;
    readonly place: string;
    readonly message: string;
    readonly index?: number;
  }[];
}

/** Verifies a copy that `change` has touched. */
async function verifyChanged(
  change: (ledger: string) => Promise<void>,
  args: readonly string[] = [],
): Promise<{ code: number | null; report: Report; said: string }> {
  await using copy = await makeFolder('tampered');
  const data = join(copy.path, 'data');
  await cp(here.dataDir, data, { recursive: true });
  await change(join(data, 'ledger'));
  const { code, out, err } = await watchglass(['verify', data, '--json', '--vkey', here.vkey, ...args]);
  return { code, report: (out === '' ? { intact: false, findings: [] } : JSON.parse(out)) as Report, said: out + err };
}

/** The same without a process, for what is tried many times over. */
async function verifyChangedHere(change: (ledger: string) => Promise<void>): Promise<Report> {
  await using copy = await makeFolder('tampered');
  const data = join(copy.path, 'data');
  await cp(here.dataDir, data, { recursive: true });
  await change(join(data, 'ledger'));
  try {
    return await verifyLedger({ ledgerDir: join(data, 'ledger'), keysDir: join(data, 'keys'), vkey: here.vkey });
  } catch (error) {
    return { intact: false, findings: [{ code: 'unreadable', place: '', message: String(error) }] };
  }
}

/** By its file; a commitment is named by its index, since a commitment and a record that disagree may both be meant. */
function assertNames(report: Report, file: string, where: string): void {
  const named = report.findings.some(
    ({ place, message, index }) =>
      `${place} ${message}`.includes(file.split('/').at(-1)!) || (file.endsWith('.wgc') && index !== undefined),
  );
  assert.ok(named, `${file} ${where} is not named in ${JSON.stringify(report.findings)}`);
}

async function filesUnder(dir: string): Promise<string[]> {
  const entries = await readdir(dir, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => relative(dir, join(entry.parentPath, entry.name)))
    .sort();
}

async function flip(path: string, at: number): Promise<void> {
  const bytes = await readFile(path);
  bytes[at] = bytes[at]! ^ 0x01;
  await writeFile(path, bytes);
}

function assertFound(result: Awaited<ReturnType<typeof verifyChanged>>, place: string): void {
  assert.equal(result.code, 3, `${place}: ${result.said}`);
  assert.equal(result.report.intact, false);
  const all = `${result.report.findings.map((finding) => `${finding.place} ${finding.message}`).join('\n')}`;
  assert.ok(all.includes(place), `expected ${place} to be named in:\n${all}`);
}

test('untouched it is intact, and contains what was remembered', async () => {
  const report = await watchglassJson<Report>([
    'verify',
    here.dataDir,
    '--vkey',
    here.vkey,
    '--checkpoint',
    earlier.checkpoint,
  ]);
  assert.deepEqual([report.intact, report.findings], [true, []]);
  const people = await watchglass(['verify', here.dataDir, '--vkey', here.vkey, '--full']);
  assert.equal(people.code, 0, people.err);
  assert.match(people.out, /intact/);
});

test('a flipped bit anywhere in any file is found, and the place named', async () => {
  const ledger = join(here.dataDir, 'ledger');
  const files = await filesUnder(ledger);
  const kinds = new Set(files.map((file) => file.replace(/[0-9a-f]{8,}|\d+/g, '#')));
  assert.ok(kinds.size >= 4, [...kinds].join(' '));
  for (const file of files) {
    const { size } = await stat(join(ledger, file));
    for (const at of new Set([0, 40, Math.floor(size / 3), Math.floor(size / 2), size - 2, size - 1])) {
      if (at >= size || at < 0) continue;
      const report = await verifyChangedHere((copy) => flip(join(copy, file), at));
      assert.equal(report.intact, false, `${file} byte ${at} of ${size}`);
      assertNames(report, file, `byte ${at} of ${size}`);
    }
  }
});

test('a file cut by one byte, and a file that is gone, are found', async () => {
  const ledger = join(here.dataDir, 'ledger');
  for (const file of await filesUnder(ledger)) {
    const bytes = await readFile(join(ledger, file));
    if (bytes.length === 0) continue;
    const cut = await verifyChangedHere((copy) => writeFile(join(copy, file), bytes.subarray(0, -1)));
    assert.equal(cut.intact, false, `${file} cut`);
    const gone = await verifyChangedHere((copy) => rm(join(copy, file)));
    assert.equal(gone.intact, false, `${file} gone`);
  }
});

test('the command ends with 3 and names the place, for people and for programs', async () => {
  const ledger = join(here.dataDir, 'ledger');
  const block = (await filesUnder(ledger)).find((file) => file.endsWith('.wgb'))!;
  const { size } = await stat(join(ledger, block));
  const result = await verifyChanged((copy) => flip(join(copy, block), size - 20));
  assertFound(result, block);
  assert.match(result.said, /"code":"not-intact"/);
  await using copy = await makeFolder('tampered');
  await cp(here.dataDir, copy.path, { recursive: true });
  await flip(join(copy.path, 'ledger', block), size - 20);
  const people = await watchglass(['verify', copy.path]);
  assert.equal(people.code, 3);
  assert.match(people.out, new RegExp(`✘ ${block.replaceAll('.', '\\.')} \\(block \\d+`));
  assert.match(people.err, /is not intact/);
});

test('two blocks that changed places, and a last block that was dropped, are found', async () => {
  const ledger = join(here.dataDir, 'ledger');
  const blocks = (await filesUnder(ledger)).filter((file) => file.endsWith('.wgb'));
  assert.ok(blocks.length > 0, 'nothing is archived: stopping a server archives its finished steps');
  for (const file of blocks) {
    const bytes = await readFile(join(ledger, file));
    const parts = blocksOf(bytes);
    const dropped = await verifyChanged((copy) => writeFile(join(copy, file), Buffer.concat(parts.slice(0, -1))));
    assertFound(dropped, file.split('/').at(-1)!);
    if (parts.length < 2) continue;
    const swapped = [parts[1]!, parts[0]!, ...parts.slice(2)];
    const result = await verifyChanged((copy) => writeFile(join(copy, file), Buffer.concat(swapped)));
    assertFound(result, file.split('/').at(-1)!);
  }
});

/** docs/format.md, "Archive": each block as u32 length ‖ u32 CRC-32 ‖ block. */
function blocksOf(bytes: Buffer): Buffer[] {
  const parts: Buffer[] = [];
  for (let at = 0; at < bytes.length; ) {
    const end = at + 8 + bytes.readUInt32BE(at);
    parts.push(bytes.subarray(at, end));
    at = end;
  }
  return parts;
}

test('an older copy of one file is found', async () => {
  const ledger = join(here.dataDir, 'ledger');
  let older = 0;
  for (const file of await filesUnder(join(earlier.data, 'ledger'))) {
    const before = await readFile(join(earlier.data, 'ledger', file));
    const now = await readFile(join(ledger, file)).catch(() => undefined);
    if (now === undefined || before.equals(now)) continue;
    older++;
    const result = await verifyChanged((copy) => writeFile(join(copy, file), before));
    assert.equal(result.code, 3, `${file} of before: ${result.said}`);
  }
  assert.ok(older >= 2, 'the manifest and the checkpoint at least have changed');
});

test('the whole directory of before is intact by itself, and found out by a remembered checkpoint', async () => {
  const alone = await watchglass(['verify', earlier.data]);
  assert.equal(alone.code, 0, alone.err);
  assert.match(alone.out, /agrees with itself/);
  const pinned = await watchglass(['verify', earlier.data, '--checkpoint', earlier.checkpoint]);
  assert.equal(pinned.code, 3, pinned.out + pinned.err);
  assert.match(pinned.out, /checkpoint/);
});

test('a log that was written anew from the beginning is found out by the key', async () => {
  await using other = await makeFolder('forged');
  const forged = await install(join(other.path, 'installation'));
  const { code, out } = await watchglass(['verify', forged.dataDir, '--vkey', here.vkey]);
  assert.equal(code, 3, out);
  const { code: byCheckpoint } = await watchglass(['verify', forged.dataDir, '--checkpoint', earlier.checkpoint]);
  assert.equal(byCheckpoint, 3);
});

test('a server does not start on what was changed, or starts read-only and says why', async () => {
  await using copy = await makeFolder('damaged');
  const dataDir = join(copy.path, 'data');
  await cp(here.dataDir, dataDir, { recursive: true });
  const manifest = join(dataDir, 'ledger/manifest');
  await flip(manifest, Math.floor((await stat(manifest)).size / 2));
  const config = join(copy.path, 'watchglass.yaml');
  await writeFile(config, (await readFile(here.config, 'utf8')).replace('./data', dataDir));
  const damaged: Installation = { ...here, dir: copy.path, dataDir, config };
  try {
    await using server = await serve(damaged, '/healthz');
    const { status, body } = await post(damaged, anEvent());
    assert.equal(status, 503);
    assert.equal(body.code, 'read-only');
    await server.stop();
  } catch (error) {
    assert.match(String(error), /manifest|ledger/i);
  }
});
