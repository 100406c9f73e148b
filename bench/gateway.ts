/**
 * What the guard costs: the gateway in `strict` mode (verified token, rate limit, policy, exposure, one durable event a request) against HAProxy doing the nearest it can, and against a bare
 * proxy of the gateway's own parts (node:http and undici) that does nothing but pass on; and the same gateway with two workers under a primary. Each in processes of its own, in front of the same upstream, in turns, under the same load.
 * Last, what the gateway adds to the slowest answers at a thousand requests a second.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { exportJWK, exportSPKI, generateKeyPair, SignJWT } from 'jose';
import { Pool } from 'undici';

import { type Load, pace, saturate, wrk } from './load.ts';
import { cpuMicros as cpuMicrosOf } from './processor-time.ts';
import { startHaproxy, startNginx } from './proxies.ts';

const connections = 64;
const path = '/fhir/Patient/bench-1';
const audience = 'urn:watchglass:api';
const pacedPerSecond = 1_000;

interface Contender {
  readonly name: string;
  readonly url: string;
  cpuMicros(): Promise<number>;
}

/** Figures by name; ratios are gateway ÷ other, the median of the turns. */
export async function run(options: {
  readonly seconds: number;
  readonly log: (line: string) => void;
}): Promise<Record<string, number>> {
  const { log } = options;
  const folder = await mkdtemp(join(tmpdir(), 'watchglass-bench-'));
  const forks: ChildProcess[] = [];
  const others: ChildProcess[] = [];
  const start = async (role: string, settings: object = {}): Promise<Contender> => {
    const child = fork(fileURLToPath(import.meta.url), {
      env: { ...process.env, WATCHGLASS_BENCH_ROLE: role, WATCHGLASS_BENCH_SETTINGS: JSON.stringify(settings) },
      execArgv: role.startsWith('gateway')
        ? (process.env.WATCHGLASS_BENCH_NODE_OPTIONS ?? '').split(' ').filter(Boolean)
        : [],
    });
    forks.push(child);
    const [{ url }] = (await once(child, 'message')) as [{ url: string }];
    return {
      name: role,
      url,
      async cpuMicros() {
        child.send('cpu');
        const [{ cpuMicros }] = (await once(child, 'message')) as [{ cpuMicros: number }];
        return cpuMicros;
      },
    };
  };
  try {
    const { publicKey, privateKey } = await generateKeyPair('RS256', { extractable: true });
    const jwk = { ...(await exportJWK(publicKey)), kid: 'bench', alg: 'RS256' };
    const around = await start('around', { jwk });
    const nginx = await startNginx({ folder, body: patientText });
    if (nginx !== undefined) others.push(nginx.process);
    const upstream = nginx?.url ?? around.url;
    const token = await new SignJWT({ client_id: 'bench', roles: ['physician'], scope: 'user/*.cruds' })
      .setProtectedHeader({ alg: 'RS256', kid: 'bench', typ: 'at+jwt' })
      .setIssuer(around.url)
      .setAudience(audience)
      .setSubject('bench-person')
      .setIssuedAt()
      .setExpirationTime('1h')
      .sign(privateKey);
    const contenders = [
      await start('bare', { upstream }),
      await start('gateway', { folder, upstream, issuer: around.url, workers: 1 }),
      await start('gateway2', { folder, upstream, issuer: around.url, workers: 2 }),
    ];
    const publicKeyPem = await exportSPKI(publicKey);
    const haproxy = await startHaproxy({ folder, upstream, publicKeyPem, issuer: around.url, audience });
    if (haproxy === undefined) log('HAProxy is left out: it is not installed');
    else {
      others.push(haproxy.process);
      contenders.push({ name: 'haproxy', url: haproxy.url, cpuMicros: haproxy.cpuMicros });
    }
    log(
      `${connections} connections, GET of one Patient of ${patientText.length} bytes, RS256, plain HTTP; upstream ${nginx?.version ?? 'Node.js'}, load by ${wrk === undefined ? 'JavaScript' : 'wrk'}, all on the same cores`,
    );
    const headers = { authorization: `Bearer ${token}`, accept: 'application/fhir+json' };
    return {
      ...(await inTurns(contenders, { seconds: options.seconds * 0.75, headers, log })),
      ...(await added(contenders, { upstream, seconds: options.seconds * 0.25, headers, log })),
    };
  } finally {
    for (const child of others) {
      child.kill();
      if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
    }
    for (const child of forks) {
      child.disconnect();
      if (child.exitCode === null) await once(child, 'exit');
    }
    await rm(folder, { recursive: true, force: true });
  }
}

