/**
 * What an event costs on the disk, on the demo's own traffic: the whole demo on a temporary directory, its staff at work through the
 * gateway, then an orderly stop. Needs no quiet machine. Small runs are dominated by what every file costs: give it a minute or more.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { verifyLedger } from '@watchglass/record/reader';

const ledgerBytesMax = 140;
const indexBytesMax = 220;
const requestsPerSecond = 400;
const readyMsMax = 120_000;
const portsInRow = 4;
const root = join(import.meta.dirname, '..');

export async function run({
  seconds,
  log,
}: {
  readonly seconds: number;
  readonly log: (line: string) => void;
}): Promise<Record<string, number>> {
  const dir = await mkdtemp(join(tmpdir(), 'watchglass-bench-'));
  const demo = start('packages/cli/bin/watchglass.mjs', [
    'demo',
    '--no-traffic',
    '--port-base',
    String(await freePorts()),
    '--data',
    dir,
  ]);
  try {
    const { urls, ca } = await ready(demo, join(dir, 'demo.json'));
    log('the demo is ready; its staff goes to work');
    const traffic = start('examples/hospital/bin/hospital.mjs', [
      'traffic',
      ...['--gateway', urls.gateway, '--ca', ca, '--seed', 'larkhaven'],
      ...['--tokens', join(dir, 'demo', 'tokens.json'), '--roster', join(dir, 'demo', 'roster.json')],
      ...['--rate', String(requestsPerSecond), '--duration', String(seconds)],
      ...['--misuse', 'bulk-read,sequential-ids'],
    ]);
    await once(traffic, 'close');
    await caughtUp(urls.server, dir);
    await stopped(demo);
    const report = await verifyLedger({ ledgerDir: join(dir, 'ledger'), keysDir: join(dir, 'keys') });
    if (!report.intact) throw new Error(`the ledger is not intact: ${JSON.stringify(report.findings.slice(0, 3))}`);
    const events = report.tenants.reduce((sum, { size }) => sum + size, 0);
    const ledger = (await bytesBelow(join(dir, 'ledger'))) / events;
    const index = (await bytesBelow(join(dir, 'index'))) / events;
    const verdict = (reached: boolean): string => (reached ? 'reached' : 'MISSED');
    log(`ledger/, target ≤ ${ledgerBytesMax} bytes an event: ${verdict(ledger <= ledgerBytesMax)}`);
    log(`index/, target ≤ ${indexBytesMax} bytes an event: ${verdict(index <= indexBytesMax)}`);
    return { events, 'ledger/ bytes an event': ledger, 'index/ bytes an event': index };
  } finally {
    await stopped(demo);
    await rm(dir, { recursive: true, force: true });
  }
}

function start(script: string, args: readonly string[]): ChildProcess {
  return spawn(process.execPath, [join(root, script), ...args], { stdio: 'ignore', cwd: tmpdir() });
}

async function stopped(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill('SIGINT');
  await once(child, 'close');
}

interface DemoFile {
  readonly urls: Record<'server' | 'gateway', string>;
  readonly ca: string;
}

async function ready(demo: ChildProcess, path: string): Promise<DemoFile> {
  for (const until = performance.now() + readyMsMax; !existsSync(path); await sleep(200)) {
    if (demo.exitCode !== null) throw new Error(`the demo left with code ${demo.exitCode}`);
    if (performance.now() > until) throw new Error('the demo did not get ready in time');
  }
  return JSON.parse(await readFile(path, 'utf8')) as DemoFile;
}

/** Until the gateway has sent everything and the index holds it: the log doesn't grow any more, but by our own asking. */
async function caughtUp(server: string, dir: string): Promise<void> {
  const token = (await readFile(join(dir, 'keys', 'operator.token'), 'utf8')).trim();
  let before = -1;
  for (;;) {
    const answer = await fetch(`${server}/v1/status`, { headers: { authorization: `Bearer ${token}` } });
    const { index } = (await answer.json()) as { index: { indexed: number; size: number } };
    if (index.size <= before + 2 && index.indexed >= index.size - 2) return;
    before = index.size;
    await sleep(1000);
  }
}

async function bytesBelow(dir: string): Promise<number> {
  let bytes = 0;
  for (const entry of await readdir(dir, { recursive: true, withFileTypes: true }))
    if (entry.isFile()) bytes += (await stat(join(entry.parentPath, entry.name))).size;
  return bytes;
}

/** The first of some free ports in a row. */
async function freePorts(): Promise<number> {
  for (;;) {
    const base = 20_000 + Math.floor(Math.random() * 30_000);
    const free = await Promise.all(Array.from({ length: portsInRow }, (_, at) => isFree(base + at)));
    if (free.every(Boolean)) return base;
  }
}

function isFree(port: number): Promise<boolean> {
  const server = createServer();
  return new Promise((resolve) => {
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}
