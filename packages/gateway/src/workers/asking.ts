/**
 * What all processes have in common, as a worker has it: what must be exact it asks its primary, what is asked of every request it has a copy of, and hears of each
 * change before whoever made it gets an answer.
 *
 * A primary that doesn't answer in time is one that can't say yes: proofs and logout tokens count as unavailable (503), glass stays whole, a revocation isn't kept. Rates, lock-outs and
 * limits of concurrency go on here meanwhile, each worker with its share, as gateways do whose Redis is away.
 */
import { hash } from 'node:crypto';

import { z } from 'zod';

import { type FirstUse, type FirstUses, OwnFirstUses } from '../identity/first-uses.ts';
import type { IdentityMemory } from '../identity/memory.ts';
import type { ReleasingReplayStore, Remembrance } from '../identity/replay-store.ts';
import { Revocations } from '../identity/revocations.ts';
import {
  Concurrency,
  type ConcurrencyBy,
  type ConcurrencyLimits,
  type ConcurrencySettings,
  type UnderWay,
} from '../limits/concurrency.ts';
import { Lockout, type LockoutSettings, type Lockouts } from '../limits/lockout.ts';
import type { Taken } from '../limits/rate-table.ts';
import type { RateRule, SharedRates } from '../limits/rates.ts';
import type { ConsentHook } from '../policy/consent.ts';
import type { GlassAnswer, GlassDesk, GlassQuestion } from '../policy/glass.ts';
import type { Beginning } from './beginning.ts';

/** No request waits longer for an answer; a primary that is well gives it within a millisecond or two. */
export const answerMsMax = 1_000;
/** Until what was heard is on the disk, and in force in every other worker. */
const keepMsMax = 10_000;
const keyCharsMax = 256;

/** A worker's way to its primary. */
export interface Primary {
  /** Rejects where it gave no answer in time; `onLate` hears one that comes after that, by which it gave something that nobody has. */
  ask(name: string, body: unknown, deadlineMs: number, onLate?: (answer: unknown) => void): Promise<unknown>;
  tell(name: string, body: unknown): boolean;
  /** False from an answer that didn't come until something is heard again: nobody waits for it meanwhile. */
  readonly answers: boolean;
}

export function askedMemory(primary: Primary, begin: Beginning, keepMs: number): IdentityMemory {
  const { revocations: entries, sinceMs, nonceKey } = begin;
  return {
    proofs: new AskedReplayStore(primary, 'proof'),
    logouts: new AskedReplayStore(primary, 'logout'),
    revocations: Revocations.copy({
      keepMs,
      entries,
      // In force here by now; everywhere, and kept, once this resolves.
      keep: async (revocations) => void (await primary.ask('revoke', revocations, keepMsMax)),
    }),
    firstUses: new AskedFirstUses(primary),
    together: { sinceMs, nonceKey: Buffer.from(nonceKey, 'base64') },
  };
}

class AskedReplayStore implements ReleasingReplayStore {
  readonly #primary: Primary;
  readonly #name: 'proof' | 'logout';

  constructor(primary: Primary, name: 'proof' | 'logout') {
    this.#primary = primary;
    this.#name = name;
  }

  async take(holder: string, id: string, keepMs: number): Promise<Remembrance> {
    // A logout that nobody was told of comes again; a proof never does.
    const onLate = (answer: unknown): void => {
      if (this.#name === 'logout' && answer === 'new') this.release(holder, id);
    };
    const answer = await this.#primary.ask(this.#name, [holder, id, keepMs], answerMsMax, onLate);
    if (answer === 'new' || answer === 'seen' || answer === 'full') return answer;
    throw new Error('expected new, seen or full, got something else');
  }

  release(holder: string, id: string): void {
    this.#primary.tell('logout-release', [holder, id]);
  }
}

/** Said once for all workers; while the primary gives no answer once by each, since nobody comes in unrecorded. */
class AskedFirstUses implements FirstUses {
  readonly #primary: Primary;
  /** Known to be said, and what is said without the primary. */
  readonly #known = new OwnFirstUses();
  readonly #claimed = new Set<string>();

  constructor(primary: Primary) {
    this.#primary = primary;
  }

  take(digest: string): FirstUse | Promise<FirstUse> {
    if (this.#known.isSaid(digest)) return 'said';
    return this.#primary.answers ? this.#ask(digest) : this.#known.take(digest);
  }

  settle(digest: string, said: boolean): void {
    if (this.#claimed.delete(digest)) {
      if (said) this.#known.note(digest);
      this.#primary.tell('first-use-settled', [digest, said]);
    } else this.#known.settle(digest, said);
  }

  async #ask(digest: string): Promise<FirstUse> {
    try {
      const use = await this.#primary.ask('first-use', digest, answerMsMax, (late) => {
        // By now it was said here alone, or is about to be.
        if (late === 'first') this.#primary.tell('first-use-settled', [digest, this.#known.isSaid(digest)]);
      });
      if (use === 'said') this.#known.note(digest);
      if (use === 'first') this.#claimed.add(digest);
      if (use === 'said' || use === 'first' || use === 'being-said') return use;
      return this.#known.take(digest);
    } catch {
      return this.#known.take(digest);
    }
  }
}

/** The primary's tables, beside memory and Redis a third place to count in. */
export class AskedRates implements SharedRates {
  readonly share: number;
  readonly #primary: Primary;

  constructor(primary: Primary, count: number) {
    this.#primary = primary;
    this.share = 1 / count;
  }

  get answers(): boolean {
    return this.#primary.answers;
  }

