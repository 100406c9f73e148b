/**
 * Opens what all processes of a gateway have in common (workers/commons.ts), as its one owner: it has the files, follows the server, counts, and tells the record, the log
 * and the metrics what becomes of it. Where there are workers, they are told as well.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

import type { Logger } from 'pino';

import { FloodGate } from './capture/flood.ts';
import { ownEvent } from './capture/own-event.ts';
import type { EventDraftFacts, Recorder } from './capture/recorder.ts';
import { openConditions } from './conditions.ts';
import type { GatewayConfig } from './config/config.ts';
import { GatewayError } from './errors.ts';
import { type OwnIdentityMemory, openIdentityMemory } from './identity/memory.ts';
import type { ReplayStore } from './identity/replay-store.ts';
import { type Revocation, type Revoke, revocationOf } from './identity/revocations.ts';
import { Concurrency } from './limits/concurrency.ts';
import { startDecisionFeed } from './limits/decision-feed.ts';
import { type DecisionNews, Decisions } from './limits/decisions.ts';
import { type FilterNews, Filters } from './limits/filters.ts';
import type { LockoutNews } from './limits/lockout.ts';
import { Rates } from './limits/rates.ts';
import { RedisRates, type RedisRatesSettings } from './limits/redis-rates.ts';
import { openLockout } from './lock-out.ts';
import { tellPolicyChange } from './passage/policy-changes.ts';
import type { ConsentHook } from './policy/consent.ts';
import { GlassCase } from './policy/glass.ts';
import { PolicyKeeper } from './policy/policy-keeper.ts';
import { recordFloods } from './record-floods.ts';
import { connectorsOf, type UpstreamConnector } from './secure.ts';
import { OwnPlaces } from './tunnel/places.ts';
import type { ConditionState } from './upstream/condition.ts';
import type { Metrics } from './watch/metrics.ts';
import type { OwnedCommons, Spread } from './workers/commons.ts';

const sweepEveryMs = 1_000;
/** How often the policy's files are looked at, whatever the file system tells, and how long they have to hold still. */
const policyPollMs = 5_000;
const policySettleMs = 100;

export interface OwnCommons extends OwnedCommons, AsyncDisposable {
  readonly memory: OwnIdentityMemory;
  readonly policies: PolicyKeeper;
  /** What is shown to each upstream, by its name. */
  readonly connectors: ReadonlyMap<string, UpstreamConnector>;
  /** As `keepRevoked`, and on record. */
  readonly revoke: (what: Revoke) => Promise<void>;
}

export interface CommonsParts {
  readonly recorder: Recorder;
  readonly logger: Logger;
  readonly metrics: Metrics;
  /** The clock by which an API that is down is spared; for tests. */
  readonly now?: (() => number) | undefined;
}

