/** The real command in a real process, as a person at a terminal has it; for the scenario and fault tests. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { run } from '../../packages/cli/src/main.ts';

export const watchglassBin: string = join(import.meta.dirname, '../../packages/cli/bin/watchglass.mjs');

export interface Ran {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

export interface RunOptions {
  readonly cwd?: string;
  readonly env?: NodeJS.ProcessEnv;
}

/** Runs a command to its end. */
export async function watchglass(args: readonly string[], options: RunOptions = {}): Promise<Ran> {
  const child = spawnWatchglass(args, options);
  const [code] = (await once(child.process, 'close')) as [number | null];
  return { code, out: child.out(), err: child.err() };
}

/** The same, where it has to end well: its answer as JSON. */
export async function watchglassJson<T>(args: readonly string[], options: RunOptions = {}): Promise<T> {
  const { code, out, err } = await watchglass([...args, '--json'], options);
  assert.equal(code, 0, `watchglass ${args.join(' ')}: ${err}${out}`);
  return JSON.parse(out) as T;
}

export interface Spawned {
  readonly process: ChildProcess;
  readonly out: () => string;
  readonly err: () => string;
}

export function spawnWatchglass(args: readonly string[], options: RunOptions = {}): Spawned {
  const child = spawn(process.execPath, [watchglassBin, ...args], {
    cwd: options.cwd ?? tmpdir(),
    env: options.env ?? process.env,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let out = '';
  let err = '';
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    out += text;
  });
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    err += text;
  });
  return { process: child, out: () => out, err: () => err };
}

/** As `watchglass`, without a process of its own. */
export async function watchglassHere(argv: readonly string[]): Promise<Ran> {
  let out = '';
  let err = '';
  const code = await run(argv, {
    stdout: { write: (text) => (out += text) },
    stderr: { write: (text) => (err += text) },
    env: {},
    cwd: '/',
    signal: new AbortController().signal,
  });
  return { code, out, err };
}

export async function makeFolder(name: string): Promise<{ readonly path: string } & AsyncDisposable> {
  const path = await mkdtemp(join(tmpdir(), `watchglass-${name}-`));
  return {
    path,
    [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true, maxRetries: 5 }),
  };
}

/** Asks again and again until there is an answer. */
export async function until<T>(
  ask: () => Promise<T | undefined> | T | undefined,
  what: string,
  withinMs = 60_000,
): Promise<T> {
  const endMs = performance.now() + withinMs;
  for (;;) {
    const answer = await ask();
    if (answer !== undefined) return answer;
    assert.ok(performance.now() < endMs, `${what}: not within ${withinMs} ms`);
    await wait(25);
  }
}

export function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}
