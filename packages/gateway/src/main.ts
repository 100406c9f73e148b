/**
 * A gateway from its configuration: one process, or a primary and its workers. Whatever way, it is built floor by floor, and taken down in reverse: the door first,
 * then what is under way, then the sender, the spool last.
 */
import type { Rechecker, Sender, Spool, SpoolDisk } from '@watchglass/sdk';
import { type Logger, pino } from 'pino';

import type { GatewayConfig } from './config.ts';
import type { Fronts } from './fronts/fronts.ts';
import { standGuard } from './guard.ts';
import { closeServer, hostForUrl, listen, type Place } from './http/listening.ts';
import type { ReplayStore } from './identity/replay-store.ts';
import type { Revoke } from './identity/revocations.ts';
import { openCommons } from './open-commons.ts';
import type { ConsentHook } from './policy/consent.ts';
import { keepRecord } from './record-keeping.ts';
import { createAdmin } from './watch/admin.ts';
import { Metrics } from './watch/metrics.ts';

export interface RunningGateway extends AsyncDisposable {
  /** How clients reach it, without a slash at the end. */
  readonly url: string;
  /** Where it listens. */
  readonly port: number;
  readonly adminUrl: string | undefined;
  readonly spool: Spool;
  readonly sender: Sender;
  /** Lets a person, session, token or client in no longer. In force at once; resolves once it outlives the process. */
  revoke(what: Revoke): Promise<void>;
  readonly receipts: Rechecker;
  /** Looks at the policy's files now: resolves when what they say is in force, or refused. */
  reloadPolicy(): Promise<void>;
  /** Where other proxies ask, if any do. */
  readonly fronts: Fronts | undefined;
}

export interface StartOptions {
  /** Aborting it is the same as disposing. */
  readonly signal?: AbortSignal;
  readonly logger?: Logger;
  /** Asked for a patient's consent, instead of the URL in the policy. Only where the policy has `consent`. */
  readonly consent?: ConsentHook;
  /** Remembers proofs of possession for many gateways; this process alone does it for itself. */
  readonly replayStore?: ReplayStore;
  /** The disk under the spool: the machine's own, unless a test hands in one that fails. */
  readonly disk?: SpoolDisk;
}

/** Resolves once it listens. Throws `GatewayError` and `SdkError`, having let go of everything. */
export async function startGateway(config: GatewayConfig, options: StartOptions = {}): Promise<RunningGateway> {
  await using stack = new AsyncDisposableStack();
  const logger = options.logger ?? pino({ name: 'watchglass-gateway' });
  const metrics = new Metrics();
  const record = stack.use(await keepRecord(config, { logger, metrics, disk: options.disk }));
  const { spool, recorder, sender, receipts } = record;
  const commons = stack.use(await openCommons(config, { ...options, recorder, logger, metrics }));
  const guard = stack.use(await standGuard(config, { recorder, commons, logger, metrics }));
  const adminUrl = config.admin === undefined ? undefined : await openAdmin(config.admin);
  async function openAdmin(place: Place): Promise<string> {
    const admin = createAdmin({
      problems: () => guard.problems(),
      upstreams: () => guard.upstreams(),
      receipts: () => receipts.status,
      registry: metrics.registry,
    });
    const port = await listen(admin, place);
    stack.defer(() => closeServer(admin, 1_000));
    return `http://${hostForUrl(place.host)}:${port}`;
  }
  logger.info(
    { url: guard.url, mode: config.audit.mode, emitter: config.emitter, waiting: spool.status.waitingCount },
    'gateway listens',
  );
  const resources = stack.move();
  const stop = onlyOnce(() => resources.disposeAsync());
  options.signal?.addEventListener('abort', () => void stop(), { once: true });
  if (options.signal?.aborted === true) await stop();
  return {
    url: guard.url,
    port: guard.port,
    adminUrl,
    spool,
    sender,
    receipts,
    fronts: guard.fronts,
    revoke: commons.revoke,
    reloadPolicy: () => commons.policies.look(),
    [Symbol.asyncDispose]: stop,
  };
}

function onlyOnce<T>(make: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | undefined;
  return () => {
    made ??= make();
    return made;
  };
}