export async function openCommons(
  config: GatewayConfig,
  parts: CommonsParts & { readonly replayStore?: ReplayStore | undefined; readonly consent?: ConsentHook | undefined },
): Promise<OwnCommons> {
  await using stack = new AsyncDisposableStack();
  const { metrics } = parts;
  const { edge } = config;
  let spread: Spread = () => Promise.resolve();
  const memory = stack.use(await openMemory(config, parts));
  const keepRevoked = async (revocations: readonly Revocation[]): Promise<void> => {
    const kept = memory.revocations.add(revocations);
    // Whether or not it can be kept, it is in force.
    const [outcome] = await Promise.allSettled([kept, spread({ kind: 'revoked', revocations })]);
    if (outcome.status === 'rejected') throw outcome.reason;
  };
  const filters = stack.use(
    new Filters(edge.filters, {
      onNews: (news) => {
        tellFilter(config, news, parts);
        if (news.kind === 'replaced') void spread({ kind: 'lists' });
      },
    }),
  );
  if (edge.filters.allow.file !== undefined || edge.filters.deny.file !== undefined) {
    const onHangUp = (): void => void filters.check();
    process.on('SIGHUP', onHangUp);
    stack.defer(() => void process.off('SIGHUP', onHangUp));
  }
  let lockoutHeard = Promise.resolve();
  const onLockout = (news: LockoutNews): void => {
    lockoutHeard = spread({ kind: 'locked-out', news });
  };
  const { lockout } = stack.use(await openLockout(config, { ...parts, onNews: onLockout }));
  const decisions = await Decisions.open({
    file: join(config.spool.dir, 'decisions.json'),
    onNews: (news) => tellDecision(config, news, parts),
    onChange: () => void spread({ kind: 'decisions', snapshot: decisions.snapshot }),
  });
  const sweeping = setInterval(() => {
    lockout?.sweep();
    decisions.sweep();
  }, sweepEveryMs);
  sweeping.unref();
  stack.defer(() => clearInterval(sweeping));
  if (config.server.decisions) stack.use(followDecisions(config, decisions, parts));
  const shared = edge.rates.redis === undefined ? undefined : stack.use(shareRates(config, edge.rates.redis, parts));
  const rates = new Rates(edge.rates.rules, { keysMax: edge.rates.keysMax, shared });
  const connectors = connectorsOf(config);
  const onChange = (state: ConditionState): void => void spread({ kind: 'condition', state });
  const conditions = stack.use(openConditions(config, { ...parts, connectors, onChange }));
  const floods = stack.use(new FloodGate<EventDraftFacts>((found) => recordFloods(parts.recorder, found)));
  const { connectionsMax: countMax, perPersonMax: perHolderMax } = config.websockets;
  const glass = stack.use(await openGlass(config, parts));
  const policies = stack.use(
    new PolicyKeeper({
      file: config.policyFile,
      policy: config.policy,
      pollMs: policyPollMs,
      settleMs: policySettleMs,
      record: (change) => tellPolicyChange(change, { ...parts, file: config.policyFile, own: config }),
      onLoaded: (policy) => spread({ kind: 'policy', policy }),
    }),
  );
  watch(metrics, { memory, filters, lockout, decisions, rates });
  const moved = stack.move();
  return {
    memory,
    filters,
    lockout,
    decisions,
    rates,
    concurrency: new Concurrency(edge.concurrency),
    places: new OwnPlaces({ countMax, perHolderMax }),
    conditions,
    connectors,
    floods,
    glass,
    policies,
    consent: parts.consent,
    keepRevoked,
    failEverywhere(key) {
      lockout?.fail(key);
      return lockoutHeard;
    },
    async revoke(what) {
      const kept = keepRevoked([revocationOf(what)]);
      tellRevoked(config, what, parts);
      await kept;
    },
    spreadTo(to) {
      spread = to;
    },
    [Symbol.asyncDispose]: () => moved.disposeAsync(),
  };
}

function watch(metrics: Metrics, of: Pick<OwnCommons, 'memory' | 'filters' | 'lockout' | 'decisions' | 'rates'>): void {
  const { memory, filters, lockout, decisions, rates } = of;
  const numbers: readonly (readonly [string, string, () => number])[] = [
    ['revocations', 'Subjects, sessions, tokens and clients that are let in no longer', () => memory.revocations.size],
    ['dpop_proofs', 'Proofs of possession that are remembered', memory.proofsCount],
    ['decisions', 'Decisions of the server in force', () => decisions.size],
    ['rate_keys', 'Keys that rates are counted for', () => rates.keysCount],
    ['filter_deny_entries', 'Entries of the deny list', () => filters.sizeOf('deny')],
  ];
  for (const [name, help, read] of numbers) metrics.watch(`watchglass_gateway_${name}`, help, read);
  if (lockout === undefined) return;
  metrics.watch(
    'watchglass_gateway_locked_out',
    'Addresses, clients and persons that are locked out now',
    () => lockout.blockedCount,
  );
}

async function openMemory(
  config: GatewayConfig,
  { logger, replayStore }: CommonsParts & { readonly replayStore?: ReplayStore | undefined },
): Promise<OwnIdentityMemory> {
  const directory = config.spool.dir;
  const opening = openIdentityMemory({ settings: config.identity, directory, replayStore });
  const memory = await opening.catch((cause: NodeJS.ErrnoException) => {
    throw new GatewayError(
      'config-unreadable',
      `expected to read and write the file revocations in ${directory}, got ${cause.code ?? 'an error'}; check who owns it, and the room on the disk`,
      { cause },
    );
  });
  if (memory.revocations.damaged)
    logger.error({ directory }, 'the file of revocations is damaged; every token issued until now is refused');
  return memory;
}

