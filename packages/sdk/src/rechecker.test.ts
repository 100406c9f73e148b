import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';

import { createClient } from './client.ts';
import { realDisk } from './disk.ts';
import { ReceiptServer } from './public-log.fixture.ts';
import { type ReceiptFailure, ReceiptSample, receiptsMax } from './receipt-sample.ts';
import { type Rechecker, type RecheckOptions, startRechecker } from './rechecker.ts';
import { FaultyDisk, systemError, temporaryFolder } from './spool.fixture.ts';

let folder: { readonly path: string; remove(): Promise<void> };
let server: ReceiptServer;
let failures: ReceiptFailure[];
let problems: (string | undefined)[];
const closing: Rechecker[] = [];

beforeEach(async () => {
  folder = await temporaryFolder();
  server = await ReceiptServer.start();
  failures = [];
  problems = [];
});
afterEach(async () => {
  for (const one of closing.splice(0)) await one[Symbol.asyncDispose]();
  await server[Symbol.asyncDispose]();
  await folder.remove();
});

/** Rounds only when told. */
async function start(options: Partial<RecheckOptions> = {}): Promise<Rechecker> {
  const rechecker = await startRechecker({
    serverUrl: server.url,
    dir: folder.path,
    everyMs: 3_600_000,
    sampleEveryMs: 0,
    onReceiptFailed: (failure) => failures.push(failure),
    onProblem: (problem) => problems.push(problem),
    ...options,
  });
  closing.push(rechecker);
  return rechecker;
}

let made = 0;
const ids = (count: number): string[] => Array.from({ length: count }, () => `event-${++made}`);

/** The server takes events, and what it receipts is noted. */
function send(rechecker: Rechecker, count: number): void {
  const { receipts, checkpoint } = server.take(ids(count));
  rechecker.note(receipts, checkpoint);
}

const codes = (): (readonly [string, number | undefined])[] => failures.map(({ code, index }) => [code, index]);

test('receipts of an honest log hold under every newer checkpoint, and cost a few small reads', async () => {
  const rechecker = await start();
  send(rechecker, 3);
  for (let round = 0; round < 6; round++) {
    server.take(ids(200));
    send(rechecker, 1);
    await rechecker.check();
  }
  const { keptCount, checkedCount, checkedAt, problem } = rechecker.status;
  assert.deepEqual([keptCount, problem], [7, undefined]);
  // Two, three, and then the four of each round that were looked at the longest ago.
  assert.equal(checkedCount, 2 + 3 + 4 * 4);
  assert.ok(checkedAt !== undefined);
  assert.deepEqual([failures, problems], [[], []]);
  assert.ok(server.asked.length < 250, `${server.asked.length} reads`);
});

test('the sample and what is remembered outlive a restart, and a rollback while the emitter was away is found', async () => {
  const before = await start();
  send(before, 40);
  send(before, 1);
  await before.check();
  await before[Symbol.asyncDispose]();
  server.leaves = server.leaves.slice(0, 30);
  const after = await start();
  assert.equal(after.status.keptCount, 2);
  await after.check();
  assert.deepEqual(codes(), [['receipt-rolled-back', undefined]]);
  assert.equal(failures[0]?.checkpoint, server.checkpoint());
  // Once, also over the next restart; and it stays to be seen.
  await after.check();
  await after[Symbol.asyncDispose]();
  const again = await start();
  await again.check();
  assert.deepEqual([failures.length, again.status.failures.length], [1, 1]);
});

test('a log that is rewritten is found, though its own key signs it', async () => {
  const rechecker = await start();
  send(rechecker, 20);
  await rechecker.check();
  server.leaves = [...server.leaves.slice(0, 10), ...server.leaves.slice(11)];
  server.take(ids(5));
  await rechecker.check();
  assert.deepEqual(codes(), [['receipt-history-changed', undefined]]);
});

test('an event that was acknowledged and never was in the log is found, by the receipt alone', async () => {
  const rechecker = await start();
  server.take(ids(8));
  const { checkpoint } = server.take(ids(1));
  // The answer names a leaf that the signed tree doesn't have.
  rechecker.note([{ id: 'event-x', index: 8, leaf: Buffer.alloc(32, 7).toString('base64') }], checkpoint);
  server.take(ids(300));
  await rechecker.check();
  assert.deepEqual(codes(), [['receipt-missing', 8]]);
  assert.equal(failures[0]?.id, 'event-x');
});

test('a receipt whose checkpoint is signed by nobody, or doesn’t cover it, is none', async () => {
  const rechecker = await start();
  const { receipts, checkpoint } = server.take(ids(3));
  rechecker.note([{ ...receipts[0], index: 3 }], checkpoint);
  rechecker.note([receipts[1]], checkpoint.replace(/— .*/, '— watchglass.test/clinic AAAAAAAA'));
  rechecker.note([receipts[2]], 'nothing');
  server.take(ids(3));
  await rechecker.check();
  assert.deepEqual(
    failures.map(({ code }) => code),
    ['receipt-invalid', 'receipt-invalid', 'receipt-invalid'],
  );
  rechecker.note([{ id: 7 }], checkpoint);
  assert.equal(rechecker.status.problem, 'receipt-unreadable');
});

