/**
 * A worker's process: begins when its primary says how, serves with what all have in common (workers/asking.ts), and ends when the primary says so, or is gone: then what is
 * under way ends well, and nothing new begins. The terminal and the system's signals are the primary's business; SIGTERM to a worker alone lets it end, and another takes its place.
 */
import cluster from 'node:cluster';
import { pino } from 'pino';
import { z } from 'zod';

import { type Flood, FloodGate } from './capture/flood.ts';
import type { EventDraftFacts, Recorder } from './capture/recorder.ts';
import { type GatewayConfig, readGatewayConfig } from './config/config.ts';
import { workerConfig } from './config/slots.ts';
import type { Outcome } from './fronts/outcome-lines.ts';
import { type Guard, standGuard } from './guard.ts';
import { unmarkSlot } from './leftovers.ts';
import { Decisions, parseSnapshot } from './limits/decisions.ts';
import { Filters } from './limits/filters.ts';
import { Rates } from './limits/rates.ts';
import { policyFromTexts } from './policy/load-policy.ts';
import type { Policy } from './policy/tables.ts';
import { recordFloods } from './record-floods.ts';
import { keepRecord } from './record-keeping.ts';
import { openTracing } from './spans.ts';
import { Metrics } from './watch/metrics.ts';
import { AskedFloods } from './workers/asked-floods.ts';
import { AskedPlaces } from './workers/asked-places.ts';
import {
  AskedConcurrency,
  AskedGlass,
  AskedRates,
  askedConsent,
  askedMemory,
  HeardLockouts,
  type Primary,
} from './workers/asking.ts';
import {
  type Beginning,
  conditionSchema,
  lockedOutSchema,
  parseBeginning,
  policySchema,
  revocationsSchema,
} from './workers/beginning.ts';
import { Channel, ChannelError } from './workers/channel.ts';
import type { Commons } from './workers/commons.ts';
import { HeardConditions } from './workers/heard-conditions.ts';

class ToPrimary implements Primary {
  readonly channel: Channel;
  answers = true;

  constructor(channel: Channel) {
    this.channel = channel;
  }

  async ask(name: string, body: unknown, deadlineMs: number, onLate?: (answer: unknown) => void): Promise<unknown> {
    try {
      const answer = await this.channel.ask(name, body, deadlineMs, onLate);
      this.answers = true;
      return answer;
    } catch (error) {
      if (error instanceof ChannelError && error.fault !== 'refused') this.answers = false;
      throw error;
    }
  }

  tell(name: string, body: unknown): boolean {
    return this.channel.tell(name, body);
  }
}

/** What this worker is, once it knows. */
interface Standing {
  readonly commons: WorkerCommons;
  readonly policyFile: string;
  readonly metrics: Metrics;
  guard: Guard | undefined;
  receipts: (() => unknown) | undefined;
}

type WorkerCommons = Commons & {
  policies: { current: Policy };
  readonly lockout: HeardLockouts | undefined;
  readonly conditions: HeardConditions;
};

const outcomeSchema: z.ZodType<Partial<Outcome> & { readonly passed: boolean }> = z.strictObject({
  auditId: z.string().exactOptional(),
  requestId: z.string().exactOptional(),
  status: z.number().exactOptional(),
  bytes: z.number().exactOptional(),
  durationMs: z.number().exactOptional(),
  passed: z.boolean(),
});

function outcomeOf(body: unknown): Outcome {
  const { auditId, requestId, status, bytes, durationMs, passed } = outcomeSchema.parse(body);
  return { auditId, requestId, status, bytes, durationMs, passed };
}

