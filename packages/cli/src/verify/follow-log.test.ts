import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { formatCheckpoint, generateSigner, signNote } from '@watchglass/record';
import { run } from '../main.ts';
import { origin, type SmallLog, serveSmallLog } from './small-log.fixture.ts';

interface Line {
  readonly kind: string;
  readonly code?: string;
  readonly size?: number;
  readonly kept?: string;
}

interface Look {
  readonly code: number;
  readonly lines: readonly Line[];
  readonly err: string;
}

/** A server in front of logs, so that one address can show another log than before. */
class Front implements AsyncDisposable {
  behind: SmallLog;
  asked: string[] = [];
  answer: ((path: string) => string | 'hang' | 'flood' | undefined) | undefined;
  url = '';
  readonly dir: string;
  readonly #server = createServer((request, response) => {
    const path = request.url ?? '';
    this.asked.push(path);
    const said = this.answer?.(path);
    if (said === 'hang') return;
    if (said === 'flood') {
      const more = (): void => {
        while (response.write(Buffer.alloc(65_536, 'x')));
      };
      response.on('drain', more);
      more();
      return;
    }
    if (said !== undefined) {
      response.end(said);
      return;
    }
    void fetch(`${this.behind.url}${path}`).then(async (got) =>
      response.writeHead(got.status).end(Buffer.from(await got.arrayBuffer())),
    );
  });

  constructor(behind: SmallLog, dir: string) {
    this.behind = behind;
    this.dir = dir;
  }

  static async open(behind: SmallLog): Promise<Front> {
    const front = new Front(behind, await mkdtemp(join(tmpdir(), 'watchglass-monitor-')));
    await new Promise<void>((resolve) => front.#server.listen(0, '127.0.0.1', resolve));
    front.url = `http://127.0.0.1:${(front.#server.address() as AddressInfo).port}`;
    return front;
  }

  async look(...args: string[]): Promise<Look> {
    let out = '';
    let err = '';
    this.asked = [];
    const code = await run(['monitor', this.url, '--once', '--json', '--state', this.dir, ...args], {
      stdout: { write: (text) => (out += text) },
      stderr: { write: (text) => (err += text) },
      env: {},
      cwd: tmpdir(),
      signal: new AbortController().signal,
    });
    const lines = out.split('\n').filter(Boolean);
    return { code, err, lines: lines.map((line) => JSON.parse(line) as Line) };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
    await rm(this.dir, { recursive: true });
  }
}

const codesOf = ({ code, lines }: Look): unknown[] => [code, ...lines.map((line) => line.code ?? line.size)];

test('a log that grows as it should is followed, and only what is new is fetched', async () => {
  const signer = generateSigner(origin, randomBytes(32));
  await using first = await serveSmallLog(3, signer);
  await using front = await Front.open(first);
  assert.deepEqual(codesOf(await front.look()), [0, 3]);
  for (const size of [4, 255, 256, 257, 700, 1_500]) {
    await using grown = await serveSmallLog(size, signer);
    front.behind = grown;
    assert.deepEqual(codesOf(await front.look()), [0, size]);
    assert.deepEqual(codesOf(await front.look()), [0], 'a head is reported once');
  }
  await using last = await serveSmallLog(1_510, signer);
  front.behind = last;
  await front.look();
  const entries = front.asked.filter((path) => path.includes('/entries/'));
  assert.deepEqual(entries, ['/log/clinic/tile/entries/005.p/230'], 'the bundles before are not fetched again');
});

