/**
 * The real server while the kernel refuses a system call on its journal, or kills it there: it answers 503 and says what to do, never 201 for what isn't
 * durable; and after the next start every receipt it gave is the receipt it gives.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { makeFolder, until, watchglassBin, watchglassJson } from '../scenario/command.fixture.ts';
import { anEvent, type Installation, install, type Posted, post, serve } from '../scenario/server.fixture.ts';
import { oneThread, straced, straceMissing, tracedPid } from './strace.fixture.ts';

const batchEvents = 5;
const batchesMax = 200;
const missing = straceMissing();

interface Sent {
  readonly events: Record<string, unknown>[];
  readonly answer: Posted | undefined;
}

for (const { call, how, answers } of [
  { call: 'fdatasync', how: 'error=EIO:when=4', answers: 'read-only' },
  { call: 'pwrite64', how: 'error=EIO:when=5', answers: 'read-only' },
  { call: 'pwrite64', how: 'error=ENOSPC:when=4..6', answers: 'storage-full' },
  { call: 'fdatasync', how: 'signal=KILL:when=4', answers: 'nothing' },
]) {
  test(`a server whose journal meets ${call} with ${how} answers ${answers}, and keeps every receipt it gave`, {
    skip: missing ?? false,
    timeout: 180_000,
  }, async () => {
    await using folder = await makeFolder('server-syscall');
    const here = await install(join(folder.path, 'installation'));
    const sent: Sent[] = [];
    {
      await using server = await serve(here);
      sent.push(await send(here));
      assert.equal(await server.stop(), 0);
    }
    const segment = await nextSegment(here);
    const before = straced({ call, how, paths: [segment] }, join(folder.path, 'calls.log'));
    await sendUnder(before, here, sent);
    const last = sent[sent.length - 1]?.answer;
    assert.equal(last?.body.code ?? 'nothing', answers);
    assert.equal(last?.status ?? 503, 503);

    await using again = await serve(here);
    for (const { events, answer } of sent) {
      const repeated = await post(here, events);
      assert.equal(repeated.status, 201, JSON.stringify(repeated.body));
      if (answer?.status === 201) assert.deepEqual(repeated.body.receipts, answer.body.receipts);
    }
    assert.equal(await again.stop(), 0);
    const report = await watchglassJson<{ intact: boolean }>(['verify', here.dataDir, '--vkey', here.vkey]);
    assert.equal(report.intact, true);
  });
}

/** An answer; none when the server is gone. */
async function send(here: Installation): Promise<Sent> {
  const events = Array.from({ length: batchEvents }, () => anEvent());
  return { events, answer: await post(here, events).catch(() => undefined) };
}

/** After an orderly end the manifest names the group that comes next. */
async function nextSegment({ dataDir }: Installation): Promise<string> {
  const [line = ''] = (await readFile(join(dataDir, 'ledger/manifest'), 'utf8')).split('\n');
  const { group } = JSON.parse(line) as { group: number };
  return join(dataDir, `ledger/journal/${String(group).padStart(16, '0')}.wgj`);
}

/** Starts the server under strace and sends until it answers otherwise than 201, or is gone; then kills it. */
async function sendUnder(before: readonly string[], here: Installation, sent: Sent[]): Promise<void> {
  const [command = '', ...args] = [...before, process.execPath, watchglassBin, 'serve', '--config', here.config];
  const child = spawn(command, args, { stdio: 'ignore', env: oneThread });
  const closed = once(child, 'close');
  try {
    await until(async () => {
      const answer = await fetch(`${here.url}/healthz`).catch(() => undefined);
      await answer?.arrayBuffer();
      return answer?.status === 200 || child.exitCode !== null || child.signalCode !== null ? true : undefined;
    }, 'the server answers under strace');
    for (let batch = 0; batch < batchesMax; batch++) {
      sent.push(await send(here));
      if (sent[sent.length - 1]?.answer?.status !== 201) return;
    }
    assert.fail('the injected fault was never met');
  } finally {
    const isGone = child.exitCode !== null || child.signalCode !== null;
    const pid = isGone ? undefined : tracedPid(child.pid ?? 0);
    if (pid !== undefined) process.kill(pid, 'SIGKILL');
    await closed;
  }
}
