/**
 * A stand-in for the server, to look at the console before or without it: `node dev/server.ts [port]` serves dist/ and
 * the API over a synthetic log. Development only: it knows nobody and lets everybody in.
 */
import { createReadStream, existsSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ListedEvent } from '../src/api/client.ts';
import { matchEvent } from '../src/state/match-event.ts';
import { samplePeople, sampleSent, sampleTenant } from './sample-event.ts';
import { SampleLog } from './sample-log.ts';

const dist = fileURLToPath(new URL('../dist/', import.meta.url));
const types: Readonly<Record<string, string>> = {
  '.html': 'text/html',
  '.js': 'text/javascript',
  '.css': 'text/css',
  '.svg': 'image/svg+xml',
  '.woff2': 'font/woff2',
};
export const contentSecurityPolicy =
  "default-src 'none'; script-src 'self'; style-src 'self'; font-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

export interface DevOptions {
  readonly log: SampleLog;
  /** Changed by tests while it runs. */
  rights: readonly string[];
  signedIn: boolean;
  /** Added to every API answer, ms. */
  delayMs: number;
  /** Answers every search with this status. */
  failWith: number;
  vkey?: string;
}

export function createDevServer(options: DevOptions): ReturnType<typeof createServer> {
  return createServer((request, response) => {
    answer(options, request, response).catch(() => {
      response.statusCode = 500;
      response.end();
    });
  });
}

async function answer(options: DevOptions, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { log } = options;
  const url = new URL(request.url ?? '/', 'http://localhost');
  const json = (body: unknown, status = 200): void => {
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
  };
  const text = (body: string | Uint8Array): void =>
    void response.writeHead(200, { 'content-type': 'text/plain' }).end(body);
  if (url.pathname.startsWith('/v1/') && options.delayMs > 0)
    await new Promise((resolve) => setTimeout(resolve, options.delayMs));
  const tile = /^\/log\/clinic\/(tile\/.+)$/.exec(url.pathname)?.[1];
  const event = /^\/v1\/events\/(\d+)(\/proof)?$/.exec(url.pathname);
  if (url.pathname === '/v1/session') {
    const person = {
      id: 'p-privacy',
      username: 'privacy',
      name: 'Rosa Lindqvist',
      roles: ['privacy-officer'],
      rights: options.rights,
    };
    return json(
      options.signedIn
        ? {
            signedIn: true,
            person,
            tenant: sampleTenant,
            tenants: [sampleTenant],
            vkeys: { [sampleTenant]: options.vkey ?? log.vkey },
            demo: true,
          }
        : { signedIn: false, demo: true },
    );
  }
  if (url.pathname === '/auth/login') {
    options.signedIn = true;
    response.writeHead(302, { location: url.searchParams.get('to') ?? '/' }).end();
    return;
  }
  if (url.pathname === '/auth/logout') {
    options.signedIn = false;
    return json({});
  }
  if (url.pathname === '/log/clinic/checkpoint') return text(log.checkpoint());
  if (tile) {
    const bytes = log.tile(tile);
    return bytes ? text(bytes) : json({ code: 'not-found' }, 404);
  }
  if (url.pathname.startsWith('/v1/')) {
    if (!options.signedIn)
      return json({ code: 'unauthenticated', title: 'Sign in', status: 401, detail: 'Sign in first.' }, 401);
    if (options.failWith > 0 && url.pathname !== '/v1/events/tail')
      return json(
        {
          code: 'read-only',
          title: 'The ledger takes no records',
          detail: 'Nothing stored is lost. Free space on the disk of the server, then try again.',
        },
        options.failWith,
      );
  }
  if (url.pathname === '/v1/events/search') return json(search(log, await body(request)));
  if (url.pathname === '/v1/events/summary') return json(summarise(log, await body(request)));
  if (url.pathname === '/v1/events/tail') return tail(log, request, response);
  if (url.pathname === '/v1/status') return json(status(log));
  if (event) {
    const index = Number(event[1]);
    const found = log.shown[index];
    if (!found) return json({ code: 'not-found', title: 'Not found', detail: 'This log has no such event.' }, 404);
    return event[2] ? text(log.proof(index, { opening: options.rights.includes('open') })) : json(found);
  }
  if (url.pathname.startsWith('/v1/')) return json({ code: 'not-found' }, 404);
  serveFile(url.pathname, response);
}

function serveFile(path: string, response: ServerResponse): void {
  const file = path !== '/' && existsSync(join(dist, path)) ? path : '/index.html';
  response.writeHead(200, {
    'content-type': types[extname(file)] ?? 'application/octet-stream',
    'content-security-policy': contentSecurityPolicy,
  });
  createReadStream(join(dist, file)).pipe(response);
}

type Query = Record<string, string | undefined> & { limit?: never; buckets?: never };

