/**
 * The rates of the configuration: which of them a request falls under, by what, and what the first one that is used up says. Addresses are counted before anything
 * of a request is believed; users, clients, tenants and routes once they are known.
 */
import { RateTable, type Taken } from './rate-table.ts';

export type RateBy = 'address' | 'user' | 'client' | 'tenant' | 'route';

export interface RateRule {
  readonly name: string;
  readonly by: RateBy;
  readonly limit: number;
  readonly windowMs: number;
  /** As many as `limit` where it isn't said. */
  readonly burst?: number | undefined;
  /** Names of interactions; all without it. */
  readonly interactions?: readonly string[] | undefined;
  /** Route templates, such as `/fhir/Patient/{id}`; all without it. */
  readonly routes?: readonly string[] | undefined;
}

/** Whom and what a request is counted for. */
export interface KnownKeys {
  readonly user: string | undefined;
  /** With the issuer: two issuers may have a client of the same name. */
  readonly client: string | undefined;
  readonly tenant: string;
  readonly interaction: string;
  readonly route: string;
}

export interface RateExceeded {
  readonly rule: RateRule;
  readonly key: string;
  readonly retryMs: number;
}

interface Counted {
  readonly rule: RateRule;
  readonly interactions: ReadonlySet<string> | undefined;
  readonly routes: ReadonlySet<string> | undefined;
  readonly table: RateTable;
}

/** Where many processes count together: gateways in Redis, workers of one gateway at their primary. What it can't say it leaves to the tables here. */
export interface SharedRates {
  /** Undefined where nobody could be asked in time. Never rejects. */
  take(rule: RateRule, key: string, count?: number): Promise<Taken | undefined>;
  /** False while it is known not to answer: nobody waits for it then. */
  readonly answers: boolean;
  /** The part of each rate that one gateway allows by itself meanwhile. */
  readonly share: number;
}

/** What a request asks of the rates. */
export type RateLimits = Pick<Rates, 'takeAddress' | 'takeKnown' | 'takeEntries'>;

export class Rates {
  readonly #byName: ReadonlyMap<string, Counted>;
  readonly #byAddress: readonly Counted[];
  readonly #byKnown: readonly Counted[];
  readonly #now: () => number;
  readonly #shared: SharedRates | undefined;

  constructor(
    rules: readonly RateRule[],
    options: { readonly keysMax: number; readonly now?: () => number; readonly shared?: SharedRates | undefined },
  ) {
    const { keysMax, now = () => performance.now(), shared } = options;
    const share = shared?.share ?? 1;
    const counted = rules.map((rule): Counted => {
      const burst = Math.max(1, Math.floor((rule.burst ?? rule.limit) * share));
      return {
        rule,
        interactions: rule.interactions === undefined ? undefined : new Set(rule.interactions),
        routes: rule.routes === undefined ? undefined : new Set(rule.routes),
        table: new RateTable({ limit: rule.limit * share, windowMs: rule.windowMs, burst }, { keysMax }),
      };
    });
    this.#byName = new Map(counted.map((one) => [one.rule.name, one]));
    this.#byAddress = counted.filter(({ rule }) => rule.by === 'address');
    this.#byKnown = counted.filter(({ rule }) => rule.by !== 'address');
    this.#now = now;
    this.#shared = shared;
  }

  /** Keys that are counted now, of all rates. */
  get keysCount(): number {
    return [...this.#byAddress, ...this.#byKnown].reduce((sum, { table }) => sum + table.size, 0);
  }

  /** By the address, or the /64 of an IPv6 one. A promise only where others are asked. */
  takeAddress(neighbourhood: string): RateExceeded | undefined | Promise<RateExceeded | undefined> {
    return this.#takeAll(this.#byAddress, () => neighbourhood);
  }

  /** A request that one rate refuses has still counted for those before it. */
  takeKnown(keys: KnownKeys): RateExceeded | undefined | Promise<RateExceeded | undefined> {
    return this.#takeAll(this.#byKnown, (one) => keyFor(one, keys));
  }

  /** The entries of a batch, as so many requests: what counts for one key is taken together. */
  async takeEntries(entries: readonly KnownKeys[]): Promise<RateExceeded | undefined> {
    const shared = this.#shared?.answers === true ? this.#shared : undefined;
    const claims = this.#byKnown.flatMap((one) =>
      [...countsOf(one, entries)].map(([key, count]) => ({
        one,
        key,
        count,
        taken: shared?.take(one.rule, key, count),
      })),
    );
    let first: RateExceeded | undefined;
    for (const { one, key, count, taken } of claims) {
      const answer = await taken;
      if (answer === undefined) first ??= this.#takeHere(one, key, count);
      else if (!answer.allowed) first ??= { rule: one.rule, key, retryMs: answer.retryMs };
    }
    return first;
  }

