/**
 * A gateway with an upstream that tells what it parsed: node:http, and, where it is installed, nginx in between, whose own parser reads the gateway's bytes first
 * and passes on what it made of them.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';

import { type Road, samplePolicy, startRoad } from '../../../packages/gateway/src/gateway.fixture.ts';
import { acceptOf } from '../../../packages/gateway/src/http/websocket.ts';
import { disagreement, type Seen } from './agreement.ts';
import type { Pieces } from './generate.ts';

const nginxPath = ['/usr/sbin/nginx', '/usr/local/sbin/nginx', '/usr/bin/nginx'].find((path) => existsSync(path));

export const parsers: readonly ('node' | 'nginx')[] = nginxPath === undefined ? ['node'] : ['node', 'nginx'];

export interface Stand extends AsyncDisposable {
  readonly token: string;
  /** Requests that reached the upstream, over all connections. */
  readonly seenCount: () => number;
  /** Says it all, side by side, and holds the record against what the upstream saw; undefined where they agree. */
  judge(connections: readonly Pieces[]): Promise<string | undefined>;
}

export async function openStand(parser: 'node' | 'nginx'): Promise<Stand> {
  await using stack = new AsyncDisposableStack();
  const seen: Seen[] = [];
  let seenCount = 0;
  let underWay = 0;
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    underWay += 1;
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const text = JSON.stringify({ resourceType: 'Patient', id: 'p-1' });
      response.writeHead(200, { 'content-type': 'application/fhir+json', 'content-length': text.length });
      response.end(text);
    });
    request.on('error', () => undefined);
    request.on('close', () => {
      underWay -= 1;
      seenCount += 1;
      const { method = '', url: target = '', rawHeaders, rawTrailers: trailers, complete } = request;
      seen.push({ method, target, rawHeaders, body: Buffer.concat(chunks), complete, trailers });
    });
  });
  // Every other one is agreed to; what comes over it may be frames, and nothing that looks like a request.
  server.on('upgrade', (request, socket: Duplex) => {
    const { method = '', url: target = '', rawHeaders } = request;
    const chunks: Buffer[] = [];
    underWay += 1;
    seenCount += 1;
    seen.push({ method, target, rawHeaders, body: Buffer.alloc(0), complete: true, trailers: [] });
    const key = String(request.headers['sec-websocket-key']);
    socket.on('data', (chunk: Buffer) => chunks.push(chunk));
    socket.on('error', () => undefined);
    socket.on('end', () => socket.end());
    socket.on('close', () => {
      underWay -= 1;
      const body = Buffer.concat(chunks);
      if (/ HTTP\/\d/.test(body.toString('latin1')))
        seen.push({ method: 'SMUGGLED', target, rawHeaders: [], body, complete: true, trailers: [] });
    });
    socket.write(
      seenCount % 2 === 0
        ? 'HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n'
        : `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${acceptOf(key)}\r\n\r\n`,
    );
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  stack.defer(async () => {
    server.closeAllConnections();
    server.close();
    await once(server, 'close');
  });
  const { port } = server.address() as AddressInfo;
  const upstreamPort = parser === 'nginx' ? await startNginx(port, stack) : port;
  const road = await startRoad({
    policy: samplePolicy.replace('interactions: [read, vread,', 'interactions: [subscribe, read, vread,'),
    config: {
      routes: [{ prefix: '/fhir', kind: 'fhir', websocket: true }],
      upstream: { url: `http://127.0.0.1:${upstreamPort}`, timeoutMs: 5_000 },
      limits: { headersTimeoutMs: 1_000, requestTimeoutMs: 1_500, checkIntervalMs: 100, keepAliveTimeoutMs: 200 },
    },
  });
  stack.defer(() => road.close());
  const kept = stack.move();
  return {
    token: road.token,
    seenCount: () => seenCount,
    async judge(connections) {
      seen.length = 0;
      road.events.length = 0;
      await Promise.all(connections.map((pieces) => say(road, pieces)));
      await idle(() => road.gateway.spool.status.reservedBytes === 0 && underWay === 0);
      return disagreement(seen, await road.settled());
    },
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}

/** With nothing under way every event was given to the spool, and the upstream has told what it saw. */
async function idle(isIdle: () => boolean): Promise<void> {
  while (!isIdle()) await new Promise((resolve) => setImmediate(resolve));
}

function say(road: Road, pieces: Pieces): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const socket = connect({ port: road.gateway.port, host: '127.0.0.1' });
  socket.on('data', () => undefined);
  socket.on('error', () => undefined);
  socket.on('close', () => resolve());
  socket.end(Buffer.from(pieces.join(''), 'latin1'));
  return promise;
}

/** Resolves with its port. */
async function startNginx(upstreamPort: number, stack: AsyncDisposableStack): Promise<number> {
  const folder = await mkdtemp(join(tmpdir(), 'watchglass-fuzz-'));
  stack.defer(() => rm(folder, { recursive: true, force: true }));
  await chmod(folder, 0o755);
  await mkdir(join(folder, 'temp'));
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = probe.address() as AddressInfo;
  probe.close();
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'];
  const lines = [
    'daemon off; master_process off; error_log /dev/null crit;',
    `pid ${join(folder, 'nginx.pid')};`,
    'events { worker_connections 512; }',
    'http { access_log off; underscores_in_headers on; merge_slashes off;',
    ...temporary.map((name) => `  ${name}_temp_path ${join(folder, 'temp', name)};`),
    `  server { listen 127.0.0.1:${port};`,
    `    location / { proxy_pass http://127.0.0.1:${upstreamPort}; proxy_http_version 1.1; proxy_set_header Connection ""; } } }`,
    '',
  ];
  await writeFile(join(folder, 'nginx.conf'), lines.join('\n'));
  const child = spawn(nginxPath as string, ['-p', folder, '-c', join(folder, 'nginx.conf'), '-e', '/dev/null'], {
    stdio: 'ignore',
  });
  const exited = once(child, 'exit');
  stack.defer(async () => {
    child.kill('SIGTERM');
    await exited;
  });
  while (!(await isOpen(port))) {
    if (child.exitCode !== null) throw new Error(`expected nginx to run, got exit code ${child.exitCode}`);
    await new Promise((resolve) => setImmediate(resolve));
  }
  return port;
}

function isOpen(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
