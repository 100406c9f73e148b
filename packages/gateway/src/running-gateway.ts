/** A gateway that runs, as the program that started it sees it; what it can be given to start with; and what its ends have in common. */
import type { Rechecker, Sender, Spool, SpoolDisk } from '@watchglass/sdk';
import type { Logger } from 'pino';

import type { Fronts } from './fronts/fronts.ts';
import { closeServer, hostForUrl, listen, type Place } from './http/listening.ts';
import type { ReplayStore } from './identity/replay-store.ts';
import type { Revoke } from './identity/revocations.ts';
import type { ConsentHook } from './policy/consent.ts';
import { createAdmin } from './watch/admin.ts';
import type { MemberStatus } from './workers/crew.ts';

export interface RunningGateway extends AsyncDisposable {
  /** How clients reach it, without a slash at the end. */
  readonly url: string;
  /** Where it listens. */
  readonly port: number;
  readonly adminUrl: string | undefined;
  /** With what stands next to it of the primary, where there are workers: each has its own. */
  readonly spool: Spool;
  readonly sender: Sender;
  /** Lets a person, session, token or client in no longer. In force at once; resolves once it outlives the process. */
  revoke(what: Revoke): Promise<void>;
  readonly receipts: Rechecker;
  /** Looks at the policy's files now: resolves when what they say is in force, or refused. */
  reloadPolicy(): Promise<void>;
  /** Where other proxies ask, if any do. */
  readonly fronts: FrontDoors | undefined;
  /** Of a gateway that has several. */
  readonly workers: readonly MemberStatus[];
  /** Resolves, with why, when nobody serves any more and nobody can be started: there is nothing left but to end. */
  readonly failed: Promise<Error>;
}

/** Open doors, and who holds outcomes against what was allowed, if it is this process. */
export type FrontDoors = Pick<Fronts, 'authz' | 'spop' | 'grpc' | 'outcomes' | 'reconciler'>;

export interface StartOptions {
  /** Aborting it is the same as disposing. */
  readonly signal?: AbortSignal;
  readonly logger?: Logger;
  /** Asked for a patient's consent, instead of the URL in the policy. Only where the policy has `consent`. */
  readonly consent?: ConsentHook;
  /** Remembers proofs of possession for many gateways; this process alone does it for itself. */
  readonly replayStore?: ReplayStore;
  /** The disk under the spool: the machine's own, unless a test hands in one that fails. Of one process only. */
  readonly disk?: SpoolDisk;
  /** The clock by which keys of issuers age and an API that is down is spared: the machine's own, unless a test hands in one. Of one process only. */
  readonly now?: () => number;
}

/** Its URL; undefined where the configuration has none. Closed with the stack. */
export async function openAdmin(
  place: Place | undefined,
  stack: AsyncDisposableStack,
  parts: Parameters<typeof createAdmin>[0],
): Promise<string | undefined> {
  if (place === undefined) return undefined;
  const admin = createAdmin(parts);
  const port = await listen(admin, place);
  stack.defer(() => closeServer(admin, 1_000));
  return `http://${hostForUrl(place.host)}:${port}`;
}

/** Takes everything down once, however often and by whomever it is asked. */
export async function stopOnce(
  stack: AsyncDisposableStack,
  signal: AbortSignal | undefined,
): Promise<() => Promise<void>> {
  let stopped: Promise<void> | undefined;
  const stop = (): Promise<void> => {
    stopped ??= stack.disposeAsync();
    return stopped;
  };
  signal?.addEventListener('abort', () => void stop(), { once: true });
  if (signal?.aborted === true) await stop();
  return stop;
}
