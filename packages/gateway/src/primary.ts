/**
 * The primary of many workers. It serves no request: it owns what they have in common, keeps them running, records what the gateway does as a whole, and has the one
 * admin port. When it ends they end first; when it is killed they end by themselves.
 */
import cluster from 'node:cluster';
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

import { type ReceiptStatus, SdkError, sdkErrorCodes } from '@watchglass/sdk';
import { type Logger, pino } from 'pino';

import type { GatewayConfig } from './config/config.ts';
import { primaryConfig } from './config/slots.ts';
import { GatewayError, type GatewayErrorCode, gatewayErrorCodes } from './errors.ts';
import { removeStale } from './fronts/fronts.ts';
import { lastEventsMs } from './guard.ts';
import { cannotListen, kernelShares, type Place } from './http/listening.ts';
import { sendLeftovers } from './leftovers.ts';
import { openCommons } from './open-commons.ts';
import { policyTexts } from './policy/load-policy.ts';
import type { OriginState } from './reach.ts';
import { keepRecord, lastSendingMs } from './record-keeping.ts';
import { openAdmin, type RunningGateway, type StartOptions, stopOnce } from './running-gateway.ts';
import { watchCertificates } from './secure.ts';
import { Metrics } from './watch/metrics.ts';
import { SummedMetrics } from './watch/summed-metrics.ts';
import { beginningOf } from './workers/beginning.ts';
import type { CommonsChange, OwnedCommons, Spread } from './workers/commons.ts';
import { Crew, type CrewNews, crewTimes } from './workers/crew.ts';
import { Desk } from './workers/desk.ts';
import { HeldOutcomes } from './workers/held-outcomes.ts';

/** An orphan of a primary that was killed lets go of its places within this time. */
const orphanMsMax = 3_000;
const askMsMax = 2_000;
const workerFile = fileURLToPath(
  new URL(`./worker-main${import.meta.url.endsWith('.ts') ? '.ts' : '.js'}`, import.meta.url),
);

/** Resolves once every worker listens. Throws `GatewayError` and `SdkError`, having let go of everything. */
export async function startPrimary(config: GatewayConfig, options: StartOptions = {}): Promise<RunningGateway> {
  if (!cluster.isPrimary)
    throw new GatewayError('config-invalid', 'expected workers: 1 in a process that is a worker itself');
  await using stack = new AsyncDisposableStack();
  const logger = options.logger ?? pino({ name: 'watchglass-gateway' });
  const metrics = new Metrics();
  const own = primaryConfig(config);
  const record = stack.use(await keepRecord(own, { logger, metrics, spans: undefined }));
  const { recorder, spool, sender, receipts } = record;
  const commons = stack.use(await openCommons(own, { ...options, recorder, logger, metrics }));
  stack.use(sendLeftovers(config, config.workers, { logger }));
  // Workers exchange theirs in silence.
  const { connectors } = commons;
  stack.use(watchCertificates(config, { recorder, logger, metrics, connectors, quiet: false }));
  for (const { socket } of [config.fronts?.authz, config.fronts?.spop, config.fronts?.grpc].filter(
    (door) => door !== undefined,
  ))
    if (socket !== undefined) await removeStale(socket);
  const place = await reserve(config.listen);
  const summed = new SummedMetrics(metrics.registry);
  const crew = openCrew(config, { commons, logger, port: place.port, summed });
  stack.defer(() => crew.stop());
  commons.spreadTo(spreadBy(crew));
  const [first] = await crew
    .start()
    .catch((error: unknown) => {
      throw startFault(error);
    })
    .finally(() => place.release());
  watchCrew(crew, metrics);
  const adminUrl = await openAdmin(config.admin, stack, {
    problems: async () => [...new Set([...recorder.problems(), ...(await problemsOf(crew))])],
    upstreams: async () => leastOf(await crew.askReady('upstreams', askMsMax)),
    receipts: async () => sumReceipts(receipts.status, await crew.askReady('receipts', askMsMax)),
    workers: () => crew.status,
    metrics: {
      contentType: summed.contentType,
      text: async () =>
        summed.text((await crew.askReady('metrics', askMsMax)).map(({ slot, answer }) => ({ slot, numbers: answer }))),
    },
  });
  const { url, port, authz, spop, grpc, outcomes } = first as Ready;
  const { mode } = config.audit;
  logger.info({ url, mode, emitter: config.emitter, workers: config.workers }, 'gateway listens');
  const stop = await stopOnce(stack.move(), options.signal);
  return {
    url,
    port,
    adminUrl,
    spool,
    sender,
    receipts,
    fronts: config.fronts && { authz, spop, grpc, outcomes, reconciler: undefined },
    get workers() {
      return crew.status;
    },
    failed: crew.lost.then((why) => lostFault(why)),
    revoke: commons.revoke,
    reloadPolicy: () => commons.policies.look(),
    [Symbol.asyncDispose]: stop,
  };
}

