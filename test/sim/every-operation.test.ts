/**
 * Written-down histories with something going wrong at every single operation of the disk, of two processes one after the other: appends with repeats and archiving
 * beside them, changes of every kind of key, months that end, holds and shreds. Where a seed only may lead, this always goes.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { SimFault } from '../../packages/server/src/world/simulated.ts';
import { runHistory } from './history.ts';
import type { Life, Plan } from './plan.ts';

/** So many operations are tried of each history with each kind of mishap, evenly, and others with the next kind; more among the long ones, and with `WATCHGLASS_CRASH_PLACES=9999` all. */
const placesMax = Number(process.env.WATCHGLASS_CRASH_PLACES ?? (process.env.WATCHGLASS_LONG === '1' ? 24 : 6));

interface WrittenDown {
  readonly name: string;
  /** By what each process does. */
  readonly lives: readonly (readonly string[])[];
  /** A line that the whole of it says, when nothing goes wrong. */
  readonly says: RegExp;
}

const begin = ['add a tenant', 'wait for answers', 'append and wait'];

const histories: readonly WrittenDown[] = [
  {
    name: 'appends',
    lives: [
      [
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
      ],
      ['add a tenant', 'send again', 'append', 'a step ends', 'append', 'the clock steps back', 'append'],
    ],
    says: /append \d+ to \w+: done/,
  },
  {
    name: 'changes of keys',
    lives: [
      [
        ...begin,
        'rotate a checkpoint key',
        'append and wait',
        'end an overlap',
        'add an ML-DSA-44 key',
        'append and wait',
        'rotate the key-encryption key',
        'wrap anew',
        'append and wait',
      ],
      ['append and wait', 'a checkpoint key is compromised', 'append and wait'],
    ],
    says: /compromised of the checkpoint key of \w+: done/,
  },
  {
    name: 'the end of a month, and one that stays empty',
    lives: [
      [...begin, 'the clock jumps over months', 'append and wait', 'a step ends', 'append and wait'],
      ['the clock steps back', 'append and wait', 'the clock jumps over months', 'append and wait'],
    ],
    says: /rename \S+ \/data\/ledger\/\w+\/seals\/675/,
  },
  {
    name: 'holds and shreds',
    lives: [
      [...begin, 'append and wait', 'the month ends', 'append and wait'],
      [
        'place a hold',
        'wait for answers',
        'shred what is over',
        'wait for answers',
        'append and wait',
        'release a hold',
        'wait for answers',
      ],
    ],
    says: /shred what is over of \w+: done/,
  },
];

function planWith(
  { lives: written }: WrittenDown,
  mishap: { readonly life: number; readonly at: number; readonly fault: SimFault } | undefined,
  end: Life['end'],
): Plan {
  const lives = written.map(
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

for (const history of histories) {
  for (const [variant, { fault, end }] of variants.entries()) {
    test(`${history.name}: ${fault}, then ${end}, at every operation of the disk`, { timeout: 120_000 }, async (t) => {
      const told: string[] = [];
      const whole = await runHistory(planWith(history, undefined, end), { told: (line) => told.push(line) });
      assert.equal(whole.violation, undefined);
      assert.ok(told.some((line) => history.says.test(line)));
      const places = Math.min(placesMax, whole.operations);
      for (let tried = 0; tried < places; tried++) {
        const at = Math.floor(((tried + variant / variants.length) * whole.operations) / places);
        // The operations of a process are about half of them all.
        const life = places === whole.operations ? at % 2 : (tried + variant) % 2;
        const run = await runHistory(planWith(history, { life, at: at >>> 1, fault }, end));
        assert.equal(run.violation, undefined, `${fault} at operation ${at >>> 1} of life ${life + 1}, then ${end}`);
      }
      t.diagnostic(`${places} of ${whole.operations} places tried`);
    });
  }
}
