/**
 * The HTTP door under load: the real server as a child process on a temporary directory, this process as its senders. Batches of 100, single posts over 64 connections, and the time until an
 * event can be found at 1,000 events a second. Every answer counted here was durable when it was given.
 */
import { fork } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { uuidv7 } from '@watchglass/record';

interface Running {
  readonly url: string;
  readonly writeKey: string;
  readonly operator: string;
  readonly rssMb: () => number;
  readonly cpu: () => Promise<Cpu>;
  readonly stop: () => Promise<void>;
}

/** µs of processor time since the server started. */
interface Cpu {
  readonly process: number;
  readonly mainThread: number;
}

const connectionsBatch = 8;
const connectionsSingle = 64;
const eventsPerBatch = 100;
const lagEventsPerSecond = 1_000;
const warmUpSecondsMax = 4;
const batchEventsPerSecondMin = 15_000;
const singlesP99MsMax = 60;

export async function run({
  seconds,
  log,
}: {
  readonly seconds: number;
  readonly log: (line: string) => void;
}): Promise<Record<string, number>> {
  const server = await start();
  const share = Math.max(1, seconds / 4.5);
  let rssMbMax = server.rssMb();
  const watch = setInterval(() => {
    rssMbMax = Math.max(rssMbMax, server.rssMb());
  }, 250);
  try {
    // Until the engine has compiled what is hot: a server runs for weeks, this for seconds.
    const warmUp = { seconds: Math.min(warmUpSecondsMax, share / 2) };
    await load(server, { connections: connectionsBatch, eventsPerPost: eventsPerBatch, ...warmUp });
    await load(server, { connections: connectionsSingle, eventsPerPost: 1, ...warmUp });
    await caughtUp(server);
    const batches = await load(server, {
      connections: connectionsBatch,
      eventsPerPost: eventsPerBatch,
      seconds: share,
    });
    log(
      `batches of ${eventsPerBatch}: ${Math.round(batches.eventsPerSecond)} events/s over ${connectionsBatch} connections, ${shareOf(batches.eventsPerSecond, batchEventsPerSecondMin)} of the bar; ${cpuText(batches)}`,
    );
    await caughtUp(server);
    const singles = await load(server, { connections: connectionsSingle, eventsPerPost: 1, seconds: share });
    log(
      `single posts: ${Math.round(singles.eventsPerSecond)}/s at ${connectionsSingle} connections, p50 ${singles.p50Ms.toFixed(1)} ms, p99 ${singles.p99Ms.toFixed(1)} ms; ${cpuText(singles)}`,
    );
    await caughtUp(server);
    const lag = await lagAt(server, share);
    log(
      `at ${lagEventsPerSecond} events/s an event is found after ${lag.p50Ms.toFixed(0)} ms (p50), ${lag.maxMs.toFixed(0)} ms (max)`,
    );
    return {
      'batches of 100, events/s': batches.eventsPerSecond,
      'batches of 100, share of 15,000/s': batches.eventsPerSecond / batchEventsPerSecondMin,
      'batches of 100, p99 ms': batches.p99Ms,
      'batches of 100, processor µs an event, main thread': batches.mainThreadUs,
      'batches of 100, processor µs an event, all threads': batches.processUs,
      'single posts, 64 connections, events/s': singles.eventsPerSecond,
      'single posts, 64 connections, p50 ms': singles.p50Ms,
      'single posts, 64 connections, p99 ms': singles.p99Ms,
      'single posts, 64 connections, share of 60 ms': singles.p99Ms / singlesP99MsMax,
      'single posts, processor µs an event, main thread': singles.mainThreadUs,
      'searchable at 1,000 events/s, p50 ms': lag.p50Ms,
      'searchable at 1,000 events/s, max ms': lag.maxMs,
      'resident memory of the server, max MB': rssMbMax,
    };
  } finally {
    clearInterval(watch);
    await server.stop();
  }
}

