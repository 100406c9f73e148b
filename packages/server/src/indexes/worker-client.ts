/**
 * One worker thread and the requests under way to it. The worker answers in order. When it dies, everything under way rejects, and the next request gets a fresh worker:
 * whoever asks has to be able to begin again anyway.
 */
import { type Transferable, Worker } from 'node:worker_threads';
import type { Envelope, Reply } from './messages.ts';

/** Batches are short-lived, and a large young generation costs resident memory in every thread. */
const youngGenerationMbMax = 16;

/** Whether a request was rejected because a file is damaged or gone. */
export function isDamage(error: unknown): boolean {
  return error instanceof Error && 'damaged' in error && error.damaged === true;
}

export class WorkerClient<Request> implements AsyncDisposable {
  readonly #script: string;
  readonly #underWay: Map<number, PromiseWithResolvers<unknown>> = new Map();
  #worker: Worker | undefined;
  #nextId = 0;
  #closed = false;

  /** `script` is the name of a file beside this one, without its ending. */
  constructor(script: string) {
    this.#script = script;
  }

  get underWay(): number {
    return this.#underWay.size;
  }

  request<Answer>(request: Request, transfer: readonly Transferable[] = []): Promise<Answer> {
    if (this.#closed) return Promise.reject(new Error('the indexes were closed'));
    this.#worker ??= this.#begin();
    const id = this.#nextId++;
    const waiting = Promise.withResolvers<unknown>();
    this.#underWay.set(id, waiting);
    // An idle worker doesn't keep the process alive; one that owes an answer does.
    this.#worker.ref();
    const message: Envelope<Request> = { id, request };
    this.#worker.postMessage(message, transfer);
    return waiting.promise as Promise<Answer>;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    await Promise.allSettled([...this.#underWay.values()].map(({ promise }) => promise));
    await this.#worker?.terminate();
  }

  #begin(): Worker {
    const ending = import.meta.url.endsWith('.ts') ? 'ts' : 'js';
    const worker = new Worker(new URL(`./${this.#script}.${ending}`, import.meta.url), {
      name: this.#script,
      resourceLimits: { maxYoungGenerationSizeMb: youngGenerationMbMax },
    });
    worker.on('message', (reply: Reply) => this.#settle(reply));
    worker.on('error', (error) => this.#end(worker, error));
    worker.on('exit', (code) => this.#end(worker, new Error(`the worker ${this.#script} left with code ${code}`)));
    return worker;
  }

  #settle(reply: Reply): void {
    const waiting = this.#underWay.get(reply.id);
    this.#underWay.delete(reply.id);
    if (this.#underWay.size === 0) this.#worker?.unref();
    if ('failure' in reply) waiting?.reject(Object.assign(new Error(reply.failure), { damaged: reply.damaged }));
    else waiting?.resolve(reply.answer);
  }

  #end(worker: Worker, error: unknown): void {
    if (this.#worker !== worker) return;
    this.#worker = undefined;
    for (const waiting of this.#underWay.values()) waiting.reject(error);
    this.#underWay.clear();
  }
}
