/**
 * What of the provider's things has to survive a restart, in `state.sqlite` (access/issued.ts): grants, codes, refresh tokens, and what was seen. What is used or ended is so for good before
 * the provider goes on, also where two requests use it at the same moment: the provider looks first and uses then.
 */
import { type Adapter, type AdapterPayload, errors } from 'oidc-provider';
import type { Issued } from '../access/issued.ts';
import type { Clock } from '../world/world.ts';

/** For what the provider gives no lifetime. */
const lifetimeSecondsMax = 24 * 3_600;

/** A proof of DPoP may say a time so far ahead, and is good as much longer: the provider counts from when it was shown. */
const proofAheadSecondsMax = 300;

const kinds = ['Grant', 'AuthorizationCode', 'RefreshToken', 'ReplayDetection'] as const;
type ProviderKind = (typeof kinds)[number];

export function isKept(model: string): model is ProviderKind {
  return (kinds as readonly string[]).includes(model);
}

export function createIssuedStorage(
  kind: ProviderKind,
  parts: {
    readonly issued: Issued;
    readonly clock: Clock;
    /** Somebody used at the same moment what somebody else did: what it gave has ended. */
    readonly onReuse: (grantId: string) => void;
  },
): Adapter {
  const { issued, clock, onReuse } = parts;
  const entryOf = (id: string, payload: AdapterPayload, expiresInSeconds: number) => ({
    payload,
    untilMs: clock.now() + (expiresInSeconds + (kind === 'ReplayDetection' ? proofAheadSecondsMax : 0)) * 1_000,
    grantId: kind === 'Grant' ? id : payload.grantId,
  });
  return {
    async upsert(id, payload, expiresInSeconds = lifetimeSecondsMax) {
      const entry = entryOf(id, payload, expiresInSeconds);
      if (kind !== 'ReplayDetection') issued.put(kind, id, entry);
      else if (!issued.putFirst(kind, id, entry)) throw new errors.InvalidRequest('this was shown before');
    },
    async find(id) {
      const found = issued.get(kind, id);
      if (found === undefined) return undefined;
      const { payload, usedMs } = found;
      return { ...payload, ...(usedMs === undefined ? {} : { consumed: Math.floor(usedMs / 1_000) }) };
    },
    findByUid: async () => undefined,
    findByUserCode: async () => undefined,
    async destroy(id) {
      issued.drop(kind, id);
      await issued.settled();
    },
    async consume(id) {
      if (issued.use(kind, id)) return await issued.settled();
      const grantId = (issued.get(kind, id)?.payload as AdapterPayload | undefined)?.grantId;
      if (grantId !== undefined) {
        issued.dropGrant(grantId);
        onReuse(grantId);
      }
      await issued.settled();
      throw new errors.InvalidGrant('used already');
    },
    async revokeByGrantId(grantId) {
      issued.dropGrant(grantId);
      await issued.settled();
    },
  };
}