interface Turn extends Load {
  readonly cpuMicros: number;
}

async function inTurns(
  contenders: readonly Contender[],
  parts: {
    readonly seconds: number;
    readonly headers: Readonly<Record<string, string>>;
    readonly log: (line: string) => void;
  },
): Promise<Record<string, number>> {
  const { headers, log } = parts;
  const turns = new Map<string, Turn[]>(contenders.map(({ name }) => [name, []]));
  for (const { url } of contenders) await saturate({ url, path, headers }, { connections, seconds: 1 });
  const rounds = Math.max(1, Math.floor(parts.seconds / contenders.length / 2));
  for (let round = 0; round < rounds; round++) {
    for (const { name, url, cpuMicros } of contenders) {
      const before = await cpuMicros();
      const load = await saturate({ url, path, headers }, { connections, seconds: 2 });
      turns.get(name)?.push({ ...load, cpuMicros: (await cpuMicros()) - before });
    }
  }
  const figures: Record<string, number> = {};
  for (const [name, all] of turns) {
    const perSecond = median(all.map(({ requests, seconds }) => requests / seconds));
    const cpu = median(all.map(({ requests, cpuMicros }) => cpuMicros / requests));
    const [p50, p99] = [median(all.map(({ p50Ms }) => p50Ms)), median(all.map(({ p99Ms }) => p99Ms))];
    log(
      `${name.padEnd(10)} ${perSecond.toFixed(0).padStart(7)} req/s  ${cpu.toFixed(0).padStart(5)} µs CPU/req  p50 ${p50.toFixed(1)} ms  p99 ${p99.toFixed(1)} ms`,
    );
    Object.assign(figures, {
      [`${name}RequestsPerSecond`]: perSecond,
      [`${name}CpuMicrosPerRequest`]: cpu,
      [`${name}P99Ms`]: p99,
    });
  }
  const gateway = turns.get('gateway') ?? [];
  for (const [name, all] of turns) {
    if (name === 'gateway') continue;
    const ratio = median(
      all.map(
        (turn, round) =>
          (gateway[round]?.requests ?? 0) / (gateway[round]?.seconds ?? 1) / (turn.requests / turn.seconds),
      ),
    );
    log(`gateway ÷ ${name} ${ratio.toFixed(2)}`);
    figures[`gatewayTo${name[0]?.toUpperCase()}${name.slice(1)}`] = ratio;
  }
  return figures;
}

/** What stands between asking the upstream itself and asking through the gateway, at a rate that leaves room. */
async function added(
  contenders: readonly Contender[],
  parts: {
    readonly upstream: string;
    readonly seconds: number;
    readonly headers: Readonly<Record<string, string>>;
    readonly log: (line: string) => void;
  },
): Promise<Record<string, number>> {
  const { upstream, headers, log } = parts;
  const gateway = contenders.find(({ name }) => name === 'gateway')?.url ?? upstream;
  const rounds = Math.max(1, Math.floor(parts.seconds / 4));
  const [direct, guarded]: [Load[], Load[]] = [[], []];
  for (let round = 0; round < rounds; round++) {
    const rate = { perSecond: pacedPerSecond, seconds: Math.min(2, parts.seconds / 2) };
    direct.push(await pace({ url: upstream, path, headers }, rate));
    guarded.push(await pace({ url: gateway, path, headers }, rate));
  }
  const of = (loads: readonly Load[]): number => median(loads.map(({ p99Ms }) => p99Ms));
  const addedP99Ms = of(guarded) - of(direct);
  log(
    `at ${pacedPerSecond} req/s: p99 ${of(direct).toFixed(1)} ms without the gateway, ${of(guarded).toFixed(1)} ms with it: ${addedP99Ms.toFixed(1)} ms added`,
  );
  return { addedP99MsAt1000PerSecond: addedP99Ms };
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? 0;
}

/** About two kilobytes. */
const patientText = JSON.stringify({
  resourceType: 'Patient',
  id: 'bench-1',
  name: [{ family: 'Bench' }],
  extension: Array.from({ length: 24 }, (_, n) => ({ url: `urn:bench:${n}`, valueString: 'x'.repeat(40) })),
});

interface Played {
  readonly url: string;
  /** Processes of its own. */
  readonly pids?: () => readonly number[];
  readonly end?: () => Promise<void>;
}

