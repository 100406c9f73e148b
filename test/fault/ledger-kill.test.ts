/**
 * The ledger under kill -9: a child appends without pause and is killed at moments of no one's choosing, again and again on
 * the same directory. Every event it answered for is there afterwards, at its index, and verify finds nothing.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { decode } from '../../packages/record/src/index.ts';
import { openLedger, verifyLedger } from '../../packages/record/src/reader.ts';

const rounds = 10;
const answersBeforeKill = [1, 40, 5, 150, 2, 80, 300, 20, 10, 120];

test('every answered append survives kill -9, ten times over on one directory, and verify finds nothing', {
  timeout: 120_000,
}, async () => {
  const dir = await mkdtemp(join(tmpdir(), 'watchglass-kill-'));
  try {
    const acknowledged = new Map<number, string>();
    for (let round = 0; round < rounds; round++) {
      const answers = await runAndKill(dir, round, answersBeforeKill[round] ?? 10);
      for (const [id, index] of answers) {
        assert.equal(acknowledged.get(index), undefined, `index ${index} was given out twice`);
        acknowledged.set(index, id);
      }
      const report = await verifyLedger({ ledgerDir: `${dir}/ledger`, keysDir: `${dir}/keys` });
      assert.deepEqual(report.findings, [], `after kill ${round}`);
    }
    const ledger = await openLedger({ ledgerDir: `${dir}/ledger`, keysDir: `${dir}/keys` });
    const size = ledger.tenants()[0]?.size ?? 0;
    const stored = new Map<number, string>();
    while (stored.size < size) {
      for (const { index, m } of await ledger.read('clinic', stored.size, 5000)) stored.set(index, decode(m).event.id);
    }
    for (const [index, id] of acknowledged) assert.equal(stored.get(index), id, `index ${index}`);
    assert.ok(acknowledged.size > 1000, `${acknowledged.size} events were acknowledged`);
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
});

/** Runs the writer until it has answered so many calls, kills it, and gives what it answered. */
async function runAndKill(dir: string, round: number, answers: number): Promise<[id: string, index: number][]> {
  const child = spawn(process.execPath, [join(import.meta.dirname, 'ledger-writer.fixture.ts'), dir, String(round)], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let out = '';
  let err = '';
  let lines = 0;
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    out += chunk;
    lines += chunk.split('\n').length - 1;
    if (lines >= answers) child.kill('SIGKILL');
  });
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
    err += chunk;
  });
  const signal = await new Promise((resolve) => child.on('close', (_code, by) => resolve(by)));
  assert.equal(signal, 'SIGKILL', `the writer ended by itself: ${err}`);
  // The last line may be cut; what stands in whole lines was answered.
  return out
    .slice(0, out.lastIndexOf('\n') + 1)
    .split('\n')
    .filter((line) => line !== '')
    .flatMap((line) => {
      const words = line.split(' ');
      return Array.from({ length: words.length / 2 }, (_, i): [string, number] => [
        words[2 * i] ?? '',
        Number(words[2 * i + 1]),
      ]);
    });
}