  async take({ name }: RateRule, key: string, count = 1): Promise<Taken | undefined> {
    try {
      return takenOf(await this.#primary.ask('rate', [name, shortened(key), count], answerMsMax));
    } catch {
      return undefined;
    }
  }
}

function takenOf(answer: unknown): Taken | undefined {
  if (!Array.isArray(answer)) return undefined;
  const [allowed, remainingCount, retryMs] = answer as readonly unknown[];
  if (typeof allowed !== 'boolean' || typeof remainingCount !== 'number' || typeof retryMs !== 'number')
    return undefined;
  return { allowed, remainingCount, retryMs };
}

/** What a client makes up doesn't get longer on its way. */
export function shortened(key: string): string {
  return key.length <= keyCharsMax ? key : `${key.slice(0, 8)}#${hash('sha256', key, 'base64url')}`;
}

/** Who is locked out, as the primary says; failures go to it, and count here only where it can't be told. */
export class HeardLockouts implements Lockouts {
  readonly #primary: Primary;
  readonly #alone: Lockout;
  readonly #untilMs = new Map<string, number>();

  constructor(primary: Primary, settings: LockoutSettings, begin: Beginning) {
    this.#primary = primary;
    this.#alone = new Lockout(settings, { onNews: () => undefined });
    for (const { key, leftMs } of begin.lockedOut) this.hear(key, leftMs);
  }

  /** `leftMs` is 0 when it is over. */
  hear(key: string, leftMs: number): void {
    if (leftMs > 0) this.#untilMs.set(key, performance.now() + leftMs);
    else this.#untilMs.delete(key);
  }

  blockedMs(key: string): number {
    const untilMs = this.#untilMs.size === 0 ? undefined : this.#untilMs.get(key);
    return Math.max(0, (untilMs ?? 0) - performance.now(), this.#alone.blockedMs(key));
  }

  async fail(key: string): Promise<void> {
    try {
      await this.#primary.ask('fail', key, answerMsMax);
    } catch {
      this.#alone.fail(key);
    }
  }
}

/** How many are under way in all workers. */
export class AskedConcurrency implements ConcurrencyLimits {
  readonly #primary: Primary;
  readonly #settings: ConcurrencySettings;
  readonly #alone: Concurrency;
  readonly #tickets = new Map<object, number>();
  #lastTicket = 0;

  constructor(primary: Primary, settings: ConcurrencySettings, count: number) {
    const share = (max: number | undefined): number | undefined => max && Math.max(1, Math.floor(max / count));
    this.#primary = primary;
    this.#settings = settings;
    this.#alone = new Concurrency({ userMax: share(settings.userMax), clientMax: share(settings.clientMax) });
  }

  enter(request: object, who: UnderWay): ConcurrencyBy | undefined | Promise<ConcurrencyBy | undefined> {
    const { userMax, clientMax } = this.#settings;
    const user = userMax === undefined ? undefined : who.user;
    const client = clientMax === undefined ? undefined : who.client;
    if (user === undefined && client === undefined) return undefined;
    if (!this.#primary.answers) return this.#alone.enter(request, who);
    return this.#ask(request, { user, client });
  }

  /** What was asked is answered before this is heard, or was given up. */
  leave(request: object): void {
    this.#alone.leave(request);
    const ticket = this.#tickets.get(request);
    if (ticket === undefined) return;
    this.#tickets.delete(request);
    this.#primary.tell('leave', ticket);
  }

  async #ask(request: object, { user, client }: UnderWay): Promise<ConcurrencyBy | undefined> {
    this.#lastTicket += 1;
    const ticket = this.#lastTicket;
    this.#tickets.set(request, ticket);
    const short = (key: string | undefined): string | null => (key === undefined ? null : shortened(key));
    try {
      const by = await this.#primary.ask('enter', [ticket, short(user), short(client)], answerMsMax);
      return by === 'user' || by === 'client' ? by : undefined;
    } catch {
      return this.#alone.enter(request, { user, client });
    }
  }
}

const openingSchema = z.strictObject({
  kind: z.enum(['open', 'opening']),
  reason: z.string(),
  untilMs: z.number(),
});
const refusedSchema = z.strictObject({
  kind: z.literal('refused'),
  reason: z.enum(['break-glass-reason', 'break-glass-too-many']),
});
const glassSchema = z.union([openingSchema, refusedSchema]);

export class AskedGlass implements GlassDesk {
  readonly #primary: Primary;

  constructor(primary: Primary) {
    this.#primary = primary;
  }

  async ask({ rule, ...question }: GlassQuestion): Promise<GlassAnswer> {
    const { reasons, minutes, patientsMax } = rule;
    const asked = { ...question, rule: { reasons: [...reasons], minutes, patientsMax } };
    const answer = await this.#primary.ask('glass', asked, answerMsMax).catch(() => undefined);
    const known = glassSchema.safeParse(answer).data;
    if (known === undefined) return { kind: 'refused', reason: 'break-glass-unavailable' };
    if (known.kind === 'refused') return known;
    const { reason, untilMs } = known;
    if (known.kind === 'open') return { kind: 'open', reason, untilMs };
    // Where it can't be kept a reason is asked for again; this one is on record.
    const commit = async (): Promise<void> =>
      void (await this.#primary.ask('glass-commit', asked, answerMsMax).catch(() => undefined));
    return { kind: 'opening', reason, untilMs, commit };
  }
}

/** The policy's own deadline holds: it is told by the signal. */
export function askedConsent(primary: Primary): ConsentHook {
  return async (question, signal) => {
    const late = Promise.withResolvers<never>();
    signal.addEventListener('abort', () => late.reject(signal.reason), { once: true });
    const answer = await Promise.race([primary.ask('consent', question, consentMsMax), late.promise]);
    if (typeof answer !== 'boolean') throw new Error('expected true or false, got something else');
    return answer;
  };
}

/** More than a policy may allow. */
const consentMsMax = 15_000;
