/**
 * What the guard costs: the gateway in `strict` mode (verified token, policy, exposure, one durable event a request) against a bare proxy of the same parts
 * (node:http and undici) that does nothing but pass on. Both in processes of their own, in front of the same upstream, in turns, under the same load.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import { Pool } from 'undici';

const connections = 32;
const roundsMax = 6;

interface Measure {
  requests: number;
  seconds: number;
  cpuMicros: number;
  readonly latenciesMs: number[];
}

/** Figures by name; ratios are gateway ÷ bare. */
export async function run(options: {
  readonly seconds: number;
  readonly log: (line: string) => void;
}): Promise<Record<string, number>> {
  const { log } = options;
  const folder = await mkdtemp(join(tmpdir(), 'watchglass-bench-'));
  const children: ChildProcess[] = [];
  const start = async (
    role: string,
    settings: object = {},
  ): Promise<{ readonly url: string; cpuMicros(): Promise<number> }> => {
    const child = fork(fileURLToPath(import.meta.url), {
      env: { ...process.env, WATCHGLASS_BENCH_ROLE: role, WATCHGLASS_BENCH_SETTINGS: JSON.stringify(settings) },
    });
    children.push(child);
    const [{ url }] = (await once(child, 'message')) as [{ url: string }];
    return {
      url,
      async cpuMicros() {
        child.send('cpu');
        const [{ cpuMicros }] = (await once(child, 'message')) as [{ cpuMicros: number }];
        return cpuMicros;
      },
    };
  };
  try {
    const { publicKey, privateKey } = await generateKeyPair('RS256');
    const jwk = { ...(await exportJWK(publicKey)), kid: 'bench', alg: 'RS256' };
    const around = await start('around', { jwk });
    const token = await new SignJWT({ client_id: 'bench', roles: ['physician'], scope: 'user/*.cruds' })
      .setProtectedHeader({ alg: 'RS256', kid: 'bench', typ: 'at+jwt' })
      .setIssuer(around.url)
      .setAudience('urn:watchglass:api')
      .setSubject('bench-person')
      .setIssuedAt()
      .setExpirationTime('1h')
      .sign(privateKey);
    const bare = await start('bare', { upstream: around.url });
    const gateway = await start('gateway', { folder, upstream: around.url });
    const measures = { bare: emptyMeasure(), gateway: emptyMeasure() };
    await load(bare.url, { token, seconds: 0.3, measure: emptyMeasure() });
    await load(gateway.url, { token, seconds: 0.3, measure: emptyMeasure() });
    const rounds = Math.max(1, Math.min(roundsMax, Math.floor(options.seconds)));
    const seconds = options.seconds / rounds / 2;
    for (let round = 0; round < rounds; round++) {
      for (const [name, target] of [
        ['bare', bare],
        ['gateway', gateway],
      ] as const) {
        const measure = measures[name];
        const before = await target.cpuMicros();
        await load(target.url, { token, seconds, measure });
        measure.cpuMicros += (await target.cpuMicros()) - before;
      }
    }
    return report(measures, log);
  } finally {
    for (const child of children) {
      child.disconnect();
      await once(child, 'exit');
    }
    await rm(folder, { recursive: true, force: true });
  }
}

function emptyMeasure(): Measure {
  return { requests: 0, seconds: 0, cpuMicros: 0, latenciesMs: [] };
}

async function load(
  url: string,
  options: { readonly token: string; readonly seconds: number; readonly measure: Measure },
): Promise<void> {
  const { measure } = options;
  const pool = new Pool(url, { connections, allowH2: false });
  const startedMs = performance.now();
  const endMs = startedMs + options.seconds * 1_000;
  const headers = { authorization: `Bearer ${options.token}`, accept: 'application/fhir+json' };
  const one = async (): Promise<void> => {
    while (performance.now() < endMs) {
      const askedMs = performance.now();
      const { statusCode, body } = await pool.request({ path: '/fhir/Patient/bench-1', method: 'GET', headers });
      await body.dump();
      if (statusCode !== 200) throw new Error(`expected 200, got ${statusCode}`);
      measure.latenciesMs.push(performance.now() - askedMs);
      measure.requests += 1;
    }
  };
  await Promise.all(Array.from({ length: connections }, one));
  measure.seconds += (performance.now() - startedMs) / 1_000;
  await pool.close();
}

