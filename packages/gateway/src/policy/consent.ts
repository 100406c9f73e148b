/**
 * Has the patient agreed to it? Somebody else knows: a service over HTTP, or a function of the process that started the gateway. Asked for one patient at a time,
 * within a deadline; answers are kept for a while, failures are not.
 */
import { Agent, request } from 'undici';

import type { ConsentRule } from './tables.ts';

export interface ConsentQuestion {
  readonly patient: string;
  readonly actor: {
    readonly id: string;
    readonly issuer: string;
    readonly roles: readonly string[];
    readonly client?: string;
  };
  /** HL7 v3 PurposeOfUse, where one was said. */
  readonly purpose?: string;
  /** As events name it: `read`, `search-type`, `$everything`. */
  readonly operation: string;
  readonly type?: string;
}

/** Rejecting is not an answer: the policy's `onFailure` decides then. */
export type ConsentHook = (question: ConsentQuestion, signal: AbortSignal) => Promise<boolean>;

export type ConsentAnswer = 'permitted' | 'denied' | 'unavailable';

export const answersMax = 10_000;
const answerBytesMax = 64 * 1024;

interface Kept {
  readonly permitted: boolean;
  readonly untilMs: number;
}

export class ConsentDesk implements AsyncDisposable {
  readonly #hook: ConsentHook | undefined;
  readonly #agent = new Agent({ connections: 16, pipelining: 1 });
  readonly #kept = new Map<string, Kept>();
  readonly #asking = new Map<string, Promise<ConsentAnswer>>();
  readonly #nowMs: () => number;

  /** `hook` is asked instead of the policy's URL. */
  constructor(options: { readonly hook?: ConsentHook; readonly nowMs?: () => number } = {}) {
    this.#hook = options.hook;
    this.#nowMs = options.nowMs ?? Date.now;
  }

  /** The worst of the answers: one patient who said no is enough. Never rejects. */
  async askAll(rule: ConsentRule, questions: readonly ConsentQuestion[]): Promise<ConsentAnswer> {
    const answers = await Promise.all(questions.map((question) => this.#askOne(rule, question)));
    if (answers.includes('denied')) return 'denied';
    return answers.includes('unavailable') ? 'unavailable' : 'permitted';
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#agent.destroy();
  }

  #askOne(rule: ConsentRule, question: ConsentQuestion): Promise<ConsentAnswer> | ConsentAnswer {
    const key = JSON.stringify([rule.url, question]);
    const kept = this.#kept.get(key);
    if (kept !== undefined) {
      if (this.#nowMs() < kept.untilMs) return kept.permitted ? 'permitted' : 'denied';
      this.#kept.delete(key);
    }
    const asking = this.#asking.get(key) ?? this.#askAfresh(rule, question, key);
    this.#asking.set(key, asking);
    return asking;
  }

  async #askAfresh(rule: ConsentRule, question: ConsentQuestion, key: string): Promise<ConsentAnswer> {
    const late = Promise.withResolvers<never>();
    const signal = AbortSignal.timeout(rule.timeoutMs);
    signal.addEventListener('abort', () => late.reject(signal.reason), { once: true });
    try {
      const hook = this.#hook ?? ((asked, until) => this.#askService(rule, asked, until));
      // One that throws at once is one that rejects: the race begins before.
      const asked = Promise.resolve().then(() => hook(question, signal));
      const permitted = await Promise.race([asked, late.promise]);
      if (typeof permitted !== 'boolean') return 'unavailable';
      this.#keep(key, { permitted, untilMs: this.#nowMs() + rule.cacheSeconds * 1_000 });
      return permitted ? 'permitted' : 'denied';
    } catch {
      return 'unavailable';
    } finally {
      this.#asking.delete(key);
    }
  }

  #keep(key: string, kept: Kept): void {
    if (this.#kept.size >= answersMax) {
      const oldest = this.#kept.keys().next().value;
      if (oldest !== undefined) this.#kept.delete(oldest);
    }
    this.#kept.set(key, kept);
  }

  /** POST of the question; 200 with `{"permit": true}` or `{"permit": false}` is an answer, and nothing else is. */
  async #askService({ url }: ConsentRule, question: ConsentQuestion, signal: AbortSignal): Promise<boolean> {
    if (url === undefined) throw new Error('expected consent.url in the policy, or a hook');
    const { statusCode, body } = await request(url, {
      method: 'POST',
      dispatcher: this.#agent,
      signal,
      headers: { 'content-type': 'application/json', accept: 'application/json' },
      body: JSON.stringify(question),
    });
    const chunks: Buffer[] = [];
    let bytes = 0;
    for await (const chunk of body as AsyncIterable<Buffer>) {
      bytes += chunk.length;
      if (bytes > answerBytesMax) throw new Error(`expected an answer of at most ${answerBytesMax} bytes`);
      chunks.push(chunk);
    }
    const answer: unknown = statusCode === 200 ? JSON.parse(Buffer.concat(chunks).toString('utf8')) : undefined;
    const permit = typeof answer === 'object' && answer !== null && 'permit' in answer ? answer.permit : undefined;
    if (typeof permit !== 'boolean') throw new Error('expected 200 with {"permit": true} or {"permit": false}');
    return permit;
  }
}