function runWorker(): void {
  const stack = new AsyncDisposableStack();
  let standing: Standing | undefined;
  let ending: Promise<void> | undefined;
  let begun: Promise<unknown> = Promise.resolve();
  const end = (): Promise<void> => {
    ending ??= begun
      .catch(() => undefined)
      .then(() => stack.disposeAsync())
      .catch(() => undefined)
      // Why it couldn't begin is said before it leaves.
      .then(() => channel.quiet())
      .then(() => process.exit(0));
    return ending;
  };
  const channel: Channel = new Channel({
    answer(name, body) {
      primary.answers = true;
      if (name === 'begin') {
        begun = begin(body);
        return begun;
      }
      if (name === 'ping') return null;
      if (standing === undefined) throw new Error('expected to be told how to begin, first');
      return answer(standing, name, body);
    },
    hear(name, body) {
      if (name === 'stop') void end();
      else if (name === 'outcome') standing?.guard?.fronts?.reconciler?.join(outcomeOf(body));
    },
    wire: {
      send(frame, written) {
        if (process.send === undefined || !process.connected) written(new Error('the primary is gone'));
        else process.send(frame, undefined, undefined, written);
      },
    },
  });
  const primary = new ToPrimary(channel);
  const begin = async (body: unknown): Promise<unknown> => {
    try {
      const beginning = parseBeginning(body);
      const { config: source, policy, slot, count, logLevel } = beginning;
      const whole = readGatewayConfig(source.file, { text: source.text, policy });
      const config = workerConfig(whole, beginning);
      const logger = pino({ name: 'watchglass-gateway', level: logLevel }).child({ worker: slot });
      const metrics = new Metrics();
      let recorder: Recorder | undefined;
      const onFloods = (found: readonly Flood<EventDraftFacts>[]): void => {
        if (recorder !== undefined) recordFloods(recorder, found);
      };
      const commons = commonsOf(whole, beginning, { primary, stack, onFloods });
      // From here on every change that is heard finds its place.
      standing = { commons, policyFile: whole.policyFile, metrics, guard: undefined, receipts: undefined };
      await unmarkSlot(config.spool.dir);
      const spans = await openTracing(config, { metrics, logger, stack });
      const record = stack.use(await keepRecord(config, { logger, metrics, spans }));
      standing.receipts = () => record.receipts.status;
      const passOn = (to: number, outcome: Outcome): void => void primary.tell('outcome', [to, outcome]);
      recorder = record.recorder;
      const together = { slot, count, passOn };
      const guard = stack.use(await standGuard(config, { recorder, commons, logger, metrics, spans, together }));
      standing.guard = guard;
      const { authz, spop, grpc, outcomes } = guard.fronts ?? {};
      return { url: guard.url, port: guard.port, authz, spop, grpc, outcomes };
    } catch (error) {
      void end();
      throw error;
    }
  };
  process.on('message', (frame: unknown) => channel.receive(frame));
  if (cluster.worker !== undefined) cluster.worker.exitedAfterDisconnect = true;
  process.on('disconnect', () => {
    channel.close();
    void end();
  });
  for (const signal of ['SIGINT', 'SIGHUP'] as const) process.on(signal, () => undefined);
  process.on('SIGTERM', () => void end());
}

/** What is in force before it is answered. */
function answer({ commons, policyFile, metrics, guard, receipts }: Standing, name: string, body: unknown): unknown {
  switch (name) {
    case 'revoked':
      commons.memory.revocations.hear(revocationsSchema.parse(body));
      return null;
    case 'locked-out': {
      const { key, leftMs } = lockedOutSchema.parse(body);
      commons.lockout?.hear(key, leftMs);
      return null;
    }
    case 'condition':
      commons.conditions.hear(conditionSchema.parse(body));
      return null;
    case 'decisions': {
      const snapshot = parseSnapshot(body);
      if (snapshot === undefined) throw new Error('expected decisions');
      return commons.decisions.take(snapshot);
    }
    case 'policy':
      commons.policies.current = policyFromTexts(policySchema.parse(body), policyFile);
      return null;
    case 'lists':
      return commons.filters.check();
    case 'problems':
      return guard?.problems() ?? ['worker-starting'];
    case 'upstreams':
      return guard?.upstreams() ?? null;
    case 'metrics':
      return metrics.registry.getMetricsAsJSON();
    case 'receipts':
      return receipts?.() ?? null;
  }
  throw new Error('expected something that a primary says, got something else');
}

function commonsOf(
  config: GatewayConfig,
  begin: Beginning,
  parts: {
    readonly primary: Primary;
    readonly stack: AsyncDisposableStack;
    readonly onFloods: (found: readonly Flood<EventDraftFacts>[]) => void;
  },
): WorkerCommons {
  const { primary, stack } = parts;
  const { edge } = config;
  const { connectionsMax: countMax, perPersonMax: perHolderMax } = config.websockets;
  const decisions = Decisions.of(begin.decisions);
  const lockout = edge.lockout === undefined ? undefined : new HeardLockouts(primary, edge.lockout, begin);
  const shared = new AskedRates(primary, begin.count);
  return {
    memory: askedMemory(primary, begin, config.identity.revocation.keepMs),
    rates: new Rates(edge.rates.rules, { keysMax: edge.rates.keysMax, shared }),
    lockout,
    concurrency: new AskedConcurrency(primary, edge.concurrency, begin.count),
    places: new AskedPlaces(primary, { countMax, perHolderMax }, begin.count),
    conditions: new HeardConditions(primary, {
      settings: (upstream) => (config.upstreams.get(upstream) ?? config.upstream).breaker,
      states: begin.conditions,
    }),
    floods: stack.use(new AskedFloods(primary, new FloodGate(parts.onFloods))),
    decisions,
    // The primary tells what becomes of the lists.
    filters: stack.use(new Filters(edge.filters, { onNews: () => undefined })),
    glass: new AskedGlass(primary),
    policies: { current: config.policy },
    consent: begin.consent ? askedConsent(primary) : undefined,
  };
}

runWorker();
