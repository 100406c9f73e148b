/**
 * The primary's end of what is in common: one desk for each worker, which answers what it asks, and lets go of what it held when it ends. What comes in is checked by shape;
 * what can't be read is refused, and a worker that is refused does without.
 */

import { z } from 'zod';
import type { EventDraftFacts } from '../capture/recorder.ts';
import { batchEntriesMax } from '../fhir/batch.ts';
import type { ReplayStore } from '../identity/replay-store.ts';
import { ordinary, type Pass } from '../limits/breaker.ts';
import type { ConsentQuestion } from '../policy/consent.ts';
import type { GlassAnswer, GlassQuestion } from '../policy/glass.ts';
import type { OwnCondition } from '../upstream/condition.ts';
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

/** The rest of it is held to the format when it is recorded. */
const sampleSchema: z.ZodType<EventDraftFacts> = z.custom<EventDraftFacts>(
  (value) => typeof value === 'object' && value !== null && 'outcome' in value && typeof value.outcome === 'object',
);
const floodCountsSchema = z.array(z.tuple([z.string(), z.int().min(1), sampleSchema.nullable()]));

export class Desk implements Disposable {
  readonly #commons: OwnedCommons;
  /** Requests of this worker that count as under way, and places that it has. */
  readonly #tickets = new Map<number, object>();
  readonly #places = new Map<number, object>();
  /** Trials that are out with it, by their origin. */
  readonly #trials = new Map<OwnCondition, Pass>();
  /** First uses of tokens that it is about to say. */
  readonly #firstUses = new Set<string>();

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
      case 'place':
        return this.#place(body);
      case 'trial':
        return this.#trial(body);
      case 'flood':
        return this.#flood(body);
      case 'first-use':
        return this.#firstUse(textOf(body));
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
      case 'place-leave':
        this.#leavePlace(body as number);
        return;
      case 'upstream-successes': {
        const [upstream, origin, count] = listOf(body, 3);
        if (Number.isSafeInteger(count) && Number(count) > 0)
          this.#conditionAt(upstream, origin).breaker.countSuccesses(Number(count));
        return;
      }
      case 'upstream-outcome':
        this.#noteOutcome(body);
        return;
      case 'flood-counts':
        for (const [key, count, sample] of floodCountsSchema.parse(body))
          this.#commons.floods.add(key, count, sample ?? undefined);
        return;
      case 'first-use-settled': {
        const [digest, said] = listOf(body, 2);
        this.#settleFirstUse(textOf(digest), said === true);
        return;
      }
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
    for (const ticket of [...this.#places.keys()]) this.#leavePlace(ticket);
    for (const [condition, trial] of this.#trials) condition.breaker.unknown(trial);
    for (const digest of [...this.#firstUses]) this.#settleFirstUse(digest, false);
  }

  #place(body: unknown): unknown {
    const [ticket, holder] = listOf(body, 2);
    if (typeof ticket !== 'number' || this.#places.size >= ticketsMax) throw new Error('expected a ticket');
    const one = {};
    const refusal = this.#commons.places.enter(one, textOf(holder));
    if (refusal === undefined) this.#places.set(ticket, one);
    return refusal ?? null;
  }

  #leavePlace(ticket: number): void {
    const one = this.#places.get(ticket);
    if (one === undefined) return;
    this.#places.delete(ticket);
    this.#commons.places.leave(one);
  }

  #conditionAt(upstream: unknown, origin: unknown): OwnCondition {
    const found = this.#commons.conditions.find(textOf(upstream), textOf(origin));
    if (found === undefined) throw new Error('expected an origin of an upstream, got another');
    return found;
  }

  /** Which trial it is, 0 where anybody may go; or how long to wait. */
  #trial(body: unknown): unknown {
    const [upstream, origin, slow] = listOf(body, 3);
    const condition = this.#conditionAt(upstream, origin);
    const admitted = condition.breaker.admit(slow === true);
    if (typeof admitted === 'number') return [null, admitted];
    if (admitted.trial > 0) this.#trials.set(condition, admitted);
    return [admitted.trial, 0];
  }

  #noteOutcome(body: unknown): void {
    const [upstream, origin, said, trial] = listOf(body, 4);
    const how = howOf(said);
    const condition = this.#conditionAt(upstream, origin);
    const held = this.#trials.get(condition);
    // A trial that this worker doesn't have is none.
    const pass = held !== undefined && held.trial === trial ? held : ordinary;
    if (pass === held) this.#trials.delete(condition);
    condition.breaker[how](pass);
  }

  #flood(body: unknown): unknown {
    const [key, ownSinglesMax, sample] = listOf(body, 3);
    const { floods } = this.#commons;
    const max = typeof ownSinglesMax === 'number' ? ownSinglesMax : undefined;
    return [floods.admit(textOf(key), sampleSchema.parse(sample), max), floods.leftMs];
  }

  #firstUse(digest: string): unknown {
    const use = this.#commons.memory.firstUses.take(digest);
    if (use === 'first') this.#firstUses.add(digest);
    return use;
  }

  #settleFirstUse(digest: string, said: boolean): void {
    if (this.#firstUses.delete(digest)) this.#commons.memory.firstUses.settle(digest, said);
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

/** What is told, and what was to be told, of one origin. */
type How = 'succeeded' | 'failed' | 'unknown';

function howOf(value: unknown): How {
  if (value === 'succeeded' || value === 'failed' || value === 'unknown') return value;
  throw new Error('expected how it ended');
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
