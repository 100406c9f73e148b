/** For tests only: a real `watchglass gateway` in front of a real API, sending to a real server; each in a process that can be frozen or killed. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

import type { Event } from '@watchglass/record';

import { samplePolicy, type TestIssuer } from '../../packages/gateway/src/gateway.fixture.ts';
import { freePorts } from '../../packages/server/src/free-ports.fixture.ts';
import { until, watchglassBin } from '../scenario/command.fixture.ts';
import type { Installation } from '../scenario/server.fixture.ts';
import { oneThread, tracedPid } from './strace.fixture.ts';

export interface PatientApi extends AsyncDisposable {
  readonly port: number;
  /** Requests that reached it. */
  readonly askedCount: () => number;
  freeze(): void;
  thaw(): void;
  kill(): Promise<void>;
}

export async function startApi(port: number): Promise<PatientApi> {
  const child = spawn(process.execPath, [join(import.meta.dirname, 'patient-api.fixture.ts'), String(port)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let asked = 0;
  const listens = Promise.withResolvers<void>();
  createInterface(child.stdout).on('line', (line) => {
    if (line === 'listens') listens.resolve();
    else asked += 1;
  });
  await listens.promise;
  const kill = (): Promise<void> => killed(child);
  return {
    port,
    askedCount: () => asked,
    freeze: () => void child.kill('SIGSTOP'),
    thaw: () => void child.kill('SIGCONT'),
    kill,
    [Symbol.asyncDispose]: kill,
  };
}

async function killed(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, 'exit');
  child.kill('SIGKILL');
  await ended;
}

export interface Answer {
  readonly status: number;
  readonly code: string | undefined;
  readonly retryAfter: string | null;
  readonly tookMs: number;
}

export interface Guard extends AsyncDisposable {
  readonly port: number;
  readonly folder: string;
  readonly emitter: string;
  /** What it said so far, on both streams. */
  readonly said: () => string;
  readonly exitCode: () => number | null;
  ask(method?: string, target?: string): Promise<Answer>;
  /** SIGKILL; resolves once it is gone. */
  kill(): Promise<void>;
  /** What `/readyz` names. */
  problems(): Promise<readonly string[]>;
}

export interface GuardOptions {
  readonly folder: string;
  readonly here: Installation;
  readonly issuer: TestIssuer;
  readonly apiPort: number;
  readonly emitter: string;
  readonly config?: Readonly<Record<string, unknown>>;
  /** strace, put before the command; its calls are then in one order. */
  readonly before?: readonly string[];
  /** Files that the configuration names. */
  readonly files?: Readonly<Record<string, string>>;
}

/** A sound disk of a busy machine takes a few hundred milliseconds now and then. */
const deadlineMs = 1_500;

/** Resolves once it answers; `startGuard` of one that doesn't start rejects with what it said. */
export async function startGuard(options: GuardOptions): Promise<Guard> {
  const { emitter, here, issuer } = options;
  const folder = join(options.folder, emitter);
  await mkdir(folder, { recursive: true });
  const port = await freePorts(2);
  const yaml = {
    listen: { port },
    admin: { port: port + 1 },
    upstream: { url: `http://127.0.0.1:${options.apiPort}`, timeoutMs: 10_000 },
    issuers: [{ issuer: issuer.issuer, audience: 'urn:watchglass:api', algorithms: ['RS256'] }],
    policy: 'policy.yaml',
    routes: [{ prefix: '/fhir', kind: 'fhir' }],
    server: { url: here.url, writeKeyFile: join(here.dir, 'keys/gateway.key'), decisions: false },
    spool: { dir: 'spool', maxBytes: 8 * 1024 * 1024 },
    audit: { mode: 'strict', deadlineMs },
    site: 'test-hospital',
    emitter,
    ...options.config,
  };
  const files = { 'policy.yaml': samplePolicy, 'gateway.yaml': JSON.stringify(yaml), ...options.files };
  for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text, { mode: 0o600 });
  const command = [...(options.before ?? []), process.execPath, watchglassBin, 'gateway'];
  const [program = '', ...rest] = [...command, '--config', join(folder, 'gateway.yaml')];
  const env = options.before === undefined ? process.env : oneThread;
  const child = spawn(program, rest, { stdio: ['ignore', 'pipe', 'pipe'], env });
  let said = '';
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => {
      said += text;
    });
  const problems = async (): Promise<readonly string[]> => {
    const answer = await fetch(`http://127.0.0.1:${port + 1}/readyz`);
    return ((await answer.json()) as { problems: string[] }).problems;
  };
  const end = async (signal: NodeJS.Signals): Promise<void> => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const exit = once(child, 'exit');
    // strace ends with what it runs, and not before it.
    const traced = program === process.execPath ? undefined : tracedPid(child.pid ?? 0);
    if (traced === undefined) child.kill(signal);
    else process.kill(traced, signal);
    await exit;
  };
  const ended = (): Promise<void> => end('SIGTERM');
  await until(async () => {
    assert.ok(child.exitCode === null && child.signalCode === null, `exit code ${child.exitCode}: ${said}`);
    return await problems().catch(() => undefined);
  }, 'the gateway to listen').catch(async (error: unknown) => {
    await ended();
    throw error;
  });
  const token = await issuer.mint();
  return {
    port,
    folder,
    emitter,
    said: () => said,
    exitCode: () => child.exitCode,
    problems,
    kill: () => end('SIGKILL'),
    async ask(method = 'GET', target = '/fhir/Patient/1') {
      const startedMs = performance.now();
      const answer = await fetch(`http://127.0.0.1:${port}${target}`, {
        method,
        headers: { authorization: `Bearer ${token}` },
      });
      const body = (await answer.json().catch(() => ({}))) as { code?: string };
      const retryAfter = answer.headers.get('retry-after');
      return { status: answer.status, code: body.code, retryAfter, tookMs: performance.now() - startedMs };
    },
    [Symbol.asyncDispose]: ended,
  };
}

/** Waits until an event of that gateway is at the server. */
export function eventOf(here: Installation, { emitter }: Guard, operation: string): Promise<Event> {
  return until(async () => (await eventsOf(here, emitter, operation))[0], `${operation} to be on record`);
}

/** The last ones at the server, at most 100. */
export async function eventsOf(here: Installation, emitter: string, operation: string): Promise<readonly Event[]> {
  const answer = await fetch(`${here.url}/v1/events/search`, {
    method: 'POST',
    headers: { authorization: `Bearer ${here.operatorToken}`, 'content-type': 'application/json' },
    body: JSON.stringify({ operation, limit: 100 }),
  });
  const found = (await answer.json()) as { events?: Event[] };
  return (found.events ?? []).filter((event) => event.emitter.id === emitter);
}
