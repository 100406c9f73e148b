/**
 * Where limits meet a request: at the door by its address alone, before a byte of it is believed; once it is known who asks for what; and when it was refused,
 * since who is refused too often is locked out. Each refusal is an event: the first of a key and window by itself, the rest as a count.
 */
import type { Actor, Purpose, Target } from '@watchglass/record';
import { neighbourhood, type TrustedProxies } from '@watchglass/record/source';
import { type Captured, refusalEvent } from '../capture/capture.ts';
import type { Interaction } from '../fhir/fhir-interaction.ts';
import type { Parameter } from '../http/canonical.ts';
import type { Principal } from '../identity/token.ts';
import type { ConcurrencyBy, ConcurrencyLimits } from '../limits/concurrency.ts';
import type { Decisions, Verdict } from '../limits/decisions.ts';
import type { Filters } from '../limits/filters.ts';
import type { Lockouts } from '../limits/lockout.ts';
import { callerOf, keyOf } from '../limits/party.ts';
import { type KnownKeys, type RateExceeded, type RateLimits, rateHeaders } from '../limits/rates.ts';
import type { RefusalCode } from './refusal.ts';
import { refusals } from './refusal.ts';
import { denied, Refused, stepUpChallenge } from './refused.ts';

export interface LimitingParts {
  readonly filters: Filters;
  readonly rates: RateLimits;
  readonly lockout: Lockouts | undefined;
  /** What the server decided. */
  readonly decisions: Decisions;
  readonly concurrency: ConcurrencyLimits;
  /** The first that fits bounds a body. */
  readonly bodies: readonly {
    readonly interactions?: readonly string[] | undefined;
    readonly routes?: readonly string[] | undefined;
    readonly bytesMax: number;
  }[];
  readonly proxies: TrustedProxies;
  readonly tenant: string | undefined;
}

export interface KnownRequest {
  readonly captured: Captured;
  readonly interaction: Interaction;
  readonly parameters: readonly Parameter[];
  readonly actor: Actor;
  readonly purpose: Purpose | undefined;
}

/** Of the many refusals only those that say somebody is trying: an expired token is what any client has once an hour. */
const countedDenials: ReadonlySet<RefusalCode> = new Set(['forbidden', 'insufficient-scope', 'step-up-required']);

export class Limiting {
  readonly #parts: LimitingParts;
  /** Who is behind a request whose token held. */
  readonly #callers = new WeakMap<Captured, string>();

  constructor(parts: LimitingParts) {
    this.#parts = parts;
  }

  /** By address only. A promise only where other gateways are asked; throws `Refused`. */
  atTheDoor(captured: Captured): void | Promise<void> {
    const { filters, decisions, lockout, rates } = this.#parts;
    const { address } = captured.source;
    const reason = filters.refusal(address);
    const around = neighbourhood(address);
    if (reason !== undefined) throw atDoor(captured, { code: 'address-refused', reason, around });
    if (decisions.forAddress(address)) throw atDoor(captured, { code: 'blocked', reason: 'blocked-address', around });
    const blockedMs = lockout?.blockedMs(keyOf({ by: 'address', around })) ?? 0;
    if (blockedMs > 0) {
      const headers = retryAfter(blockedMs);
      throw atDoor(captured, { code: 'locked-out', reason: 'locked-out-address', around, headers });
    }
    const exceeded = rates.takeAddress(around);
    const judge = (found: RateExceeded | undefined): void => {
      if (found === undefined) return;
      const { rule } = found;
      const headers = rateHeaders(found);
      throw atDoor(captured, { code: 'rate-limited', reason: 'rate-address', around, headers, rule: rule.name });
    };
    return exceeded instanceof Promise ? exceeded.then(judge) : judge(exceeded);
  }

  /** Once it is known who asks (nobody, for what is open to all) and for what. Throws `Refused`; `leave` is owed in any case. */
  known(facts: KnownRequest, principal: Principal | undefined): void | Promise<void> {
    const { decisions, lockout, concurrency, rates } = this.#parts;
    const { captured, interaction } = facts;
    const verdict =
      principal === undefined
        ? undefined
        : decisions.forKnown({
            actor: principal.id,
            client: principal.client,
            session: principal.session,
            authenticatedAt: principal.authenticatedAt,
          });
    if (verdict !== undefined) throw decided(facts, verdict);
    if (lockout !== undefined && principal !== undefined) {
      const caller = callerOf(principal);
      const key = keyOf(caller);
      this.#callers.set(captured, key);
      const blockedMs = lockout.blockedMs(key);
      if (blockedMs > 0)
        throw once(facts, 'locked-out', `locked-out-${caller.by}`, { key, headers: retryAfter(blockedMs) });
    }
    const keys = this.#keysOf(interaction, principal);
    const judgeEntry = (by: ConcurrencyBy | undefined): void => {
      if (by === undefined) return;
      const key = (by === 'user' ? keys.user : keys.client) ?? '';
      throw once(facts, 'concurrency-exceeded', `concurrency-${by}`, { key, headers: retryAfter(0) });
    };
    const judge = (exceeded: RateExceeded | undefined): void | Promise<void> => {
      if (exceeded !== undefined) throw tooMany(facts, exceeded);
      const entered = concurrency.enter(captured, keys);
      return entered instanceof Promise ? entered.then(judgeEntry) : judgeEntry(entered);
    };
    const exceeded = rates.takeKnown(keys);
    return exceeded instanceof Promise ? exceeded.then(judge) : judge(exceeded);
  }

