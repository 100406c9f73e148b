/** A whole demo: hospital, server, gateway, and what people do with it over HTTP. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFile, stat } from 'node:fs/promises';
import { request } from 'node:https';
import { join } from 'node:path';
import { freePorts } from '../../packages/server/src/free-ports.fixture.ts';
import { type Spawned, spawnWatchglass, until } from './command.fixture.ts';

export interface DemoFile {
  readonly urls: Record<'console' | 'server' | 'gateway' | 'issuer' | 'upstream', string>;
  readonly ca: string;
  readonly tenant: string;
  readonly writeKey: string;
  readonly people: readonly {
    readonly role: string;
    readonly username: string;
    readonly password: string;
    readonly token: string;
  }[];
  readonly pids: Record<string, number>;
}

export interface Answer {
  readonly status: number;
  readonly headers: Record<string, string | string[] | undefined>;
  readonly text: string;
}

/** Disposing of it kills whatever is still there. */
export interface Demo extends AsyncDisposable {
  readonly dataDir: string;
  readonly file: DemoFile;
  readonly spawned: Spawned;
  readonly person: (role: string) => DemoFile['people'][number];
  /** GET through the gateway with the CA of the demo. */
  readonly throughGateway: (path: string, token?: string, method?: string) => Promise<Answer>;
  readonly readFile: () => Promise<DemoFile>;
  /** One Ctrl-C; resolves with the exit code. */
  readonly stop: () => Promise<number | null>;
}

export async function startDemo(options: {
  dataDir: string;
  args?: readonly string[];
  portBase?: number;
}): Promise<Demo> {
  const { dataDir } = options;
  const portBase = options.portBase ?? (await freePorts(4));
  const path = join(dataDir, 'demo.json');
  const formerMs = await writtenMs(path);
  const spawned = spawnWatchglass([
    'demo',
    '--port-base',
    String(portBase),
    '--data',
    dataDir,
    ...(options.args ?? ['--no-traffic']),
  ]);
  const ended = once(spawned.process, 'close') as Promise<[number | null]>;
  const isReady = async (): Promise<true | undefined> => {
    assert.equal(spawned.process.exitCode, null, `the demo ended: ${spawned.err()}${spawned.out()}`);
    const nowMs = await writtenMs(path);
    return nowMs === undefined || nowMs === formerMs ? undefined : true;
  };
  await until(isReady, 'demo.json', 90_000).catch((error: unknown) => {
    spawned.process.kill('SIGKILL');
    throw error;
  });
  const load = async (): Promise<DemoFile> => JSON.parse(await readFile(path, 'utf8')) as DemoFile;
  const file = await load();
  const ca = await readFile(file.ca);
  return {
    dataDir,
    file,
    spawned,
    readFile: load,
    person: (role) => {
      const person = file.people.find((one) => one.role === role);
      assert.ok(person, `the demo has no ${role}`);
      return person;
    },
    throughGateway: (path, token, method = 'GET') => ask(`${file.urls.gateway}${path}`, { ca, token, method }),
    stop: async () => {
      spawned.process.kill('SIGINT');
      const [code] = await ended;
      return code;
    },
    [Symbol.asyncDispose]: async () => {
      // Its children leave when it is gone.
      spawned.process.kill('SIGKILL');
      await ended;
    },
  };
}

async function writtenMs(path: string): Promise<number | undefined> {
  return (await stat(path).catch(() => undefined))?.mtimeMs;
}

function ask(url: string, options: { ca: Buffer; token: string | undefined; method: string }): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const headers = options.token === undefined ? {} : { authorization: `Bearer ${options.token}` };
    const asked = request(url, { ca: options.ca, method: options.method, headers, agent: false }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk;
      });
      response.on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, text }));
      response.on('error', reject);
    });
    asked.on('error', reject).end();
  });
}
