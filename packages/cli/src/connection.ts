/**
 * Which server, as whom: an installation on this machine (`--data DIR`: its `server.json` and the operator's credential), or
 * `--server URL` with a token. Decided once, before anything is asked.
 */
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { CliError, systemCodeOf } from './errors.ts';
import type { Io } from './io.ts';

export interface ConnectionOptions {
  readonly data?: string;
  readonly server?: string;
  readonly token?: string;
  readonly ca?: string;
  readonly tenant?: string;
}

export interface Connection {
  /** Without a trailing slash. */
  readonly url: string;
  /** Absent where none was given: `/log/**` needs none. */
  readonly token: string | undefined;
  /** PEM. */
  readonly ca: string | undefined;
  readonly tenant: string | undefined;
  /** The installation's directory, where it is on this machine. */
  readonly dataDir: string | undefined;
}

export const defaultDataDir = '.watchglass';

export async function findConnection(options: ConnectionOptions, io: Io): Promise<Connection> {
  if (options.server !== undefined && options.data !== undefined) {
    throw new CliError('usage', '--server and --data name two servers', { remedy: 'Give one of them.' });
  }
  const token = options.token ?? io.env.WATCHGLASS_TOKEN;
  if (options.server !== undefined) {
    return {
      url: parseServerUrl(options.server),
      token,
      ca: await readCa(options.ca, io),
      tenant: options.tenant,
      dataDir: undefined,
    };
  }
  const dataDir = resolve(io.cwd, options.data ?? defaultDataDir);
  if (options.data === undefined && !existsSync(dataDir)) {
    throw new CliError('no-installation', `there is no ${defaultDataDir} in this folder`, {
      remedy: 'Name an installation with --data DIR, or a server with --server URL --token T.',
    });
  }
  const local = await readServerFile(dataDir);
  return {
    url: local.url,
    token: token ?? (await readOperatorToken(dataDir)),
    ca: await readCa(options.ca ?? local.ca, io, dataDir),
    tenant: options.tenant,
    dataDir,
  };
}

/** An http(s) URL without path, query or user. */
export function parseServerUrl(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol) || url.search !== '' || url.username !== '') {
    throw new CliError('usage', `expected a URL such as https://watchglass.example, got ${text}`);
  }
  return url.href.replace(/\/+$/, '');
}

async function readServerFile(dataDir: string): Promise<{ readonly url: string; readonly ca?: string }> {
  const path = join(dataDir, 'server.json');
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    throw new CliError('no-installation', `no server is running in ${dataDir}: ${path} cannot be read`, {
      cause: error,
      remedy: 'Start it (`watchglass serve --config …`, or `watchglass demo`), or name another directory with --data.',
    });
  }
  const value: unknown = JSON.parse(text);
  if (typeof value !== 'object' || value === null || !('url' in value) || typeof value.url !== 'string') {
    throw new CliError('no-installation', `${path} names no url`, {
      remedy: 'Start the server again; it writes this file.',
    });
  }
  const ca = 'ca' in value && typeof value.ca === 'string' ? value.ca : undefined;
  return { url: parseServerUrl(value.url), ...(ca === undefined ? {} : { ca }) };
}

async function readOperatorToken(dataDir: string): Promise<string> {
  const path = join(dataDir, 'keys', 'operator.token');
  try {
    return (await readFile(path, 'utf8')).trim();
  } catch (error) {
    const refused = systemCodeOf(error) === 'EACCES';
    throw new CliError('no-installation', `the operator's credential ${path} cannot be read`, {
      cause: error,
      remedy: refused
        ? 'Run this as the user who runs the server, or give --token.'
        : 'Start the server; it makes one.',
    });
  }
}

async function readCa(path: string | undefined, io: Io, base: string = io.cwd): Promise<string | undefined> {
  if (path === undefined) return undefined;
  try {
    return await readFile(resolve(base, path), 'utf8');
  } catch (error) {
    throw new CliError('file-unreadable', `the CA certificate ${path} cannot be read`, {
      cause: error,
      remedy: 'Name a PEM file with --ca.',
    });
  }
}
