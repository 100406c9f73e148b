import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { before, after as cleanUp, test } from 'node:test';
import { sha256 } from '#crypto';
import { encodeUtf8 } from '../bytes.ts';
import { commitmentFileName, commitmentsPerFile } from '../codec/names.ts';
import { Frontier } from '../frontier.ts';
import { tilePath } from '../tile.ts';
import { CommitmentStore } from './commitment-store.ts';
import { Findings } from './findings.ts';
import { guardedFiles } from './guarded-files.ts';
import { nodeFiles } from './ledger-files.ts';
import { beginTree, type TreeBesideCheck } from './tree-beside.ts';

const tenant = 'clinic';
const archived: number = commitmentsPerFile + 64;
const inJournal = 40;
const size = archived + inJournal;
const commitments: Uint8Array = Buffer.concat(
  Array.from({ length: size }, (_, at) => sha256(encodeUtf8(`leaf ${at}`))),
);

let ledgerDir = '';
let root: Uint8Array = new Uint8Array(0);
const commitmentFile = (number = 0): string => join(ledgerDir, tenant, commitmentFileName(number));
const tileFile = (): string => join(ledgerDir, tenant, tilePath(1, 0));

before(async () => {
  ledgerDir = join(await mkdtemp(join(tmpdir(), 'watchglass-tree-')), 'ledger');
  const frontier = new Frontier();
  const tile: Uint8Array[] = [];
  frontier.appendCommitments(commitments, (level, _n, hash) => level === 1 && tile.push(hash));
  root = frontier.root();
  for (const path of [commitmentFile(), tileFile()]) await mkdir(dirname(path), { recursive: true });
  await writeFile(commitmentFile(0), commitments.subarray(0, commitmentsPerFile * 32));
  await writeFile(commitmentFile(1), commitments.subarray(commitmentsPerFile * 32, archived * 32));
  await writeFile(tileFile(), Buffer.concat(tile));
});

cleanUp(() => rm(dirname(ledgerDir), { recursive: true, force: true }));

function check(changes: Partial<TreeBesideCheck> = {}): TreeBesideCheck {
  const findings = new Findings();
  const files = guardedFiles(nodeFiles, ledgerDir, findings);
  const dir = `${ledgerDir}/${tenant}`;
  const counted = new Map([
    [commitmentFileName(0), commitmentsPerFile * 32],
    [commitmentFileName(1), (archived - commitmentsPerFile) * 32],
  ]);
  const log = { origin: 'example.com/clinic', size: archived, files: counted };
  const tail = [{ first: archived, commitments: commitments.subarray(archived * 32) }];
  return {
    files,
    dir,
    ledgerDir,
    tenant,
    leafType: 1,
    log,
    tail,
    findings,
    commitments: new CommitmentStore(files, dir, log, tail),
    size,
    archivedSize: archived,
    stated: [{ size, root, place: `${tenant}/checkpoint`, who: 'the checkpoint' }],
    signal: undefined,
    progress: () => undefined,
    ...changes,
  };
}

/** The same answer and the same findings, on this thread and beside it; returns the codes. */
async function bothWays(changes: Partial<TreeBesideCheck> = {}): Promise<string[]> {
  const [here, beside] = [check(changes), check(changes)];
  const expected = await beginTree(here, false)();
  assert.deepEqual(await beginTree(beside, true)(), expected);
  assert.deepEqual(beside.findings.list, here.findings.list);
  assert.equal(beside.findings.count, here.findings.count);
  return here.findings.list.map(({ code }) => code);
}

async function changed(path: string, bytes: Uint8Array | undefined, run: () => Promise<void>): Promise<void> {
  const kept = await readFile(path);
  try {
    if (bytes === undefined) await rm(path);
    else await writeFile(path, bytes);
    await run();
  } finally {
    await writeFile(path, kept);
  }
}

test('a tree derived on a thread of its own is the tree, journal included', async () => {
  assert.deepEqual(await bothWays(), []);
});

test('what is wrong is found on the thread as it is here', async () => {
  const other = Buffer.from(await readFile(commitmentFile()));
  other[32 * 300] = (other[32 * 300] as number) ^ 1;
  await changed(commitmentFile(), other, async () =>
    assert.deepEqual(await bothWays(), ['tile-mismatch', 'root-mismatch']),
  );
  await changed(tileFile(), undefined, async () => assert.deepEqual(await bothWays(), ['file-missing']));
  await changed(commitmentFile(), undefined, async () => assert.deepEqual(await bothWays(), ['file-short']));
  const stated = [{ size: 77, root, place: 'journal/0', who: 'group 3' }];
  assert.deepEqual(await bothWays({ stated }), ['root-mismatch']);
});

test('a thread that fails, or is told to stop, is an error and not a tree that passed', async () => {
  await assert.rejects(beginTree(check({ log: {} as TreeBesideCheck['log'] }), true)(), TypeError);
  const signal = AbortSignal.abort(new Error('stop'));
  await assert.rejects(beginTree(check({ signal }), true)(), { name: 'AbortError' });
});
