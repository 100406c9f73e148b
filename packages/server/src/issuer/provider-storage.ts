/**
 * Where the provider keeps what lives for minutes: sessions, interactions, codes, grants. In memory: a restart asks
 * people to sign in again, tokens already given stay good (they are signed, not stored). Bounded: the oldest goes first.
 */
import type { Adapter, AdapterPayload } from 'oidc-provider';
import type { Clock } from '../world/world.ts';

const entriesPerModelMax = 10_000;
/** For what the provider gives no lifetime. */
const lifetimeSecondsMax = 24 * 3_600;

interface Entry {
  readonly payload: AdapterPayload;
  readonly untilMs: number;
}

/** One for each model of the provider, as its configuration's `adapter` wants it. */
export function createProviderStorage(clock: Clock): (model: string) => Adapter {
  const models = new Map<string, Map<string, Entry>>();
  return (model) => {
    const entries = models.get(model) ?? new Map<string, Entry>();
    models.set(model, entries);
    return createAdapter(entries, models, clock);
  };
}

function createAdapter(entries: Map<string, Entry>, models: Map<string, Map<string, Entry>>, clock: Clock): Adapter {
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
      for (const model of models.values()) {
        for (const [id, { payload }] of model) if (payload.grantId === grantId) model.delete(id);
      }
    },
  };
}
