/** Builds the room that says who is calling, and tells the record, the log and the metrics what becomes of it. */
import type { Logger } from 'pino';

import { type OwnOperation, ownEvent } from './capture/own-event.ts';
import type { Recorder } from './capture/recorder.ts';
import type { GatewayConfig } from './config.ts';
import { GatewayError } from './errors.ts';
import { type Identity, type IssuerNews, openIdentity, type Revoke } from './identity/identity.ts';
import type { ReplayStore } from './identity/replay-store.ts';
import type { Metrics } from './watch/metrics.ts';

const news: Readonly<Record<IssuerNews, { readonly status: 'success' | 'failed' | 'error'; readonly words: string }>> =
  {
    'issuer-keys-stale': {
      status: 'failed',
      words: 'the issuer does not answer; its known keys are past their age and still used',
    },
    'issuer-keys-gone': {
      status: 'error',
      words: 'the issuer does not answer, and none of its keys may be used; nobody gets in by it',
    },
    'issuer-keys-fresh': { status: 'success', words: 'the issuer answers again' },
  };

export interface IdentityRoom extends Identity {
  /** As `Identity.revoke`, and on record. */
  revoke(what: Revoke): Promise<void>;
}

export async function identify(
  config: GatewayConfig,
  parts: {
    readonly recorder: Pick<Recorder, 'record'>;
    readonly logger: Logger;
    readonly metrics: Metrics;
    readonly replayStore?: ReplayStore;
    /** The clock by which keys age; for tests. */
    readonly now?: () => number;
  },
): Promise<IdentityRoom> {
  const { recorder, logger, metrics } = parts;
  const problemsTold = new Map<string, string>();
  const record = (operation: OwnOperation, rest: Omit<Parameters<typeof ownEvent>[1], 'operation'>): void =>
    void recorder.record([ownEvent(config, { operation, ...rest })]);
  const opening = openIdentity({
    issuers: config.issuers,
    settings: config.identity,
    smart: config.smart,
    tenant: config.tenant,
    directory: config.spool.dir,
    ...(parts.now === undefined ? {} : { now: parts.now }),
    ...(parts.replayStore === undefined ? {} : { replayStore: parts.replayStore }),
    onIssuerNews(issuer, operation) {
      const { status, words } = news[operation];
      logger[status === 'success' ? 'info' : 'warn']({ issuer }, words);
      record(operation, { status, target: { type: 'Issuer', id: issuer } });
    },
    onIntrospectionProblem(issuer, problem) {
      metrics.introspectionProblems.inc({ problem });
      // The first of a kind; the metric counts them all.
      if (problemsTold.get(issuer) === problem) return;
      problemsTold.set(issuer, problem);
      logger.warn({ issuer, problem }, 'the issuer could not be asked about a token');
    },
  });
  const identity = await opening.catch((cause: NodeJS.ErrnoException) => {
    throw new GatewayError(
      'config-unreadable',
      `expected to read and write the file revocations in ${config.spool.dir}, got ${cause.code ?? 'an error'}; check who owns it, and the room on the disk`,
      { cause },
    );
  });
  if (identity.revocations.damaged)
    logger.error(
      { directory: config.spool.dir },
      'the file of revocations is damaged; every token issued until now is refused',
    );
  metrics.watch(
    'watchglass_gateway_revocations',
    'Subjects, sessions, tokens and clients that are let in no longer',
    () => identity.revocations.size,
  );
  metrics.watch('watchglass_gateway_dpop_proofs', 'Proofs of possession that are remembered', identity.proofsCount);
  metrics.watch(
    'watchglass_gateway_issuers_stale',
    'Issuers whose keys are past their age and still used',
    () => identity.keysState().stale,
  );
  metrics.watch(
    'watchglass_gateway_issuers_gone',
    'Issuers none of whose keys may be used',
    () => identity.keysState().gone,
  );
  return {
    ...identity,
    async revoke(what) {
      const kept = identity.revoke(what);
      const reason = 'sub' in what ? 'subject' : 'sid' in what ? 'session' : 'jti' in what ? 'token' : 'client';
      record('tokens-revoked', { status: 'success', reason, target: targetOf(what) });
      await kept;
    },
  };
}

function targetOf(what: Revoke): { readonly type: string; readonly id: string } {
  if ('sub' in what) return { type: 'Actor', id: what.sub };
  if ('sid' in what) return { type: 'Session', id: what.sid };
  if ('jti' in what) return { type: 'Token', id: what.jti };
  return { type: 'Client', id: what.client };
}
