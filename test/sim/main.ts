/**
 * `npm run sim`: thousands of histories of the ledger on a simulated disk, in which processes die, disks fail and the power goes, one after another.
 *
 *   npm run sim -- --seeds 10000        that many, from --from (1 unless said) on
 *   npm run sim -- --minutes 30         as many as fit
 *   npm run sim -- --seed 1234          one, told line by line, and cut down when it fails
 *
 * Exit code 1 when a history ended badly; its seed replays it, here and everywhere.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { runHistory } from './history.ts';
import { planOf } from './plan.ts';
import { shrink } from './shrink.ts';
import type { Batch, BatchResult } from './worker.ts';

const batchSeeds = 25;
const toldMax = 20;
const silentMsMax = 120_000;

const { values } = parseArgs({
  options: {
    seeds: { type: 'string' },
    seed: { type: 'string' },
    from: { type: 'string' },
    minutes: { type: 'string' },
  },
});
const seed = numberOf('seed');
process.exitCode = seed === undefined ? await runMany() : await replay(seed);

function numberOf(name: keyof typeof values): number | undefined {
  const text = values[name];
  if (text === undefined) return undefined;
  const number = Number(text);
  if (!Number.isFinite(number) || number < 0) throw new Error(`expected --${name} with a number, got ${text}`);
  return number;
}

async function replay(seed: number): Promise<number> {
  const plan = planOf(seed);
  const { violation } = await runHistory(plan, { told: (line) => console.log(line) });
  if (violation === undefined) {
    console.log(`\nseed ${seed}: nothing went wrong`);
    return 0;
  }
  const smallest = await shrink(plan);
  console.log('\nThe least of it that still fails:\n');
  await runHistory(smallest, { told: (line) => console.log(line) });
  console.log(`\n${JSON.stringify(smallest)}`);
  return 1;
}

async function runMany(): Promise<number> {
  const first = numberOf('from') ?? 1;
  const minutes = numberOf('minutes');
  const seeds = numberOf('seeds') ?? (minutes === undefined ? 10_000 : Number.POSITIVE_INFINITY);
  const started = performance.now();
  const endsMs = minutes === undefined ? Number.POSITIVE_INFINITY : started + minutes * 60_000;
  const total = { histories: 0, events: 0, operations: 0, failed: 0 };
  let next = first;
  let isStopped = false;
  const take = (): Batch | undefined => {
    if (isStopped || next >= first + seeds || performance.now() >= endsMs) return undefined;
    const from = next;
    next = Math.min(next + batchSeeds, first + seeds);
    return { from, to: next };
  };
  const seconds = (): string => ((performance.now() - started) / 1000).toFixed(0);
  const add = (result: BatchResult): void => {
    const before = total.histories;
    total.histories += result.histories;
    total.events += result.events;
    total.operations += result.operations;
    for (const { seed: failedSeed, violation } of result.failed) {
      if (total.failed++ < toldMax)
        console.log(`\n✖ seed ${failedSeed}: ${violation}\n  npm run sim -- --seed ${failedSeed}`);
    }
    const of = Number.isFinite(seeds) ? ` of ${seeds}` : '';
    if (process.stdout.isTTY) process.stdout.write(`\r${total.histories}${of} histories, ${seconds()} s `);
    else if (Math.floor(before / 1000) !== Math.floor(total.histories / 1000))
      console.log(`${total.histories}${of} histories, ${seconds()} s`);
  };
  try {
    await Promise.all(Array.from({ length: availableParallelism() }, () => work(take, add)));
  } catch (error) {
    isStopped = true;
    console.log(`\n✖ ${error instanceof Error ? error.message : String(error)}`);
    total.failed++;
  }
  console.log(
    `\n${total.histories} histories from seed ${first}: ${total.failed} failed; ${total.events} events acknowledged, ${total.operations} disk operations, ${seconds()} s`,
  );
  return total.failed === 0 && total.histories > 0 ? 0 : 1;
}

async function work(take: () => Batch | undefined, add: (result: BatchResult) => void): Promise<void> {
  const worker = fork(join(import.meta.dirname, 'worker.ts'));
  try {
    for (let batch = take(); batch !== undefined; batch = take()) add(await answerOf(worker, batch));
  } finally {
    worker.kill();
  }
}

/** A worker that dies or says nothing is the failure of its batch. */
async function answerOf(worker: ChildProcess, batch: Batch): Promise<BatchResult> {
  const { promise, resolve, reject } = Promise.withResolvers<BatchResult>();
  const ended = (code: number | null): void =>
    reject(new Error(`the worker of seeds ${batch.from} to ${batch.to - 1} ended with ${code}`));
  const silent = setTimeout(
    () => reject(new Error(`no answer for seeds ${batch.from} to ${batch.to - 1} within ${silentMsMax / 1000} s`)),
    silentMsMax,
  );
  worker.once('message', resolve).once('exit', ended);
  worker.send(batch);
  try {
    return await promise;
  } finally {
    clearTimeout(silent);
    worker.off('message', resolve).off('exit', ended);
  }
}
