import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { cosignerOf, formatVerifierKey, generateSigner, signNote, splitNote } from '@watchglass/record';
import { run } from '../main.ts';
import { type SmallLog, serveSmallLog } from './small-log.fixture.ts';

const size = 600;

interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

async function watchglass(argv: readonly string[], cwd = tmpdir()): Promise<Ran> {
  let out = '';
  let err = '';
  const code = await run(argv, {
    stdout: { write: (text) => (out += text) },
    stderr: { write: (text) => (err += text) },
    env: {},
    cwd,
    signal: new AbortController().signal,
  });
  return { code, out, err };
}

async function withFile(text: string, use: (path: string) => Promise<void>): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), 'watchglass-file-'));
  try {
    await writeFile(join(dir, 'file'), text);
    await use(join(dir, 'file'));
  } finally {
    await rm(dir, { recursive: true });
  }
}

async function verifyUrl(
  log: SmallLog,
  ...args: string[]
): Promise<{ code: number; findings: { code: string; place: string; index?: number }[]; pinned: boolean }> {
  const { code, out, err } = await watchglass(['verify', log.url, '--json', ...args]);
  assert.notEqual(out, '', err);
  return {
    code,
    ...(JSON.parse(out) as { findings: { code: string; place: string; index?: number }[]; pinned: boolean }),
  };
}

test('a whole log is intact, and pinned only where a key or checkpoint came from elsewhere', async () => {
  await using log = await serveSmallLog(size);
  assert.deepEqual(await verifyUrl(log).then(({ code, findings, pinned }) => ({ code, findings, pinned })), {
    code: 0,
    findings: [],
    pinned: false,
  });
  assert.equal((await verifyUrl(log, '--vkey', log.vkey)).pinned, true);
  await withFile(log.checkpointAt(300), async (path) => {
    const { code, pinned } = await verifyUrl(log, '--checkpoint', path);
    assert.deepEqual([code, pinned], [0, true]);
  });
  const people = await watchglass(['verify', log.url]);
  assert.match(
    people.out,
    /600 events, commitments only[\s\S]*✔ intact.*agrees with itself\. Give --vkey or --checkpoint/,
  );
});

test('logs of every size around a tile are intact', async () => {
  for (const size of [0, 1, 2, 255, 256, 257, 512, 513]) {
    await using log = await serveSmallLog(size);
    const { code, findings } = await verifyUrl(log, '--vkey', log.vkey);
    assert.deepEqual([code, findings], [0, []], `size ${size}`);
  }
});

test('a flipped byte of any resource is found, and the resource named', async () => {
  await using log = await serveSmallLog(size);
  for (const [path, bytes] of log.resources) {
    if (path === 'vkey') continue;
    for (const at of new Set([0, Math.floor(bytes.length / 2), bytes.length - 2])) {
      const changed = Uint8Array.from(bytes);
      changed[at] = changed[at]! ^ 1;
      log.resources.set(path, changed);
      const { code, out, err } = await watchglass(['verify', log.url, '--json', '--vkey', log.vkey]);
      assert.equal(code, 3, `${path} byte ${at}: ${err}`);
      assert.match(out + err, /clinic\/|checkpoint/, path);
    }
    log.resources.set(path, bytes);
  }
});

test('a log that grew while it was read, and dropped its partial tiles, is intact', async () => {
  await using log = await serveSmallLog(512);
  log.resources.set('checkpoint', Buffer.from(log.checkpointAt(300)));
  log.resources.set('tile/1/000.p/1', log.resources.get('tile/1/000.p/2')!.subarray(0, 32));
  const { code, findings } = await verifyUrl(log, '--vkey', log.vkey);
  assert.deepEqual([code, findings], [0, []]);
});

test('a changed entry is found with its index', async () => {
  await using log = await serveSmallLog(size);
  const path = 'tile/entries/001';
  const changed = Uint8Array.from(log.resources.get(path)!);
  changed[35 * 10 + 20]! ^= 1;
  log.resources.set(path, changed);
  const { code, findings } = await verifyUrl(log, '--vkey', log.vkey);
  assert.equal(code, 3);
  assert.deepEqual(
    findings.map((one) => [one.code, one.place, one.index]),
    [
      ['tile-differs', 'clinic/tile/0/001', 266],
      ['root-differs', 'clinic/checkpoint', undefined],
      ['tile-differs', 'clinic/tile/1/000.p/2', undefined],
    ],
  );
});

test('a missing bundle, an older log and another history are found', async () => {
  await using log = await serveSmallLog(size);
  await using older = await serveSmallLog(200);
  const bundle = log.resources.get('tile/entries/000')!;
  log.resources.delete('tile/entries/000');
  assert.equal((await verifyUrl(log)).findings[0]?.code, 'entries-missing');
  log.resources.set('tile/entries/000', bundle);
  await withFile(log.checkpointAt(300), async (path) => {
    const { code, findings } = await verifyUrl(older, '--checkpoint', path);
    assert.deepEqual([code, findings[0]?.code], [3, 'rolled-back']);
  });
  const forged = log.checkpointAt(300).replace(/^[A-Za-z0-9+/]{43}=$/m, `${'A'.repeat(43)}=`);
  await withFile(forged, async (path) => {
    assert.equal((await verifyUrl(log, '--checkpoint', path)).findings[0]?.code, 'history-changed');
  });
});

test('a log signed by another key than the given one is not intact', async () => {
  await using log = await serveSmallLog(3);
  await using other = await serveSmallLog(3);
  const { code, findings } = await verifyUrl(log, '--vkey', other.vkey);
  assert.equal(code, 3);
  assert.ok(findings.some(({ place }) => place === 'clinic/checkpoint'));
  assert.equal((await watchglass(['verify', log.url, '--vkey', 'nonsense'])).code, 2);
});

