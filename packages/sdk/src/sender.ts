/**
 * Carries events from a spool to the server: in order, one batch in flight, each until it is acknowledged.
 *
 * What the network or an overloaded server does is waited out (backoff with jitter, `Retry-After` honoured). An event the server calls
 * invalid goes to the spool's dead letters, visibly, and the ones behind it go on; its `seq` stays missing in the ledger, which shows as a gap there.
 * After a restart everything unacknowledged is sent again: the ledger knows events by their id.
 */
import { setTimeout as sleep } from 'node:timers/promises';

import type { Batch } from './batch.ts';
import { type Answer, makePost, type Post, type PostOptions } from './post.ts';
import type { Spool } from './spool.ts';

const batchEventsMax = 500;
const batchBytesMax = 1024 * 1024;
/** Under load a batch waits this long for company: a request each for a few events costs more than the events. */
const lingerMs = 50;
const backoffMinMs = 250;
const backoffMaxMs = 30_000;

export interface SenderOptions extends PostOptions {
  readonly spool: Spool;
  /** First wait after a failure; grows to 30 s. Default 250. */
  readonly backoffMinMs?: number;
  /** Called for every event that was set aside; for a log line or an alert. */
  readonly onDeadLetter?: (letter: { readonly seq: number; readonly status: number; readonly reason: string }) => void;
  /** Told of what the server receipted; may not throw. */
  readonly onReceipts?: (receipts: readonly unknown[], checkpoint: unknown) => void;
  /** Called when sending begins to fail, when it fails for another reason, and with undefined when it works again. */
  readonly onProblem?: (problem: string | undefined) => void;
}

export interface SenderStatus {
  /** Events acknowledged since the start. */
  readonly sentCount: number;
  readonly retryCount: number;
  /** Events set aside since the start; `spool.status.deadLetterCount` has all of them. */
  readonly deadLetteredCount: number;
  /** Why the last attempt failed, as a short code; undefined when it didn't. */
  readonly problem: string | undefined;
}

/** Starts sending at once; `await sender[Symbol.asyncDispose]()` stops it. Throws `insecure-url` for an http URL off this machine. */
export function startSender(options: SenderOptions): Sender {
  return new Sender(options);
}

export class Sender implements AsyncDisposable {
  readonly #spool: Spool;
  readonly #post: Post;
  readonly #closePost: () => void;
  readonly #backoffMinMs: number;
  readonly #onDeadLetter: SenderOptions['onDeadLetter'];
  readonly #onProblem: SenderOptions['onProblem'];
  readonly #onReceipts: SenderOptions['onReceipts'];
  readonly #stop = new AbortController();
  readonly #running: Promise<void>;
  #sentCount = 0;
  #sentAtMs = Number.NEGATIVE_INFINITY;
  #retryCount = 0;
  #deadLetteredCount = 0;
  #failuresInRow = 0;
  #problem: string | undefined;
  #progress: PromiseWithResolvers<void> = Promise.withResolvers<void>();

  constructor(options: SenderOptions) {
    const { post, close } = makePost(options);
    this.#spool = options.spool;
    this.#post = post;
    this.#closePost = close;
    this.#backoffMinMs = options.backoffMinMs ?? backoffMinMs;
    this.#onDeadLetter = options.onDeadLetter;
    this.#onProblem = options.onProblem;
    this.#onReceipts = options.onReceipts;
    this.#running = this.#run();
  }

  get status(): SenderStatus {
    return {
      sentCount: this.#sentCount,
      retryCount: this.#retryCount,
      deadLetteredCount: this.#deadLetteredCount,
      problem: this.#problem,
    };
  }

