/**
 * What the gateway is measured against and in front of: HAProxy doing the nearest thing it has (`jwt_verify`, a stick table as a rate limit, a log line of JSON
 * sent to syslog, which nobody waits for), and nginx as an upstream that costs little. What isn't installed is undefined, and its caller says so.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';

import { cpuMicros } from './processor-time.ts';

export interface Proxy {
  readonly url: string;
  readonly version: string;
  readonly process: ChildProcess;
  cpuMicros(): Promise<number>;
}

/** Verifies the token of every request (it remembers none), counts by client, and logs without waiting for anything to be stored. */
export async function startHaproxy(options: {
  readonly folder: string;
  readonly upstream: string;
  readonly publicKeyPem: string;
  readonly issuer: string;
  readonly audience: string;
}): Promise<Proxy | undefined> {
  const binary = findBinary('haproxy');
  if (binary === undefined) return undefined;
  const { folder, upstream, publicKeyPem, issuer, audience } = options;
  const port = await freePort();
  const syslogPort = await freePort();
  await writeFile(join(folder, 'key.pem'), publicKeyPem);
  const file = join(folder, 'haproxy.cfg');
  const claim = (name: string): string => `http_auth_bearer,jwt_payload_query('$.${name}')`;
  const logLine = [
    `"time":"%[date,ltime(%Y-%m-%dT%H:%M:%S)]"`,
    `"id":"%[unique-id]"`,
    `"address":"%ci"`,
    `"subject":"%[var(txn.sub)]"`,
    `"client":"%[var(txn.client)]"`,
    `"method":"%HM"`,
    `"path":"%[var(txn.path)]"`,
    `"status":%ST`,
    `"bytes":%B`,
    `"duration":%Ta`,
  ].join(',');
  const lines = [
    'global',
    `  log 127.0.0.1:${syslogPort} local0`,
    'defaults',
    '  mode http',
    '  log global',
    '  timeout connect 5s',
    '  timeout client 60s',
    '  timeout server 60s',
    '  option http-keep-alive',
    'frontend guard',
    `  bind 127.0.0.1:${port}`,
    '  unique-id-format %{+X}o\\ %ci%cp%Ts%rt',
    `  log-format '{${logLine}}'`,
    '  stick-table type string len 64 size 100k expire 10m store http_req_rate(10s)',
    '  http-request set-var(txn.path) path',
    `  http-request set-var(txn.alg) http_auth_bearer,jwt_header_query('$.alg')`,
    `  http-request set-var(txn.iss) ${claim('iss')}`,
    `  http-request set-var(txn.aud) ${claim('aud')}`,
    `  http-request set-var(txn.sub) ${claim('sub')}`,
    `  http-request set-var(txn.client) ${claim('client_id')}`,
    `  http-request set-var(txn.exp) http_auth_bearer,jwt_payload_query('$.exp','int')`,
    '  http-request set-var(txn.now) date()',
    '  http-request deny deny_status 401 unless { var(txn.alg) -m str RS256 }',
    `  http-request deny deny_status 401 unless { var(txn.iss) -m str ${issuer} }`,
    `  http-request deny deny_status 401 unless { var(txn.aud) -m str ${audience} }`,
    '  http-request deny deny_status 401 if { var(txn.exp),sub(txn.now) -m int lt 0 }',
    `  http-request deny deny_status 401 unless { http_auth_bearer,jwt_verify(txn.alg,"${join(folder, 'key.pem')}") -m int 1 }`,
    '  http-request track-sc0 var(txn.sub)',
    '  http-request deny deny_status 429 if { sc_http_req_rate(0) gt 10000000 }',
    '  default_backend api',
    'backend api',
    '  http-reuse always',
    `  server api ${new URL(upstream).host}`,
    '',
  ];
  await writeFile(file, lines.join('\n'));
  const sink = await startSyslog(folder, syslogPort);
  const child = spawn(binary, ['-db', '-q', '-f', file], { stdio: ['ignore', 'inherit', 'inherit'] });
  child.once('exit', () => sink?.kill());
  await reachable(port, child);
  return running(child, { port, version: `HAProxy${sink === undefined ? ', its log unread' : ''}` });
}

/** Serves one FHIR resource for every path. */
export async function startNginx(options: {
  readonly folder: string;
  readonly body: string;
}): Promise<Proxy | undefined> {
  const binary = findBinary('nginx');
  if (binary === undefined) return undefined;
  const port = await freePort();
  const folder = join(options.folder, 'nginx');
  await mkdir(join(folder, 'temp'), { recursive: true });
  // Its worker may run as somebody else.
  for (const path of [options.folder, folder]) await chmod(path, 0o755);
  await writeFile(join(folder, 'resource'), options.body);
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'];
  const lines = [
    'daemon off; worker_processes 1; error_log stderr crit;',
    `pid ${join(folder, 'nginx.pid')};`,
    'events { worker_connections 1024; }',
    'http {',
    '  access_log off; keepalive_requests 1000000000; open_file_cache max=10;',
    ...temporary.map((name) => `  ${name}_temp_path ${join(folder, 'temp', name)};`),
    `  server { listen 127.0.0.1:${port}; root ${folder}; default_type application/fhir+json;`,
    '    location / { rewrite ^ /resource break; } }',
    '}',
    '',
  ];
  const file = join(folder, 'nginx.conf');
  await writeFile(file, lines.join('\n'));
  const child = spawn(binary, ['-p', folder, '-c', file, '-e', 'stderr'], { stdio: ['ignore', 'inherit', 'inherit'] });
  await reachable(port, child);
  return running(child, { port, version: 'nginx' });
}

/** rsyslog, writing to a file, as it comes: nothing waits for it. */
async function startSyslog(folder: string, port: number): Promise<ChildProcess | undefined> {
  const binary = findBinary('rsyslogd');
  if (binary === undefined) return undefined;
  const file = join(folder, 'rsyslog.conf');
  const lines = [
    `global(workDirectory="${folder}")`,
    'module(load="imudp")',
    `input(type="imudp" address="127.0.0.1" port="${port}")`,
    `*.* action(type="omfile" file="${join(folder, 'haproxy.log')}")`,
    '',
  ];
  await writeFile(file, lines.join('\n'));
  return spawn(binary, ['-n', '-f', file, '-i', join(folder, 'rsyslog.pid')], { stdio: 'ignore' });
}

function running(child: ChildProcess, { port, version }: { readonly port: number; readonly version: string }): Proxy {
  return {
    url: `http://127.0.0.1:${port}`,
    version,
    process: child,
    cpuMicros: async () => cpuMicros(child.pid),
  };
}

export function findBinary(name: string): string | undefined {
  const folders = [...(process.env.PATH ?? '').split(':'), '/usr/sbin', '/usr/bin', '/usr/local/sbin'];
  return folders.map((folder) => join(folder, name)).find((path) => existsSync(path));
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}

async function reachable(port: number, child: ChildProcess): Promise<void> {
  const endMs = performance.now() + 10_000;
  for (;;) {
    if (child.exitCode !== null) throw new Error(`expected ${child.spawnfile} to run, got exit code ${child.exitCode}`);
    if (performance.now() > endMs) throw new Error(`expected ${child.spawnfile} to listen within 10 s`);
    const open = await new Promise<boolean>((resolve) => {
      const socket = connect(port, '127.0.0.1', () => {
        socket.destroy();
        resolve(true);
      });
      socket.once('error', () => setTimeout(() => resolve(false), 20));
    });
    if (open) return;
  }
}
