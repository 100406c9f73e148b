/** For tests only: a gateway of two workers, and a connection to each of them, whoever the kernel gives it to. */
import assert from 'node:assert/strict';

import type { Event } from '@watchglass/record';
import { Client } from 'undici';

import { type Road, type RoadOptions, startRoad } from './gateway.fixture.ts';
import type { RunningGateway } from './running-gateway.ts';

export interface Answer {
  readonly status: number;
  readonly headers: Record<string, string | string[] | undefined>;
  readonly json: Record<string, unknown>;
}

export interface AskOptions {
  readonly method?: string;
  readonly token?: string | null;
  readonly headers?: Record<string, string>;
  readonly body?: string;
  readonly path?: string;
}

export interface Pair extends AsyncDisposable {
  readonly road: Road;
  /** Asks one worker: 1 or 2. */
  ask(slot: number, options?: AskOptions): Promise<Answer>;
  /** Waits until an event is at the server. */
  event(is: (event: Event) => boolean): Promise<Event>;
  /** What `/metrics` says of one series. */
  metric(series: string): Promise<number | undefined>;
}

export const tick = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Kills one worker, and waits until another serves in its place. */
export async function replace(gateway: RunningGateway, slot: number): Promise<void> {
  const victim = gateway.workers[slot - 1]?.pid ?? assert.fail('no such worker');
  process.kill(victim, 'SIGKILL');
  while (gateway.workers[slot - 1]?.pid === victim || gateway.workers[slot - 1]?.state !== 'ready') await tick();
}

export async function startPair(options: RoadOptions = {}): Promise<Pair> {
  const road = await startRoad({
    ...options,
    config: { workers: 2, admin: { host: '127.0.0.1', port: 0 }, ...options.config },
  });
  const clients = new Set<Client>();
  /** Connections that are open, by the worker at their end. */
  const lines = new Map<number, Client>();

  async function event(is: (event: Event) => boolean): Promise<Event> {
    for (;;) {
      const found = road.events.find(is);
      if (found !== undefined) return found;
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  async function send(client: Client, { path = '/fhir/Patient/1', ...options }: AskOptions): Promise<Answer> {
    const bearer = options.token === undefined ? road.token : options.token;
    const answer = await client.request({
      path,
      method: (options.method ?? 'GET') as 'GET',
      headers: { ...(bearer === null ? {} : { authorization: `Bearer ${bearer}` }), ...options.headers },
      ...(options.body === undefined ? {} : { body: options.body }),
    });
    const text = await answer.body.text();
    return {
      status: answer.statusCode,
      headers: answer.headers,
      json: text.startsWith('{') ? (JSON.parse(text) as Record<string, unknown>) : {},
    };
  }

  /** A connection whose other end is that worker: opened again and again until the kernel picks it. */
  async function lineTo(slot: number): Promise<Client> {
    for (;;) {
      const known = lines.get(slot);
      if (known !== undefined) return known;
      const client = new Client(road.gateway.url, { pipelining: 1, allowH2: false });
      clients.add(client);
      client.on('disconnect', () => {
        for (const [of, line] of lines) if (line === client) lines.delete(of);
      });
      let open = true;
      client.once('disconnect', () => {
        open = false;
      });
      // The capabilities are for everybody, and count for nobody. Whose event it is says who is at the other end.
      const { headers } = await send(client, { path: '/fhir/metadata', token: null });
      // Refused, as long as the API is spared: of that nobody can say who did it.
      if (headers['x-audit-id'] === undefined) {
        await client.destroy();
        continue;
      }
      const { emitter } = await event(({ id }) => id === headers['x-audit-id']);
      const got = Number(emitter.id.split('/')[1]);
      if (open && !lines.has(got)) lines.set(got, client);
    }
  }

  return {
    road,
    event,
    async ask(slot, asked = {}) {
      return send(await lineTo(slot), asked);
    },
    async metric(series) {
      const text = await (await fetch(`${road.gateway.adminUrl}/metrics`)).text();
      const line = text.split('\n').find((one) => one.startsWith(`${series} `));
      return line === undefined ? undefined : Number(line.slice(series.length + 1));
    },
    async [Symbol.asyncDispose]() {
      for (const client of clients) await client.destroy();
      await road.close();
    },
  };
}
