/** For tests only: a real `redis-server`, where the machine has one, on a socket of its own. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { connect, createServer } from 'node:net';

export const redisIsHere: boolean = spawnSync('redis-server', ['--version']).status === 0;

export interface TestRedis {
  readonly port: number;
  /** Stops answering without hanging up. */
  freeze(): void;
  thaw(): void;
  stop(): Promise<void>;
}

/** On a port that was free a moment ago, or on the one named. */
export async function startRedis(port?: number): Promise<TestRedis> {
  const chosen = port ?? (await freePort());
  const child = spawn(
    'redis-server',
    ['--port', String(chosen), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no'],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  );
  await until(child, chosen);
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

async function until(child: ChildProcess, port: number): Promise<void> {
  for await (const chunk of child.stdout as AsyncIterable<Buffer>) {
    if (chunk.includes('Ready to accept connections')) break;
  }
  child.stdout?.resume();
  const socket = connect(port, '127.0.0.1');
  await once(socket, 'connect');
  socket.destroy();
}

async function freePort(): Promise<number> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}
