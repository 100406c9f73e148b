/**
 * Where the provider keeps what lives for minutes: sessions, interactions, codes, grants. In memory: a restart asks
 * people to sign in again, tokens already given stay good (they are signed, not stored). Bounded: the oldest goes first, except of what
 * was seen and must not be seen again: there a full store takes nothing more, or whoever fills it could show an old assertion or proof once more.
 */
import type { Adapter, AdapterPayload } from 'oidc-provider';
import { ServerError } from '../errors.ts';
import type { Clock } from '../world/world.ts';

const entriesPerModelMax = 10_000;
/** Assertions of clients and proofs of DPoP, by `jti`. */
const seenModel = 'ReplayDetection';
const seenMax = 100_000;
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
    return model === seenModel
      ? createSeen(createAdapter(entries, { models, clock, entriesMax: seenMax }), entries, clock)
      : createAdapter(entries, { models, clock, entriesMax: entriesPerModelMax });
  };
}

function createSeen(adapter: Adapter, entries: Map<string, Entry>, clock: Clock): Adapter {
  return {
    ...adapter,
    async upsert(...entry) {
      if (entries.size >= seenMax)
        for (const [id, { untilMs }] of entries) if (untilMs <= clock.now()) entries.delete(id);
      if (entries.size >= seenMax)
        throw new ServerError('unavailable', 'too many assertions and proofs at once; try again in a minute', {
          retryAfterMs: 60_000,
        });
      await adapter.upsert(...entry);
    },
  };
}

function createAdapter(
  entries: Map<string, Entry>,
  parts: {
    readonly models: ReadonlyMap<string, Map<string, Entry>>;
    readonly clock: Clock;
    readonly entriesMax: number;
  },
): Adapter {
  const { models, clock, entriesMax } = parts;
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
        if (entries.size <= entriesMax) break;
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