function report(
  measures: { readonly bare: Measure; readonly gateway: Measure },
  log: (line: string) => void,
): Record<string, number> {
  const of = ({
    requests,
    seconds,
    cpuMicros,
    latenciesMs,
  }: Measure): { perSecond: number; cpu: number; p50: number; p99: number } => {
    const sorted = latenciesMs.toSorted((a, b) => a - b);
    const at = (share: number): number => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
    return { perSecond: requests / seconds, cpu: cpuMicros / requests, p50: at(0.5), p99: at(0.99) };
  };
  const [bare, gateway] = [of(measures.bare), of(measures.gateway)];
  const line = (name: string, figures: typeof bare): string =>
    `${name.padEnd(16)} ${figures.perSecond.toFixed(0).padStart(7)} req/s  ${figures.cpu.toFixed(0).padStart(5)} µs CPU/req  p50 ${figures.p50.toFixed(1)} ms  p99 ${figures.p99.toFixed(1)} ms`;
  log(`${connections} connections, GET of one Patient, plain HTTP, upstream and load on the same machine`);
  log(line('bare proxy', bare));
  log(line('gateway, strict', gateway));
  log(
    `ratio ${(gateway.perSecond / bare.perSecond).toFixed(2)} of the throughput, ${(gateway.cpu / bare.cpu).toFixed(2)} times the CPU`,
  );
  return {
    bareRequestsPerSecond: bare.perSecond,
    gatewayRequestsPerSecond: gateway.perSecond,
    throughputRatio: gateway.perSecond / bare.perSecond,
    bareCpuMicrosPerRequest: bare.cpu,
    gatewayCpuMicrosPerRequest: gateway.cpu,
    cpuRatio: gateway.cpu / bare.cpu,
    gatewayP50Ms: gateway.p50,
    gatewayP99Ms: gateway.p99,
  };
}

/** What a child process of this benchmark does. */
async function play(
  role: string,
  settings: { readonly folder: string; readonly upstream: string; readonly jwk: object },
): Promise<void> {
  const plays: Readonly<Record<string, () => Promise<string>>> = {
    around: () => playAround(settings.jwk),
    bare: () => playBare(settings.upstream),
    gateway: () => playGateway(settings),
  };
  const url = await plays[role]?.();
  process.on('message', () => {
    const { user, system } = process.cpuUsage();
    process.send?.({ cpuMicros: user + system });
  });
  process.on('disconnect', () => process.exit());
  process.send?.({ url });
}

async function listen(listener: RequestListener): Promise<string> {
  const server = createServer({ keepAliveTimeout: 60_000 }, listener).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** Upstream, issuer and event server in one: what stands around a gateway. */
async function playAround(jwk: object): Promise<string> {
  const patient = Buffer.from(
    JSON.stringify({
      resourceType: 'Patient',
      id: 'bench-1',
      name: [{ family: 'Bench' }],
      extension: Array.from({ length: 20 }, (_, n) => ({ url: `urn:bench:${n}`, valueString: 'x'.repeat(40) })),
    }),
  );
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
}: {
  readonly folder: string;
  readonly upstream: string;
}): Promise<string> {
  const { readGatewayConfig, samplePolicyPath, startGateway } = await import('@watchglass/gateway');
  const config = {
    listen: { port: 0 },
    upstream: { url: upstream },
    issuers: [{ issuer: upstream, audience: 'urn:watchglass:api' }],
    policy: samplePolicyPath(),
    routes: [{ prefix: '/fhir', kind: 'fhir' }],
    server: { url: upstream, writeKeyFile: 'write.key' },
    spool: { dir: 'spool' },
  };
  await writeFile(join(folder, 'write.key'), `wgk_${'b'.repeat(32)}`);
  await writeFile(join(folder, 'gateway.yaml'), JSON.stringify(config));
  const { pino } = await import('pino');
  const { url } = await startGateway(readGatewayConfig(join(folder, 'gateway.yaml')), {
    logger: pino({ level: 'silent' }),
  });
  return url;
}

const role = process.env.WATCHGLASS_BENCH_ROLE;
if (role !== undefined && process.send !== undefined) {
  await play(role, JSON.parse(process.env.WATCHGLASS_BENCH_SETTINGS ?? '{}') as Parameters<typeof play>[1]);
}
