/**
 * Launches that an EHR has prepared (SMART App Launch 2.2, "EHR launch"): an opaque id that stands for who works on whose record, for one application, once, for five
 * minutes. In memory, as its SHA-256: whoever reads memory dumps or a restart forgets it, and the EHR launches again.
 */
import { hash } from 'node:crypto';
import type { World } from '../world/world.ts';

const launchMs: number = 5 * 60_000;
const launchesMax = 10_000;
/** Used ones are remembered as such, so that the record can tell a second use from a guess. */
const usedMax = 10_000;

export interface Launch {
  /** The EHR that made it. */
  readonly ehr: string;
  /** The application it is for. */
  readonly client: string;
  /** Who is at work: nobody else may use it. */
  readonly person: string;
  readonly patient?: string;
  readonly encounter?: string;
  readonly intent?: string;
  readonly needPatientBanner: boolean;
}

export type LaunchFault =
  | 'launch-unknown'
  | 'launch-expired'
  | 'launch-used'
  | 'launch-of-another-client'
  | 'launch-of-another-person';

export interface Launches {
  make(launch: Launch): { readonly launch: string; readonly untilMs: number };
  /** Whether it would be good for this client; uses nothing up. */
  look(id: string, client: string): LaunchFault | undefined;
  /** Uses it up, for whomever. */
  take(id: string, by: { readonly client: string; readonly person: string }): Launch | LaunchFault;
}

export function createLaunches(world: World): Launches {
  const held = new Map<string, { readonly launch: Launch; readonly untilMs: number }>();
  const used = new Set<string>();
  const find = (id: string, client: string): { readonly key: string; readonly launch: Launch } | LaunchFault => {
    const key = hash('sha256', id, 'base64url');
    const one = held.get(key);
    if (one === undefined) return used.has(key) ? 'launch-used' : 'launch-unknown';
    if (world.clock.monotonicMs() >= one.untilMs) return 'launch-expired';
    return one.launch.client === client ? { key, launch: one.launch } : 'launch-of-another-client';
  };
  return {
    make(launch) {
      const id = Buffer.from(world.random.bytes(32)).toString('base64url');
      held.set(hash('sha256', id, 'base64url'), { launch, untilMs: world.clock.monotonicMs() + launchMs });
      trim(held, launchesMax);
      return { launch: id, untilMs: world.clock.now() + launchMs };
    },
    look(id, client) {
      const found = find(id, client);
      return typeof found === 'string' ? found : undefined;
    },
    take(id, { client, person }) {
      const found = find(id, client);
      if (typeof found === 'string') return found;
      held.delete(found.key);
      used.add(found.key);
      trim(used, usedMax);
      return found.launch.person === person ? found.launch : 'launch-of-another-person';
    },
  };
}

/** The oldest goes first. */
function trim<K>(
  kept: { readonly size: number; keys(): Iterator<K>; delete(key: K): boolean },
  countMax: number,
): void {
  const oldest = kept.size > countMax ? kept.keys().next() : undefined;
  if (oldest !== undefined && oldest.done !== true) kept.delete(oldest.value);
}
