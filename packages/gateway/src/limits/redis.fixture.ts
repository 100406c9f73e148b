/** For tests only: a real `redis-server`, where the machine has one, on a socket of its own. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { once } from 'node:events';

export const redisIsHere: boolean = spawnSync('redis-server', ['--version']).status === 0;

export interface TestRedis {
  readonly port: number;
  /** Stops answering without hanging up. */
  freeze(): void;
  thaw(): void;
  stop(): Promise<void>;
}

/** On a port that nobody has, or on the one named. */
export async function startRedis(port?: number): Promise<TestRedis> {
  // Below those that systems give to outgoing connections.
  const chosen = port ?? randomInt(20_000, 32_000);
  const child = spawn(
    'redis-server',
    ['--port', String(chosen), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no'],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  );
  if (!(await isReady(child))) {
    assert.equal(port, undefined, `redis-server did not start at ${port}`);
    return startRedis();
  }
  return {
    port: chosen,
    freeze: () => void child.kill('SIGSTOP'),
    thaw: () => void child.kill('SIGCONT'),
    async stop() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const ended = once(child, 'exit');
      child.kill('SIGKILL');
      await ended;
    },
  };
}

/** False for one that ended instead, such as for want of its port. */
async function isReady(child: ChildProcess): Promise<boolean> {
  let said = '';
  for await (const chunk of child.stdout as AsyncIterable<Buffer>) {
    said += chunk.toString();
    if (said.includes('Ready to accept connections')) break;
  }
  child.stdout?.resume();
  return said.includes('Ready to accept connections');
}
