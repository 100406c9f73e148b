/** What an operator does by hand to the ledger of a stopped server, from the first key to the successor; verify follows all of it. */
import assert from 'node:assert/strict';
import { copyFile, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { readConfig, startServer } from '@watchglass/server';
import { run } from '../main.ts';
import { freePort } from '../ports.ts';

let dir: string;
let vkey: string;

interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

async function watchglass(...argv: readonly string[]): Promise<Ran> {
  let out = '';
  let err = '';
  const code = await run(argv, {
    stdout: { write: (text) => (out += text) },
    stderr: { write: (text) => (err += text) },
    env: {},
    cwd: dir,
    signal: new AbortController().signal,
  });
  return { code, out, err };
}

before(async () => {
  dir = await mkdtemp(join(tmpdir(), 'watchglass-local-'));
  const { code, out, err } = await watchglass('init', '.', '--origin', 'watchglass.example', '--json');
  assert.equal(code, 0, err);
  ({ vkey } = JSON.parse(out) as { vkey: string });
});

after(() => rm(dir, { recursive: true }));

async function rotate(
  ...options: string[]
): Promise<{ vkeys: string[]; statement?: { number: number; kind: string } }> {
  const { code, out, err } = await watchglass(
    'keys',
    'rotate-checkpoint',
    'clinic',
    '--data',
    'data',
    '--json',
    ...options,
  );
  assert.equal(code, 0, err);
  return JSON.parse(out) as { vkeys: string[]; statement?: { number: number; kind: string } };
}

async function verify(...options: string[]): Promise<{ code: number; codes: string[]; tenants: string[] }> {
  const { code, out, err } = await watchglass('verify', 'data', '--json', '--full', ...options);
  assert.notEqual(out, '', err);
  const report = JSON.parse(out) as { findings: { code: string }[]; tenants: { tenant: string }[] };
  return { code, codes: report.findings.map((one) => one.code), tenants: report.tenants.map((one) => one.tenant) };
}

test('a key is replaced with an overlap, another one is added, and whoever pinned the first finds the log intact', async () => {
  const seals = await readdir(join(dir, 'data/ledger/clinic/seals'));
  assert.equal(seals.length, 1);
  await copyFile(join(dir, 'data/ledger/clinic/seals', seals[0] ?? ''), join(dir, 'first.seal'));
  const during = await rotate();
  assert.deepEqual([during.vkeys[1], during.statement?.number, during.statement?.kind], [vkey, 1, 'planned']);
  assert.deepEqual(await verify('--vkey', vkey), { code: 0, codes: [], tenants: ['clinic'] });
  assert.equal((await rotate('--end-overlap')).vkeys.length, 1);
  assert.equal((await rotate('--add-ml-dsa-44')).vkeys.length, 2);
  for (const options of [['--vkey', vkey], ['--vkey', during.vkeys[0] ?? ''], ['--seal', 'first.seal'], []])
    assert.deepEqual(await verify(...options), { code: 0, codes: [], tenants: ['clinic'] });
});

test('a compromised key is revoked, and whoever pinned it is told', async () => {
  const { vkeys, statement } = await rotate('--compromised', '--trusted', '1');
  assert.equal(statement?.kind, 'compromised');
  assert.deepEqual(await verify('--vkey', vkey), { code: 3, codes: ['key-revoked'], tenants: ['clinic'] });
  assert.equal((await verify('--vkey', vkeys[0] ?? '')).code, 0);
});

test('wrong usage, a tenant that is not there and a server that runs are said in words', async () => {
  const refused = async (expected: number, ...options: string[]): Promise<string> => {
    const { code, err } = await watchglass('keys', 'rotate-checkpoint', ...options);
    assert.equal(code, expected, err);
    return err;
  };
  assert.match(await refused(2, 'clinic', '--data', 'data', '--compromised', '--end-overlap'), /at most one of/);
  assert.match(await refused(2, 'clinic', '--data', 'data', '--trusted', '4'), /goes with --compromised/);
  assert.match(await refused(1, 'elsewhere', '--data', 'data'), /no log/);
  assert.match(await refused(1, 'clinic', '--data', 'data', '--end-overlap'), /nothing is to be ended/);
  const config = await readConfig(join(dir, 'watchglass.yaml'));
  const issuer =
    config.issuer.kind === 'embedded'
      ? { ...config.issuer, listen: { host: '127.0.0.1', port: await freePort() } }
      : config.issuer;
  const port = await freePort();
  const here = { ...config, issuer, listen: { host: '127.0.0.1', port }, url: `http://localhost:${port}` };
  await using server = await startServer({ ...here, log: { level: 'silent' } });
  assert.equal(server.state.kind, 'writable');
  assert.match(await refused(1, 'clinic', '--data', 'data'), /a server runs/);
  // Behind a URL the same is checked.
  const { code, out } = await watchglass('verify', server.url, '--vkey', vkey, '--json');
  assert.deepEqual(
    [code, (JSON.parse(out) as { findings: { code: string }[] }).findings.map((one) => one.code)],
    [3, ['key-revoked']],
  );
  const seal = await watchglass('verify', server.url, '--seal', 'first.seal', '--json');
  assert.equal(seal.code, 0, seal.err + seal.out);
});

test('a successor goes on, says its recovery point, and verify follows it to the old ledger', async () => {
  const { code, out, err } = await watchglass('ledger', 'succeed', '--data', 'data');
  assert.equal(code, 0, err);
  assert.match(
    out,
    /clinic: watchglass.example\/clinic\/2 goes on from watchglass.example\/clinic, left at \d+ events/,
  );
  assert.match(out, /recovery point 20\d\d-/);
  assert.deepEqual(await verify(), { code: 0, codes: [], tenants: ['clinic', 'ledger.1/clinic'] });
  assert.deepEqual((await verify('--no-predecessors')).tenants, ['clinic']);
  await rm(join(dir, 'data/ledger.1/clinic/checkpoint'));
  assert.deepEqual((await verify()).codes, ['file-missing']);
});