  /** By one rate, for who counts on behalf of others. Undefined where no rate has that name. */
  takeOne(name: string, key: string, count = 1): Taken | undefined | Promise<Taken> {
    const one = this.#byName.get(name);
    if (one === undefined) return undefined;
    const here = (): Taken => one.table.take(key, this.#now(), count);
    if (this.#shared?.answers !== true) return here();
    return this.#shared.take(one.rule, key, count).then((taken) => taken ?? here());
  }

  #takeAll(
    counted: readonly Counted[],
    keyFor: (one: Counted) => string | undefined,
  ): RateExceeded | undefined | Promise<RateExceeded | undefined> {
    if (this.#shared?.answers === true && counted.length > 0) return this.#askAll(this.#shared, counted, keyFor);
    for (const one of counted) {
      const key = keyFor(one);
      if (key === undefined) continue;
      const exceeded = this.#takeHere(one, key);
      if (exceeded !== undefined) return exceeded;
    }
    return undefined;
  }

  /** All at once: it waits for one answer's time only. */
  async #askAll(
    shared: SharedRates,
    counted: readonly Counted[],
    keyFor: (one: Counted) => string | undefined,
  ): Promise<RateExceeded | undefined> {
    const asked = counted.flatMap((one) => {
      const key = keyFor(one);
      return key === undefined ? [] : [{ one, key, taken: shared.take(one.rule, key) }];
    });
    let first: RateExceeded | undefined;
    for (const { one, key, taken } of asked) {
      const answer = await taken;
      if (answer === undefined) first ??= this.#takeHere(one, key);
      else if (!answer.allowed) first ??= { rule: one.rule, key, retryMs: answer.retryMs };
    }
    return first;
  }

  #takeHere({ rule, table }: Counted, key: string, count = 1): RateExceeded | undefined {
    const { allowed, retryMs } = table.take(key, this.#now(), count);
    return allowed ? undefined : { rule, key, retryMs };
  }
}

/** Undefined where the rate doesn't count it. */
function keyFor({ rule, interactions, routes }: Counted, keys: KnownKeys): string | undefined {
  const counts = interactions?.has(keys.interaction) !== false && routes?.has(keys.route) !== false;
  return counts ? keyOf(rule.by, keys) : undefined;
}

function countsOf(one: Counted, entries: readonly KnownKeys[]): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const keys of entries) {
    const key = keyFor(one, keys);
    if (key !== undefined) counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  return counts;
}

function keyOf(by: RateBy, { user, client, tenant, route }: KnownKeys): string | undefined {
  switch (by) {
    case 'user':
      return user === undefined ? undefined : `${tenant}\n${user}`;
    case 'client':
      return client === undefined ? undefined : `${tenant}\n${client}`;
    case 'tenant':
      return tenant;
    case 'route':
      return route;
    case 'address':
      return undefined;
    default:
      return by satisfies never;
  }
}

/** `Retry-After` (RFC 9110 §10.2.3), `RateLimit` and `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers) of a refusal. */
export function rateHeaders({ rule, retryMs }: RateExceeded): Readonly<Record<string, string>> {
  const seconds = Math.max(1, Math.ceil(retryMs / 1_000));
  return {
    'retry-after': String(seconds),
    ratelimit: `"${rule.name}";r=0;t=${seconds}`,
    'ratelimit-policy': `"${rule.name}";q=${rule.limit};w=${Math.max(1, Math.round(rule.windowMs / 1_000))}`,
  };
}
