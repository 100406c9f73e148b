/** Cuts a failing plan down to what it needs to fail: whole lives, then faults, then steps, one after another, as long as something still goes wrong. */
import { type Meddling, runHistory } from './history.ts';
import type { Life, Plan } from './plan.ts';

const triesMax = 400;

export async function shrink(plan: Plan, meddling?: Meddling): Promise<Plan> {
  let smallest = plan;
  let tries = 0;
  const stillFails = async (candidate: Plan): Promise<boolean> => {
    if (++tries > triesMax) return false;
    const { violation } = await runHistory(candidate, meddling === undefined ? {} : { meddling });
    if (violation === undefined) return false;
    smallest = candidate;
    return true;
  };
  for (let before = Number.POSITIVE_INFINITY; sizeOf(smallest) < before && tries < triesMax; ) {
    before = sizeOf(smallest);
    for (let at = smallest.lives.length - 1; at >= 0; at--) await stillFails(without(smallest, at));
    for (let life = smallest.lives.length - 1; life >= 0; life--) {
      for (const part of ['faults', 'steps', 'misreads'] as const) {
        for (let at = (smallest.lives[life]?.[part]?.length ?? 0) - 1; at >= 0; at--)
          await stillFails(withLife(smallest, life, (one) => ({ ...one, [part]: one[part]?.toSpliced(at, 1) ?? [] })));
      }
    }
  }
  return smallest;
}

function sizeOf({ lives }: Plan): number {
  return lives.reduce(
    (sum, { steps, faults, misreads = [] }) => sum + 1 + steps.length + faults.length + misreads.length,
    0,
  );
}

function without(plan: Plan, at: number): Plan {
  return { ...plan, lives: plan.lives.toSpliced(at, 1) };
}

function withLife(plan: Plan, at: number, change: (life: Life) => Life): Plan {
  return { ...plan, lives: plan.lives.map((life, other) => (other === at ? change(life) : life)) };
}