  /** Each entry of a batch counts like a request of its own, besides the batch. Throws `Refused`. */
  async entries(
    facts: KnownRequest,
    principal: Principal,
    entries: readonly { readonly interaction: Interaction }[],
  ): Promise<void> {
    const keys = entries.map(({ interaction }) => this.#keysOf(interaction, principal));
    const exceeded = await this.#parts.rates.takeEntries(keys);
    if (exceeded !== undefined) throw tooMany(facts, exceeded);
  }

  #keysOf({ name, route }: Interaction, principal: Principal | undefined): KnownKeys {
    const { tenant = '' } = this.#parts;
    return { user: principal?.id, client: clientOf(principal), tenant, interaction: name, route };
  }

  /** Why somebody who was heard would be heard no longer; undefined while they would. Counts nothing. */
  silenced({ source }: Captured, principal: Principal): string | undefined {
    const { filters, decisions } = this.#parts;
    const refusal = filters.refusal(source.address);
    if (refusal !== undefined) return refusal;
    if (decisions.forAddress(source.address)) return 'blocked-address';
    const { id: actor, client, session, authenticatedAt } = principal;
    const verdict = decisions.forKnown({ actor, client, session, authenticatedAt });
    if (verdict === undefined) return undefined;
    return verdict.kind === 'blocked' ? `blocked-${verdict.by}` : 'decision-step-up';
  }

  /** What a body of this request may hold, within the bound of all. */
  bodyBytesMax({ name, route }: Interaction, bytesMax: number): number {
    const { bodies } = this.#parts;
    if (bodies.length === 0) return bytesMax;
    const found = bodies.find(
      ({ interactions, routes }) => interactions?.includes(name) !== false && routes?.includes(route) !== false,
    );
    return Math.min(bytesMax, found?.bytesMax ?? bytesMax);
  }

  /**
   * Counts what may end in a lock-out. Invalid tokens count for the address, denials for the caller whose token held: who merely claims to be somebody can't
   * lock them out, nor one person with too few rights the address of a whole hospital, or the app that all of it shares. A trusted proxy is never locked out: it
   * stands for everybody behind it.
   * The answer waits for it: a lock-out is in force before it is heard of.
   */
  refused(captured: Captured, { code, event }: Refused): void | Promise<void> {
    const { lockout, proxies } = this.#parts;
    if (lockout === undefined) return;
    const { address } = captured.source;
    if (code === 'token-invalid') {
      if (event?.outcome.reason === 'token-expired' || address === undefined || proxies.includes(address)) return;
      return lockout.fail(keyOf({ by: 'address', around: neighbourhood(address) }));
    }
    if (countedDenials.has(code)) {
      const caller = this.#callers.get(captured);
      if (caller !== undefined) return lockout.fail(caller);
    }
  }

  /** The request is over. */
  leave(captured: Captured): void {
    this.#parts.concurrency.leave(captured);
  }
}

/** Nobody asked who it is. The connection ends with it: there is nothing more to be said on it. */
function atDoor(
  captured: Captured,
  facts: {
    readonly code: 'address-refused' | 'blocked' | 'locked-out' | 'rate-limited';
    readonly reason: string;
    readonly around: string;
    readonly headers?: Readonly<Record<string, string>>;
    readonly rule?: string;
  },
): Refused {
  const { code, reason, around, rule } = facts;
  const event = refusalEvent({ captured, kind: 'network', operation: code, status: refusals[code].status, reason });
  return new Refused(code, rule === undefined ? event : { ...event, targets: [ruleNamed(rule)] }, {
    headers: { ...facts.headers, ...(code === 'rate-limited' ? {} : { connection: 'close' }) },
    floodKey: `${reason} ${rule ?? ''} ${around}`,
    floodSinglesMax: 1,
  });
}

function once(
  facts: KnownRequest,
  code: RefusalCode,
  reason: string,
  rest: { readonly key: string; readonly headers: Readonly<Record<string, string>>; readonly rule?: string },
): Refused {
  const { key, headers, rule } = rest;
  return denied(facts, code, reason, {
    headers,
    floodKey: `${reason} ${rule ?? ''} ${key}`,
    floodSinglesMax: 1,
    ...(rule === undefined ? {} : { rule: ruleNamed(rule) }),
  });
}

function tooMany(facts: KnownRequest, exceeded: RateExceeded): Refused {
  const { rule, key } = exceeded;
  return once(facts, 'rate-limited', `rate-${rule.by}`, { key, headers: rateHeaders(exceeded), rule: rule.name });
}

/** With the issuer: two issuers may have a client of the same name. */
function clientOf(principal: Principal | undefined): string | undefined {
  return principal?.client === undefined ? undefined : `${principal.issuer} ${principal.client}`;
}

/** The decision stands in the event as the rule that decided. */
function decided(facts: KnownRequest, verdict: Verdict): Refused {
  const rule: Target = { type: 'Decision', id: verdict.id, role: 'rule' };
  const { actor } = facts;
  if (verdict.kind === 'step-up') {
    const maxAgeSeconds = Math.max(0, Math.floor((Date.now() - verdict.sinceMs) / 1_000));
    const headers = { 'www-authenticate': stepUpChallenge({ acr: undefined, amr: undefined, maxAgeSeconds }) };
    return denied(facts, 'step-up-required', 'decision-step-up', { rule, headers });
  }
  const reason = `blocked-${verdict.by}`;
  return denied(facts, 'blocked', reason, {
    rule,
    floodKey: `${reason} ${verdict.id} ${actor.id}`,
    floodSinglesMax: 1,
  });
}

function ruleNamed(id: string): Target {
  return { type: 'Rule', id, role: 'rule' };
}

function retryAfter(leftMs: number): Readonly<Record<string, string>> {
  return { 'retry-after': String(Math.max(1, Math.ceil(leftMs / 1_000))) };
}