async function body(request: IncomingMessage): Promise<Query> {
  let text = '';
  for await (const chunk of request) text += String(chunk);
  return JSON.parse(text);
}

function matching(log: SampleLog, query: Query): ListedEvent[] {
  const { patient, resource, q, ...rest } = query;
  return log.shown.filter((event) => {
    if (matchEvent(event, rest as never) === 'no') return false;
    if (patient && !JSON.stringify([event.targets, event.exposure]).includes(patient)) return false;
    if (resource && !event.targets?.some((target) => `${target.type}/${target.id}`.startsWith(resource))) return false;
    return !q || JSON.stringify(event).toLowerCase().includes(q.toLowerCase());
  });
}

function search(log: SampleLog, query: Query): object {
  const all = matching(log, query).toReversed();
  const start = query.cursor ? Number(query.cursor) : 0;
  const limit = Number(query.limit ?? 50);
  return {
    events: all.slice(start, start + limit),
    people: samplePeople,
    next: start + limit < all.length ? String(start + limit) : null,
    count: all.length,
  };
}

function summarise(log: SampleLog, query: Query): object {
  const all = matching(log, query);
  const from = Date.parse(query.from ?? all[0]?.time ?? new Date().toISOString());
  const to = query.to ? Date.parse(query.to) : Date.now();
  const stepMs = Math.max(1000, Math.ceil((to - from) / Number(query.buckets ?? 60) / 60_000) * 60_000);
  const series = new Map<number, Record<string, number>>();
  const facets: Record<string, Map<string, number>> = {
    kind: new Map(),
    action: new Map(),
    operation: new Map(),
    outcome: new Map(),
    actor: new Map(),
    route: new Map(),
  };
  for (const event of all) {
    const time = from + Math.floor((Date.parse(event.time) - from) / stepMs) * stepMs;
    const point = series.get(time) ?? { time, success: 0, denied: 0, failed: 0, error: 0 };
    point[event.outcome.status] = (point[event.outcome.status] ?? 0) + 1;
    series.set(time, point);
    const values = {
      kind: event.kind,
      action: event.action,
      operation: event.operation,
      outcome: event.outcome.status,
      actor: event.actor.id,
      route: event.request?.route,
    };
    for (const [name, value] of Object.entries(values))
      if (value) facets[name]?.set(value, (facets[name]?.get(value) ?? 0) + 1);
  }
  const listed = Object.fromEntries(
    Object.entries(facets).map(([name, values]) => [
      name,
      [...values]
        .sort((a, b) => b[1] - a[1])
        .slice(0, 20)
        .map(([value, count]) => ({ value, count })),
    ]),
  );
  const iso = (ms: number): string => new Date(ms).toISOString();
  const points = [...series.values()]
    .sort((a, b) => (a.time ?? 0) - (b.time ?? 0))
    .map((point) => ({ ...point, time: iso(point.time ?? 0) }));
  return { count: all.length, from: iso(from), to: iso(to), stepMs, series: points, facets: listed };
}

function tail(log: SampleLog, request: IncomingMessage, response: ServerResponse): void {
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  response.write(': open\n\n');
  let size = log.size;
  const timer = setInterval(() => {
    for (; size < log.size; size++) response.write(`id: ${size}\ndata: ${JSON.stringify(log.shown[size])}\n\n`);
  }, 200);
  request.on('close', () => clearInterval(timer));
}

function status(log: SampleLog): object {
  return {
    version: '0.1.0',
    demo: true,
    tenant: sampleTenant,
    ledger: { state: { kind: 'writable' }, size: log.size, root: '', vkey: log.vkey },
    index: { tenant: sampleTenant, indexed: log.size - 3, size: log.size, lagMs: 140 },
    intake: { accepted: log.size, duplicates: 2, refused: { 'event-invalid': 1 }, bytesInFlight: 0 },
    emitters: [
      { id: 'gateway-1/0', lastSeq: log.size, received: log.size, gaps: [] },
      { id: 'gateway-2/0', lastSeq: 812, received: 809, gaps: [{ first: 640, last: 642, sinceMs: 4000 }] },
      { id: 'server', lastSeq: 41, received: 41, gaps: [] },
    ],
  };
}

if (import.meta.main) {
  const log = new SampleLog();
  const count = 1500;
  const stepMs = 41_000;
  const start = Date.now() - count * stepMs;
  for (let n = 0; n < count; n++) log.append(sampleSent(n, start, stepMs));
  setInterval(() => log.append(sampleSent(log.size, Date.now() - log.size * stepMs, stepMs)), 3000);
  const port = Number(process.argv[2] ?? 9440);
  createDevServer({
    log,
    rights: ['search', 'open', 'tail', 'status'],
    signedIn: true,
    delayMs: 0,
    failWith: 0,
  }).listen(port, '127.0.0.1', () => console.log(`http://localhost:${port}`));
}
