/**
 * What the gateway decides in a second when HAProxy carries the traffic: SPOE to a gateway in `strict` mode (verified RS256 token, policy, one durable intent a request), in front of
 * nginx with 2 KB, under wrk, all on this machine; HAProxy alone in turns with it. With and without the outcomes of its log.
 */
import { type ChildProcess, execFile, fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import { freePorts, until } from '../test/scenario/command.fixture.ts';
import { missingFront, startFront } from '../test/scenario/real-front.fixture.ts';

const connections = 64;
const run_ = promisify(execFile);

interface Wrk {
  readonly perSecond: number;
  readonly p99Ms: number;
}

/** Figures by name. */
export async function run(options: {
  readonly seconds: number;
  readonly log: (line: string) => void;
}): Promise<Record<string, number>> {
  const { log, seconds } = options;
  const missing = missingFront('haproxy') ?? missingFront('nginx');
  if (missing !== undefined) {
    log(`not measured: ${missing}`);
    return {};
  }
  await using stack = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), 'watchglass-bench-'));
  stack.defer(() => rm(folder, { recursive: true, force: true }));
  const { publicKey, privateKey } = await generateKeyPair('RS256');
  const around = await listenAround({ ...(await exportJWK(publicKey)), kid: 'bench', alg: 'RS256' }, stack);
  const apiPort = await startApi(folder, stack);
  const token = await new SignJWT({ client_id: 'bench', roles: ['physician'], scope: 'user/*.cruds' })
    .setProtectedHeader({ alg: 'RS256', kid: 'bench', typ: 'at+jwt' })
    .setIssuer(around)
    .setAudience('urn:watchglass:api')
    .setSubject('bench-person')
    .setIssuedAt()
    .setExpirationTime('1h')
    .sign(privateKey);
  const measures = {
    bare: await measureHaproxy(folder, { apiPort, token, log, seconds: seconds / 3 }),
    intents: await measureFront(folder, { around, apiPort, token, outcomes: false, log, seconds: seconds / 3 }),
    joined: await measureFront(folder, { around, apiPort, token, outcomes: true, log, seconds: seconds / 3 }),
  };
  return {
    haproxyAlonePerSecond: measures.bare.perSecond,
    spoePerSecond: measures.intents.perSecond,
    spoeP99Ms: measures.intents.p99Ms,
    spoeBrainCpuMicrosPerRequest: measures.intents.cpuMicros,
    spoeWithOutcomesPerSecond: measures.joined.perSecond,
    spoeWithOutcomesP99Ms: measures.joined.p99Ms,
    spoeWithOutcomesBrainCpuMicrosPerRequest: measures.joined.cpuMicros,
  };
}

async function measureFront(
  folder: string,
  of: {
    readonly around: string;
    readonly apiPort: number;
    readonly token: string;
    readonly outcomes: boolean;
    readonly seconds: number;
    readonly log: (line: string) => void;
  },
): Promise<Wrk & { readonly cpuMicros: number }> {
  await using stack = new AsyncDisposableStack();
  const own = await mkdtemp(join(folder, 'front-'));
  const brain = fork(fileURLToPath(import.meta.url), {
    env: {
      ...process.env,
      WATCHGLASS_BENCH_ROLE: 'brain',
      WATCHGLASS_BENCH_SETTINGS: JSON.stringify({ ...of, folder: own }),
    },
  });
  stack.defer(() => endChild(brain));
  const [{ outcomesPort }] = (await once(brain, 'message')) as [{ outcomesPort: number }];
  const front = stack.use(
    await startFront('haproxy', {
      folder: own,
      authz: '',
      spop: join(own, 'spop.sock'),
      outcomesPort,
      apiPort: of.apiPort,
    }),
  );
  const cpu = async (): Promise<number> => {
    brain.send('cpu');
    const [{ cpuMicros }] = (await once(brain, 'message')) as [{ cpuMicros: number }];
    return cpuMicros;
  };
  await wrk(front.port, of.token, 1);
  const before = await cpu();
  const measured = await wrk(front.port, of.token, of.seconds);
  const cpuMicros = ((await cpu()) - before) / (measured.perSecond * of.seconds);
  of.log(
    `HAProxy and SPOE, ${of.outcomes ? 'intents and outcomes' : 'intents'}: ${measured.perSecond.toFixed(0)} req/s, p99 ${measured.p99Ms} ms, gateway ${cpuMicros.toFixed(0)} µs CPU/req`,
  );
  return { ...measured, cpuMicros };
}

async function measureHaproxy(
  folder: string,
  of: {
    readonly apiPort: number;
    readonly token: string;
    readonly seconds: number;
    readonly log: (line: string) => void;
  },
): Promise<Wrk> {
  const port = await freePorts(1);
  const file = join(folder, 'bare.cfg');
  await writeFile(
    file,
    `defaults\n  mode http\n  timeout connect 5s\n  timeout client 30s\n  timeout server 30s\nfrontend f\n  bind 127.0.0.1:${port}\n  default_backend b\nbackend b\n  server s 127.0.0.1:${of.apiPort}\n`,
  );
  await using stack = new AsyncDisposableStack();
  const child = spawn('haproxy', ['-db', '-f', file], { stdio: 'ignore' });
  stack.defer(() => endChild(child));
  await untilOpen(port);
  await wrk(port, of.token, 1);
  const measured = await wrk(port, of.token, of.seconds);
  of.log(`HAProxy alone: ${measured.perSecond.toFixed(0)} req/s, p99 ${measured.p99Ms} ms`);
  return measured;
}

