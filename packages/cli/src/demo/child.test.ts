import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { type Child, type ChildTimes, childTimes, superviseChild } from './child.ts';

const quick: ChildTimes = { ...childTimes, restartFirstMs: 10 };

interface Fixture {
  readonly child: Child;
  readonly logPath: string;
  /** Resolves at the next restart. */
  readonly restarted: () => Promise<void>;
}

async function withChild(source: string, run: (fixture: Fixture) => Promise<void>, times = quick): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), 'watchglass-child-'));
  const script = join(dir, 'child.mjs');
  await writeFile(script, source);
  let waiting: (() => void)[] = [];
  const logPath = join(dir, 'child.log');
  const child = superviseChild(
    { name: 'child', args: [script], logPath, cwd: dir, env: { PATH: process.env.PATH } },
    {
      restarted: () => {
        for (const wake of waiting) wake();
        waiting = [];
      },
      died: () => {},
    },
    times,
  );
  try {
    await run({ child, logPath, restarted: () => new Promise((resolve) => waiting.push(resolve)) });
  } finally {
    await child.stop();
    await rm(dir, { recursive: true });
  }
}

const polite = `
  console.log('said', process.env.WATCHGLASS_SUPERVISED);
  process.send({ ready: true, url: 'http://here' });
  process.on('SIGINT', () => {});
  process.on('message', (m) => m.stop && process.exit(0));
  process.on('disconnect', () => process.exit(0));
`;
const stubborn = `
  process.on('SIGTERM', () => {});
  process.on('message', () => {});
  process.send({ ready: true });
  setInterval(() => {}, 1000);
`;

test('a child is ready when it says so, and its words are in the log', () =>
  withChild(polite, async ({ child, logPath }) => {
    assert.equal(await child.start(), 'http://here');
    await child.stop();
    assert.equal(child.pid, undefined);
    assert.equal(await readFile(logPath, 'utf8'), 'said 1\n');
  }));

test('a child that is killed comes back with another pid', () =>
  withChild(polite, async ({ child, restarted }) => {
    await child.start();
    const { pid } = child;
    const back = restarted();
    process.kill(pid!, 'SIGKILL');
    await back;
    assert.ok(child.pid !== undefined && child.pid !== pid);
  }));

test('a child that will not go is killed', () =>
  withChild(
    stubborn,
    async ({ child }) => {
      await child.start();
      const { pid } = child;
      await child.stop();
      assert.throws(() => process.kill(pid!, 0), { code: 'ESRCH' });
    },
    { ...quick, stopWithinMs: 300, termWithinMs: 300 },
  ));

test('a child that fails at the start says how and shows the end of its log', () =>
  withChild(`console.error('no such thing'); process.exit(4)`, async ({ child }) => {
    await assert.rejects(child.start(), (error: Error) => {
      assert.match(error.message, /ended before it was ready \(exit code 4\)/);
      assert.match(error.message, /no such thing/);
      return true;
    });
  }));

test('a child that never becomes ready is given up', () =>
  withChild(
    'setInterval(() => {}, 1000)',
    async ({ child }) => {
      await assert.rejects(child.start(), /ended before it was ready \(SIGKILL\)/);
    },
    { ...quick, readyWithinMs: 200, stopWithinMs: 300, termWithinMs: 300 },
  ));
