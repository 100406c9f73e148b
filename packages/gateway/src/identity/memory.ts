/**
 * What is remembered about tokens beyond one request: proofs and logout tokens that were seen, what was revoked, and whose first use is on record. One owner has it, for one process or for
 * all workers of a gateway; the file of revocations is the owner's alone.
 */
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';

import { logoutMemory } from './back-channel-logout.ts';
import { type FirstUses, OwnFirstUses } from './first-uses.ts';
import { MemoryReplayStore, type ReleasingReplayStore, type ReplayStore } from './replay-store.ts';
import { Revocations, type Revoke, revocationOf } from './revocations.ts';

export interface IdentityMemory {
  readonly proofs: ReplayStore;
  readonly logouts: ReleasingReplayStore;
  readonly revocations: Revocations;
  readonly firstUses: FirstUses;
  /** Of processes that have this memory together: since when it remembers, and what their nonces are made with. */
  readonly together: { readonly sinceMs: number; readonly nonceKey: Uint8Array };
}

export interface OwnIdentityMemory extends IdentityMemory, AsyncDisposable {
  readonly firstUses: OwnFirstUses;
  readonly proofsCount: () => number;
  /** In force at once; resolves once it outlives the process, and rejects where that can't be had. */
  revoke(what: Revoke): Promise<void>;
}

export async function openIdentityMemory(options: {
  readonly settings: {
    readonly dpop: { readonly proofsMax: number };
    readonly revocation: { readonly keepMs: number };
  };
  /** What has been revoked is kept here. */
  readonly directory: string;
  /** One for many gateways; this process's own without it. */
  readonly replayStore?: ReplayStore | undefined;
}): Promise<OwnIdentityMemory> {
  const { settings, directory, replayStore } = options;
  const { proofsMax } = settings.dpop;
  const memory = new MemoryReplayStore({ entriesMax: proofsMax, perHolderMax: Math.ceil(proofsMax / 2) });
  const file = join(directory, 'revocations');
  const revocations = await Revocations.open({ file, keepMs: settings.revocation.keepMs });
  return {
    proofs: replayStore ?? memory,
    logouts: logoutMemory(),
    revocations,
    firstUses: new OwnFirstUses(),
    together: { sinceMs: Date.now(), nonceKey: randomBytes(32) },
    proofsCount: () => memory.size,
    revoke: (what) => revocations.add([revocationOf(what)]),
    [Symbol.asyncDispose]: () => revocations[Symbol.asyncDispose](),
  };
}
