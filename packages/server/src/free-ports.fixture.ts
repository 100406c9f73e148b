/**
 * For tests only: ports for servers whose address stands in their configuration before they listen. They lie below those that systems give by themselves (Linux from
 * 32768 on): one of those may be some outgoing connection's, of a test beside this one, by the time the server listens.
 */
import { randomInt } from 'node:crypto';
import { createServer } from 'node:net';

/** The first of `count` ports in a row that were free a moment ago. */
export async function freePorts(count: number): Promise<number> {
  for (let tries = 0; tries < 50; tries++) {
    const base = randomInt(20_000, 32_000);
    const free = await Promise.all(Array.from({ length: count }, (_, at) => isFree(base + at)));
    if (free.every(Boolean)) return base;
  }
  throw new Error('found no free ports');
}

export const freePort = (): Promise<number> => freePorts(1);

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen({ host: '127.0.0.1', port }, () => server.close(() => resolve(true)));
  });
}
