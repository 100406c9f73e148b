/** Ports on this machine: a free one, and the four of the demo, from one base. */
import { randomInt } from 'node:crypto';
import { createServer } from 'node:net';
import { setTimeout as wait } from 'node:timers/promises';
import { CliError, systemCodeOf } from './errors.ts';

export const portBaseDefault = 9440;
const triesMax = 50;

export interface Ports {
  readonly server: number;
  readonly gateway: number;
  readonly issuer: number;
  readonly upstream: number;
}

export function portsFrom(base: number): Ports {
  return { server: base, gateway: base + 1, issuer: base + 2, upstream: base + 3 };
}

/** Throws `port-in-use` naming the port. A demo that was killed may hold its ports for a moment: `patienceMs`. */
export async function requireFreePorts(ports: Ports, patienceMs: number): Promise<void> {
  const untilMs = performance.now() + patienceMs;
  for (const [who, port] of Object.entries(ports)) {
    while (!(await isFree(port))) {
      if (performance.now() > untilMs) {
        throw new CliError('port-in-use', `port ${port} (${who}) is in use`, {
          remedy: 'End what listens there, or choose four other ports with --port-base N.',
        });
      }
      await wait(100);
    }
  }
}

/** Free on both addresses that `localhost` may mean. */
async function isFree(port: number): Promise<boolean> {
  for (const host of ['127.0.0.1', '::1']) {
    const refused = await tryListen(host, port);
    if (refused === 'EADDRINUSE' || refused === 'EACCES') return false;
  }
  return true;
}

function tryListen(host: string, port: number): Promise<string | undefined> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', (error) => resolve(systemCodeOf(error) ?? 'unknown'));
    server.listen({ host, port, exclusive: true }, () => server.close(() => resolve(undefined)));
  });
}

/**
 * A port that was free a moment ago. It lies below those that systems give by themselves (Linux from 32768 on): one of those may be some outgoing connection's by
 * the time a server listens.
 */
export async function freePort(): Promise<number> {
  for (let tries = 0; tries < triesMax; tries++) {
    const port = randomInt(20_000, 32_000);
    if (await isFree(port)) return port;
  }
  throw new CliError('port-in-use', 'expected a free port from 20000 to 32000, got none', {
    remedy: 'End what listens there.',
  });
}
