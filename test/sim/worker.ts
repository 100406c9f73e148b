/** A process of `main.ts`: runs the histories of the seeds it is sent, and sends back what came of them. */
import { runHistory } from './history.ts';
import { planOf } from './plan.ts';

export interface Batch {
  readonly from: number;
  readonly to: number;
}

export interface BatchResult {
  readonly histories: number;
  readonly events: number;
  readonly operations: number;
  readonly failed: readonly { readonly seed: number; readonly violation: string }[];
}

async function run({ from, to }: Batch): Promise<BatchResult> {
  let events = 0;
  let operations = 0;
  const failed: { seed: number; violation: string }[] = [];
  for (let seed = from; seed < to; seed++) {
    const result = await runHistory(planOf(seed));
    events += result.events;
    operations += result.operations;
    if (result.violation !== undefined) failed.push({ seed, violation: result.violation });
  }
  return { histories: to - from, events, operations, failed };
}

process.on('message', (batch: Batch) => {
  run(batch).then(
    (result) => process.send?.(result),
    (error: unknown) => {
      console.error(error);
      process.exit(1);
    },
  );
});
