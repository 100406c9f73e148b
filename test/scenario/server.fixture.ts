/** A server as an installation has it: `watchglass init`, `watchglass serve`, and its write key. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { freePorts } from '../../packages/server/src/free-ports.fixture.ts';
import { type Spawned, spawnWatchglass, until, watchglassJson } from './command.fixture.ts';

export interface Installation {
  readonly dir: string;
  readonly dataDir: string;
  readonly config: string;
  readonly url: string;
  readonly writeKey: string;
  readonly operatorToken: string;
  readonly vkey: string;
  /** The first one, who can sign in. */
  readonly person: { readonly username: string; readonly password: string };
}

export async function install(dir: string): Promise<Installation> {
  const { vkey, person } = await watchglassJson<Pick<Installation, 'vkey' | 'person'>>(['init', dir]);
  const config = join(dir, 'watchglass.yaml');
  const port = await freePorts(3);
  const text = (await readFile(config, 'utf8')).replace(/\b944[02]\b/g, (found) => String(Number(found) - 9440 + port));
  await writeFile(config, text);
  const dataDir = join(dir, 'data');
  return {
    dir,
    dataDir,
    config,
    vkey,
    person,
    url: `http://localhost:${port}`,
    writeKey: (await readFile(join(dir, 'keys/gateway.key'), 'utf8')).trim(),
    operatorToken: (await readFile(join(dataDir, 'keys/operator.token'), 'utf8')).trim(),
  };
}

export interface Serving extends AsyncDisposable {
  readonly spawned: Spawned;
  /** SIGKILL, and gone when it resolves. */
  readonly kill: () => Promise<void>;
  /** SIGTERM; resolves with the exit code. */
  readonly stop: () => Promise<number | null>;
}

/** @param path what has to answer 200: `/readyz`, or `/healthz` for a server that takes no records */
export async function serve(installation: Installation, path = '/readyz'): Promise<Serving> {
  const spawned = spawnWatchglass(['serve', '--config', installation.config]);
  const ended = once(spawned.process, 'close') as Promise<[number | null]>;
  await until(async () => {
    assert.equal(spawned.process.exitCode, null, `the server ended: ${spawned.err()}`);
    const answer = await fetch(`${installation.url}${path}`).catch(() => undefined);
    await answer?.arrayBuffer();
    return answer?.status === 200 ? true : undefined;
  }, `200 from ${path}`).catch((error: unknown) => {
    spawned.process.kill('SIGKILL');
    throw error;
  });
  const end = async (signal: NodeJS.Signals): Promise<number | null> => {
    spawned.process.kill(signal);
    const [code] = await ended;
    return code;
  };
  return {
    spawned,
    kill: async () => {
      await end('SIGKILL');
    },
    stop: () => end('SIGTERM'),
    [Symbol.asyncDispose]: async () => {
      if (spawned.process.exitCode === null && spawned.process.signalCode === null) await end('SIGKILL');
    },
  };
}

/** An event as a first curl would send it, with an id so that it can be sent again. */
export function anEvent(more: Record<string, unknown> = {}): Record<string, unknown> {
  return {
    v: 1,
    id: uuidv7(),
    time: new Date().toISOString(),
    kind: 'api',
    action: 'read',
    outcome: { status: 'success' },
    actor: { id: 'amara.osei' },
    ...more,
  };
}

/** RFC 9562 §5.7. */
function uuidv7(): string {
  const time = Date.now().toString(16).padStart(12, '0');
  return `${time.slice(0, 8)}-${time.slice(8)}-7${randomUUID().slice(15)}`;
}

export interface Posted {
  readonly status: number;
  readonly headers: Headers;
  readonly body: {
    readonly receipts?: readonly { readonly id: string; readonly index: number; readonly leaf: string }[];
    readonly checkpoint?: string;
    readonly code?: string;
    readonly title?: string;
    readonly detail?: string;
    readonly errors?: readonly {
      readonly at?: number;
      readonly path: string;
      readonly expected: string;
      readonly got: string;
    }[];
  };
}

/** Posts to the door for events: an object as JSON, a string as it is. */
export async function post(
  installation: Pick<Installation, 'url' | 'writeKey'>,
  body: unknown,
  headers: Record<string, string> = {},
): Promise<Posted> {
  const response = await fetch(`${installation.url}/v1/events`, {
    method: 'POST',
    headers: { authorization: `Bearer ${installation.writeKey}`, 'content-type': 'application/json', ...headers },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  });
  const text = await response.text();
  return {
    status: response.status,
    headers: response.headers,
    body: text === '' ? {} : (JSON.parse(text) as Posted['body']),
  };
}
