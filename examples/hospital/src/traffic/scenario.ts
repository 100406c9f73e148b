/** What a labelled misuse is: work like any other, with a pace of its own. `misuse.ts` lists them. */
import type { Stream } from '../world/prng.ts';
import type { StaffRole } from '../world/staff.ts';
import type { Scene, Work } from './work.ts';

export interface Scenario {
  readonly name: string;
  /** What it is, for the README and for who reads labels. */
  readonly description: string;
  /** Who could do it. */
  readonly roles: readonly StaffRole[];
  /** Whether this person can do it: has a relative here, say. */
  possible(scene: Scene): boolean;
  /** Milliseconds until its next request. */
  paceMs(stream: Stream): number;
  work(scene: Scene): Work;
}
