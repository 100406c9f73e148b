/**
 * A witness that is killed again and again while two histories of one log compete for its signature: whatever it answered lies in one history, and after
 * every start it remembers at least what it answered.
 */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import {
  consistencyProof,
  encodeHex,
  formatAddCheckpoint,
  formatCheckpoint,
  formatVerifierKey,
  generateSigner,
  hashLeaf,
  openCosignatures,
  openNote,
  parseCheckpoint,
  rootOf,
  signNote,
} from '@watchglass/record';
import { makeFolder, type Spawned, spawnWatchglass, until, watchglassJson } from '../scenario/command.fixture.ts';

const rounds = 6;
const common = 3;
const sizeMax = 600;
const log = generateSigner('log.example/clinic', new Uint8Array(32).fill(1));
const hash = createHash('sha256').update(log.name).digest('hex');
const histories = ['one', 'two'].map((name) =>
  Array.from({ length: sizeMax }, (_, i) => hashLeaf(Buffer.from(i < common ? `leaf ${i}` : `${name} ${i}`))),
);

interface Answered {
  readonly size: number;
  readonly root: string;
  readonly history: number;
}

test('a witness killed at any moment never cosigns two histories', { timeout: 300_000 }, async () => {
  await using folder = await makeFolder('witness-kill');
  const dir = join(folder.path, 'witness');
  const { vkey, config } = await watchglassJson<{ vkey: string; config: string }>([
    ...['witness', 'init', dir, '--name', 'witness.example/w1'],
  ]);
  const text = (await readFile(config, 'utf8'))
    .replace(/port: \d+/, 'port: 0')
    .replace('perSecond: 20', 'perSecond: 100000')
    .replace('burst: 200', 'burst: 100000');
  await writeFile(config, text);
  await watchglassJson(['witness', 'add-log', formatVerifierKey(log), '--config', config]);
  const answered: Answered[] = [];
  for (let round = 0; round < rounds; round++) {
    const { spawned, url } = await start(config);
    const known = sizeOf(await latest(url, vkey));
    const most = answered.reduce((size, one) => Math.max(size, one.size), 0);
    assert.ok(known >= most, `it answered ${most} and remembers ${known}`);
    const before = answered.length;
    const clients = [0, 1, 0, 1].map((history) => compete({ url, vkey, history, answered }));
    await until(async () => (answered.length >= before + 10 + round * 7 ? true : undefined), 'cosignatures');
    const gone = once(spawned.process, 'exit');
    spawned.process.kill('SIGKILL');
    await gone;
    await Promise.all(clients);
  }
  const byHistory = new Set(answered.filter(({ size }) => size > common).map(({ history }) => history));
  assert.equal(byHistory.size, 1, 'one history won, and the other got no signature past where they part');
  const roots = new Map<number, string>();
  for (const { size, root } of answered) assert.equal(roots.get(size) ?? root, root, `two roots of size ${size}`);
  assert.ok(answered.length >= rounds * 10);
});

async function start(config: string): Promise<{ readonly spawned: Spawned; readonly url: string }> {
  const spawned = spawnWatchglass(['witness', 'serve', '--config', config, '--json']);
  const url = await until(async () => {
    assert.equal(spawned.process.exitCode, null, spawned.err());
    return /"url":"([^"]+)"/.exec(spawned.out())?.[1];
  }, 'the witness');
  return { spawned, url };
}

/** Advances one history from wherever the witness is, until nobody answers. */
async function compete(game: {
  readonly url: string;
  readonly vkey: string;
  readonly history: number;
  readonly answered: Answered[];
}): Promise<void> {
  const { url, vkey, history, answered } = game;
  const leaves = histories[history] ?? [];
  let old = 0;
  for (;;) {
    const size = Math.min(old + 1, sizeMax);
    const root = rootOf(leaves.slice(0, size));
    const checkpoint = signNote(formatCheckpoint({ origin: log.name, size: BigInt(size), root }), [log]);
    const proof = old === 0 || old === size ? [] : consistencyProof(old, size, leaves.slice(0, size));
    const body = formatAddCheckpoint({ oldSize: BigInt(old), proof, checkpoint });
    let status: number;
    let answer: string;
    try {
      const response = await fetch(`${url}/add-checkpoint`, { method: 'POST', body });
      status = response.status;
      answer = await response.text();
    } catch {
      return;
    }
    if (status === 200) {
      openCosignatures(answer, checkpoint, [vkey]);
      answered.push({ size, root: encodeHex(root), history });
      old = size;
    } else if (status === 409) {
      old = Number(answer);
    } else {
      // The other history is ahead: ask again from where it was, which a forgetful witness would cosign.
      assert.ok(status === 422 || status === 429, `${status} ${answer}`);
      old = Math.max(0, common);
    }
  }
}

async function latest(url: string, vkey: string): Promise<string | undefined> {
  const response = await fetch(`${url}/${hash}/checkpoint`);
  const note = await response.text();
  if (response.status === 404) return undefined;
  openNote(note, [vkey]);
  return note;
}

function sizeOf(note: string | undefined): number {
  return note === undefined ? 0 : Number(parseCheckpoint(note).size);
}
