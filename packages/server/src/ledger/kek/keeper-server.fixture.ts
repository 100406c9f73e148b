/**
 * A keeper of keys for tests: a loopback HTTP server that answers as its service's documentation says, and misbehaves when told to. Its world's
 * clock goes only when somebody sleeps or a request hangs, so that no test waits for a deadline.
 */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { realDisk } from '../../world/real-disk.ts';
import { realRandom } from '../../world/real-world.ts';
import type { World } from '../../world/world.ts';
import { ToldClock } from '../ledger.fixture.ts';
import type { ProviderDeps } from './provider.ts';

export interface Received {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
  /** The body as JSON, or an empty object. */
  readonly json: Record<string, unknown>;
}

export interface Reply {
  readonly status: number;
  readonly body?: unknown;
  readonly headers?: Record<string, string>;
}

/** What the next request meets instead of an answer. */
export type Misdeed = 'hang' | 'drop' | 'garbage' | 'flood' | 'half' | Reply;

export interface KeeperServer extends AsyncDisposable {
  readonly origin: string;
  readonly clock: SleepingClock;
  readonly deps: ProviderDeps;
  readonly received: Received[];
  /** Taken from the front, one a request. */
  readonly misdeeds: Misdeed[];
}

/** A sleep is over at once, and the time is later then. */
export class SleepingClock extends ToldClock {
  readonly sleptMs: number[] = [];

  override sleep(delayMs: number): Promise<void> {
    this.sleptMs.push(delayMs);
    this.advance(delayMs);
    return Promise.resolve();
  }
}

export async function startKeeper(
  answer: (request: Received) => Reply | Promise<Reply>,
  env: Record<string, string> = {},
): Promise<KeeperServer> {
  const clock = new SleepingClock();
  const world: World = { clock, random: realRandom, disk: realDisk };
  const received: Received[] = [];
  const misdeeds: Misdeed[] = [];
  const server = createServer(async (request, response) => {
    const got = await receive(request);
    received.push(got);
    const misdeed = misdeeds.shift();
    if (misdeed === 'hang') return void clock.advance(5_000);
    if (misdeed === 'drop') return void request.socket.destroy();
    if (misdeed === 'half')
      return void response.writeHead(200, { 'content-length': '100' }).write('{"x":', () => request.socket.destroy());
    if (misdeed === 'garbage') return void response.end('<html>a captive portal</html>');
    if (misdeed === 'flood') return void response.end('x'.repeat(1024 * 1024));
    send(response, misdeed ?? (await answer(got)));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    clock,
    deps: { world, env },
    received,
    misdeeds,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

async function receive(request: IncomingMessage): Promise<Received> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  const body = Buffer.concat(chunks).toString('utf8');
  const url = new URL(request.url ?? '/', 'http://keeper');
  let json: Record<string, unknown> = {};
  try {
    json = JSON.parse(body) as Record<string, unknown>;
  } catch {
    // A form, or nothing.
  }
  return {
    method: request.method ?? '',
    path: url.pathname,
    query: url.searchParams,
    headers: request.headers,
    body,
    json,
  };
}

function send(response: ServerResponse, { status, body, headers = {} }: Reply): void {
  response.writeHead(status, { 'content-type': 'application/json', ...headers });
  response.end(body === undefined ? undefined : typeof body === 'string' ? body : JSON.stringify(body));
}
