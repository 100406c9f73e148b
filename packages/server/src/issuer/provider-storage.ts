/**
 * Where the provider keeps its things. What lets somebody in, or tells that it was used, survives a restart (issued-storage.ts). In memory is what nobody misses: an interaction half way, which
 * then is begun anew, and the session of it, which no later request picks up (issuer.ts). Bounded: the oldest goes first.
 */
import type { Adapter, AdapterPayload } from 'oidc-provider';
import type { Issued } from '../access/issued.ts';
import type { Clock } from '../world/world.ts';
import { createIssuedStorage, isKept } from './issued-storage.ts';

const entriesPerModelMax = 10_000;
/** For what the provider gives no lifetime. */
const lifetimeSecondsMax = 24 * 3_600;

interface Entry {
  readonly payload: AdapterPayload;
  readonly untilMs: number;
}

/** One for each model of the provider, as its configuration's `adapter` wants it. */
export function createProviderStorage(parts: {
  readonly issued: Issued;
  readonly clock: Clock;
  readonly onReuse: (grantId: string) => void;
}): (model: string) => Adapter {
  return (model) => (isKept(model) ? createIssuedStorage(model, parts) : createMemory(parts.clock));
}

function createMemory(clock: Clock): Adapter {
  const entries = new Map<string, Entry>();
  const live = (id: string): AdapterPayload | undefined => {
    const entry = entries.get(id);
    if (entry === undefined) return undefined;
    if (clock.now() < entry.untilMs) return entry.payload;
    entries.delete(id);
    return undefined;
  };
  const liveBy = (member: 'uid' | 'userCode', value: string): AdapterPayload | undefined => {
    for (const [id, { payload }] of entries) if (payload[member] === value) return live(id);
    return undefined;
  };
  return {
    async upsert(id, payload, expiresInSeconds = lifetimeSecondsMax) {
      entries.delete(id);
      entries.set(id, { payload, untilMs: clock.now() + expiresInSeconds * 1_000 });
      for (const oldest of entries.keys()) {
        if (entries.size <= entriesPerModelMax) break;
        entries.delete(oldest);
      }
    },
    find: async (id) => live(id),
    findByUid: async (uid) => liveBy('uid', uid),
    findByUserCode: async (userCode) => liveBy('userCode', userCode),
    async destroy(id) {
      entries.delete(id);
    },
    async consume(id) {
      const entry = entries.get(id);
      if (entry !== undefined) {
        entries.set(id, { ...entry, payload: { ...entry.payload, consumed: Math.floor(clock.now() / 1_000) } });
      }
    },
    async revokeByGrantId(grantId) {
      for (const [id, { payload }] of entries) if (payload.grantId === grantId) entries.delete(id);
    },
  };
}
