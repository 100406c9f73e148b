/**
 * Load on one URL. `saturate` asks as fast as it is answered, with wrk where that is installed, since a load made by JavaScript takes the processor away from what is measured;
 * `pace` asks at a fixed rate, whether or not the answers come (a slow answer delays no other request, so it is not left out of the percentiles).
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';

import { Pool } from 'undici';

import { cpuMicros } from './processor-time.ts';
import { findBinary } from './proxies.ts';

export interface Load {
  readonly requests: number;
  readonly seconds: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** What making the load took of the processor, where it is a process of its own. */
  readonly cpuMicros?: number;
}

interface Target {
  readonly url: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
}

export const wrk: string | undefined = findBinary('wrk');

export function saturate(
  target: Target,
  options: { readonly connections: number; readonly seconds: number },
): Promise<Load> {
  return wrk === undefined ? saturateHere(target, options) : saturateByWrk(wrk, target, options);
}

/** A thousand requests a second, or another rate. */
export async function pace(
  target: Target,
  { perSecond, seconds }: { readonly perSecond: number; readonly seconds: number },
): Promise<Load> {
  const pool = new Pool(target.url, { connections: 64, allowH2: false });
  const latenciesMs: number[] = [];
  const underWay: Promise<void>[] = [];
  const startedMs = performance.now();
  const count = Math.floor(perSecond * seconds);
  for (let sent = 0; sent < count; ) {
    const due = Math.min(count, Math.floor(((performance.now() - startedMs) * perSecond) / 1_000));
    for (; sent < due; sent++) underWay.push(ask(pool, target, latenciesMs));
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  await Promise.all(underWay);
  await pool.close();
  return summary(latenciesMs, (performance.now() - startedMs) / 1_000);
}

async function ask(pool: Pool, { path, headers }: Target, latenciesMs: number[]): Promise<void> {
  const askedMs = performance.now();
  const { statusCode, body } = await pool.request({ path, method: 'GET', headers });
  await body.dump();
  if (statusCode !== 200) throw new Error(`expected 200, got ${statusCode}`);
  latenciesMs.push(performance.now() - askedMs);
}

async function saturateHere(
  target: Target,
  { connections, seconds }: { readonly connections: number; readonly seconds: number },
): Promise<Load> {
  const pool = new Pool(target.url, { connections, allowH2: false });
  const latenciesMs: number[] = [];
  const startedMs = performance.now();
  const endMs = startedMs + seconds * 1_000;
  const one = async (): Promise<void> => {
    while (performance.now() < endMs) await ask(pool, target, latenciesMs);
  };
  await Promise.all(Array.from({ length: connections }, one));
  await pool.close();
  return summary(latenciesMs, (performance.now() - startedMs) / 1_000);
}

async function saturateByWrk(
  binary: string,
  { url, path, headers }: Target,
  { connections, seconds }: { readonly connections: number; readonly seconds: number },
): Promise<Load> {
  const fields = Object.entries(headers).flatMap(([name, value]) => ['-H', `${name}: ${value}`]);
  const wholeSeconds = String(Math.max(1, Math.round(seconds)));
  const child = spawn(binary, ['-t1', `-c${connections}`, `-d${wholeSeconds}s`, '--latency', ...fields, url + path]);
  const exited = once(child, 'exit');
  // Once it has ended nobody can ask any more.
  let used = 0;
  const looking = setInterval(() => {
    used = cpuMicros(child.pid);
  }, 50);
  const report = await text(child.stdout);
  clearInterval(looking);
  await exited;
  const find = (pattern: RegExp): string => {
    const found = pattern.exec(report)?.[1];
    if (found === undefined) throw new Error(`expected a report of wrk, got ${report.length} characters without one`);
    return found;
  };
  if (/Non-2xx|Socket errors/.test(report)) throw new Error(`expected nothing but 200, got ${report}`);
  const milliseconds = (found: string): number => {
    const value = Number.parseFloat(found);
    return found.endsWith('us') ? value / 1_000 : found.endsWith('ms') ? value : value * 1_000;
  };
  const duration = milliseconds(find(/requests in ([\d.]+(?:us|ms|s|m))/)) / 1_000;
  return {
    requests: Number(find(/(\d+) requests in/)),
    seconds: duration,
    p50Ms: milliseconds(find(/50% +([\d.]+(?:us|ms|s))/)),
    p99Ms: milliseconds(find(/99% +([\d.]+(?:us|ms|s))/)),
    cpuMicros: used,
  };
}

function summary(latenciesMs: readonly number[], seconds: number): Load {
  const sorted = latenciesMs.toSorted((a, b) => a - b);
  const at = (share: number): number => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
  return { requests: sorted.length, seconds, p50Ms: at(0.5), p99Ms: at(0.99) };
}