test('each lie has its name, the head before stays, and the contradicting checkpoint is kept', async () => {
  const signer = generateSigner(origin, randomBytes(32));
  await using log = await serveSmallLog(600, signer);
  await using shorter = await serveSmallLog(599, signer);
  await using longer = await serveSmallLog(900, signer);
  await using replaced = await serveSmallLog(900);
  await using front = await Front.open(log);
  const checkpoint = (size: number, signed = signer): string =>
    signNote(formatCheckpoint({ origin, size: BigInt(size), root: randomBytes(32) }), [signed]);
  const head = (note: string) => (path: string) => (path.endsWith('/checkpoint') ? note : undefined);
  assert.deepEqual(codesOf(await front.look()), [0, 600]);

  front.answer = head(checkpoint(600));
  const split = await front.look();
  assert.deepEqual(codesOf(split), [3, 'split-view']);
  assert.match(await readFile(split.lines[0]?.kept ?? '', 'utf8'), /^watchglass\.example\/clinic\n600\n/);

  front.answer = undefined;
  front.behind = shorter;
  assert.deepEqual(codesOf(await front.look()), [3, 'rolled-back']);

  front.behind = longer;
  front.answer = head(checkpoint(900));
  assert.deepEqual(codesOf(await front.look()), [3, 'history-changed'], 'the entries have another root');
  front.answer = (path) => (path.includes('/tile/1/') ? 'x'.repeat(32 * 256) : undefined);
  assert.deepEqual(codesOf(await front.look()), [3, 'history-changed'], 'the tiles have another root');

  front.answer = head(checkpoint(900, generateSigner(origin, randomBytes(32))));
  assert.deepEqual(codesOf(await front.look()), [3, 'signature-wrong']);
  front.answer = undefined;
  front.behind = replaced;
  assert.deepEqual(codesOf(await front.look()), [3, 'key-changed']);

  front.behind = longer;
  longer.resources.delete('tile/entries/003.p/132');
  assert.deepEqual(codesOf(await front.look()), [3, 'entries-missing']);
  front.answer = (path) => (path === '/log' ? '[]' : undefined);
  assert.deepEqual(codesOf(await front.look()), [3, 'log-gone']);

  front.answer = undefined;
  front.behind = log;
  assert.deepEqual(codesOf(await front.look()), [0], 'the head of before is still the one believed');
});

test('a log that stays as it is for too long is stale', async () => {
  await using log = await serveSmallLog(5);
  await using front = await Front.open(log);
  await front.look();
  const name = (await readdir(front.dir)).find((one) => one.endsWith('.json')) ?? '';
  const state = JSON.parse(await readFile(join(front.dir, name), 'utf8')) as Record<string, unknown>;
  const grewAt = new Date(Date.now() - 3_600_000).toISOString();
  await writeFile(join(front.dir, name), JSON.stringify({ ...state, grewAt }));
  assert.deepEqual(codesOf(await front.look('--stale-after', '2h')), [0]);
  assert.deepEqual(codesOf(await front.look('--stale-after', '30m')), [3, 'stale']);
});

test('an answer without end, and none at all, are given up with 1', async () => {
  await using log = await serveSmallLog(5);
  await using front = await Front.open(log);
  await front.look();
  front.answer = (path) => (path.endsWith('/checkpoint') ? 'flood' : undefined);
  const flooded = await front.look();
  assert.equal(flooded.code, 1);
  assert.match(flooded.err, /larger than 20 MiB/);
  front.answer = (path) => (path.endsWith('/checkpoint') ? 'hang' : undefined);
  const hung = await front.look('--timeout', '200ms');
  assert.equal(hung.code, 1);
  assert.match(hung.err, /did not answer within 0\.2 s/);
});

test('a given key is the only one believed from the first look on, and a broken state is not overwritten', async () => {
  await using log = await serveSmallLog(5);
  await using other = await serveSmallLog(5);
  await using front = await Front.open(log);
  assert.deepEqual(codesOf(await front.look('--vkey', other.vkey)), [3, 'key-changed']);
  assert.deepEqual(codesOf(await front.look('--vkey', log.vkey)), [0, 5]);
  const name = (await readdir(front.dir)).find((one) => one.endsWith('.json')) ?? '';
  await writeFile(join(front.dir, name), '{}');
  const broken = await front.look();
  assert.equal(broken.code, 1);
  assert.match(broken.err, /is not the state of a monitor/);
  assert.equal((await front.look('--interval', 'soon')).code, 2);
});
