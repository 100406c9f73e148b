/** For tests only: the real nginx, HAProxy and Caddy with the configurations of deploy/fronts, on ports of this machine, ended by their own process. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';

import { freePorts } from '../../packages/server/src/free-ports.fixture.ts';
import { until } from './command.fixture.ts';

export type RealFrontName = 'nginx' | 'haproxy' | 'caddy';

export interface Places {
  readonly folder: string;
  readonly authz: string;
  readonly spop: string;
  readonly outcomesPort: number;
  readonly apiPort: number;
  /** A path that passes without a question: what a mistake in a configuration would do. */
  readonly hole?: string;
}

export interface RealFront extends AsyncDisposable {
  readonly port: number;
  /** Where it speaks HTTP/2 from the first byte on. */
  readonly h2Port: number;
  readonly pid: number;
}

interface Ports {
  readonly port: number;
  readonly h2Port: number;
}

const deployed = join(import.meta.dirname, '../../deploy/fronts');

/** Why it can't be started here; undefined where it can. */
export function missingFront(name: RealFrontName): string | undefined {
  const { status } = spawnSync(name, [name === 'caddy' ? 'version' : '-v'], { stdio: 'ignore' });
  return status === 0 ? undefined : `needs ${name}`;
}

export async function startFront(name: RealFrontName, places: Places): Promise<RealFront> {
  const port = await freePorts(2);
  // Caddy has both on one.
  const h2Port = name === 'caddy' ? port : port + 1;
  const args = await write[name](places, { port, h2Port });
  const { folder } = places;
  const child = spawn(name, args, {
    cwd: folder,
    env: { PATH: process.env.PATH, HOME: folder, XDG_CONFIG_HOME: folder, XDG_DATA_HOME: folder },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let said = '';
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => {
      said += text;
    });
  await until(async () => {
    if (child.exitCode !== null) throw new Error(`${name} ended: ${said}`);
    return (await isOpen(port)) || undefined;
  }, `${name} to listen`);
  return { port, h2Port, pid: child.pid ?? 0, [Symbol.asyncDispose]: () => end(child) };
}

/**
 * Has the real program judge the shipped configuration, TLS included: nothing in it is changed but where files lie and which ports of this machine may be bound. What it says beside
 * its yes is returned.
 */
export async function checkFront(
  name: RealFrontName,
  { folder, cert, key }: { readonly folder: string; readonly cert: string; readonly key: string },
): Promise<{ readonly status: number | null; readonly said: string }> {
  await writeFile(join(folder, 'api.pem'), name === 'haproxy' ? cert + key : cert);
  await writeFile(join(folder, 'api.key'), key);
  const args = await judge[name](folder, await freePorts(1));
  const { status, stdout, stderr } = spawnSync(name, args, {
    cwd: folder,
    env: { PATH: process.env.PATH, HOME: folder, XDG_CONFIG_HOME: folder, XDG_DATA_HOME: folder },
    encoding: 'utf8',
  });
  return { status, said: stdout + stderr };
}

const judge: Readonly<Record<RealFrontName, (folder: string, port: number) => Promise<string[]>>> = {
  async nginx(folder, port) {
    const site = replaced(await readFile(join(deployed, 'nginx/watchglass.conf'), 'utf8'), [
      ['/etc/watchglass/', `${folder}/`],
      ['listen 443 ssl;', `listen 127.0.0.1:${port} ssl;`],
    ]);
    const main = `pid ${folder}/nginx.pid; error_log stderr; events {} http { ${temporaryFolders(folder)} ${site} }`;
    await writeFile(join(folder, 'nginx.conf'), main);
    return ['-t', '-c', join(folder, 'nginx.conf'), '-p', folder, '-e', 'stderr'];
  },
  async haproxy(folder) {
    const spoe = join(deployed, 'haproxy/watchglass-spoe.conf');
    const main = replaced(await readFile(join(deployed, 'haproxy/haproxy.cfg'), 'utf8'), [
      ['/etc/watchglass/', `${folder}/`],
      ['/etc/haproxy/watchglass-spoe.conf', spoe],
    ]);
    await writeFile(join(folder, 'haproxy.cfg'), main);
    return ['-c', '-f', join(folder, 'haproxy.cfg')];
  },
  async caddy() {
    return ['validate', '--adapter', 'caddyfile', '--config', join(deployed, 'caddy/Caddyfile')];
  },
};

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, 'exit');
  child.kill('SIGTERM');
  const late = setTimeout(() => child.kill('SIGKILL'), 3_000);
  await ended;
  clearTimeout(late);
}