test('another key is believed only where the log’s statements lead to it', async () => {
  const rechecker = await start({ vkey: server.vkey });
  send(rechecker, 4);
  await rechecker.check();
  server.rotate();
  send(rechecker, 4);
  await rechecker.check();
  assert.deepEqual(failures, []);
  assert.equal(rechecker.status.problem, undefined);
  assert.ok(rechecker.status.checkedCount >= 3);
  // And from then on it is the one that is remembered.
  const { logs } = JSON.parse(await readFile(join(folder.path, 'receipts.json'), 'utf8')) as {
    logs: Record<string, { keys: string[] }>;
  };
  assert.equal(Object.values(logs)[0]?.keys[0], server.vkey);
});

test('a key that was revoked, or one of somebody else’s, is not followed', async () => {
  const rechecker = await start();
  send(rechecker, 4);
  await rechecker.check();
  server.rotate('compromised');
  server.take(ids(4));
  await rechecker.check();
  assert.deepEqual(codes(), [['receipt-key-changed', undefined]]);
  const other = await ReceiptServer.start();
  const pinned = await start({ serverUrl: other.url, dir: join(folder.path, 'other'), vkey: server.vkey });
  const { receipts, checkpoint } = other.take(ids(2));
  pinned.note(receipts, checkpoint);
  await pinned.check();
  assert.equal(failures.at(-1)?.code, 'receipt-key-changed');
  await other[Symbol.asyncDispose]();
});

test('a log that hides a tile it signed can’t be proven; one that doesn’t answer is no failure', async () => {
  const rechecker = await start();
  send(rechecker, 4);
  server.status = 503;
  await rechecker.check();
  assert.deepEqual([failures, rechecker.status.problem], [[], 'log-unreachable']);
  server.status = 200;
  await rechecker.check();
  assert.deepEqual([failures, problems], [[], ['log-unreachable', undefined]]);
  server.take(ids(4));
  server.hidden = /tile/;
  await rechecker.check();
  assert.deepEqual(codes(), [['receipt-history-changed', undefined]]);
  server.hidden = /log$/;
  await rechecker.check();
  assert.equal(rechecker.status.problem, 'log-unreachable');
});

test('the sample is bounded, gives old and new the same chance, and a damaged file is begun anew', async () => {
  const sample = await ReceiptSample.open(realDisk, folder.path);
  const { receipts, checkpoint } = server.take(ids(1));
  let draw = 0.5;
  for (let index = 0; index < 400; index++) {
    // A fixed sequence: no run differs from another.
    draw = (draw * 16_807 + 0.123) % 1;
    await sample.offer({ ...(receipts[0] as (typeof receipts)[0]), index, checkpoint }, draw);
  }
  assert.equal(sample.receipts.length, receiptsMax);
  const early = sample.receipts.filter(({ index }) => index < 200).length;
  assert.ok(early > 15 && early < 49, `${early} of the first half`);
  assert.equal((await ReceiptSample.open(realDisk, folder.path)).receipts.length, receiptsMax);
  for (const text of ['{', '[]', '{"v":1}', '{"v":2}', 'null']) {
    await writeFile(join(folder.path, 'receipts.json'), text);
    assert.equal((await ReceiptSample.open(realDisk, folder.path)).receipts.length, 0, text);
  }
});

test('a disk that fails keeps nobody from recording, and doesn’t silence a failure', async () => {
  const faulty = new FaultyDisk();
  const rechecker = await start({ disk: faulty.disk });
  send(rechecker, 4);
  await rechecker.check();
  faulty.datasyncError = systemError('EIO');
  server.leaves = [];
  server.take(ids(1));
  send(rechecker, 1);
  await rechecker.check();
  assert.deepEqual(codes(), [['receipt-rolled-back', undefined]]);
  assert.ok(problems.includes('receipts-not-kept'));
});

test('a client rechecks by itself: a server that rewrites its log is told of', async () => {
  const failed = Promise.withResolvers<ReceiptFailure>();
  await using client = await createClient({
    url: server.url,
    writeKey: 'wgk_test',
    dir: folder.path,
    vkey: server.vkey,
    onReceiptFailed: (failure) => failed.resolve(failure),
  });
  const capture = (): Promise<string> =>
    client.capture({ kind: 'api', action: 'read', outcome: { status: 'success' }, actor: { id: 'person-1' } });
  for (let at = 0; at < 5; at++) await capture();
  await client.sender.drain(AbortSignal.timeout(60_000));
  assert.equal(client.receipts.status.keptCount, 1);
  await client.receipts.check();
  assert.equal(client.receipts.status.checkedCount, 1);
  server.leaves = server.leaves.map((_, at) => Buffer.alloc(32, at));
  await capture();
  await client.sender.drain(AbortSignal.timeout(60_000));
  await client.receipts.check();
  assert.equal((await failed.promise).code, 'receipt-history-changed');
});
