/**
 * What people are signed in to: one entry for each sign-in of a person at an application, by its `sid`. It holds the launch context, which every token of the sign-in
 * carries, and ends with the session, or after the twelve hours that its tokens can be renewed for. In memory and bounded, like the provider's own storage.
 */
import type { World } from '../world/world.ts';

const signInMs: number = 12 * 3_600_000;
const signInsMax = 10_000;

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
  /** The session is over; what is offline is still known by its grant. */
  end(sid: string): void;
  /** The grant is over, and with it its session. */
  endGrant(grantId: string): void;
  /** All of a person, the offline ones too. */
  forget(person: string): void;
}

export function createSignIns(world: World): SignIns {
  const bySid = new Map<string, AppSignIn & { readonly untilMs: number }>();
  const byGrant = new Map<string, AppSignIn & { readonly untilMs: number }>();
  const live = (one: (AppSignIn & { readonly untilMs: number }) | undefined): AppSignIn | undefined =>
    one !== undefined && world.clock.monotonicMs() < one.untilMs ? one : undefined;
  return {
    add(signIn) {
      const entry = { ...signIn, untilMs: world.clock.monotonicMs() + signInMs };
      bySid.set(signIn.sid, entry);
      byGrant.set(signIn.grantId, entry);
      for (const map of [bySid, byGrant]) {
        const [oldest] = map.keys();
        if (map.size > signInsMax && oldest !== undefined) map.delete(oldest);
      }
    },
    get: (sid) => live(bySid.get(sid)),
    ofGrant: (grantId) => live(byGrant.get(grantId)),
    of: (person) => [...byGrant.values()].filter((one) => one.person === person && live(one) !== undefined),
    end(sid) {
      const one = bySid.get(sid);
      bySid.delete(sid);
      if (one !== undefined && !one.offline) byGrant.delete(one.grantId);
    },
    endGrant(grantId) {
      const one = byGrant.get(grantId);
      byGrant.delete(grantId);
      if (one !== undefined) bySid.delete(one.sid);
    },
    forget(person) {
      for (const map of [bySid, byGrant]) for (const [key, one] of map) if (one.person === person) map.delete(key);
    },
  };
}
