/**
 * One process's way to the ledger, from its spool to the server: opened before anything that could have something to say, closed after it. It says itself when it begins
 * and when it ends; in strict mode a gateway that can't record doesn't start.
 */
import {
  openSpool,
  type ReceiptFailure,
  type Rechecker,
  SdkError,
  type Sender,
  type Spool,
  type SpoolDisk,
  startRechecker,
  startSender,
} from '@watchglass/sdk';
import type { Spans } from '@watchglass/trace';
import type { Logger } from 'pino';

import { doubtCorrections } from './capture/corrections.ts';
import { lapseEvents, ownEvent } from './capture/own-event.ts';
import { type EventDraftFacts, Recorder } from './capture/recorder.ts';
import type { GatewayConfig } from './config/config.ts';
import { policyTargets } from './passage/policy-changes.ts';
import { traceDeliveries } from './trace/deliveries.ts';
import type { Metrics } from './watch/metrics.ts';

export interface RecordKeeping extends AsyncDisposable {
  readonly spool: Spool;
  readonly recorder: Recorder;
  readonly receipts: Rechecker;
  readonly sender: Sender;
}

/** At most this long the events of the last moments get to reach the server; the rest stays in the spool. */
export const lastSendingMs = 3_000;

/** Throws `SdkError`, having let go of everything. */
export async function keepRecord(
  config: GatewayConfig,
  parts: {
    readonly logger: Logger;
    readonly metrics: Metrics;
    readonly spans: Spans | undefined;
    readonly disk?: SpoolDisk | undefined;
  },
): Promise<RecordKeeping> {
  await using stack = new AsyncDisposableStack();
  const { logger, metrics, spans, disk } = parts;
  const spool = stack.use(
    await openSpool({
      dir: config.spool.dir,
      keyFile: config.spool.keyFile,
      maxBytes: config.spool.maxBytes,
      emitterId: config.emitter,
      stallMs: config.audit.deadlineMs,
      ...(disk === undefined ? {} : { disk }),
    }),
  );
  const recorder = new Recorder({
    spool,
    mode: config.audit.mode,
    deadlineMs: config.audit.deadlineMs,
    ...(config.tenant === undefined ? {} : { tenant: config.tenant }),
    lapseEvents: (lapse) => lapseEvents(config, lapse),
  });
  const receipts = stack.use(
    await startRechecker({
      ...serverOf(config),
      dir: config.spool.dir,
      ...(config.server.vkey === undefined ? {} : { vkey: config.server.vkey }),
      onReceiptFailed: (failure) => {
        logger.error(failure, 'what the server acknowledged does not hold: its log is not the one it was');
        void recordOwn(recorder, config, 'receipt-failed', { failure }).catch(() => undefined);
      },
      onProblem: (problem) => {
        if (problem === undefined) logger.info('receipts can be checked again');
        else logger.warn({ problem }, 'receipts of the server cannot be checked');
      },
    }),
  );
  const sender = stack.use(
    startSender({
      spool,
      ...serverOf(config),
      writeKey: config.server.writeKey,
      ...(spans === undefined ? {} : { trace: traceDeliveries(spans, config.server.url) }),
      onReceipts: (given, checkpoint) => receipts.note(given, checkpoint),
      onProblem: (problem) => {
        if (problem === undefined) logger.info('events reach the server again');
        else
          logger.warn(
            { problem, waiting: spool.status.waitingCount },
            'events do not reach the server; they wait in the spool',
          );
      },
      onDeadLetter: (letter) => logger.error(letter, 'the server refused an event for good; it was set aside'),
    }),
  );
  stack.defer(() => sender.drain(AbortSignal.timeout(lastSendingMs)).catch(() => undefined));
  // In one group with the start: a process that ends before it is durable leaves the same last group to the next.
  await recordOwn(recorder, config, 'start', { more: doubtsOf(spool, config) });
  if (spool.status.cutBytes > 0) {
    logger.warn({ cutBytes: spool.status.cutBytes }, 'an unfinished group at the end of the spool was cut off');
    await recordOwn(recorder, config, 'spool-cut');
  }
  stack.defer(() => recordOwn(recorder, config, 'stop').catch(() => undefined));
  metrics.observe({ spool, sender, receipts, recorder });
  const resources = stack.move();
  return { spool, recorder, receipts, sender, [Symbol.asyncDispose]: () => resources.disposeAsync() };
}

/** Where events go. */
export function serverOf({ server }: GatewayConfig): { readonly serverUrl: string; readonly ca?: string } {
  return { serverUrl: server.url, ...(server.ca === undefined ? {} : { ca: server.ca }) };
}

/** What an earlier process may have refused although its last events say otherwise. In `available` mode nothing waits for its event, so none decides what leaves. */
export function doubtsOf(spool: Spool, { audit }: GatewayConfig): readonly EventDraftFacts[] {
  const lines = spool.takeLastGroup();
  return audit.mode === 'strict' ? doubtCorrections(lines) : [];
}

/** An event of the gateway itself. In strict mode a gateway that can't record doesn't start. */
async function recordOwn(
  recorder: Recorder,
  config: GatewayConfig,
  operation: 'start' | 'stop' | 'spool-cut' | 'receipt-failed',
  { failure, more = [] }: { readonly failure?: ReceiptFailure; readonly more?: readonly EventDraftFacts[] } = {},
): Promise<void> {
  const recorded = await recorder.recordDurably([
    ownEvent(config, {
      operation,
      status: operation === 'start' || operation === 'stop' ? 'success' : 'failed',
      ...(failure === undefined ? {} : { reason: failure.code }),
      ...(failure?.index === undefined ? {} : { target: { type: 'Event', id: String(failure.index) } }),
      ...(operation === 'start' ? { targets: policyTargets(config.policy, config.policyFile) } : {}),
    }),
    ...more,
  ]);
  if (recorded.kind === 'unrecorded' && operation === 'start') {
    throw new SdkError(
      'spool-failed',
      `expected to record the start, got ${recorded.reason}; check the spool in ${config.spool.dir}`,
    );
  }
}
