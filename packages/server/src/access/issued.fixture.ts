/** What was issued, over a file in memory and a simulated world; for tests of it and of who keeps things there. */
import { SimClock, SimDisk, SimRandom } from '../world/simulated.ts';
import { type Issued, openIssued } from './issued.ts';
import { openState, type State } from './state.ts';
import { openStateMark } from './state-mark.ts';
import { openStateSeal, type StateSeal } from './state-seal.ts';

export interface OpenedIssued {
  readonly issued: Issued;
  readonly clock: SimClock;
  readonly state: State;
  readonly seal: StateSeal;
  /** Another one over the same file, as after a restart. */
  readonly again: () => Promise<Issued>;
}

export async function openIssuedForTest(): Promise<OpenedIssued> {
  const clock = new SimClock(1_767_225_600_000);
  const world = { clock, disk: new SimDisk(new SimRandom(1)).process(), random: new SimRandom(7) };
  const state = openState(':memory:');
  await world.disk.makeDirectory('/keys');
  const seal = await openStateSeal(world, '/keys');
  const again = async (): Promise<Issued> => {
    const mark = await openStateMark({ state, path: '/state.mark', world, atStranger: () => undefined });
    return openIssued({ state, clock, seal, mark });
  };
  return { issued: await again(), clock, state, seal, again };
}
