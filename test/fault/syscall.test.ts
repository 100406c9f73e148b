/**
 * The ledger on the real disk while the kernel refuses one of its system calls, or kills it there. Every event it answered for is there afterwards, at
 * its index; verify finds nothing; the next start goes on; and after a sync that failed not a byte was written any more.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { decode, parseTenantId } from '../../packages/record/src/index.ts';
import { verifyLedger } from '../../packages/record/src/reader.ts';
import { openLedger } from '../../packages/server/src/ledger/open-ledger.ts';
import { realWorld } from '../../packages/server/src/world/real-world.ts';
import { makeFolder } from '../scenario/command.fixture.ts';
import { type Injection, oneThread, straced, straceMissing, tracedPid } from './strace.fixture.ts';

const answersMax = 250;
const segment = 'ledger/journal/0000000000000000.wgj';

interface Case extends Injection {
  /** The process before was killed: this one recovers, and archives what it finds. */
  readonly recovers?: boolean;
}

/** The first few of each are those of a start and of a new log; later ones are those of appends. */
const cases: readonly Case[] = [
  ...[1, 3, 6, 8, 9, 14, 25].map((when) => ({ call: 'fdatasync', how: `error=EIO:when=${when}` })),
  { call: 'fdatasync', how: 'error=ENOSPC:when=12' },
  ...[2, 9, 16].map((when) => ({ call: 'fsync', how: `error=EIO:when=${when}` })),
  ...[1, 9, 16].map((when) => ({ call: 'pwrite64', how: `error=EIO:when=${when}` })),
  { call: 'pwrite64', how: 'error=ENOSPC:when=7' },
  { call: 'pwrite64', how: 'error=ENOSPC:when=12..15' },
  ...[2, 7, 20].map((when) => ({ call: 'rename', how: `error=EIO:when=${when}` })),
  { call: 'rename', how: 'error=ENOSPC:when=15' },
  { call: 'openat', how: 'error=EIO:when=1', paths: [segment] },
  { call: 'openat', how: 'error=ENOSPC:when=2', paths: [segment] },
  { call: 'ftruncate', how: 'error=EIO:when=1' },
  ...[5, 9, 20].map((when) => ({ call: 'fdatasync', how: `signal=KILL:when=${when}` })),
  ...[8, 16].map((when) => ({ call: 'pwrite64', how: `signal=KILL:when=${when}` })),
  ...[6, 18].map((when) => ({ call: 'rename', how: `signal=KILL:when=${when}` })),
  { call: 'fsync', how: 'signal=KILL:when=12' },
  ...[1, 2, 5, 8].map((when) => ({ call: 'fdatasync', how: `error=EIO:when=${when}`, recovers: true })),
  ...[1, 4, 7].map((when) => ({ call: 'fsync', how: `error=EIO:when=${when}`, recovers: true })),
  { call: 'pwrite64', how: 'error=EIO:when=1', recovers: true },
  { call: 'unlink', how: 'error=EIO:when=1', recovers: true },
  { call: 'unlink', how: 'signal=KILL:when=1', recovers: true },
  { call: 'fdatasync', how: 'signal=KILL:when=1', recovers: true },
  { call: 'fdatasync', how: 'signal=KILL:when=6', recovers: true },
];

const missing = straceMissing();

describe('a ledger whose system calls are tampered with', { concurrency: 2 }, () => {
  for (const injection of cases) {
    const { call, how, recovers = false } = injection;
    test(`${call} with ${how}${recovers ? ' at the start after a kill' : ''} loses nothing that was answered`, {
      skip: missing ?? false,
      timeout: 120_000,
    }, async () => {
      await using folder = await makeFolder('syscall');
      const dir = folder.path;
      const log = join(dir, 'calls.log');
      const paths = injection.paths?.map((path) => join(dir, path));
      const before = recovers ? await run(dir, [], '0', 30) : { answered: new Map<number, string>() };
      const ran = await run(
        dir,
        straced({ ...injection, ...(paths === undefined ? {} : { paths }) }, log),
        '1',
        answersMax,
      );
      const answered = new Map([...before.answered, ...ran.answered]);
      assert.equal(answered.size, before.answered.size + ran.answered.size, 'an index was given out twice');
      const calls = readFileSync(log, 'utf8').split('\n');
      const injected = how.startsWith('signal') ? !ran.isStopped : calls.some((line) => line.includes('(INJECTED)'));
      assert.ok(injected, `the run was over before it came to it: ${calls.length} calls`);
      if (how.includes('EIO')) assert.deepEqual(writesAfterFailure(calls, dir), []);
      const isThere = existsSync(join(dir, 'ledger/manifest'));
      assert.ok(isThere || answered.size === 0);
      if (isThere) {
        const { findings } = await verifyLedger({ ledgerDir: `${dir}/ledger`, keysDir: `${dir}/keys`, full: true });
        assert.deepEqual(findings, []);
      }
      await checkNextStart(dir, answered);
    });
  }
});

