/**
 * Rechecks receipts: keeps a sample of what the server acknowledged, and now and then asks its public log whether it still holds, under a newer checkpoint. A failure
 * is called out once, and stays in the status. It never blocks recording or sending: it has timers of its own, bounded rates, and what goes wrong in it ends here.
 */
import { parseCheckpoint, parseVerifierKey, RecordError } from '@watchglass/record';

import { realDisk, type SpoolDisk } from './disk.ts';
import { SdkError } from './errors.ts';
import { publicReader, type ReadPublic } from './public-log.ts';
import { type KeptReceipt, LogLook, receiptFaults } from './receipt-check.ts';
import { isReceipt, type ReceiptFailure, ReceiptSample } from './receipt-sample.ts';

const everyMsUsual = 10 * 60_000;
const sampleEveryMsUsual = 60_000;
/** Receipts looked at in one round. */
const perRound = 4;
/** The first look comes early, the others spread: many emitters must not ask at the same moment. */
const firstShare = 0.1;

export interface RecheckOptions {
  readonly serverUrl: string;
  readonly ca?: string;
  /** Where the sample is kept; the spool's folder is a good place. */
  readonly dir: string;
  readonly disk?: SpoolDisk;
  /** The only verifier key to begin with; the first one seen unless given. Statements of the log lead from it to later ones. */
  readonly vkey?: string;
  /** Between two rounds, on average. Default 10 minutes. */
  readonly everyMs?: number;
  /** At most one receipt is offered to the sample in this time. Default 1 minute. */
  readonly sampleEveryMs?: number;
  /** Called once for every failure: what was acknowledged is not in the log any more, or the log is not what it was. */
  readonly onReceiptFailed?: (failure: ReceiptFailure) => void;
  /** Called when nothing can be checked, with a short code, and with undefined when it can again. */
  readonly onProblem?: (problem: string | undefined) => void;
}

export interface ReceiptStatus {
  readonly keptCount: number;
  /** Checks that held, since the start. */
  readonly checkedCount: number;
  /** RFC 3339; of the last round in which something could be checked. */
  readonly checkedAt: string | undefined;
  /** The newest last; over restarts. */
  readonly failures: readonly ReceiptFailure[];
  /** Why nothing can be checked now, as a short code. */
  readonly problem: string | undefined;
}

/** Opens the sample and begins. Throws `insecure-url`, `configuration` for a key that is none, and what the disk gives. */
export async function startRechecker(options: RecheckOptions): Promise<Rechecker> {
  const read = publicReader(options);
  if (options.vkey !== undefined) assertKey(options.vkey);
  return new Rechecker(options, read, await ReceiptSample.open(options.disk ?? realDisk, options.dir));
}

export class Rechecker implements AsyncDisposable {
  readonly #options: RecheckOptions;
  readonly #read: ReadPublic;
  readonly #sample: ReceiptSample;
  readonly #stop = new AbortController();
  /** When each receipt was looked at last; not over restarts. */
  readonly #lookedAt = new WeakMap<KeptReceipt, number>();
  #timer: NodeJS.Timeout | undefined;
  #round: Promise<void> = Promise.resolve();
  #offerAtMs = 0;
  #checkedCount = 0;
  #checkedAt: string | undefined;
  #problem: string | undefined;

  /** Use `startRechecker`. */
  constructor(options: RecheckOptions, read: ReadPublic, sample: ReceiptSample) {
    this.#options = options;
    this.#read = read;
    this.#sample = sample;
    this.#schedule(firstShare);
  }

  get status(): ReceiptStatus {
    return {
      keptCount: this.#sample.receipts.length,
      checkedCount: this.#checkedCount,
      checkedAt: this.#checkedAt,
      failures: this.#sample.failures,
      problem: this.#problem,
    };
  }

