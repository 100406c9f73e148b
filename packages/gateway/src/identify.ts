/** Builds the room that says who is calling, and tells the record, the log and the metrics what becomes of it. */
import type { Logger } from 'pino';

import { type OwnOperation, ownEvent } from './capture/own-event.ts';
import type { Recorder } from './capture/recorder.ts';
import type { GatewayConfig } from './config/config.ts';
import { type Identity, type IssuerNews, openIdentity } from './identity/identity.ts';
import type { IdentityMemory } from './identity/memory.ts';
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

export async function identify(
  config: GatewayConfig,
  parts: {
    readonly recorder: Pick<Recorder, 'record'>;
    readonly logger: Logger;
    readonly metrics: Metrics;
    readonly memory: IdentityMemory;
    /** The clock by which keys age; for tests. */
    readonly now?: (() => number) | undefined;
  },
): Promise<Identity> {
  const { recorder, logger, metrics } = parts;
  const problemsTold = new Map<string, string>();
  const record = (operation: OwnOperation, rest: Omit<Parameters<typeof ownEvent>[1], 'operation'>): void =>
    void recorder.record([ownEvent(config, { operation, ...rest })]);
  const identity = await openIdentity({
    issuers: config.issuers,
    settings: config.identity,
    smart: config.smart,
    tenant: config.tenant,
    memory: parts.memory,
    ...(parts.now === undefined ? {} : { now: parts.now }),
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
  metrics.watch(
    'watchglass_gateway_issuers_stale',
    'Issuers whose keys are past their age and still used',
    () => identity.keysState().stale,
    'max',
  );
  metrics.watch(
    'watchglass_gateway_issuers_gone',
    'Issuers none of whose keys may be used',
    () => identity.keysState().gone,
    'max',
  );
  return identity;
}
