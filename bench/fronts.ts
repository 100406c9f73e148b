/**
 * What the gateway decides in a second when HAProxy carries the traffic: SPOE to a gateway in `strict` mode (verified RS256 token, policy, one durable intent a request), in front of
 * nginx with 2 KB, under wrk where that is installed, all on this machine; HAProxy alone before it. With and without the outcomes of its log. All of them share the same cores, so what
 * each takes of a request is counted, too: what is left for the gateway on a machine of its own can be read from that.
 */
import { type ChildProcess, fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import { freePorts } from '../packages/server/src/free-ports.fixture.ts';
import { until } from '../test/scenario/command.fixture.ts';
import { missingFront, startFront } from '../test/scenario/real-front.fixture.ts';
import { type Load, pace, saturate, wrk } from './load.ts';
import { cpuMicros } from './processor-time.ts';

const connections = 64;
const path = '/fhir/Patient/bench-1';
const pacedPerSecond = 1_000;

interface Measured extends Load {
  readonly perSecond: number;
  /** At a thousand requests a second. */
  readonly pacedP99Ms: number;
  /** Of each process, a request. */
  readonly micros: Readonly<Record<string, number>>;
}

interface Around {
  readonly api: { readonly port: number; readonly pid: number };
  readonly token: string;
  readonly seconds: number;
  readonly log: (line: string) => void;
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
  const api = await startApi(folder, stack);
  const token = await new SignJWT({ client_id: 'bench', roles: ['physician'], scope: 'user/*.cruds' })
    .setProtectedHeader({ alg: 'RS256', kid: 'bench', typ: 'at+jwt' })
    .setIssuer(around)
    .setAudience('urn:watchglass:api')
    .setSubject('bench-person')
    .setIssuedAt()
    .setExpirationTime('1h')
    .sign(privateKey);
  log(`${connections} connections, load by ${wrk === undefined ? 'JavaScript' : 'wrk'}, all on the same cores`);
  const parts = { api, token, log, seconds: seconds / 3 };
  const bare = await measureHaproxy(folder, parts);
  const intents = await measureFront(folder, { ...parts, around, outcomes: false });
  const joined = await measureFront(folder, { ...parts, around, outcomes: true });
  return {
    haproxyAlonePerSecond: bare.perSecond,
    spoePerSecond: intents.perSecond,
    spoeP99Ms: intents.p99Ms,
    spoeAddedP99MsAt1000PerSecond: intents.pacedP99Ms - bare.pacedP99Ms,
    ...named('spoe', intents),
    spoeWithOutcomesPerSecond: joined.perSecond,
    spoeWithOutcomesP99Ms: joined.p99Ms,
    spoeWithOutcomesAddedP99MsAt1000PerSecond: joined.pacedP99Ms - bare.pacedP99Ms,
    ...named('spoeWithOutcomes', joined),
  };
}

function named(prefix: string, { micros }: Measured): Record<string, number> {
  return Object.fromEntries(
    Object.entries(micros).map(([who, each]) => [`${prefix}${who[0]?.toUpperCase()}${who.slice(1)}CpuMicros`, each]),
  );
}

async function measureFront(
  folder: string,
  of: Around & { readonly around: string; readonly outcomes: boolean },
): Promise<Measured> {
  await using stack = new AsyncDisposableStack();
  const own = await mkdtemp(join(folder, 'front-'));
  const { around, outcomes } = of;
  const brain = fork(fileURLToPath(import.meta.url), {
    env: {
      ...process.env,
      WATCHGLASS_BENCH_ROLE: 'brain',
      WATCHGLASS_BENCH_SETTINGS: JSON.stringify({ around, outcomes, folder: own }),
    },
    execArgv: (process.env.WATCHGLASS_BENCH_NODE_OPTIONS ?? '').split(' ').filter(Boolean),
  });
  stack.defer(() => endChild(brain));
  const [{ outcomesPort }] = (await once(brain, 'message')) as [{ outcomesPort: number }];
  const front = stack.use(
    await startFront('haproxy', {
      folder: own,
      authz: '',
      spop: join(own, 'spop.sock'),
      outcomesPort,
      apiPort: of.api.port,
    }),
  );
  const what = outcomes ? 'HAProxy and SPOE, intents and outcomes' : 'HAProxy and SPOE, intents';
  return await measure(what, front.port, of, { gateway: brain.pid, haproxy: front.pid, api: of.api.pid });
}

async function measureHaproxy(folder: string, of: Around): Promise<Measured> {
  const port = await freePorts(1);
  const file = join(folder, 'bare.cfg');
  await writeFile(
    file,
    `defaults\n  mode http\n  timeout connect 5s\n  timeout client 30s\n  timeout server 30s\nfrontend f\n  bind 127.0.0.1:${port}\n  default_backend b\nbackend b\n  server s 127.0.0.1:${of.api.port}\n`,
  );
  await using stack = new AsyncDisposableStack();
  const child = spawn('haproxy', ['-db', '-f', file], { stdio: 'ignore' });
  stack.defer(() => endChild(child));
  await untilOpen(port);
  return await measure('HAProxy alone', port, of, { haproxy: child.pid, api: of.api.pid });
}

async function measure(
  what: string,
  port: number,
  { token, seconds, log }: Around,
  pids: Readonly<Record<string, number | undefined>>,
): Promise<Measured> {
  const target = { url: `http://127.0.0.1:${port}`, path, headers: { authorization: `Bearer ${token}` } };
  await saturate(target, { connections, seconds: 1 });
  const read = (): readonly number[] => Object.values(pids).map((pid) => cpuMicros(pid));
  const before = read();
  const load = await saturate(target, { connections, seconds: seconds * 0.75 });
  const each = read().map((now, i) => (now - (before[i] ?? 0)) / load.requests);
  const micros: Record<string, number> = Object.fromEntries(Object.keys(pids).map((who, i) => [who, each[i] ?? 0]));
  if (load.cpuMicros !== undefined) micros.load = load.cpuMicros / load.requests;
  const paced = await pace(target, { perSecond: pacedPerSecond, seconds: seconds / 4 });
  const perSecond = load.requests / load.seconds;
  const shares = Object.entries(micros).map(([who, one]) => `${who} ${one.toFixed(0)}`);
  log(
    `${what}: ${perSecond.toFixed(0)} req/s, p99 ${load.p99Ms} ms, CPU µs/req: ${shares.join(', ')}; at ${pacedPerSecond} req/s p99 ${paced.p99Ms.toFixed(2)} ms`,
  );
  return { ...load, perSecond, pacedP99Ms: paced.p99Ms, micros };
}

/** nginx with one resource of 2 KB. */
async function startApi(folder: string, stack: AsyncDisposableStack): Promise<Around['api']> {
  const port = await freePorts(1);
  const patient = JSON.stringify({ resourceType: 'Patient', id: 'bench-1', note: 'x'.repeat(2_000) });
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    (what) => `${what}_temp_path ${folder}/t-${what};`,
  );
  await writeFile(
    join(folder, 'api.conf'),
    `daemon off; master_process off; pid ${folder}/api.pid; error_log stderr; events { worker_connections 512; }
     http { ${temporary.join(' ')} access_log off; keepalive_requests 10000000; server { listen 127.0.0.1:${port};
     location / { default_type application/fhir+json; return 200 '${patient}'; } } }`,
  );
  const child = spawn('nginx', ['-c', join(folder, 'api.conf'), '-p', folder, '-e', 'stderr'], { stdio: 'ignore' });
  stack.defer(() => endChild(child));
  await untilOpen(port);
  if (child.pid === undefined) throw new Error('expected nginx to run');
  return { port, pid: child.pid };
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
  process.on('disconnect', () => process.exit());
  // Datagrams that nobody hears are lost: then HAProxy's log goes nowhere.
  process.send?.({ outcomesPort: fronts?.outcomes ?? 9 });
}

if (process.env.WATCHGLASS_BENCH_ROLE === 'brain' && process.send !== undefined)
  await playBrain(JSON.parse(process.env.WATCHGLASS_BENCH_SETTINGS ?? '{}') as Parameters<typeof playBrain>[0]);