/** Its key comes from the spool's, which is there by now and stays on this machine. */
async function openGlass({ spool }: GatewayConfig, { logger }: CommonsParts): Promise<GlassCase> {
  const onFault = (): void =>
    logger.warn('which glass is broken could not be kept or read again; after a restart reasons are asked for again');
  const secret = await readFile(spool.keyFile);
  return GlassCase.load({ file: join(spool.dir, 'break-glass.json'), secret, onFault });
}

function tellRevoked(config: GatewayConfig, what: Revoke, { recorder }: CommonsParts): void {
  const reason = 'sub' in what ? 'subject' : 'sid' in what ? 'session' : 'jti' in what ? 'token' : 'client';
  const target = targetOf(what);
  void recorder.record([ownEvent(config, { operation: 'tokens-revoked', status: 'success', reason, target })]);
}

function targetOf(what: Revoke): { readonly type: string; readonly id: string } {
  if ('sub' in what) return { type: 'Actor', id: what.sub };
  if ('sid' in what) return { type: 'Session', id: what.sid };
  if ('jti' in what) return { type: 'Token', id: what.jti };
  return { type: 'Client', id: what.client };
}

function tellFilter(config: GatewayConfig, news: FilterNews, { recorder, logger }: CommonsParts): void {
  const target = { type: 'AddressList', id: news.list };
  if (news.kind === 'replaced') {
    logger.info({ list: news.list, entries: news.entriesCount }, 'another address list is in force');
    void recorder.record([ownEvent(config, { operation: 'filter-replaced', status: 'success', target })]);
    return;
  }
  const { list, fault, line } = news;
  logger.error({ list, fault, line }, 'the file of an address list cannot be used; the list in force stays');
  void recorder.record([ownEvent(config, { operation: 'filter-refused', status: 'failed', reason: fault, target })]);
}

function shareRates(
  config: GatewayConfig,
  settings: RedisRatesSettings,
  { recorder, logger, metrics }: CommonsParts,
): RedisRates {
  const rates = new RedisRates(settings, {
    onChange(answers) {
      const target = { type: 'Redis', id: `${settings.host}:${settings.port}` };
      if (answers) logger.info('rates are counted together with other gateways');
      else logger.warn({ share: settings.share }, 'Redis does not answer; rates are counted here, each with its share');
      void recorder.record([
        answers
          ? ownEvent(config, { operation: 'rates-shared', status: 'success', target })
          : ownEvent(config, { operation: 'rates-alone', status: 'failed', target }),
      ]);
    },
  });
  metrics.watch('watchglass_gateway_rates_alone', '1 while Redis does not answer and rates are counted here', () =>
    rates.answers ? 0 : 1,
  );
  return rates;
}

function followDecisions(
  { server }: GatewayConfig,
  decisions: Decisions,
  { logger, metrics }: CommonsParts,
): AsyncDisposable {
  const feed = startDecisionFeed({
    decisions,
    serverUrl: server.url,
    writeKey: server.writeKey,
    ca: server.ca,
    onProblem(problem) {
      if (problem === undefined) logger.info('decisions of the server arrive');
      else logger.warn({ problem }, 'decisions of the server do not arrive; what was decided before stays in force');
    },
  });
  metrics.watch('watchglass_gateway_decisions_unheard', '1 while decisions of the server do not arrive', () =>
    feed.problem() === undefined ? 0 : 1,
  );
  return feed;
}

function tellDecision(
  config: GatewayConfig,
  { kind, decision }: DecisionNews,
  { recorder, logger }: CommonsParts,
): void {
  const { id, effect, subject } = decision;
  logger.info({ decision: id, effect, subject }, `a decision of the server is ${kind}`);
  const operation = decisionOperations[kind];
  const target = { type: 'Decision', id };
  void recorder.record([ownEvent(config, { operation, status: 'success', reason: `${effect}-${subject}`, target })]);
}

const decisionOperations = {
  applied: 'decision-applied',
  lifted: 'decision-lifted',
  expired: 'decision-expired',
} as const;
