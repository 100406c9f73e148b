/**
 * Launches that an EHR has prepared (SMART App Launch 2.2, "EHR launch"): an opaque id that stands for who works on whose record, for one application, once, for five
 * minutes. Kept by a digest and sealed (access/issued.ts), so that a restart neither loses one nor lets it be used twice.
 */
import type { Issued } from '../access/issued.ts';
import type { World } from '../world/world.ts';

const launchMs: number = 5 * 60_000;
/** Used and expired ones are remembered as such, so that the record can tell a second use from a guess. */
const rememberedMs: number = 24 * 3_600_000;

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
  /** Uses it up, for whomever, and for good when it resolves. */
  take(id: string, by: { readonly client: string; readonly person: string }): Promise<Launch | LaunchFault>;
}

interface Kept {
  readonly launch: Launch;
  readonly goodUntilMs: number;
}

export function createLaunches({ clock, random }: World, issued: Issued): Launches {
  const find = (id: string, client: string): Launch | LaunchFault => {
    const found = issued.get('Launch', id);
    if (found === undefined) return 'launch-unknown';
    if (found.usedMs !== undefined) return 'launch-used';
    const { launch, goodUntilMs } = found.payload as Kept;
    if (clock.now() >= goodUntilMs) return 'launch-expired';
    return launch.client === client ? launch : 'launch-of-another-client';
  };
  return {
    make(launch) {
      const id = Buffer.from(random.bytes(32)).toString('base64url');
      const payload: Kept = { launch, goodUntilMs: clock.now() + launchMs };
      issued.put('Launch', id, { payload, untilMs: clock.now() + rememberedMs });
      return { launch: id, untilMs: payload.goodUntilMs };
    },
    look(id, client) {
      const found = find(id, client);
      return typeof found === 'string' ? found : undefined;
    },
    async take(id, { client, person }) {
      const found = find(id, client);
      if (typeof found === 'string') return found;
      if (!issued.use('Launch', id)) return 'launch-used';
      await issued.settled();
      return found.person === person ? found : 'launch-of-another-person';
    },
  };
}