async function wrk(port: number, token: string, seconds: number): Promise<Wrk> {
  const { stdout } = await run_('wrk', [
    '-t1',
    `-c${connections}`,
    `-d${Math.max(1, Math.round(seconds))}s`,
    '--latency',
    '-H',
    `Authorization: Bearer ${token}`,
    `http://127.0.0.1:${port}/fhir/Patient/bench-1`,
  ]);
  if (/Non-2xx/.test(stdout)) throw new Error(`expected 200 for every request, got ${stdout}`);
  const perSecond = Number(/Requests\/sec:\s+([\d.]+)/.exec(stdout)?.[1]);
  const [, p99 = 'NaN', unit] = /99%\s+([\d.]+)(us|ms|s)/.exec(stdout) ?? [];
  return { perSecond, p99Ms: Number(p99) * (unit === 'us' ? 0.001 : unit === 's' ? 1_000 : 1) };
}

/** nginx with one resource of 2 KB. */
async function startApi(folder: string, stack: AsyncDisposableStack): Promise<number> {
  const port = await freePorts(1);
  const patient = JSON.stringify({ resourceType: 'Patient', id: 'bench-1', note: 'x'.repeat(2_000) });
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    (what) => `${what}_temp_path ${folder}/t-${what};`,
  );
  await writeFile(
    join(folder, 'api.conf'),
    `daemon off; worker_processes 1; pid ${folder}/api.pid; error_log stderr; events { worker_connections 512; }
     http { ${temporary.join(' ')} access_log off; keepalive_requests 10000000; server { listen 127.0.0.1:${port};
     location / { default_type application/fhir+json; return 200 '${patient}'; } } }`,
  );
  const child = spawn('nginx', ['-c', join(folder, 'api.conf'), '-p', folder, '-e', 'stderr'], { stdio: 'ignore' });
  stack.defer(() => endChild(child));
  await untilOpen(port);
  return port;
}

/** Issuer and event server in one. */
async function listenAround(jwk: object, stack: AsyncDisposableStack): Promise<string> {
  let own = '';
  const server = createServer({ keepAliveTimeout: 60_000 }, (request, response) => {
    if (request.method === 'POST') {
      let lines = 0;
      request.on('data', (chunk: Buffer) => {
        for (let at = chunk.indexOf(0x0a); at !== -1; at = chunk.indexOf(0x0a, at + 1)) lines += 1;
      });
      request.on('end', () =>
        response
          .writeHead(201)
          .end(JSON.stringify({ receipts: Array.from({ length: lines }, () => ({})), checkpoint: '' })),
      );
    } else if (request.url === '/.well-known/openid-configuration')
      response.end(JSON.stringify({ issuer: own, jwks_uri: `${own}/jwks` }));
    else response.end(JSON.stringify({ keys: [jwk] }));
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  stack.defer(() => {
    server.close();
    server.closeAllConnections();
  });
  own = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return own;
}

async function untilOpen(port: number): Promise<void> {
  await until(
    () =>
      new Promise<true | undefined>((resolve) => {
        const socket = connect({ port, host: '127.0.0.1' });
        socket.once('connect', () => {
          socket.destroy();
          resolve(true);
        });
        socket.once('error', () => resolve(undefined));
      }),
    'a front to listen',
  );
}

async function endChild(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, 'exit');
  if (child.connected) child.disconnect();
  else child.kill('SIGTERM');
  await ended;
}

async function playBrain({
  folder,
  around,
  outcomes,
}: {
  readonly folder: string;
  readonly around: string;
  readonly outcomes: boolean;
}): Promise<void> {
  const { readGatewayConfig, samplePolicyPath, startGateway } = await import('@watchglass/gateway');
  const config = {
    listen: { port: 0 },
    url: 'https://api.example.test',
    upstream: { url: around },
    issuers: [{ issuer: around, audience: 'urn:watchglass:api' }],
    policy: samplePolicyPath(),
    routes: [{ prefix: '/fhir', kind: 'fhir' }],
    server: { url: around, writeKeyFile: 'write.key' },
    spool: { dir: 'spool' },
    fronts: { spop: { socket: 'spop.sock' }, ...(outcomes ? { outcomes: { port: 0 } } : {}) },
  };
  await writeFile(join(folder, 'write.key'), `wgk_${'b'.repeat(32)}`);
  await writeFile(join(folder, 'gateway.yaml'), JSON.stringify(config));
  const { pino } = await import('pino');
  const { fronts } = await startGateway(readGatewayConfig(join(folder, 'gateway.yaml')), {
    logger: pino({ level: 'silent' }),
  });
  process.on('message', () => {
    const { user, system } = process.cpuUsage();
    process.send?.({ cpuMicros: user + system });
  });
  process.on('disconnect', () => process.exit());
  // Datagrams that nobody hears are lost: then HAProxy's log goes nowhere.
  process.send?.({ outcomesPort: fronts?.outcomes ?? 9 });
}

if (process.env.WATCHGLASS_BENCH_ROLE === 'brain' && process.send !== undefined)
  await playBrain(JSON.parse(process.env.WATCHGLASS_BENCH_SETTINGS ?? '{}') as Parameters<typeof playBrain>[0]);