function isOpen(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1' });
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}

/** Each replacement has to be needed: a test of another configuration than the one that is shipped would prove nothing. */
function replaced(text: string, changes: readonly (readonly [RegExp | string, string])[]): string {
  let changed = text;
  for (const [from, to] of changes) {
    const next = changed.replaceAll(from, to);
    if (next === changed) throw new Error(`expected ${from} in the configuration`);
    changed = next;
  }
  return changed;
}

function temporaryFolders(folder: string): string {
  return ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
    .map((what) => `${what}_temp_path ${folder}/nginx-${what};`)
    .join(' ');
}

const write: Readonly<Record<RealFrontName, (places: Places, ports: Ports) => Promise<string[]>>> = {
  async nginx({ folder, authz, outcomesPort, apiPort, hole }, { port, h2Port }) {
    const site = replaced(await readFile(join(deployed, 'nginx/watchglass.conf'), 'utf8'), [
      ['/run/watchglass/authz.sock', authz],
      ['127.0.0.1:8080', `127.0.0.1:${apiPort}`],
      ['127.0.0.1:5140', `127.0.0.1:${outcomesPort}`],
      ['listen 443 ssl;', `listen 127.0.0.1:${port}; listen 127.0.0.1:${h2Port} http2;`],
      [/^\s*ssl_.*$/gm, ''],
      [
        'location / {',
        `${hole === undefined ? '' : `location ${hole} { proxy_pass http://watchglass_api; }`} location / {`,
      ],
    ]);
    const main = `
      ${process.getuid?.() === 0 ? 'user root;' : ''}
      daemon off; worker_processes 1; pid ${folder}/nginx.pid; error_log stderr warn;
      events { worker_connections 256; }
      http { ${temporaryFolders(folder)} ${site} }`;
    await writeFile(join(folder, 'nginx.conf'), main);
    return ['-c', join(folder, 'nginx.conf'), '-p', folder, '-e', 'stderr'];
  },
  async haproxy({ folder, spop, outcomesPort, apiPort, hole }, { port, h2Port }) {
    const spoe = join(folder, 'watchglass-spoe.conf');
    await writeFile(spoe, await readFile(join(deployed, 'haproxy/watchglass-spoe.conf'), 'utf8'));
    const main = replaced(await readFile(join(deployed, 'haproxy/haproxy.cfg'), 'utf8'), [
      ['/run/watchglass/spop.sock', spop],
      ['/etc/haproxy/watchglass-spoe.conf', spoe],
      ['127.0.0.1:8080', `127.0.0.1:${apiPort}`],
      ['127.0.0.1:5140', `127.0.0.1:${outcomesPort}`],
      [
        /bind :443 .*/g,
        `bind 127.0.0.1:${port}\n  bind 127.0.0.1:${h2Port} proto h2${hole === undefined ? '' : `\n  http-request allow if { path ${hole} }`}`,
      ],
    ]);
    await writeFile(join(folder, 'haproxy.cfg'), main);
    return ['-db', '-f', join(folder, 'haproxy.cfg')];
  },
  async caddy({ folder, authz, outcomesPort, apiPort, hole }, { port }) {
    const site = replaced(await readFile(join(deployed, 'caddy/Caddyfile'), 'utf8'), [
      ['/run/watchglass/authz.sock', authz],
      ['127.0.0.1:8080', `127.0.0.1:${apiPort}`],
      ['127.0.0.1:5140', `127.0.0.1:${outcomesPort}`],
      [
        /^api\.example\.org \{/gm,
        `http://:${port} {\n\tbind 127.0.0.1\n${hole === undefined ? '' : `\thandle ${hole} {\n\t\treverse_proxy 127.0.0.1:${apiPort}\n\t}\n`}`,
      ],
      [/^\{\n\tservers \{\n/gm, '{\n\tadmin off\n\tauto_https off\n\tservers {\n\t\tprotocols h1 h2 h2c\n'],
    ]);
    await writeFile(join(folder, 'Caddyfile'), site);
    return ['run', '--adapter', 'caddyfile', '--config', join(folder, 'Caddyfile')];
  },
};