interface Ran {
  /** Index → id. */
  readonly answered: Map<number, string>;
  /** It had to be killed, since nothing else ended it. */
  readonly isStopped: boolean;
}

/** Runs the writer until it ends or has answered enough. */
async function run(dir: string, before: readonly string[], round: string, answersMax: number): Promise<Ran> {
  const writer = [process.execPath, join(import.meta.dirname, 'ledger-writer.fixture.ts'), dir, round];
  const [command = '', ...args] = [...before, ...writer];
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], env: oneThread });
  let out = '';
  let lines = 0;
  let isStopped = false;
  child.stderr.resume();
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    out += chunk;
    lines += chunk.split('\n').length - 1;
    if (lines < answersMax || isStopped) return;
    isStopped = true;
    const pid = before.length === 0 ? child.pid : tracedPid(child.pid ?? 0);
    if (pid !== undefined) process.kill(pid, 'SIGKILL');
  });
  await new Promise((resolve) => child.on('close', resolve));
  const answered = new Map<number, string>();
  for (const line of out.slice(0, out.lastIndexOf('\n') + 1).split('\n')) {
    const words = line.split(' ');
    for (let at = 0; at + 1 < words.length; at += 2) {
      const index = Number(words[at + 1]);
      assert.equal(answered.has(index), false, `index ${index} was given out twice`);
      answered.set(index, words[at] ?? '');
    }
  }
  return { answered, isStopped };
}

/**
 * What was written to the ledger after the call that failed had returned, but for one call of each thread: a small write is made by the thread that
 * appends, and its sync waits for the thread that is told of the failure only after it.
 */
function writesAfterFailure(calls: readonly string[], dir: string): string[] {
  const failed = calls.findIndex((line) => line.includes('(INJECTED)'));
  const onTheirWay = new Set<string>();
  return calls
    .slice(failed + 1)
    .filter((line) => /\b(pwrite64|fdatasync|fsync|rename|ftruncate|unlink)\(/.test(line) && line.includes(`${dir}/`))
    .filter((line) => {
      const [thread = ''] = line.split(' ', 1);
      const isFirst = !onTheirWay.has(thread);
      onTheirWay.add(thread);
      return !isFirst;
    });
}

async function checkNextStart(dir: string, answered: ReadonlyMap<number, string>): Promise<void> {
  const clinic = parseTenantId('clinic');
  const ledger = await openLedger({
    dir: `${dir}/ledger`,
    keysDir: `${dir}/keys`,
    originBase: 'watchglass.example',
    world: realWorld(),
    heartbeatMs: 0,
  });
  assert.deepEqual(ledger.state, { kind: 'writable' });
  await ledger.addTenant(clinic);
  const { size } = ledger.head(clinic);
  const stored = new Map<number, string>();
  while (stored.size < size) {
    for (const { index, m } of await ledger.read(clinic, stored.size, 5000)) stored.set(index, decode(m).event.id);
  }
  assert.equal(new Set(stored.values()).size, stored.size, 'an event is stored twice');
  for (const [index, id] of answered) assert.equal(stored.get(index), id, `index ${index}`);
  await ledger[Symbol.asyncDispose]();
  assert.deepEqual((await verifyLedger({ ledgerDir: `${dir}/ledger`, keysDir: `${dir}/keys` })).findings, []);
}