/** What a worker says when it listens. */
interface Ready {
  readonly url: string;
  readonly port: number;
  readonly authz: string | number | undefined;
  readonly spop: string | number | undefined;
  readonly grpc: string | number | undefined;
  readonly outcomes: number | undefined;
}

function openCrew(
  config: GatewayConfig,
  parts: {
    readonly commons: OwnedCommons;
    readonly logger: Logger;
    readonly port: number;
    readonly summed: SummedMetrics;
  },
): Crew {
  const { commons, logger, port, summed } = parts;
  const held = new HeldOutcomes((slot, outcome) => crew.tell(slot, 'outcome', outcome));
  const worker = { count: config.workers, config: config.source, port, logLevel: logger.level };
  const crew: Crew = new Crew({
    count: config.workers,
    exec: workerFile,
    begin: (slot) => beginningOf(commons, { ...worker, slot }),
    desk: (slot) => {
      const desk = new Desk(commons);
      return {
        answer: (name, body) => desk.answer(name, body),
        hear: (name, body) => (name === 'outcome' ? held.pass(body) : desk.hear(name, body)),
        [Symbol.dispose]() {
          desk[Symbol.dispose]();
          void summed.end(slot);
        },
      };
    },
    onNews(news) {
      tellCrew(news, logger);
      if (news.kind === 'ready') held.flush(news.slot);
    },
    isPassing: (said) => codeIn(said) === 'spool-locked',
    times: { ...crewTimes, stopWithinMs: config.limits.drainMs + lastEventsMs + lastSendingMs + 10_000 },
  });
  return crew;
}

/** In the words that workers know. */
function spreadBy(crew: Crew): Spread {
  return (change: CommonsChange) => {
    switch (change.kind) {
      case 'revoked':
        return crew.broadcast('revoked', change.revocations);
      case 'locked-out': {
        const { kind, key, blockMs } = change.news;
        return crew.broadcast('locked-out', { key, leftMs: kind === 'begin' ? blockMs : 0 });
      }
      case 'condition':
        return crew.broadcast('condition', change.state);
      case 'decisions':
        return crew.broadcast('decisions', change.snapshot);
      case 'policy':
        return crew.broadcast('policy', policyTexts(change.policy));
      case 'lists':
        return crew.broadcast('lists', null);
      default:
        return change satisfies never;
    }
  };
}

function tellCrew(news: CrewNews, logger: Logger): void {
  const { kind, slot: worker } = news;
  switch (kind) {
    case 'ready':
      logger.info({ worker, workerPid: news.pid }, news.again ? 'a worker serves again' : 'a worker serves');
      return;
    case 'died':
      logger.error({ worker, how: news.how, pauseMs: news.pauseMs }, 'a worker died; another takes its place');
      return;
    case 'failed':
      logger.error({ worker, why: codeIn(news.why), pauseMs: news.pauseMs }, 'a worker could not be started');
      return;
    case 'silent':
      logger.error({ worker, about: news.about }, 'a worker does not answer; it is killed');
      return;
    default:
      news satisfies never;
  }
}

function watchCrew(crew: Crew, metrics: Metrics): void {
  const readyCount = (): number => crew.status.filter(({ state }) => state === 'ready').length;
  metrics.watch('watchglass_gateway_workers', 'Worker processes that serve', readyCount);
  metrics.watch('watchglass_gateway_worker_restarts', 'Workers that had to be started again, since the start', () =>
    crew.status.reduce((sum, { restarts }) => sum + restarts, 0),
  );
}

