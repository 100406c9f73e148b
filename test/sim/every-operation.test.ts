/**
 * One written-down history with something going wrong at every single operation of the disk: two processes one after the other, several logs and
 * classes, repeats, archiving beside appends and at the end, a month that ends. Where a seed only may lead, this always goes.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { SimFault } from '../../packages/server/src/world/simulated.ts';
import { runHistory } from './history.ts';
import type { Life, Plan } from './plan.ts';

/** Each kind is tried at every operation within this time; a slow machine leaves some out, evenly. */
const budgetMs = Number(process.env.WATCHGLASS_CRASH_MS ?? 1_500);
const operationsMin = 20;

const firstLife = [
  'add a tenant',
  'wait for answers',
  'append',
  'append',
  'send again',
  'add a tenant',
  'append and wait',
  'a step ends',
  'append',
  'append',
  'a step ends',
  'the clock jumps ahead',
  'append',
  'append and wait',
];
const secondLife = ['add a tenant', 'send again', 'append', 'a step ends', 'append', 'the clock steps back', 'append'];

function planWith(
  mishap: { readonly life: number; readonly at: number; readonly fault: SimFault } | undefined,
  end: Life['end'],
): Plan {
  const lives = [firstLife, secondLife].map(
    (steps, life): Life => ({
      steps: steps.map((operation, at) => ({ operation, seed: 100 * life + at })),
      faults: mishap?.life === life ? [{ at: mishap.at, fault: mishap.fault }] : [],
      end: mishap?.life === life ? end : 'closed',
    }),
  );
  return { seed: 20260314, startMs: Date.UTC(2026, 2, 31, 23, 50), segmentBytesMax: 3000, heartbeatMs: 0, lives };
}

const variants: readonly { readonly fault: SimFault; readonly end: Life['end'] }[] = [
  { fault: 'dies', end: 'killed' },
  { fault: 'dies-within', end: 'killed' },
  { fault: 'dies', end: 'power lost' },
  { fault: 'dies-within', end: 'power lost' },
  { fault: 'ENOSPC', end: 'closed' },
  { fault: 'full', end: 'power lost' },
  { fault: 'EIO', end: 'power lost' },
  { fault: 'short', end: 'killed' },
];

for (const { fault, end } of variants) {
  test(`${fault}, then ${end}, at every operation of the disk loses nothing`, { timeout: 120_000 }, async (t) => {
    const { operations, violation } = await runHistory(planWith(undefined, end));
    assert.equal(violation, undefined);
    const ends = performance.now() + budgetMs;
    // Far apart first, so that a slow machine leaves out evenly.
    const stride = 17;
    let tried = 0;
    for (let first = 0; first < stride; first++) {
      for (let at = (first * 7) % stride; at < operations; at += stride) {
        if (performance.now() > ends && tried >= operationsMin) break;
        tried++;
        const life = at % 2;
        const run = await runHistory(planWith({ life, at: at >>> 1, fault }, end));
        assert.equal(run.violation, undefined, `${fault} at operation ${at >>> 1} of life ${life + 1}, then ${end}`);
      }
    }
    t.diagnostic(`${tried} of ${operations} places tried`);
  });
}