  /** Resolves once everything appended so far is acknowledged or set aside; rejects when the signal aborts. */
  async drain(signal: AbortSignal): Promise<void> {
    const target = this.#spool.status.lastSeq;
    const aborted = Promise.withResolvers<void>();
    signal.addEventListener('abort', () => aborted.resolve(), { once: true });
    while (this.#spool.acked < target) {
      signal.throwIfAborted();
      await Promise.race([this.#progress.promise, aborted.promise]);
    }
  }

  /** Stops after cutting off a request that is under way; what it carried is sent again by the next sender. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#running;
    this.#closePost();
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      try {
        await this.#spool.waitForEvents(signal);
        await this.#linger();
        const batch = await this.#spool.read({ eventsMax: batchEventsMax, bytesMax: batchBytesMax });
        if (batch === undefined) continue;
        await this.#deliver(batch);
        await this.#spool.ack(batch.lastSeq);
        this.#sentCount += batch.count;
        this.#sentAtMs = performance.now();
        const progress = this.#progress;
        this.#progress = Promise.withResolvers<void>();
        progress.resolve();
      } catch (error) {
        if (signal.aborted) return;
        await this.#later((error as { code?: string }).code ?? 'spool-unreadable');
      }
    }
  }

  /** Nothing after a pause, so that a single event goes at once. */
  async #linger(): Promise<void> {
    const leftMs = this.#sentAtMs + lingerMs - performance.now();
    if (leftMs <= 0 || this.#spool.status.waitingCount >= batchEventsMax) return;
    await sleep(leftMs, undefined, { signal: this.#stop.signal }).catch(() => undefined);
  }

  /** Returns once every event is acknowledged or set aside. Throws only when stopped, or when setting aside failed. */
  async #deliver(batch: Batch): Promise<void> {
    if (batch.count === 0) return;
    for (;;) {
      this.#stop.signal.throwIfAborted();
      const answer = await this.#post(batch, this.#stop.signal);
      if (answer.kind === 'later') {
        await this.#later(answer.problem, answer.retryAfterMs);
        continue;
      }
      this.#failuresInRow = 0;
      this.#setProblem(undefined);
      if (answer.kind === 'accepted') {
        this.#onReceipts?.(answer.receipts, answer.checkpoint);
        return;
      }
      if (batch.count > 1) return this.#deliverParts(batch, answer);
      if (await this.#setAside(batch, answer)) return;
    }
  }

  /** The batch holds something the server doesn't take: find it, by its position or by halving. */
  async #deliverParts(batch: Batch, answer: Answer): Promise<void> {
    const named = new Set(
      answer.kind === 'refused' ? answer.positions.filter((position) => position < batch.count) : [],
    );
    if (named.size > 0 && named.size < batch.count) {
      // Each suspect is sent alone, in its turn: only what is refused by itself is set aside.
      let from = 0;
      for (const position of [...named].sort((a, b) => a - b)) {
        await this.#deliver(batch.slice(from, position));
        await this.#deliver(batch.slice(position, position + 1));
        from = position + 1;
      }
      return this.#deliver(batch.slice(from));
    }
    const half = Math.ceil(batch.count / 2);
    await this.#deliver(batch.slice(0, half));
    await this.#deliver(batch.slice(half));
  }

  /** False when there is no room for another dead letter: the event stays where it is, and is tried again. */
  async #setAside(single: Batch, answer: Exclude<Answer, { kind: 'accepted' | 'later' }>): Promise<boolean> {
    if (this.#spool.deadLetters.full) {
      await this.#later('dead-letters-full');
      return false;
    }
    const seq = single.firstSeq;
    const letter =
      answer.kind === 'too-large'
        ? { seq, status: 413, reason: 'too-large' }
        : { seq, status: answer.status, reason: answer.reason };
    await this.#spool.deadLetters.add({ ...letter, line: single.lines[0] ?? '' });
    this.#deadLetteredCount += 1;
    this.#onDeadLetter?.(letter);
    return true;
  }

  #setProblem(problem: string | undefined): void {
    if (problem === this.#problem) return;
    this.#problem = problem;
    this.#onProblem?.(problem);
  }

  async #later(problem: string, retryAfterMs?: number): Promise<void> {
    this.#setProblem(problem);
    this.#retryCount += 1;
    const backoffMs = Math.min(backoffMaxMs, this.#backoffMinMs * 2 ** Math.min(this.#failuresInRow, 20));
    this.#failuresInRow += 1;
    const waitMs = Math.max(retryAfterMs ?? 0, backoffMs * (0.5 + Math.random() / 2));
    await sleep(waitMs, undefined, { signal: this.#stop.signal }).catch(() => undefined);
  }
}
