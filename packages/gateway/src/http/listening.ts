/** Opening a server's door and closing it: an error that says which door, and an end that lets what is under way finish. */
import { once } from 'node:events';
import type { Server } from 'node:http';
import type { AddressInfo, ListenOptions } from 'node:net';

import { GatewayError } from '../errors.ts';

/** Whether many processes may listen at one port, each with a queue of its own; elsewhere their primary hands out connections. */
export const kernelShares: boolean = process.platform === 'linux';

export interface Place {
  readonly host: string;
  readonly port: number;
}

/** Resolves with the port. `together`: other processes of this gateway listen there too, and the kernel shares the connections out. */
export async function listen(
  server: Server,
  { host, port }: Place,
  options: { readonly together?: boolean } = {},
): Promise<number> {
  const where: ListenOptions = { host, port, ...(options.together === true ? { reusePort: true } : {}) };
  try {
    server.listen(where);
    await once(server, 'listening');
  } catch (cause) {
    throw cannotListen(`${host}:${port}`, cause);
  }
  return (server.address() as AddressInfo).port;
}

/** `to`: what is done there. */
export function cannotListen(place: string, cause: unknown, to = 'listen'): GatewayError {
  const code = (cause as NodeJS.ErrnoException).code ?? 'an error';
  // The kernel says the same of a folder that isn't there.
  const advice =
    code === 'EACCES'
      ? 'see that its folder is there, and who may open it'
      : 'choose another place, or stop who has it';
  return new GatewayError('listen-failed', `expected to ${to} on ${place}, got ${code}; ${advice}`, { cause });
}

/** Takes no more connections, lets what is under way finish, and hangs up on the rest after the bound. */
export async function closeServer(server: Server, drainMs: number): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  // A kept-alive connection becomes idle only once its last answer is out.
  const idle = setInterval(() => server.closeIdleConnections(), 25);
  server.closeIdleConnections();
  const timer = setTimeout(() => server.closeAllConnections(), drainMs);
  await closed;
  clearTimeout(timer);
  clearInterval(idle);
}

export function hostForUrl(host: string): string {
  return host.includes(':') ? `[${host}]` : host;
}
