/**
 * Owns how each origin of each API is (upstream/condition.ts): asks by probes, hears from requests, and tells what becomes of it, once for all processes, by an event and a line of the
 * log; a probe by itself is only counted.
 */
import type { Logger } from 'pino';

import { type OwnOperation, ownEvent } from './capture/own-event.ts';
import type { Recorder } from './capture/recorder.ts';
import type { GatewayConfig } from './config/config.ts';
import { firstUpstream, type UpstreamConfig } from './config/upstream.ts';
import type { UpstreamConnector } from './secure.ts';
import { type ConditionNews, type ConditionState, OwnCondition } from './upstream/condition.ts';
import { HealthProbe } from './upstream/health-probe.ts';
import type { Metrics } from './watch/metrics.ts';
import type { OwnConditions } from './workers/commons.ts';

interface Parts {
  readonly recorder: Recorder;
  readonly logger: Logger;
  readonly metrics: Metrics;
  /** What probes show each upstream, by its name. */
  readonly connectors: ReadonlyMap<string, UpstreamConnector>;
  readonly onChange: (state: ConditionState) => void;
  readonly now?: (() => number) | undefined;
}

export function openConditions(config: GatewayConfig, parts: Parts): OwnConditions & AsyncDisposable {
  const stack = new AsyncDisposableStack();
  const upstreams = [[firstUpstream, config.upstream] as const, ...config.upstreams];
  const all = upstreams.flatMap(([name, settings]) =>
    [new URL(settings.url).origin, ...settings.replicas].map((origin) => {
      const condition = open({ name, origin, settings }, { config, stack, ...parts });
      return { name, origin, condition };
    }),
  );
  const find = (upstream: string, origin: string): OwnCondition | undefined =>
    all.find((one) => one.name === upstream && one.origin === origin)?.condition;
  return {
    find,
    of(upstream, origin) {
      const found = find(upstream, origin);
      if (found === undefined) throw new Error(`expected an origin of ${upstream}, got another`);
      return found;
    },
    get states() {
      return all.map(({ name, origin, condition }) => stateOf({ name, origin }, condition));
    },
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}

function open(
  { name, origin, settings }: { readonly name: string; readonly origin: string; readonly settings: UpstreamConfig },
  parts: Parts & { readonly config: GatewayConfig; readonly stack: AsyncDisposableStack },
): OwnCondition {
  const { config, stack, metrics, connectors, onChange, now } = parts;
  const { breaker, health } = settings;
  const condition: OwnCondition = new OwnCondition({
    breaker,
    health,
    onNews: (news) => tell(config, { name, origin, news }, parts),
    onChange: () => onChange(stateOf({ name, origin }, condition)),
    now,
  });
  const connect = connectors.get(name)?.connect;
  if (health === undefined || connect === undefined) return condition;
  const onProbe = (succeeded: boolean): void => {
    metrics.upstreamProbes.inc({ upstream: name, origin, result: succeeded ? 'success' : 'failure' });
    condition.probed(succeeded);
  };
  stack.use(new HealthProbe(origin, health, { connect, onProbe }));
  return condition;
}

function stateOf(
  { name, origin }: { readonly name: string; readonly origin: string },
  { well, breaker }: OwnCondition,
): ConditionState {
  return { upstream: name, origin, well, sparedMs: breaker.sparedMs };
}

function tell(
  config: GatewayConfig,
  { name, origin, news }: { readonly name: string; readonly origin: string; readonly news: ConditionNews },
  { recorder, logger }: Parts,
): void {
  const { operation, status, words } = told[news];
  logger[status === 'success' ? 'info' : 'error']({ upstream: name, origin }, words);
  void recorder.record([ownEvent(config, { operation, status, target: { type: 'Upstream', id: origin } })]);
}

const told: Readonly<
  Record<
    ConditionNews,
    { readonly operation: OwnOperation; readonly status: 'success' | 'failed'; readonly words: string }
  >
> = {
  opened: {
    operation: 'upstream-spared',
    status: 'failed',
    words: 'the API fails too often; it is spared for a while',
  },
  closed: { operation: 'upstream-back', status: 'success', words: 'the API answers again' },
  down: { operation: 'upstream-down', status: 'failed', words: 'the API is not well, as its probes say' },
  up: { operation: 'upstream-up', status: 'success', words: 'the API is well again, as its probes say' },
};
