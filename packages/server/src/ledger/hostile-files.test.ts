/** Whoever can change the files can also put there what is no file, or what is too large: verify names the place and ends. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, rename, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { Finding } from '@watchglass/record/reader';
import { clinic, items, type TestPlace, testPlace } from './ledger.fixture.ts';

let pristine: TestPlace;

before(async () => {
  const origin = await testPlace();
  for (const last of [false, true]) {
    const ledger = await origin.open();
    await ledger.addTenant(clinic);
    for (const count of [5, 4]) await ledger.append(clinic, items(origin, count));
    if (last) pristine = await origin.copy();
    await ledger[Symbol.asyncDispose]();
  }
  await origin.remove();
});

after(() => pristine.remove());

/** What verify finds once `damage` is done to a copy. */
async function found(damage: (place: TestPlace) => Promise<unknown>): Promise<readonly Finding[]> {
  await using place = await pristine.copy();
  await damage(place);
  const report = await place.verify();
  assert.equal(report.intact, false);
  return report.findings;
}

async function kindsOfFile(place: TestPlace): Promise<string[]> {
  const [segment = ''] = await readdir(join(place.ledgerDir, 'journal'));
  const [blocks = ''] = await readdir(join(place.ledgerDir, 'clinic/blocks'));
  const [seed = ''] = await readdir(join(place.ledgerDir, 'clinic/seeds'));
  return [
    'manifest',
    'clinic/checkpoint',
    'clinic/vkey',
    `clinic/seeds/${seed}`,
    `clinic/blocks/${blocks}`,
    'clinic/commitments/000000.wgc',
    `journal/${segment}`,
  ];
}

async function eachFile(damage: (path: string, place: TestPlace) => Promise<unknown>): Promise<void> {
  for (const name of await kindsOfFile(pristine)) {
    const findings = await found((place) => damage(join(place.ledgerDir, name), place));
    // Of a journal that is gone the checkpoint tells: it covers more than the files hold.
    const places = name.startsWith('journal/') ? [name, 'clinic/checkpoint'] : [name];
    assert.ok(
      findings.some(({ place }) => places.includes(place)),
      `${name}: ${JSON.stringify(findings)}`,
    );
  }
}

test('the ledger that is attacked here is intact before', async () => {
  assert.deepEqual((await pristine.verify()).findings, []);
});

test('a directory in place of any file is found', () =>
  eachFile(async (path) => {
    await rm(path);
    await mkdir(path);
  }));

test('a pipe in place of any file is found, and not waited for', () =>
  eachFile(async (path) => {
    await rm(path);
    execFileSync('mkfifo', [path]);
  }));

test('a link in place of any file is found, even where it leads to the right bytes', () =>
  eachFile(async (path, place) => {
    const elsewhere = join(place.dir, 'elsewhere');
    await rename(path, elsewhere);
    await symlink(elsewhere, path);
  }));

test('a link that leads to itself is found', () =>
  eachFile(async (path) => {
    await rm(path);
    await symlink(path, path);
  }));

test('a file of no bytes is found', () => eachFile((path) => truncate(path, 0)));

test('a file of three gigabytes is found where its bytes count, without reading them', () =>
  eachFile(async (path) => {
    // Bytes behind what the manifest counts are left-overs: these count.
    if (!/\.wg[bc]$/.test(path)) await truncate(path, 3 * 2 ** 30);
    else await rm(path);
  }));

test('a directory of a log that is a link is found', async () => {
  const findings = await found(async ({ dir, ledgerDir }) => {
    await rename(join(ledgerDir, 'clinic'), join(dir, 'moved'));
    await symlink(join(dir, 'moved'), join(ledgerDir, 'clinic'));
  });
  assert.ok(findings.some(({ place }) => place === 'clinic'));
});

/** The manifest with `change` made, and its hash right. */
async function manifestWith(place: TestPlace, change: (line: string) => string): Promise<void> {
  const path = join(place.ledgerDir, 'manifest');
  const [line = ''] = (await readFile(path, 'utf8')).split('\n');
  const changed = change(line);
  assert.notEqual(changed, line);
  await writeFile(path, `${changed}\n${createHash('sha256').update(changed).digest('hex')}\n`);
}

test('a manifest that claims sizes nobody has memory for is found', async () => {
  for (const size of [10, 65_537, 2 ** 40, Number.MAX_SAFE_INTEGER]) {
    const findings = await found((place) => manifestWith(place, (line) => line.replace('"size":9', `"size":${size}`)));
    assert.ok(findings.length > 0 && findings.length < 1000, JSON.stringify(findings.slice(0, 3)));
    assert.ok(findings.some(({ place }) => place === 'manifest'));
  }
});

test('a manifest that claims lengths nobody has memory for is found, with the file sparse or not', async () => {
  for (const name of ['000000.wgc', '000000.wgb']) {
    for (const sparse of [false, true]) {
      const bytes = 2 ** 36;
      const findings = await found(async (place) => {
        const pattern = new RegExp(`("(?:blocks|commitments)/[^"]*${name}"):\\d+`);
        const folder = join(place.ledgerDir, 'clinic', name.endsWith('c') ? 'commitments' : 'blocks');
        const [file = ''] = await readdir(folder);
        if (sparse) await truncate(join(folder, file), bytes);
        await manifestWith(place, (line) => line.replace(pattern, `$1:${bytes}`));
      });
      assert.ok(findings.length > 0, name);
    }
  }
});

test('a block length of four gigabytes in a sparse file gets no memory', async () => {
  const before = process.memoryUsage().rss;
  const findings = await found(async (place) => {
    const [file = ''] = await readdir(join(place.ledgerDir, 'clinic/blocks'));
    const path = join(place.ledgerDir, 'clinic/blocks', file);
    const bytes = await readFile(path);
    bytes.writeUInt32BE(0xffff_ff00, 0);
    await writeFile(path, bytes);
    await truncate(path, 2 ** 33);
    await manifestWith(place, (line) => line.replace(/("blocks\/access[^"]*"):\d+/, `$1:${2 ** 33}`));
  });
  assert.ok(findings.some(({ code }) => code === 'block-damaged'));
  assert.ok(process.memoryUsage().rss - before < 300e6);
});

test('a directory deeper than a path may be is found', async () => {
  const findings = await found(async ({ ledgerDir }) => {
    const deep = `${'d'.repeat(200)}/`.repeat(19);
    await mkdir(join(ledgerDir, 'clinic/tile', deep), { recursive: true });
    await writeFile(join(ledgerDir, 'clinic/tile', deep, 'x'), '');
  });
  assert.ok(findings.length > 0);
});

test('a journal full of beginnings of groups is found in short time', async () => {
  const started = performance.now();
  const findings = await found(async ({ ledgerDir }) => {
    const [segment = ''] = await readdir(join(ledgerDir, 'journal'));
    const path = join(ledgerDir, 'journal', segment);
    const bytes = await readFile(path);
    const number = bytes.readBigUInt64BE(12 + 4);
    const mark = Buffer.alloc(24);
    mark.write('WGG1');
    mark.writeBigUInt64BE(number + 1n, 4);
    mark.writeUInt32BE(20_000_000, 20);
    bytes[40] = (bytes[40] as number) ^ 1;
    await writeFile(path, Buffer.concat([bytes, ...new Array(1_000_000).fill(mark), Buffer.alloc(20_000_000)]));
  });
  assert.ok(findings.length > 0);
  assert.ok(performance.now() - started < 20_000);
});
