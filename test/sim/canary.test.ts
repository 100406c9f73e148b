/** The simulator finds every ledger that is broken on purpose, from wherever its seeds begin, and cuts what it found down to a few steps. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Canary, canaries } from './canaries.ts';
import { layerOver } from './disk-layer.ts';
import { type Run, runHistory } from './history.ts';
import { planOf } from './plan.ts';
import { shrink } from './shrink.ts';

const seedsMax = 400;
const beginnings = process.env.WATCHGLASS_LONG === '1' ? [1, 350_001, 700_001] : [1];

/** The first promise seen broken. A broken ledger may throw what nobody expected before that, which `npm run sim` reports too, but which says less. */
async function find({ meddling, theme }: Canary, first: number): Promise<Run | undefined> {
  for (let seed = first; seed < first + seedsMax; seed++) {
    const run = await runHistory(planOf(seed, theme), { meddling });
    if (run.isBroken) return run;
  }
  return undefined;
}

for (const canary of canaries) {
  test(`a ledger that ${canary.what} is found within ${seedsMax} seeds, every time`, {
    timeout: 120_000,
  }, async (t) => {
    for (const first of beginnings) {
      const found = await find(canary, first);
      assert.ok(found?.violation !== undefined, `not found from seed ${first} on`);
      t.diagnostic(`seed ${found.plan.seed}: ${found.violation.split('\n')[0]}`);
    }
  });
}

test('a disk that only passes on what it is told is no canary', async () => {
  for (let seed = 1; seed <= 30; seed++)
    assert.equal((await runHistory(planOf(seed), { meddling: (disk) => layerOver(disk) })).violation, undefined);
});

test('a history that fails is cut down, and what is left still fails', { timeout: 120_000 }, async () => {
  const canary = canaries[0] as Canary;
  const { meddling } = canary;
  const found = await find(canary, 1);
  assert.ok(found !== undefined);
  const smallest = await shrink(found.plan, meddling);
  const steps = (plan: typeof smallest): number => plan.lives.reduce((sum, life) => sum + life.steps.length, 0);
  assert.ok(steps(smallest) < steps(found.plan));
  assert.ok((await runHistory(smallest, { meddling })).violation !== undefined);
});
