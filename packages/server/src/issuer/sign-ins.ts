/**
 * What people are signed in to: one entry for each sign-in of a person at an application, by its `sid`. It holds the launch context, which every token of the sign-in
 * carries, and ends with the session, or after the twelve hours that its tokens can be renewed for. Kept (access/issued.ts), and looked up in memory.
 */
import type { Issued } from '../access/issued.ts';
import type { World } from '../world/world.ts';

const signInMs: number = 12 * 3_600_000;
const signInsMax = 10_000;
/** Of one person: whoever signs in without end pushes out their own, not everybody's. */
export const signInsOfOneMax = 200;

/** Whose record an application works on. */
export interface LaunchContext {
  readonly patient?: string;
  readonly encounter?: string;
  readonly intent?: string;
  readonly needPatientBanner: boolean;
}

export interface AppSignIn {
  readonly sid: string;
  readonly grantId: string;
  readonly person: string;
  readonly client: string;
  /** `offline_access` was granted: its refresh token outlives the session (Back-Channel Logout 1.0 §2.7). */
  readonly offline: boolean;
  readonly context?: LaunchContext;
}

export interface SignIns {
  add(signIn: AppSignIn): void;
  get(sid: string): AppSignIn | undefined;
  ofGrant(grantId: string): AppSignIn | undefined;
  of(person: string): readonly AppSignIn[];
  /** Those whose grant has ended, and nobody may have been told: the server was killed in between. */
  grantless(): readonly AppSignIn[];
  /** The session is over; what is offline is still known by its grant. */
  end(sid: string): void;
  /** The grant is over, and with it its session. */
  endGrant(grantId: string): void;
  /** All of a person, the offline ones too, with all that was given to them. */
  forget(person: string): void;
}

interface Entry extends AppSignIn {
  /** Monotonic. */
  readonly untilMs: number;
}

/** What is kept of one. */
interface Kept extends AppSignIn {
  readonly isSessionOver?: boolean;
}

export function createSignIns(world: World, issued: Issued): SignIns {
  const { clock } = world;
  const bySid = new Map<string, Entry>();
  const byGrant = new Map<string, Entry>();
  for (const { payload, untilMs } of issued.all('SignIn')) {
    const { isSessionOver, ...signIn } = payload as Kept;
    // A clock that was set back makes none longer than it was.
    const leftMs = Math.min(untilMs - clock.now(), signInMs);
    const entry = { ...signIn, untilMs: clock.monotonicMs() + leftMs };
    if (isSessionOver !== true) bySid.set(entry.sid, entry);
    byGrant.set(entry.grantId, entry);
  }
  const live = (one: Entry | undefined): AppSignIn | undefined => {
    if (one === undefined || clock.monotonicMs() >= one.untilMs) return undefined;
    const { untilMs, ...signIn } = one;
    return signIn;
  };
  const of = (person: string): readonly AppSignIn[] =>
    [...byGrant.values()].filter((one) => one.person === person && live(one) !== undefined);
  const forgetOne = ({ grantId, sid }: AppSignIn): void => {
    byGrant.delete(grantId);
    bySid.delete(sid);
    issued.dropGrant(grantId);
    issued.drop('SignIn', grantId);
  };
  return {
    add(signIn) {
      const before = of(signIn.person);
      for (const one of before.slice(0, Math.max(0, before.length - signInsOfOneMax + 1))) forgetOne(one);
      issued.put('SignIn', signIn.grantId, {
        payload: signIn,
        untilMs: clock.now() + signInMs,
        grantId: signIn.grantId,
      });
      const entry = { ...signIn, untilMs: clock.monotonicMs() + signInMs };
      bySid.set(signIn.sid, entry);
      byGrant.set(signIn.grantId, entry);
      for (const map of [bySid, byGrant]) {
        const [oldest] = map.keys();
        if (map.size > signInsMax && oldest !== undefined) map.delete(oldest);
      }
    },
    get: (sid) => live(bySid.get(sid)),
    ofGrant: (grantId) => live(byGrant.get(grantId)),
    of,
    grantless: () =>
      [...byGrant.values()].filter((one) => live(one) !== undefined && issued.get('Grant', one.grantId) === undefined),
    end(sid) {
      const one = bySid.get(sid);
      bySid.delete(sid);
      if (one === undefined) return;
      if (!one.offline) {
        byGrant.delete(one.grantId);
        issued.drop('SignIn', one.grantId);
        return;
      }
      const { untilMs, ...signIn } = one;
      const payload: Kept = { ...signIn, isSessionOver: true };
      const leftMs = untilMs - clock.monotonicMs();
      issued.put('SignIn', one.grantId, { payload, untilMs: clock.now() + leftMs, grantId: one.grantId }, 'durable');
    },
    endGrant(grantId) {
      const one = byGrant.get(grantId);
      byGrant.delete(grantId);
      if (one === undefined) return;
      bySid.delete(one.sid);
      issued.drop('SignIn', grantId);
    },
    forget(person) {
      for (const one of byGrant.values()) if (one.person === person) forgetOne(one);
    },
  };
}
