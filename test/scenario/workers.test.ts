/**
 * A gateway of two workers as an installation has it: the real command, the real server. One worker is killed under load, then the primary, then the command is told to end; what was
 * acknowledged is in a log that verifies, each process under its own emitter, and nothing outlives the command.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';

import type { Event } from '@watchglass/record';
import { Agent, request } from 'undici';
import { stringify } from 'yaml';

import {
  answerPatient,
  audience,
  type Listening,
  samplePolicy,
  serve as serveHttp,
  startIssuer,
  type TestIssuer,
} from '../../packages/gateway/src/gateway.fixture.ts';
import { freePorts } from '../../packages/server/src/free-ports.fixture.ts';
import {
  isAlive,
  makeFolder,
  type Spawned,
  spawnWatchglass,
  until,
  watchglass,
  watchglassJson,
} from './command.fixture.ts';
import { type Installation, install, type Serving, serve } from './server.fixture.ts';

let folder: Awaited<ReturnType<typeof makeFolder>>;
let here: Installation;
let server: Serving;
let issuer: TestIssuer;
let upstream: Listening;
let url: string;
let adminUrl: string;
let token: string;
let file: string;
let agent: Agent;
/** The events of answers with 200. */
const acknowledged: string[] = [];
const started: Spawned[] = [];

before(async () => {
  folder = await makeFolder('workers');
  here = await install(folder.path);
  server = await serve(here);
  issuer = await startIssuer();
  upstream = await serveHttp(answerPatient);
  const port = await freePorts(2);
  url = `http://127.0.0.1:${port}`;
  adminUrl = `http://127.0.0.1:${port + 1}`;
  file = join(folder.path, 'gateway.yaml');
  await writeFile(join(folder.path, 'policy.yaml'), samplePolicy);
  const config = {
    listen: { port },
    workers: 2,
    admin: { port: port + 1 },
    upstream: { url: upstream.url },
    issuers: [{ issuer: issuer.issuer, audience }],
    policy: 'policy.yaml',
    routes: [{ prefix: '/fhir', kind: 'fhir' }],
    server: { url: here.url, writeKeyFile: 'keys/gateway.key' },
    spool: { dir: 'spool' },
    emitter: 'edge',
  };
  await writeFile(file, stringify(config));
  token = await issuer.mint({ tenant: undefined });
  agent = new Agent({ connections: 8 });
});

after(async () => {
  for (const { process: one } of started) if (one.exitCode === null && one.signalCode === null) one.kill('SIGKILL');
  await agent?.destroy();
  await upstream?.close();
  await issuer?.close();
  await server?.[Symbol.asyncDispose]();
  await folder?.[Symbol.asyncDispose]();
});

interface Health {
  readonly workers: readonly { readonly slot: number; readonly pid: number; readonly state: string }[];
}

async function health(): Promise<Health> {
  return (await (await fetch(`${adminUrl}/healthz`)).json()) as Health;
}

async function startCommand(): Promise<Spawned> {
  const command = spawnWatchglass(['gateway', '--config', file]);
  started.push(command);
  await until(async () => {
    assert.equal(command.process.exitCode, null, `${command.err()}${command.out()}`);
    const answer = await fetch(`${adminUrl}/readyz`).catch(() => undefined);
    await answer?.arrayBuffer();
    return answer?.status === 200 ? true : undefined;
  }, 'a gateway that is ready');
  return command;
}

/** Until `count` more are acknowledged; a connection that breaks is no answer. */
async function read(count: number): Promise<void> {
  const target = acknowledged.length + count;
  const one = async (): Promise<void> => {
    while (acknowledged.length < target) {
      const answer = await request(`${url}/fhir/Patient/1`, {
        dispatcher: agent,
        headers: { authorization: `Bearer ${token}` },
      }).catch(() => undefined);
      const body = await answer?.body.text().catch(() => undefined);
      if (answer?.statusCode === 200 && body !== undefined) acknowledged.push(String(answer.headers['x-audit-id']));
    }
  };
  await Promise.all(Array.from({ length: 8 }, one));
}