test('a seal kept from earlier pins the log: its own is intact, another log of the name is not', async () => {
  await using log = await serveSmallLog(size);
  await using other = await serveSmallLog(size);
  await withFile(Buffer.from(log.resources.get('seals/673')!).toString('utf8'), async (path) => {
    const { code, pinned } = await verifyUrl(log, '--seal', path);
    assert.deepEqual([code, pinned], [0, true]);
    assert.deepEqual(
      (await verifyUrl(other, '--seal', path)).findings.map((one) => one.code),
      ['seal-forged'],
    );
  });
  await withFile('no seal', async (path) => {
    assert.equal((await watchglass(['verify', log.url, '--seal', path])).code, 2);
  });
  log.resources.delete('seals/673');
  assert.deepEqual(
    (await verifyUrl(log)).findings.map((one) => one.code),
    ['seal-missing'],
  );
});

test('a proof without an opening is proven by the leaf in the tree, online and from a file', async () => {
  await using log = await serveSmallLog(size);
  const proven = await watchglass(['prove', '417', '--server', log.url, '--token', 't', '--vkey', log.vkey, '--json']);
  assert.equal(proven.code, 0, proven.err);
  assert.equal((JSON.parse(proven.out) as { leaf: string }).leaf, log.leafOf(417));
  await withFile(log.proofOf(417), async (path) => {
    assert.equal((await watchglass(['verify', path, '--vkey', log.vkey, '--leaf', log.leafOf(417)])).code, 0);
    assert.equal((await watchglass(['verify', path, '--vkey', log.vkey, '--leaf', log.leafOf(416)])).code, 3);
    assert.equal((await watchglass(['verify', path, '--vkey', log.vkey])).code, 2);
    assert.equal(
      (await watchglass(['verify', path, '--leaf', log.leafOf(417)])).code,
      2,
      'a proof brings no key to believe',
    );
  });
});

test('a proof whose leaf was changed on the way does not hold', async () => {
  await using log = await serveSmallLog(size);
  const path = 'tile/entries/001';
  const changed = Uint8Array.from(log.resources.get(path)!);
  changed[35 * (417 - 256) + 20]! ^= 1;
  log.resources.set(path, changed);
  const { code, err } = await watchglass(['prove', '417', '--server', log.url, '--token', 't', '--vkey', log.vkey]);
  assert.equal(code, 3);
  assert.match(err, /event 417 of clinic is not proven/);
});

test('with a policy, a quorum has to vouch for what the log still holds', async () => {
  await using log = await serveSmallLog(600);
  const cosigners = [1, 2].map((n) => cosignerOf(generateSigner(`witness.example/w${n}`, new Uint8Array(32).fill(n))));
  const cosign = (note: string, count: number): Uint8Array => {
    const { text } = splitNote(note);
    const timeSeconds = BigInt(Math.floor(Date.now() / 1000) - 7_200);
    const lines = cosigners
      .slice(0, count)
      .map((signer) => signNote(text, [signer], { timeSeconds }).slice(text.length + 1));
    return Buffer.from(note + lines.join(''));
  };
  const lines = cosigners.map((signer, at) => `witness w${at + 1} ${formatVerifierKey(signer)}`);
  const policy = [`log ${log.vkey}`, ...lines, 'group g all w1 w2', 'quorum g', ''].join('\n');
  await withFile(policy, async (path) => {
    const without = await verifyUrl(log, '--policy', path);
    assert.deepEqual([without.code, without.findings[0]?.code], [3, 'not-witnessed']);
    log.resources.set('cosigned', cosign(log.checkpointAt(300), 1));
    assert.deepEqual((await verifyUrl(log, '--policy', path)).findings[0]?.code, 'not-witnessed');
    log.resources.set('cosigned', cosign(log.checkpointAt(300), 2));
    const good = await verifyUrl(log, '--policy', path);
    assert.deepEqual([good.code, good.pinned], [0, true]);
    const people = await watchglass(['verify', log.url, '--policy', path]);
    assert.match(people.out, /witnessed to 300 by w1, w2, 2 hours ago; nobody else vouches for the 300 after it yet/);
    // The log goes on from another history, or from an older copy.
    await using other = await serveSmallLog(601);
    other.resources.set('cosigned', cosign(log.checkpointAt(300), 2));
    assert.equal((await verifyUrl(other, '--policy', path)).code, 3);
    log.resources.set('checkpoint', Buffer.from(log.checkpointAt(200)));
    const older = await verifyUrl(log, '--policy', path);
    assert.ok(older.findings.some(({ code }) => code === 'rolled-back'));
  });
  await withFile('quorum nobody\n', async (path) => {
    assert.equal((await watchglass(['verify', log.url, '--policy', path])).code, 2);
  });
});

test('the key of an installation is remembered, and another one later does not pass', async () => {
  const dataDir = await mkdtemp(join(tmpdir(), 'watchglass-known-'));
  try {
    const prove = async (log: SmallLog): Promise<Ran> => {
      await writeFile(join(dataDir, 'server.json'), JSON.stringify({ url: log.url }));
      return watchglass(['prove', '2', '--data', dataDir, '--token', 't']);
    };
    await using log = await serveSmallLog(5);
    assert.match((await prove(log)).err, /seen for the first time/);
    assert.match((await prove(log)).err, /remembered since/);
    await using replaced = await serveSmallLog(5);
    const { code, err } = await prove(replaced);
    assert.equal(code, 3);
    assert.match(err, /names another key than the one trusted so far/);
  } finally {
    await rm(dataDir, { recursive: true });
  }
});