/** This file again, as the server. */
async function start(): Promise<Running> {
  const dir = mkdtempSync(join(tmpdir(), 'bench-intake-'));
  const child = fork(import.meta.filename, [], {
    // As the demo starts its server: docs/configuration.md, "Memory".
    execArgv: ['--max-semi-space-size=8'],
    env: {
      MALLOC_ARENA_MAX: '2',
      ...process.env,
      BENCH_INTAKE_DIR: dir,
      BENCH_INTAKE_PORTS: `${await freePort()},${await freePort()}`,
    },
  });
  const left = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  const url = await new Promise<string>((resolve, reject) => {
    child.once('message', (message: { url: string }) => resolve(message.url));
    child.once('exit', (code) => reject(new Error(`the server left with code ${code}`)));
  });
  const tokens = JSON.parse(readFileSync(join(dir, 'demo', 'tokens.json'), 'utf8')) as { writeKey: string };
  return {
    url,
    writeKey: tokens.writeKey,
    operator: readFileSync(join(dir, 'keys', 'operator.token'), 'utf8').trim(),
    rssMb: () => {
      const status = readFileSync(`/proc/${child.pid}/status`, 'utf8');
      return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1] ?? 0) / 1_024;
    },
    cpu: () =>
      new Promise((resolve) => {
        child.once('message', (message: Cpu) => resolve(message));
        child.send('cpu');
      }),
    stop: async () => {
      child.disconnect();
      await left;
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

async function serve(dir: string, ports: readonly number[]): Promise<void> {
  const { parseConfig, startServer } = await import('@watchglass/server');
  writeFileSync(join(dir, 'roster.json'), '{"staff":[]}');
  const [port, issuerPort] = ports;
  const yaml = [
    `data: ${JSON.stringify(dir)}`,
    `listen: { host: 127.0.0.1, port: ${port} }`,
    `url: http://localhost:${port}`,
    'tenants: [clinic]',
    'origin: bench.watchglass.example',
    `issuer: { embedded: true, url: 'http://localhost:${issuerPort}', listen: { host: 127.0.0.1, port: ${issuerPort} } }`,
    `demo: { people: ${JSON.stringify(join(dir, 'roster.json'))} }`,
    'log: { level: error }',
  ].join('\n');
  const server = await startServer(parseConfig(yaml, join(dir, 'watchglass.yaml')));
  process.once('disconnect', () => {
    server[Symbol.asyncDispose]().then(
      () => process.exit(0),
      () => process.exit(1),
    );
  });
  process.on('message', () => {
    const whole = process.cpuUsage();
    const main = process.threadCpuUsage();
    process.send?.({ process: whole.user + whole.system, mainThread: main.user + main.system } satisfies Cpu);
  });
  process.send?.({ url: `http://127.0.0.1:${port}` });
}

interface Load {
  readonly connections: number;
  readonly eventsPerPost: number;
  readonly seconds: number;
}

interface Loaded {
  readonly eventsPerSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** µs of processor time of the server an event. */
  readonly mainThreadUs: number;
  readonly processUs: number;
}

function cpuText({ mainThreadUs, processUs }: Loaded): string {
  return `${mainThreadUs.toFixed(0)} µs an event on the main thread, ${processUs.toFixed(0)} µs in all`;
}

function shareOf(value: number, bar: number): string {
  return `${Math.round((100 * value) / bar)} %`;
}

async function load(server: Running, { connections, eventsPerPost, seconds }: Load): Promise<Loaded> {
  const lines = await Promise.all(Array.from({ length: connections }, () => openLine(server)));
  const tookMs: number[] = [];
  const before = await server.cpu();
  const begun = performance.now();
  const until = begun + seconds * 1_000;
  await Promise.all(
    lines.map(async (line) => {
      while (performance.now() < until) {
        const body = bodyOf(eventsPerPost);
        const sentMs = performance.now();
        await line.post(body);
        tookMs.push(performance.now() - sentMs);
      }
    }),
  );
  const tookSeconds = (performance.now() - begun) / 1_000;
  const after = await server.cpu();
  for (const line of lines) line.close();
  tookMs.sort((a, b) => a - b);
  const events = tookMs.length * eventsPerPost;
  return {
    eventsPerSecond: events / tookSeconds,
    p50Ms: tookMs[Math.floor(tookMs.length * 0.5)] ?? 0,
    p99Ms: tookMs[Math.floor(tookMs.length * 0.99)] ?? 0,
    mainThreadUs: (after.mainThread - before.mainThread) / events,
    processUs: (after.process - before.process) / events,
  };
}

/** A connection that posts events one body after another. Written by hand, since what the sender costs is taken from the server's two cores. */
interface Line {
  readonly post: (body: string) => Promise<void>;
  readonly close: () => void;
}

async function openLine({ url, writeKey }: Running): Promise<Line> {
  const { hostname, port, host } = new URL(url);
  const socket = connect({ host: hostname, port: Number(port), noDelay: true });
  await new Promise<void>((resolve, reject) => {
    socket.once('connect', resolve);
    socket.once('error', reject);
  });
  const head = `POST /v1/events HTTP/1.1\r\nhost: ${host}\r\nauthorization: Bearer ${writeKey}\r\ncontent-type: application/json\r\n`;
  let waiting: PromiseWithResolvers<void> | undefined;
  let answer = '';
  socket.setEncoding('latin1');
  socket.on('data', (chunk: string) => {
    answer += chunk;
    const headEnd = answer.indexOf('\r\n\r\n');
    if (headEnd < 0) return;
    const length = Number(/\r\ncontent-length: (\d+)\r\n/i.exec(answer.slice(0, headEnd + 2))?.[1] ?? Number.NaN);
    if (answer.length < headEnd + 4 + length) return;
    if (answer.startsWith('HTTP/1.1 201')) waiting?.resolve();
    else waiting?.reject(new Error(`POST /v1/events: ${answer.slice(0, 1_000)}`));
    answer = '';
  });
  socket.on('error', (error) => waiting?.reject(error));
  socket.on('close', () => waiting?.reject(new Error('the server closed the connection')));
  return {
    post: (body) => {
      waiting = Promise.withResolvers<void>();
      socket.write(`${head}content-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`);
      return waiting.promise;
    },
    close: () => {
      waiting = undefined;
      socket.destroy();
    },
  };
}

/** At a steady rate: how long after its receipt the newest event of a post is in the answer of a search. */
async function lagAt(server: Running, seconds: number): Promise<{ p50Ms: number; maxMs: number }> {
  const agent = new Agent({ keepAlive: true, maxSockets: 4 });
  const perPost = 50;
  const lags: number[] = [];
  const begun = performance.now();
  for (let post = 0; performance.now() < begun + seconds * 1_000; post++) {
    const operation = `lag-${post}`;
    await send(server, agent, bodyOf(perPost, operation));
    const storedMs = performance.now();
    if (post % 5 === 0) {
      while ((await countOf(server, agent, operation)) < perPost) await sleep(5);
      lags.push(performance.now() - storedMs);
    }
    const dueMs = begun + ((post + 1) * perPost * 1_000) / lagEventsPerSecond;
    await sleep(Math.max(0, dueMs - performance.now()));
  }
  agent.destroy();
  lags.sort((a, b) => a - b);
  return { p50Ms: lags[Math.floor(lags.length / 2)] ?? 0, maxMs: lags.at(-1) ?? 0 };
}

async function caughtUp(server: Running): Promise<void> {
  const agent = new Agent({ keepAlive: true });
  for (;;) {
    const status = JSON.parse(
      await exchange(server, agent, { path: '/v1/status', method: 'GET', token: server.operator }),
    ) as { index: { indexed: number; size: number } };
    if (status.index.indexed >= status.index.size - 2) break;
    await sleep(50);
  }
  agent.destroy();
}

async function countOf(server: Running, agent: Agent, operation: string): Promise<number> {
  const body = JSON.stringify({ operation, limit: 1 });
  const answer = await exchange(server, agent, {
    path: '/v1/events/search',
    method: 'POST',
    token: server.operator,
    body,
  });
  return (JSON.parse(answer) as { count: number }).count;
}

async function send(server: Running, agent: Agent, body: string): Promise<void> {
  await exchange(server, agent, { path: '/v1/events', method: 'POST', token: server.writeKey, body });
}

function exchange(
  { url }: Running,
  agent: Agent,
  {
    path,
    method,
    token,
    body,
  }: { readonly path: string; readonly method: string; readonly token: string; readonly body?: string },
): Promise<string> {
  return new Promise((resolve, reject) => {
    const headers = {
      authorization: `Bearer ${token}`,
      ...(body === undefined ? {} : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) }),
    };
    const sent = request(`${url}${path}`, { agent, method, headers }, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => {
        text += chunk;
      });
      response.on('end', () => {
        if ((response.statusCode ?? 500) < 300) resolve(text);
        else reject(new Error(`${method} ${path}: ${response.statusCode} ${text.slice(0, 300)}`));
      });
      response.on('error', reject);
    });
    sent.on('error', reject);
    sent.end(body);
  });
}