test('a worker is killed under load, then the primary, and at last the command ends by SIGTERM with nothing left behind', async () => {
  const first = await startCommand();
  const before = (await health()).workers;
  const reading = read(150);
  await until(() => (acknowledged.length > 40 ? true : undefined), 'some answers');
  process.kill(before[0]?.pid ?? 0, 'SIGKILL');
  await reading;
  await until(async () => {
    const { workers } = await health();
    return workers.every(({ pid, state }) => state === 'ready' && pid !== before[0]?.pid) ? true : undefined;
  }, 'another worker in its place');
  await read(20);

  const { workers } = await health();
  const again = read(60);
  first.process.kill('SIGKILL');
  await once(first.process, 'close');
  await until(
    () => (workers.some(({ pid }) => isAlive(pid)) ? undefined : true),
    'workers that end with their primary',
  );
  const second = await startCommand();
  await again;
  await read(20);
  const last = (await health()).workers;
  second.process.kill('SIGTERM');
  const [code] = (await once(second.process, 'close')) as [number | null];
  assert.equal(code, 0, second.err());
  assert.ok(last.every(({ pid }) => !isAlive(pid)));
});

/** All that are at the server by now. */
async function* allEvents(): AsyncGenerator<Event> {
  const to = new Date().toISOString();
  let cursor: string | null | undefined;
  do {
    const answer = await fetch(`${here.url}/v1/events/search`, {
      method: 'POST',
      headers: { authorization: `Bearer ${here.operatorToken}`, 'content-type': 'application/json' },
      body: JSON.stringify({ to, limit: 100, ...(typeof cursor === 'string' ? { cursor } : {}) }),
    });
    const page = (await answer.json()) as { events: Event[]; next?: string | null };
    assert.equal(answer.status, 200, JSON.stringify(page));
    yield* page.events;
    cursor = page.next;
  } while (typeof cursor === 'string');
}

const emitterNames = ['edge', 'edge/1', 'edge/2'];

/** What of the gateway is at the server by now. */
async function readAll(): Promise<{
  readonly missing: ReadonlySet<string>;
  readonly emitters: ReadonlyMap<string, number[]>;
  readonly operations: readonly string[];
  lastOf(emitter: string): string | undefined;
}> {
  const missing = new Set(acknowledged);
  const emitters = new Map<string, number[]>();
  const newest = new Map<string, { readonly seq: number; readonly operation: string | undefined }>();
  const operations: string[] = [];
  for await (const { id, emitter, operation } of allEvents()) {
    if (!emitter.id.startsWith('edge')) continue;
    emitters.set(emitter.id, [...(emitters.get(emitter.id) ?? []), emitter.seq]);
    if ((newest.get(emitter.id)?.seq ?? 0) < emitter.seq) newest.set(emitter.id, { seq: emitter.seq, operation });
    operations.push(`${emitter.id} ${operation}`);
    missing.delete(id);
  }
  return { missing, emitters, operations, lastOf: (emitter) => newest.get(emitter)?.operation };
}

test('what was acknowledged is in the log, under the emitter of the worker that answered, and the log verifies', async () => {
  // The index that is searched is a moment behind the log.
  const { emitters, operations } = await until(async () => {
    const read = await readAll();
    return read.missing.size === 0 && emitterNames.every((name) => read.lastOf(name) === 'stop') ? read : undefined;
  }, 'every acknowledged event, and three goodbyes');
  assert.deepEqual([...emitters.keys()].sort(), emitterNames);
  for (const [emitter, seqs] of emitters) {
    const sorted = seqs.sort((a, b) => a - b);
    assert.deepEqual(
      sorted,
      sorted.map((_, position) => position + 1),
      `${emitter} has a gap`,
    );
  }
  assert.ok(!operations.includes('edge read'), 'the primary serves nobody');
  for (const slot of [1, 2]) assert.ok(operations.includes(`edge/${slot} read`), `worker ${slot} served nobody`);
  assert.equal(await server.stop(), 0);
  const verified = await watchglass(['verify', here.dataDir, '--full']);
  assert.equal(verified.code, 0, verified.out + verified.err);
  await watchglassJson<object>(['config', 'check', file]);
});