/** What a child process of this benchmark does. */
async function play(
  role: string,
  settings: {
    readonly folder: string;
    readonly upstream: string;
    readonly issuer: string;
    readonly jwk: object;
    readonly workers: number;
  },
): Promise<void> {
  const plays: Readonly<Record<string, () => Promise<Played>>> = {
    around: async () => ({ url: await playAround(settings.jwk) }),
    bare: async () => ({ url: await playBare(settings.upstream) }),
    gateway: () => playGateway(settings),
    gateway2: () => playGateway(settings),
  };
  const played = await plays[role]?.();
  process.on('message', () => {
    const { user, system } = process.cpuUsage();
    const others = played?.pids?.() ?? [];
    process.send?.({ cpuMicros: user + system + others.reduce((sum, pid) => sum + cpuMicrosOf(pid), 0) });
  });
  process.on('disconnect', () => void (played?.end?.() ?? Promise.resolve()).finally(() => process.exit()));
  process.send?.({ url: played?.url });
}

async function listen(listener: RequestListener): Promise<string> {
  const server = createServer({ keepAliveTimeout: 60_000 }, listener).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** Upstream, issuer and event server in one: what stands around a gateway. */
async function playAround(jwk: object): Promise<string> {
  const patient = Buffer.from(patientText);
  let own = '';
  own = await listen((request, response) => {
    if (request.method === 'POST') {
      let lines = 0;
      request.on('data', (chunk: Buffer) => {
        for (const byte of chunk) if (byte === 0x0a) lines += 1;
      });
      request.on('end', () =>
        response
          .writeHead(201)
          .end(JSON.stringify({ receipts: Array.from({ length: lines }, () => ({})), checkpoint: '' })),
      );
      return;
    }
    if (request.url === '/.well-known/openid-configuration')
      response.end(JSON.stringify({ issuer: own, jwks_uri: `${own}/jwks` }));
    else if (request.url === '/jwks') response.end(JSON.stringify({ keys: [jwk] }));
    else
      response
        .writeHead(200, { 'content-type': 'application/fhir+json', 'content-length': patient.length })
        .end(patient);
  });
  return own;
}

function playBare(upstream: string): Promise<string> {
  const pool = new Pool(upstream, { connections: 128, allowH2: false });
  return listen((request, response) => {
    pool.dispatch(
      {
        path: request.url ?? '/',
        method: 'GET',
        headers: request.rawHeaders.filter((_, i, all) => !/^(?:host|connection)$/i.test(all[i - (i % 2)] ?? '')),
      },
      {
        onRequestStart: () => undefined,
        onResponseStart: (_controller, status, headers) => {
          for (const name of ['content-type', 'content-length']) {
            const value = headers[name];
            if (value !== undefined) response.setHeader(name, value);
          }
          response.writeHead(status);
        },
        onResponseData: (_controller, chunk) => void response.write(chunk),
        onResponseEnd: () => void response.end(),
        onResponseError: () => void response.destroy(),
      },
    );
  });
}

async function playGateway({
  folder,
  upstream,
  issuer,
  workers,
}: {
  readonly folder: string;
  readonly upstream: string;
  readonly issuer: string;
  readonly workers: number;
}): Promise<Played> {
  const { readGatewayConfig, samplePolicyPath, startGateway } = await import('@watchglass/gateway');
  const config = {
    listen: { port: 0 },
    upstream: { url: upstream },
    issuers: [{ issuer, audience }],
    policy: samplePolicyPath(),
    routes: [{ prefix: '/fhir', kind: 'fhir' }],
    server: { url: issuer, writeKeyFile: 'write.key' },
    spool: { dir: `spool-${workers}` },
    emitter: `bench-${workers}`,
    workers,
    // As HAProxy's stick table: nobody reaches it, everybody is counted.
    rates: { rules: [{ name: 'bench', by: 'user', limit: 10_000_000, windowMs: 10_000 }] },
  };
  await writeFile(join(folder, 'write.key'), `wgk_${'b'.repeat(32)}`);
  const file = join(folder, `gateway-${workers}.yaml`);
  await writeFile(file, JSON.stringify(config));
  const { pino } = await import('pino');
  const running = await startGateway(readGatewayConfig(file), { logger: pino({ level: 'silent' }) });
  return {
    url: running.url,
    pids: () => running.workers.flatMap(({ pid }) => pid ?? []),
    end: async () => running[Symbol.asyncDispose](),
  };
}

const role = process.env.WATCHGLASS_BENCH_ROLE;
if (role !== undefined && process.send !== undefined) {
  await play(role, JSON.parse(process.env.WATCHGLASS_BENCH_SETTINGS ?? '{}') as Parameters<typeof play>[1]);
}