let seq = 0;

/** Events of about 650 bytes, as a gateway sends them. Written from a pattern: what a sender costs is taken from the server's two cores. */
function bodyOf(count: number, operation = 'read'): string {
  const nowMs = Date.now();
  const time = new Date(nowMs).toISOString();
  const random = new Uint8Array(10);
  const view = new DataView(random.buffer);
  const events = Array.from({ length: count }, () => {
    seq += 1;
    view.setUint32(4, seq);
    const patient = `wg-pt-${String(seq % 5_000).padStart(6, '0')}`;
    return [
      `{"v":1,"id":"${uuidv7(nowMs, random)}","time":"${time}","emitter":{"id":"bench","seq":${seq}}`,
      `"kind":"api","action":"read","operation":"${operation}","outcome":{"status":"success","code":200}`,
      `"actor":{"id":"staff-${seq % 300}","type":"human","roles":["nurse"],"client":"ehr","authentication":{"method":"bearer","mfa":true}}`,
      `"source":{"address":"127.1.0.${seq % 250}"},"site":"gateway-1"`,
      `"targets":[{"type":"Observation","id":"obs-${seq}","patient":"${patient}","classes":["results"]}]`,
      `"exposure":{"patients":[{"id":"${patient}","classes":["results"],"count":1}],"count":1,"bytes":1840}`,
      `"request":{"method":"GET","route":"/fhir/Observation/{id}","status":200,"durationMs":12.5,"id":"r-${seq}"}}`,
    ].join(',');
  });
  return count === 1 ? (events[0] as string) : `[${events.join(',')}]`;
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}

if (process.env.BENCH_INTAKE_DIR !== undefined && process.send !== undefined) {
  await serve(process.env.BENCH_INTAKE_DIR, (process.env.BENCH_INTAKE_PORTS ?? '').split(',').map(Number));
}
