/**
 * A history as data: lives of processes one after another on one disk, what each does, what goes wrong in it, and how it ends. Made from
 * a seed, and cut down by `shrink.ts`: each step has a seed of its own, so that leaving one out changes none of the others.
 */
import {
  type SimFault,
  type SimMishap,
  type SimMisread,
  SimRandom,
} from '../../packages/server/src/world/simulated.ts';
import { themes, usualOperations } from './operations.ts';

export interface Plan {
  readonly seed: number;
  readonly startMs: number;
  readonly segmentBytesMax: number;
  readonly heartbeatMs: number;
  readonly lives: readonly Life[];
}

export interface Life {
  readonly steps: readonly Step[];
  readonly faults: readonly SimMishap[];
  /** Files that can't be read as they are. */
  readonly misreads?: readonly SimMisread[];
  /** What comes when the steps are done, or after the fault that killed the process. */
  readonly end: 'closed' | 'killed' | 'power lost';
}

export interface Step {
  readonly operation: string;
  readonly seed: number;
}

const monthEndMs = Date.UTC(2026, 3, 1);
const faultWeights: Readonly<Record<SimFault, number>> = {
  dies: 30,
  'dies-within': 30,
  EIO: 15,
  ENOSPC: 8,
  full: 9,
  short: 8,
};

/** @param theme what besides happens, instead of what the seed says */
export function planOf(seed: number, theme?: keyof typeof themes): Plan {
  const random = new SimRandom(seed);
  const drawn = random.weighted({ none: 50, keys: 22, ending: 28 });
  const chosen = theme ?? drawn;
  const weights = Object.fromEntries(
    [...usualOperations, ...(themes[chosen] ?? [])].map(({ name, weight }) => [name, weight]),
  );
  const lives = Array.from({ length: random.between(1, 4) }, (_, at) => lifeOf(random, weights, at === 0));
  if (chosen === 'ending') for (const [at, life] of lives.entries()) lives[at] = withEnding(random, life, at);
  if (random.chance(30)) lives.push(...twoCrashes(random, weights));
  if (random.chance(15)) misread(random, lives);
  return {
    seed,
    startMs: monthEndMs - random.between(1, 3_600) * 1000,
    segmentBytesMax: random.pick([1, 1500, 4000, 20_000]),
    heartbeatMs: random.chance(25) ? 300_000 : 0,
    lives,
  };
}

/** A process can't read some of what an earlier one left, or of what it wrote itself. */
function misread(random: SimRandom, lives: Life[]): void {
  const at = random.below(lives.length);
  const life = lives[at] as Life;
  // After a power failure nobody can tell a torn group from one that went bad.
  const before = lives[at - 1];
  const faults = before?.end === 'power lost' ? (['EIO'] as const) : (['EIO', 'ends early', 'flip'] as const);
  const misreads = Array.from({ length: random.between(1, 2) }, () => {
    const fault = random.pick(faults);
    const at = random.below(random.chance(60) ? 60 : 300);
    // A bit that stays another is one that is stored so: at the end of each history one is.
    return { fault, at, times: fault === 'flip' || random.chance(40) ? 1 : 1000, spot: random.below(2 ** 16) };
  });
  lives[at] = { ...life, faults: [], misreads };
}

type Weights = Readonly<Record<string, number>>;

function stepOf(random: SimRandom, weights: Weights): Step {
  return { operation: random.weighted(weights), seed: random.below(2 ** 31) };
}

function lifeOf(random: SimRandom, weights: Weights, isFirst: boolean): Life {
  // One in a few dies while it recovers, and the next one too.
  const isShort = random.chance(25);
  const steps = Array.from({ length: isShort ? random.below(3) : random.between(3, 14) }, () =>
    stepOf(random, weights),
  );
  // Without a log there is little to do.
  if (isFirst)
    steps.unshift(
      ...Array.from(['add a tenant', 'add a tenant', 'wait for answers'], (name) => stepOf(random, { [name]: 1 })),
    );
  const faults = Array.from({ length: random.pick([0, 1, 1, 1, 2, 3]) }, () => mishapOf(random, isShort));
  return { steps, faults, end: random.weighted({ closed: 25, killed: 35, 'power lost': 40 }) as Life['end'] };
}

/** Something to end, and the orders for it, which seldom come in this order by themselves. */
function withEnding(random: SimRandom, life: Life, at: number): Life {
  if (at > 0 && random.chance(40)) return life;
  const names =
    at === 0 ? ['append and wait', 'the month ends'] : ['place a hold', 'wait for answers', 'shred what is over'];
  const steps = names.map((name) => stepOf(random, { [name]: 1 }));
  return { ...life, steps: at === 0 ? [...life.steps, ...steps] : [...steps, ...life.steps] };
}

/** One dies over the journal, and the next one not long after its start, with the power: what it had found there must have become durable. */
function twoCrashes(random: SimRandom, weights: Weights): readonly [Life, Life] {
  const first = lifeOf(random, weights, false);
  const fault = random.weighted({ dies: 2, 'dies-within': 2, EIO: 3 });
  const mishap: SimMishap = { at: random.below(3), fault, among: [random.pick(['write', 'datasync']), '.wgj'] };
  const appends = [0, 1, 2].map(() => stepOf(random, { append: 2, 'send again': 1, 'append and wait': 1 }));
  return [
    { steps: [...appends, ...first.steps], faults: [mishap], end: 'killed' },
    {
      steps: [stepOf(random, { 'send again': 2, append: 1 }), stepOf(random, { 'wait for answers': 1 })],
      faults: [{ at: random.below(45), fault: 'dies' }],
      end: 'power lost',
    },
  ];
}

/** Where durability is made, and where a mishap in any life of its own would be rare. */
const places: readonly (readonly [verb: string, path: string])[] = [
  ['write', '.wgj'],
  ['write', '.wgj'],
  ['write', '.wgj'],
  ['datasync', '.wgj'],
  ['datasync', '.wgj'],
  ['datasync', '.wgj'],
  ['truncate', '.wgj'],
  ['rename', '/checkpoint'],
  ['rename', '/manifest'],
  ['sync', '/ledger/'],
  ['sync', '/journal/'],
  ['remove', ''],
  ['write', '/blocks/'],
  ['datasync', '/commitments/'],
  ['', '/keys/'],
  ['', '/rotations/'],
  ['', '/seals/'],
  ['', '/shreds/'],
  ['', '/holds/'],
];

function mishapOf(random: SimRandom, isShort: boolean): SimMishap {
  const fault = random.weighted(faultWeights);
  if (random.chance(60)) {
    const among = random.pick(places);
    // A write can be short, and nothing else.
    return { at: random.below(5), fault: among[0] === 'write' && random.chance(25) ? 'short' : fault, among };
  }
  return { at: random.below(isShort || random.chance(25) ? 40 : 120), fault };
}
