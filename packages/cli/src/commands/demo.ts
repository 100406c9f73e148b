/**
 * `watchglass demo`: the supervisor. Starts hospital, server, gateway and traffic as child processes, in that order, keeps them running,
 * writes `DIR/demo.json` once everything is ready, and stops them in reverse. It holds no data itself.
 */
import { existsSync } from 'node:fs';
import { readFile, rm, stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { defaultDataDir } from '../connection.ts';
import { type Child, type ChildWatcher, superviseChild } from '../demo/child.ts';
import { type DemoFile, removeDemoFile, writeDemoFile, writePrivateFile } from '../demo/demo-file.ts';
import { lockDemo } from '../demo/lock.ts';
import {
  childPlans,
  type DemoPaths,
  demoPaths,
  demoTenant,
  demoUrls,
  makeDemoFolder,
  writeGatewayConfig,
  writeServerConfig,
} from '../demo/plan.ts';
import { tryTheRoad } from '../demo/road.ts';
import { awaitDemoTokens, type DemoTokens, firstPatient, inRoleOrder, readDemoTokens } from '../demo/roster.ts';
import { summary } from '../demo/summary.ts';
import { type Io, note, paint, printJson, printLine } from '../io.ts';
import { type Ports, portBaseDefault, portsFrom, requireFreePorts } from '../ports.ts';
import { untilStopped } from '../supervised.ts';
import { ensureLocalCertificates } from '../tls/local-certificates.ts';

export interface DemoOptions {
  readonly json?: boolean;
  readonly portBase?: number;
  readonly data?: string;
  /** `--no-traffic` makes it false. */
  readonly traffic?: boolean;
  readonly once?: boolean;
  /** A folder of bulk FHIR NDJSON to serve instead of the synthetic patients. */
  readonly records?: string;
}

const tokensWithinMs = 60_000;
/** A demo that was killed leaves children that are just going. */
const formerPatienceMs = 10_000;
const freshTokensEveryMs = 15_000;

type ChildName = 'hospital' | 'server' | 'gateway' | 'traffic';

export async function demo(options: DemoOptions, io: Io & { readonly forced?: AbortSignal }): Promise<void> {
  const startedMs = performance.now();
  const paths = demoPaths(resolve(io.cwd, options.data ?? defaultDataDir));
  const ports = portsFrom(options.portBase ?? portBaseDefault);
  const records = options.records === undefined ? undefined : resolve(io.cwd, options.records);
  await makeDemoFolder(paths);
  using _lock = lockDemo(paths.lock, paths.data);
  await removeDemoFile(paths.data);
  await requireFreePorts(ports, await leftBehind(paths));

  const certificates = await ensureLocalCertificates(paths.tls, 'gateway');
  const running = new Map<ChildName, Child>();
  const state: { tokens: DemoTokens | undefined } = { tokens: undefined };
  const publish = async (): Promise<void> => {
    if (state.tokens === undefined) return;
    const pids = pidsOf(running);
    await writePrivateFile(paths.pids, `${JSON.stringify(pids)}\n`);
    await writeDemoFile(paths.data, demoFileOf({ ports, ca: certificates.ca, tokens: state.tokens, pids }));
  };
  const watcher: ChildWatcher = {
    died(child, how, delayMs) {
      if (!io.signal.aborted)
        note(
          io,
          `${paint(io, io.stderr, 'yellow', '!')} the ${child.name} died (${how}); starting it again in ${delayMs} ms`,
        );
    },
    restarted(child) {
      note(io, `${paint(io, io.stderr, 'green', '✓')} the ${child.name} is back`);
      publish().catch((error: unknown) => note(io, `demo.json could not be written: ${String(error)}`));
    },
  };
  const plans = childPlans(paths, ports, { ca: certificates.ca, records, env: io.env });
  io.forced?.addEventListener('abort', () => {
    for (const child of running.values()) child.kill();
  });

  const start = async (name: ChildName): Promise<void> => {
    const beganMs = performance.now();
    const child = superviseChild(plans[name], watcher);
    running.set(name, child);
    const waiting = setInterval(() => {
      note(io, `  ${name.padEnd(10)} still starting (${Math.round((performance.now() - beganMs) / 1_000)} s)`);
    }, 5_000);
    try {
      const url = await orStopped(child.start(), io.signal);
      const tookS = ((performance.now() - beganMs) / 1_000).toFixed(1);
      note(io, `${paint(io, io.stderr, 'green', '✓')} ${name.padEnd(10)} ${tookS.padStart(4)} s   ${url}`);
      await writePrivateFile(paths.pids, `${JSON.stringify(pidsOf(running))}\n`);
    } finally {
      clearInterval(waiting);
    }
  };

  try {
    note(io, `Starting the demo in ${paths.data}`);
    await start('hospital');
    await writeServerConfig(paths, ports, certificates);
    await rm(paths.tokens, { force: true });
    await start('server');
    state.tokens = await awaitDemoTokens(paths.tokens, tokensWithinMs, io.signal);
    await writeGatewayConfig(paths, ports, certificates, state.tokens.gatewayWriteKey);
    await start('gateway');
    if (options.traffic !== false && options.once !== true) await start('traffic');
    await publish();
    const readyS = ((performance.now() - startedMs) / 1_000).toFixed(1);
    const patient = await firstPatient(paths.roster);
    const file = demoFileOf({ ports, ca: certificates.ca, tokens: state.tokens, pids: pidsOf(running) });
    if (options.once === true) {
      const road = await tryTheRoad({ file, dataDir: paths.data, patient, io });
      if (options.json === true) printJson(io, { ...road, readyS: Number(readyS) });
      else printLine(io, `${paint(io, io.stdout, 'green', '✓')} ${road.sentence}`);
      return;
    }
    if (options.json === true) printJson(io, { ready: true, ...file });
    else printLine(io, summary({ file, dataDir: paths.data, shownData: options.data, patient, readyS, io }));
    await Promise.race([untilStopped(io.signal), followTokens(paths, state, publish, io)]);
  } catch (error) {
    if (!io.signal.aborted) throw error;
  } finally {
    if (options.once !== true) note(io, '\nStopping…');
    for (const name of ['traffic', 'gateway', 'server', 'hospital'] as const) await running.get(name)?.stop();
    await rm(paths.pids, { force: true });
    note(io, options.once === true ? 'Stopped.' : 'Everything is stopped; the next start goes on with the same data.');
  }
}

/** The server mints fresh tokens twice a day: demo.json follows. */
async function followTokens(
  paths: DemoPaths,
  state: { tokens: DemoTokens | undefined },
  publish: () => Promise<void>,
  io: Io,
): Promise<void> {
  let seenMs = (await stat(paths.tokens)).mtimeMs;
  for (;;) {
    await wait(freshTokensEveryMs, undefined, { signal: io.signal });
    const nowMs = (await stat(paths.tokens).catch(() => undefined))?.mtimeMs ?? seenMs;
    if (nowMs === seenMs) continue;
    seenMs = nowMs;
    state.tokens = (await readDemoTokens(paths.tokens)) ?? state.tokens;
    await publish();
  }
}

/** How long to wait for what a killed demo left behind; 0 where the former one stopped as it should. */
async function leftBehind(paths: DemoPaths): Promise<number> {
  if (!existsSync(paths.pids)) return 0;
  const untilMs = performance.now() + formerPatienceMs;
  const pids = JSON.parse(await readFile(paths.pids, 'utf8').catch(() => '{}')) as Record<string, number>;
  const former = Object.values(pids).filter((pid) => pid !== process.pid);
  while (former.some(isAlive) && performance.now() < untilMs) await wait(50);
  return formerPatienceMs;
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

/** Rejects with the signal's reason when that comes first. */
function orStopped<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const stop = (): void => reject(signal.reason);
    if (signal.aborted) stop();
    signal.addEventListener('abort', stop, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', stop));
  });
}

function pidsOf(running: ReadonlyMap<string, Child>): Record<string, number> {
  const children = [...running].flatMap(([name, { pid }]) => (pid === undefined ? [] : [[name, pid] as const]));
  return { supervisor: process.pid, ...Object.fromEntries(children) };
}

function demoFileOf(parts: { ports: Ports; ca: string; tokens: DemoTokens; pids: Record<string, number> }): DemoFile {
  const { tokens } = parts;
  return {
    urls: demoUrls(parts.ports),
    ca: parts.ca,
    tenant: tokens.tenant ?? demoTenant,
    writeKey: tokens.writeKey,
    people: inRoleOrder(tokens.people).map(({ role, username, password, token }) => ({
      role,
      username,
      password,
      token,
    })),
    pids: parts.pids,
  };
}
