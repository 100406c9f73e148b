/** The gateway's numbers, for Prometheus. Labels are codes and names of interactions; never who, never about whom. */
import type { Rechecker, Sender, Spool } from '@watchglass/sdk';
import { Counter, Gauge, Histogram, Registry } from 'prom-client';

import type { Recorder } from '../capture/recorder.ts';

export type Across = 'sum' | 'min' | 'max';

export class Metrics {
  readonly registry: Registry = new Registry();
  readonly requests: Counter<'interaction' | 'status'>;
  readonly refusals: Counter<'code'>;
  readonly duration: Histogram<'interaction'>;
  readonly truncated: Counter;
  readonly connectionFaults: Counter<'reason'>;
  readonly introspectionProblems: Counter<'problem'>;
  readonly policyLoads: Counter<'result'>;
  readonly glassBroken: Counter;
  readonly spans: Counter<'fate'>;
  readonly lastingEnds: Counter<'kind' | 'reason'>;
  readonly upstreamProbes: Counter<'upstream' | 'origin' | 'result'>;

  constructor() {
    const registers = [this.registry];
    this.requests = new Counter({
      name: 'watchglass_gateway_requests_total',
      help: 'Requests answered, by interaction and status',
      labelNames: ['interaction', 'status'],
      registers,
    });
    this.refusals = new Counter({
      name: 'watchglass_gateway_refusals_total',
      help: 'Requests refused, by code',
      labelNames: ['code'],
      registers,
    });
    this.duration = new Histogram({
      name: 'watchglass_gateway_request_seconds',
      help: 'From the head of the request to the end of the answer',
      labelNames: ['interaction'],
      buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
      registers,
    });
    this.truncated = new Counter({
      name: 'watchglass_gateway_truncated_total',
      help: 'Responses that went past the exposure bound, or could not be read',
      registers,
    });
    this.connectionFaults = new Counter({
      name: 'watchglass_gateway_connection_faults_total',
      help: 'Connections that ended in a protocol or TLS fault, by reason',
      labelNames: ['reason'],
      registers,
    });
    this.glassBroken = new Counter({
      name: 'watchglass_gateway_break_glass_total',
      help: 'Times that the glass was broken: access beyond the rules for every day',
      registers,
    });
    this.spans = new Counter({
      name: 'watchglass_gateway_spans_total',
      help: 'Spans of traces, by what became of them: sent, or dropped since the queue was full or the collector refused',
      labelNames: ['fate'],
      registers,
    });
    this.lastingEnds = new Counter({
      name: 'watchglass_gateway_lasting_ends_total',
      help: 'WebSockets and event streams that ended, by reason',
      labelNames: ['kind', 'reason'],
      registers,
    });
    this.upstreamProbes = new Counter({
      name: 'watchglass_gateway_upstream_probes_total',
      help: 'Probes of the health of upstreams, by result',
      labelNames: ['upstream', 'origin', 'result'],
      registers,
    });
    this.policyLoads = new Counter({
      name: 'watchglass_gateway_policy_loads_total',
      help: 'Policy files that came into force or were refused, by result',
      labelNames: ['result'],
      registers,
    });
    this.introspectionProblems = new Counter({
      name: 'watchglass_gateway_introspection_problems_total',
      help: 'Questions about opaque tokens that got no usable answer, by problem',
      labelNames: ['problem'],
      registers,
    });
  }

  /** A number that is read at the moment of asking. `across`: what it is for all workers of a gateway together. */
  watch(name: string, help: string, read: () => number, across: Across = 'sum'): void {
    this.#gauge(name, help, read, across);
  }

  /** The same with labels: one number for each set of them. */
  watchEach<L extends string>(
    name: string,
    help: string,
    options: {
      readonly labelNames: readonly L[];
      readonly read: () => readonly { readonly labels: Readonly<Record<L, string>>; readonly value: number }[];
      readonly across?: Across;
    },
  ): void {
    new Gauge({
      name,
      help,
      labelNames: options.labelNames,
      aggregator: options.across ?? 'sum',
      registers: [this.registry],
      collect() {
        for (const { labels, value } of options.read()) this.set(labels, value);
      },
    });
  }

  /** Adds what is read at the moment of asking. */
  observe(parts: {
    readonly spool: Spool;
    readonly sender: Sender;
    readonly receipts: Rechecker;
    readonly recorder: Recorder;
  }): void {
    const { spool, sender, receipts, recorder } = parts;
    this.#gauge('watchglass_gateway_spool_used_bytes', 'Bytes in the spool', () => spool.status.usedBytes);
    this.#gauge(
      'watchglass_gateway_spool_reserved_bytes',
      'Bytes set aside for requests under way',
      () => spool.status.reservedBytes,
    );
    this.#gauge('watchglass_gateway_spool_max_bytes', 'Bound of the spool', () => spool.status.maxBytes);
    this.#gauge(
      'watchglass_gateway_spool_waiting_events',
      'Events not acknowledged by the server',
      () => spool.status.waitingCount,
    );
    this.#gauge(
      'watchglass_gateway_spool_open',
      '1 while the spool has room for the events of a request',
      () => (recorder.problems().length === 0 ? 1 : 0),
      'min',
    );
    this.#gauge(
      'watchglass_gateway_dead_letters',
      'Events the server refused, set aside',
      () => spool.status.deadLetterCount,
    );
    this.#gauge(
      'watchglass_gateway_events_recorded',
      'Events made durable since the start',
      () => recorder.recordedCount,
    );
    this.#gauge(
      'watchglass_gateway_events_unrecorded',
      'Events that could not be made durable since the start',
      () => recorder.unrecordedCount,
    );
    this.#gauge(
      'watchglass_gateway_events_sent',
      'Events the server acknowledged since the start',
      () => sender.status.sentCount,
    );
    this.#gauge(
      'watchglass_gateway_receipts_checked',
      'Receipts of the server that held when they were checked again, since the start',
      () => receipts.status.checkedCount,
    );
    this.#gauge(
      'watchglass_gateway_receipt_failures',
      'Receipts that do not hold, and logs that are not what they were; over restarts',
      () => receipts.status.failures.length,
    );
    this.#gauge(
      'watchglass_gateway_receipts_unchecked',
      '1 while receipts cannot be checked',
      () => (receipts.status.problem === undefined ? 0 : 1),
      'max',
    );
    this.#gauge(
      'watchglass_gateway_send_retries',
      'Sendings that had to be repeated since the start',
      () => sender.status.retryCount,
    );
  }

  #gauge(name: string, help: string, read: () => number, across: Across = 'sum'): void {
    new Gauge({
      name,
      help,
      aggregator: across,
      registers: [this.registry],
      collect() {
        this.set(read());
      },
    });
  }
}
