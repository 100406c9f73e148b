/**
 * The primary's end of what is in common: one desk for each worker, which answers what it asks, and lets go of what it held when it ends. What comes in is checked by shape;
 * what can't be read is refused, and a worker that is refused does without.
 */

import { z } from 'zod';
import { batchEntriesMax } from '../fhir/batch.ts';

import type { ReplayStore } from '../identity/replay-store.ts';
import type { ConsentQuestion } from '../policy/consent.ts';
import type { GlassAnswer, GlassQuestion } from '../policy/glass.ts';
import { revocationsSchema } from './beginning.ts';
import type { OwnedCommons } from './commons.ts';

/** A token is shorter, and so is everything in it. */
const textCharsMax = 20_000;
/** As many tickets as a worker may have requests under way, whatever it is configured to. */
const ticketsMax = 100_000;
const consentMsMax = 15_000;

const glassSchema = z.strictObject({
  issuer: z.string(),
  person: z.string(),
  patient: z.string(),
  reason: z.union([z.string(), z.array(z.string())]).optional(),
  nowMs: z.number(),
  rule: z.strictObject({ reasons: z.array(z.string()), minutes: z.number(), patientsMax: z.number() }),
});

const consentSchema: z.ZodType<ConsentQuestion> = z.strictObject({
  patient: z.string(),
  actor: z.strictObject({
    id: z.string(),
    issuer: z.string(),
    roles: z.array(z.string()),
    client: z.string().exactOptional(),
  }),
  purpose: z.string().exactOptional(),
  operation: z.string(),
  type: z.string().exactOptional(),
});

export class Desk implements Disposable {
  readonly #commons: OwnedCommons;
  /** Requests of this worker that count as under way. */
  readonly #tickets = new Map<number, object>();

  constructor(commons: OwnedCommons) {
    this.#commons = commons;
  }

  /** Throws or rejects where there is no answer. */
  answer(name: string, body: unknown): unknown {
    const { memory, rates, consent, keepRevoked, failEverywhere } = this.#commons;
    switch (name) {
      case 'rate':
        return this.#rate(rates, body);
      case 'proof':
        return take(memory.proofs, body);
      case 'logout':
        return take(memory.logouts, body);
      case 'enter':
        return this.#enter(body);
      case 'fail':
        return failEverywhere(textOf(body));
      case 'revoke':
        return keepRevoked(revocationsSchema.parse(body));
      case 'glass': {
        const answer = this.#glass(body);
        if (answer instanceof Promise) return answer.then(sayable);
        return sayable(answer);
      }
      case 'glass-commit':
        // Asked again: it may have been broken by another request meanwhile, or be one patient too many by now.
        return Promise.resolve(this.#glass(body)).then((answer) =>
          answer.kind === 'opening' ? answer.commit() : null,
        );
      case 'consent':
        if (consent === undefined) break;
        return consent(consentSchema.parse(body), AbortSignal.timeout(consentMsMax));
    }
    throw new Error(`expected a question that a worker asks, got another`);
  }

  hear(name: string, body: unknown): void {
    switch (name) {
      case 'leave':
        this.#leave(body as number);
        return;
      case 'logout-release': {
        const [holder, id] = listOf(body, 2);
        void this.#commons.memory.logouts.release(textOf(holder), textOf(id));
        return;
      }
    }
  }

  /** The worker is gone: nothing of it is under way any more. */
  [Symbol.dispose](): void {
    for (const ticket of [...this.#tickets.keys()]) this.#leave(ticket);
  }

  #rate(rates: OwnedCommons['rates'], body: unknown): unknown {
    const [name, key, count] = listOf(body, 3);
    if (!Number.isSafeInteger(count) || Number(count) < 1 || Number(count) > batchEntriesMax)
      throw new Error('expected a count');
    const taken = rates.takeOne(textOf(name), textOf(key), Number(count));
    if (taken instanceof Promise)
      return taken.then(({ allowed, remainingCount, retryMs }) => [allowed, remainingCount, retryMs]);
    return taken === undefined ? null : [taken.allowed, taken.remainingCount, taken.retryMs];
  }

  #enter(body: unknown): unknown {
    const [ticket, user, client] = listOf(body, 3);
    if (typeof ticket !== 'number' || this.#tickets.size >= ticketsMax) throw new Error('expected a ticket');
    const request = {};
    const by = this.#commons.concurrency.enter(request, {
      user: user === null ? undefined : textOf(user),
      client: client === null ? undefined : textOf(client),
    });
    if (by === undefined) this.#tickets.set(ticket, request);
    return by ?? null;
  }

  #leave(ticket: number): void {
    const request = this.#tickets.get(ticket);
    if (request === undefined) return;
    this.#tickets.delete(ticket);
    this.#commons.concurrency.leave(request);
  }

  #glass(body: unknown): GlassAnswer | Promise<GlassAnswer> {
    const { rule, ...question } = glassSchema.parse(body);
    const asked: GlassQuestion = {
      ...question,
      reason: question.reason,
      rule: { ...rule, reasons: new Set(rule.reasons) },
    };
    return this.#commons.glass.ask(asked);
  }
}

/** Without what is a function. */
function sayable(answer: GlassAnswer): unknown {
  if (answer.kind === 'refused') return answer;
  const { kind, reason, untilMs } = answer;
  return { kind, reason, untilMs };
}

function take(store: ReplayStore, body: unknown): unknown {
  const [holder, id, keepMs] = listOf(body, 3);
  if (typeof keepMs !== 'number') throw new Error('expected how long to keep it');
  return store.take(textOf(holder), textOf(id), keepMs);
}

function listOf(body: unknown, length: number): readonly unknown[] {
  if (Array.isArray(body) && body.length === length) return body;
  throw new Error(`expected ${length} members`);
}

function textOf(value: unknown): string {
  if (typeof value === 'string' && value.length <= textCharsMax) return value;
  throw new Error('expected a text');
}
