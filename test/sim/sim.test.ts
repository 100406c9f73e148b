/** A few hundred histories in every `npm test`; `npm run sim` runs thousands. And the same seed is the same history. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { runHistory } from './history.ts';
import { operations } from './operations.ts';
import { type Plan, planOf } from './plan.ts';

const firstSeed = Number(process.env.WATCHGLASS_SEED ?? 1);
const seeds = 120;

test('histories with kills, power failures and failing disks lose nothing, and sign nothing twice', {
  timeout: 120_000,
}, async (t) => {
  let events = 0;
  let ran = 0;
  for (let seed = firstSeed; seed < firstSeed + seeds; seed++, ran++) {
    const run = await runHistory(planOf(seed));
    assert.equal(run.violation, undefined, `npm run sim -- --seed ${seed}`);
    events += run.events;
  }
  assert.ok(events > ran, `${events} events were acknowledged in ${ran} histories`);
  t.diagnostic(`${ran} histories from seed ${firstSeed}, ${events} events acknowledged`);
});

test('the same seed is the same history, line by line', async () => {
  const trace = async (seed: number): Promise<string[]> => {
    const lines: string[] = [];
    await runHistory(planOf(seed), { told: (line) => lines.push(line) });
    return lines;
  };
  for (const seed of [3, 14]) assert.deepEqual(await trace(seed), await trace(seed));
});

test('every operation and every fault occurs, and every end', () => {
  const seen = new Set<string>();
  for (let seed = 1; seed <= 300; seed++) {
    for (const { steps, faults, end } of planOf(seed).lives) {
      for (const { operation } of steps) seen.add(operation);
      for (const { fault } of faults) seen.add(fault);
      seen.add(end);
    }
  }
  const faults = ['dies', 'dies-within', 'EIO', 'ENOSPC', 'full', 'short'];
  assert.deepEqual(
    [...operations.map(({ name }) => name), ...faults, 'closed', 'killed', 'power lost'].filter(
      (name) => !seen.has(name),
    ),
    [],
  );
});

const onceFailed = JSON.parse(readFileSync(join(import.meta.dirname, 'once-failed.json'), 'utf8')) as {
  readonly what: string;
  readonly plan: Plan;
}[];

for (const { what, plan } of onceFailed) {
  test(`never again: ${what}`, async () => {
    assert.equal((await runHistory(plan)).violation, undefined);
  });
}