  /** For the sender: what one answer receipted. */
  note(receipts: readonly unknown[], checkpoint: unknown): void {
    const nowMs = performance.now();
    if (nowMs < this.#offerAtMs || receipts.length === 0) return;
    const { sampleEveryMs = sampleEveryMsUsual } = this.#options;
    this.#offerAtMs = nowMs + sampleEveryMs * (0.5 + Math.random() / 2);
    const { id, index, leaf } = (receipts[Math.floor(Math.random() * receipts.length)] ?? {}) as Partial<KeptReceipt>;
    const receipt: unknown = { id, index, leaf, checkpoint };
    if (!isReceipt(receipt)) {
      this.#setProblem('receipt-unreadable');
      return;
    }
    // The same event again, after a restart.
    if (this.#sample.receipts.some((known) => known.index === index && known.id === id)) return;
    this.#sample.offer(receipt, Math.random()).catch(() => this.#setProblem('receipts-not-kept'));
  }

  /** One round, now; never rejects. */
  check(): Promise<void> {
    this.#round = this.#round.then(() => this.#checkSome());
    return this.#round;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    clearTimeout(this.#timer);
    await this.#round;
    await this.#sample.settled();
  }

  #schedule(share = 1): void {
    if (this.#stop.signal.aborted) return;
    const { everyMs = everyMsUsual } = this.#options;
    this.#timer = setTimeout(
      () => void this.check().then(() => this.#schedule()),
      everyMs * share * (0.5 + Math.random()),
    );
    this.#timer.unref();
  }

  async #checkSome(): Promise<void> {
    const byOrigin = new Map<string, KeptReceipt[]>();
    for (const receipt of this.#next()) {
      const origin = originOf(receipt.checkpoint);
      if (origin === undefined) {
        await this.#fail(new SdkError('receipt-invalid', `receipt ${receipt.index} came with no checkpoint`), receipt);
        continue;
      }
      byOrigin.set(origin, [...(byOrigin.get(origin) ?? []), receipt]);
    }
    if (byOrigin.size === 0) return;
    try {
      const logs = await this.#logs();
      for (const [origin, receipts] of byOrigin) await this.#checkLog(origin, logs.get(origin), receipts);
      this.#checkedAt = new Date().toISOString();
      this.#setProblem(undefined);
    } catch (error) {
      if (this.#stop.signal.aborted) return;
      // What isn't a fault of the log is not told as one.
      this.#setProblem(
        error instanceof SdkError ? error.code : ((error as { code?: string }).code ?? 'recheck-failed'),
      );
    }
  }

  async #checkLog(origin: string, tenant: string | undefined, receipts: readonly KeptReceipt[]): Promise<void> {
    const { vkey } = this.#options;
    try {
      if (tenant === undefined)
        throw new SdkError(
          'receipt-rolled-back',
          `${origin}: the server has no such log any more, though it receipted events of it`,
        );
      if (vkey !== undefined && parseVerifierKey(vkey).name !== origin)
        throw new SdkError(
          'receipt-key-changed',
          `${origin}: the receipts are of another log than the key that was given`,
        );
      const look = new LogLook({ read: this.#read, tenant, origin, signal: this.#stop.signal });
      const known = this.#sample.memoryOf(origin) ?? { keys: vkey === undefined ? [] : [vkey], head: undefined };
      const { head, memory } = await look.head(known);
      await this.#sample.remember(origin, memory);
      for (const receipt of receipts) {
        try {
          await look.receipt(receipt, memory, head);
          this.#checkedCount += 1;
        } catch (error) {
          await this.#fail(error, receipt);
        }
      }
    } catch (error) {
      await this.#fail(error);
    }
  }

  /** Those that weren't looked at for longest, in no order among themselves. */
  #next(): KeptReceipt[] {
    const nowMs = performance.now();
    const waiting = this.#sample.receipts.map((receipt) => ({
      receipt,
      order: (this.#lookedAt.get(receipt) ?? -1) + Math.random() / 2,
    }));
    const chosen = waiting.sort((a, b) => a.order - b.order).slice(0, perRound);
    for (const { receipt } of chosen) this.#lookedAt.set(receipt, nowMs);
    return chosen.map(({ receipt }) => receipt);
  }

  /** Tenants by origin. */
  async #logs(): Promise<Map<string, string>> {
    const bytes = await this.#read('/log', this.#stop.signal);
    try {
      const list = JSON.parse(Buffer.from(bytes ?? new Uint8Array(0)).toString('utf8')) as readonly {
        readonly tenant?: unknown;
        readonly origin?: unknown;
      }[];
      const named = list.flatMap(({ tenant, origin }): [string, string][] =>
        typeof tenant === 'string' && /^[a-z][a-z0-9-]{0,62}$/.test(tenant) && typeof origin === 'string'
          ? [[origin, tenant]]
          : [],
      );
      return new Map(named);
    } catch (cause) {
      throw new SdkError('log-unreachable', 'expected the list of logs from /log, got something else', { cause });
    }
  }

  /** Called out once; anything that isn't a fault of the log is thrown on. */
  async #fail(error: unknown, receipt?: KeptReceipt): Promise<void> {
    if (!(error instanceof SdkError) || !receiptFaults.has(error.code)) throw error;
    const { checkpoint } = error.details;
    const failure: ReceiptFailure = {
      code: error.code,
      message: error.message,
      at: new Date().toISOString(),
      ...(receipt === undefined ? {} : { index: receipt.index, id: receipt.id }),
      ...(typeof checkpoint === 'string' ? { checkpoint } : {}),
    };
    // A disk that doesn't keep it doesn't silence it.
    const isNew = await this.#sample.fail(failure).catch(() => true);
    if (isNew) this.#options.onReceiptFailed?.(failure);
  }

  #setProblem(problem: string | undefined): void {
    if (problem === this.#problem) return;
    this.#problem = problem;
    this.#options.onProblem?.(problem);
  }
}

function originOf(note: string): string | undefined {
  try {
    return parseCheckpoint(note).origin;
  } catch (error) {
    if (error instanceof RecordError) return undefined;
    throw error;
  }
}

function assertKey(vkey: string): void {
  try {
    parseVerifierKey(vkey);
  } catch (cause) {
    throw new SdkError('configuration', 'expected vkey to be a verifier key (name+hash+key), got something else', {
      cause,
    });
  }
}
