/**
 * One child process of the demo, kept running: started, awaited until it says `{ready: true, url}`, started again when it dies, and
 * stopped in three steps (asked over IPC, SIGTERM, SIGKILL), each with its time.
 *
 * A child ignores the terminal (WATCHGLASS_SUPERVISED=1) and leaves when the IPC channel closes, so nothing outlives the supervisor.
 * What it prints goes to a log file, the former run's beside it as `.1`.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync, renameSync } from 'node:fs';
import { basename } from 'node:path';
import { CliError } from '../errors.ts';
import { supervisedVariable } from '../supervised.ts';

/** Both keep memory small under load, for a few per cent of time: docs/configuration.md, "Memory". */
const youngGeneration = '--max-semi-space-size=8';
const fewArenas = { MALLOC_ARENA_MAX: '2' };

export interface ChildPlan {
  readonly name: string;
  /** A JavaScript file and its arguments; run with this very Node.js. */
  readonly args: readonly string[];
  readonly logPath: string;
  readonly cwd: string;
  readonly env: Readonly<Record<string, string | undefined>>;
}

export interface ChildTimes {
  readonly readyWithinMs: number;
  readonly restartFirstMs: number;
  readonly restartMaxMs: number;
  /** A child that lived this long starts anew with the first delay. */
  readonly steadyAfterMs: number;
  readonly stopWithinMs: number;
  readonly termWithinMs: number;
}

export const childTimes: ChildTimes = {
  readyWithinMs: 60_000,
  restartFirstMs: 200,
  restartMaxMs: 10_000,
  steadyAfterMs: 20_000,
  stopWithinMs: 10_000,
  termWithinMs: 3_000,
};

export interface ChildWatcher {
  /** Ready again after a restart. */
  restarted(child: Child): void;
  /** Died without being asked to; the next start comes in `delayMs`. */
  died(child: Child, how: string, delayMs: number): void;
}

export interface Child {
  readonly name: string;
  readonly pid: number | undefined;
  /** Resolves with the URL it said; rejects with `child-failed` when the first start fails. */
  start(): Promise<string>;
  /** Resolves once it is gone. */
  stop(): Promise<void>;
  /** SIGKILL, now. */
  kill(): void;
}

type Ready = { readonly ready: true; readonly url?: string };

export function superviseChild(plan: ChildPlan, watcher: ChildWatcher, times: ChildTimes = childTimes): Child {
  let current: ChildProcess | undefined;
  let gone: Promise<void> = Promise.resolve();
  let stopping = false;
  let delayMs = times.restartFirstMs;
  let restartTimer: NodeJS.Timeout | undefined;

  /** Resolves when ready, rejects when it ends before; `gone` resolves in any case once it has ended. */
  const run = (): Promise<string> => {
    const startedMs = performance.now();
    const log = openSync(plan.logPath, 'a', 0o600);
    const child = spawn(process.execPath, [youngGeneration, ...plan.args], {
      cwd: plan.cwd,
      env: { ...fewArenas, ...plan.env, [supervisedVariable]: '1' },
      stdio: ['ignore', log, log, 'ipc'],
    });
    closeSync(log);
    current = child;
    return new Promise((resolve, reject) => {
      let ready = false;
      const impatience = setTimeout(() => child.kill('SIGKILL'), times.readyWithinMs);
      child.on('message', (message) => {
        if (!isReady(message) || ready) return;
        ready = true;
        clearTimeout(impatience);
        resolve(message.url ?? '');
      });
      // A message to a child that is just leaving fails; its exit says the rest.
      child.on('error', () => {});
      gone = new Promise((left) => {
        child.on('close', (code, signal) => {
          clearTimeout(impatience);
          current = undefined;
          left();
          const how = signal === null ? `exit code ${code}` : signal;
          if (!ready) reject(failed(plan, how));
          else if (!stopping) again(how, performance.now() - startedMs);
        });
      });
    });
  };

  const again = (how: string, livedMs: number): void => {
    if (livedMs > times.steadyAfterMs) delayMs = times.restartFirstMs;
    watcher.died(child, how, delayMs);
    restartTimer = setTimeout(() => {
      const startedMs = performance.now();
      run().then(
        () => watcher.restarted(child),
        () => {
          if (!stopping) again('it did not become ready', performance.now() - startedMs);
        },
      );
    }, delayMs);
    delayMs = Math.min(times.restartMaxMs, delayMs * 2);
  };

  const child: Child = {
    name: plan.name,
    get pid() {
      return current?.pid;
    },
    start() {
      keepFormerLog(plan.logPath);
      return run();
    },
    async stop() {
      stopping = true;
      clearTimeout(restartTimer);
      const running = current;
      if (running === undefined) return;
      if (running.connected) running.send({ stop: true }, () => {});
      if (await within(gone, times.stopWithinMs)) return;
      running.kill('SIGTERM');
      if (await within(gone, times.termWithinMs)) return;
      running.kill('SIGKILL');
      await gone;
    },
    kill() {
      stopping = true;
      clearTimeout(restartTimer);
      current?.kill('SIGKILL');
    },
  };
  return child;
}

function isReady(message: unknown): message is Ready {
  return typeof message === 'object' && message !== null && 'ready' in message && message.ready === true;
}

async function within(gone: Promise<void>, ms: number): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<false>((resolve) => {
    timer = setTimeout(() => resolve(false), ms);
  });
  const done = await Promise.race([gone.then(() => true), late]);
  clearTimeout(timer);
  return done;
}

function keepFormerLog(path: string): void {
  try {
    renameSync(path, `${path}.1`);
  } catch {
    // The first run has none.
  }
}

const tailLines = 12;

function failed(plan: ChildPlan, how: string): CliError {
  let tail = '';
  try {
    tail = readFileSync(plan.logPath, 'utf8').trimEnd().split('\n').slice(-tailLines).join('\n    ');
  } catch {
    // It died before it could write anything.
  }
  const said = tail === '' ? '' : `\n  The end of ${basename(plan.logPath)}:\n    ${tail}`;
  return new CliError('child-failed', `the ${plan.name} ended before it was ready (${how})${said}`, {
    remedy: `All it said is in ${plan.logPath}.`,
  });
}