/** Ready is who would let a request pass whichever worker got it. */
async function problemsOf(crew: Crew): Promise<readonly string[]> {
  const answers = await crew.askReady('problems', askMsMax);
  return [
    ...(crew.status.every(({ state }) => state === 'ready') ? [] : ['worker-down']),
    ...answers.flatMap(({ answer }) => (Array.isArray(answer) ? answer.map(String) : ['worker-silent'])),
  ];
}

/** One that has just changed some may not have heard of: it is up where all find it so. */
function leastOf(workers: readonly { readonly answer: unknown }[]): readonly OriginState[] | undefined {
  const least = new Map<string, OriginState>();
  for (const { answer } of workers) {
    for (const state of Array.isArray(answer) ? (answer as OriginState[]) : []) {
      const key = `${state.upstream} ${state.origin}`;
      least.set(key, { ...state, up: state.up && least.get(key)?.up !== false });
    }
  }
  return least.size === 0 ? undefined : [...least.values()];
}

function sumReceipts(own: ReceiptStatus, workers: readonly { readonly answer: unknown }[]): ReceiptStatus {
  const all = [own, ...workers.flatMap(({ answer }) => (isReceiptStatus(answer) ? [answer] : []))];
  return {
    keptCount: all.reduce((sum, { keptCount }) => sum + keptCount, 0),
    checkedCount: all.reduce((sum, { checkedCount }) => sum + checkedCount, 0),
    checkedAt: all
      .flatMap(({ checkedAt }) => checkedAt ?? [])
      .sort()
      .at(-1),
    failures: all.flatMap(({ failures }) => failures),
    problem: all.find(({ problem }) => problem !== undefined)?.problem,
  };
}

function isReceiptStatus(value: unknown): value is ReceiptStatus {
  return (
    typeof value === 'object' &&
    value !== null &&
    'keptCount' in value &&
    'checkedCount' in value &&
    'failures' in value &&
    Array.isArray(value.failures)
  );
}

/**
 * Makes sure that nobody else has the port, and finds one where any will do. Where the kernel shares a port among those that ask for it, it would share it with a stranger of
 * the same user as well.
 */
async function reserve({ host, port }: Place): Promise<{ readonly port: number; release(): Promise<void> }> {
  const untilMs = performance.now() + orphanMsMax;
  for (;;) {
    const server = createServer();
    server.listen({ host, port, exclusive: true, reusePort: port === 0 && kernelShares });
    try {
      await once(server, 'listening');
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code !== 'EADDRINUSE' || performance.now() > untilMs)
        throw cannotListen(`${host}:${port}`, cause);
      await sleep(100);
      continue;
    }
    const release = (): Promise<void> => new Promise((resolve) => server.close(() => resolve()));
    const found = (server.address() as AddressInfo).port;
    // Any port is kept until the workers have it: nobody knows it yet, so nobody is answered by this.
    if (port === 0 && kernelShares) return { port: found, release };
    await release();
    return { port: found, release: () => Promise.resolve() };
  }
}

function codeIn(said: unknown): string | undefined {
  if (typeof said === 'string') return said;
  const code = typeof said === 'object' && said !== null && 'code' in said ? said.code : undefined;
  return typeof code === 'string' ? code : undefined;
}

/** What a worker said, as the error that it was there. */
function startFault(error: unknown): unknown {
  const said = typeof error === 'object' && error !== null && 'said' in error ? error.said : undefined;
  const code = codeIn(said);
  const message = String((said as { readonly message?: unknown } | null | undefined)?.message);
  if (code !== undefined && Object.hasOwn(gatewayErrorCodes, code))
    return new GatewayError(code as GatewayErrorCode, message, { cause: error });
  if (code !== undefined && Object.hasOwn(sdkErrorCodes, code))
    return new SdkError(code as keyof typeof sdkErrorCodes, message, { cause: error });
  return new GatewayError(
    'worker-failed',
    'expected every worker to start, but one ended before it served; the log says more',
    { cause: error },
  );
}

function lostFault(why: unknown): GatewayError {
  const code = codeIn(why) ?? 'no reason given';
  return new GatewayError(
    'worker-failed',
    `expected workers to serve, but all died and none can be started again (${code}); the log says more`,
  );
}
