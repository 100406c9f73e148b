/**
 * One API behind the gateway, at one origin or at several that are alike. Whoever wants to ask it takes a lease of one of them, and says how it ended; a lease
 * that ends without a word says nothing, so that a request which came to nothing here doesn't keep a replica from being tried.
 */
import type { Pool } from 'undici';

import type { ExportLinks } from '../exposure/export-links.ts';
import { Deadlines } from '../http/deadlines.ts';
import { ordinary, type Pass } from '../limits/breaker.ts';
import type { Replica } from './replica.ts';

export type Balance = 'round-robin' | 'least-pending';

export type Taken =
  | { readonly kind: 'taken'; readonly lease: Lease }
  /** None may be asked now; how long to wait with the next. */
  | { readonly kind: 'spared'; readonly waitMs: number };

export class Upstream {
  readonly name: string;
  readonly replicas: readonly Replica[];
  readonly origins: readonly string[];
  /** How long it has to answer. */
  readonly deadlines: Deadlines;
  readonly forwardAuthorization: boolean;
  readonly forwardHeaders: readonly string[];
  /** What it may point to in the answers of an export. */
  readonly exportLinks: ExportLinks;
  readonly #balance: Balance;
  readonly #probedEveryMs: number;
  #turn = 0;

  constructor(options: {
    readonly name: string;
    readonly replicas: readonly Replica[];
    readonly balance: Balance;
    readonly timeoutMs: number;
    readonly forwardAuthorization: boolean;
    readonly forwardHeaders: readonly string[];
    readonly exportLinks: ExportLinks;
    /** 0 where nobody probes. */
    readonly probedEveryMs: number;
  }) {
    this.name = options.name;
    this.replicas = options.replicas;
    this.origins = options.replicas.map(({ origin }) => origin);
    this.deadlines = new Deadlines(options.timeoutMs);
    this.forwardAuthorization = options.forwardAuthorization;
    this.forwardHeaders = options.forwardHeaders;
    this.exportLinks = options.exportLinks;
    this.#balance = options.balance;
    this.#probedEveryMs = options.probedEveryMs;
  }

  get available(): boolean {
    return this.replicas.some(({ usable }) => usable);
  }

  /**
   * A change is not what a replica that failed is tried again with, as long as there is another. `origin`: this one and no other; `preferred`: this one first. A promise only where others have
   * to be asked who tries it.
   */
  take(wanted: {
    readonly safe: boolean;
    /** Its client may hold it up, or break it off. */
    readonly slow?: boolean;
    /** It may go on for long: a WebSocket, a stream of events. */
    readonly lasting?: boolean;
    readonly origin?: string | undefined;
    readonly preferred?: string | undefined;
  }): Taken | Promise<Taken> {
    const { origin, preferred, lasting = false, slow = false } = wanted;
    const candidates =
      origin === undefined ? this.#inTurn(preferred) : this.replicas.filter((replica) => replica.origin === origin);
    const firm = wanted.safe ? undefined : candidates.find(({ usable }) => usable);
    const takenOf = (found: Picked | number): Taken =>
      typeof found === 'number'
        ? { kind: 'spared', waitMs: found }
        : { kind: 'taken', lease: new Lease(this, found, { bound: origin !== undefined, lasting }) };
    if (firm !== undefined) return takenOf({ replica: firm, pass: ordinary });
    const picked = this.#pick(candidates, { slow, leastMs: Number.POSITIVE_INFINITY });
    return picked instanceof Promise ? picked.then(takenOf) : takenOf(picked);
  }

  /** Another one than that, which nothing is known against; undefined where there is none. */
  another(than: Replica): Replica | undefined {
    return this.#inTurn().find((replica) => replica !== than && replica.usable);
  }

  /** The first that may be asked, or how long to wait. A breaker that is asked may make this the trial, so none is asked twice. */
  #pick(
    [replica, ...others]: readonly Replica[],
    so: { readonly slow: boolean; readonly leastMs: number },
  ): Picked | number | Promise<Picked | number> {
    if (replica === undefined) return so.leastMs;
    const goOn = (admitted: Pass | number): Picked | number | Promise<Picked | number> =>
      typeof admitted === 'object'
        ? { replica, pass: admitted }
        : this.#pick(others, { ...so, leastMs: Math.min(so.leastMs, admitted) });
    const admitting = replica.well ? replica.breaker.admit(so.slow) : this.#probedEveryMs;
    return admitting instanceof Promise ? admitting.then(goOn) : goOn(admitting);
  }

  /** The one to begin with first. */
  #inTurn(preferred?: string): readonly Replica[] {
    const { replicas } = this;
    if (replicas.length === 1) return replicas;
    if (preferred !== undefined) {
      const isPreferred = ({ origin }: Replica): boolean => origin === preferred;
      return [...replicas.filter(isPreferred), ...replicas.filter((replica) => !isPreferred(replica))];
    }
    this.#turn = (this.#turn + 1) % replicas.length;
    const turned = [...replicas.slice(this.#turn), ...replicas.slice(0, this.#turn)];
    return this.#balance === 'round-robin' ? turned : turned.sort((a, b) => a.pendingCount - b.pendingCount);
  }
}

interface Picked {
  readonly replica: Replica;
  readonly pass: Pass;
}

/** The right to ask one replica. Whoever has it says once how it ended, by one of `succeeded`, `failed` and `unknown`, and gives it back. */
export class Lease implements Disposable {
  readonly upstream: Upstream;
  readonly #bound: boolean;
  readonly #lasting: boolean;
  #replica: Replica;
  #pass: Pass;
  #told = false;
  #held = true;

  constructor(
    upstream: Upstream,
    { replica, pass }: Picked,
    as: { readonly bound: boolean; readonly lasting: boolean },
  ) {
    this.upstream = upstream;
    this.#replica = replica;
    this.#pass = pass;
    this.#bound = as.bound;
    this.#lasting = as.lasting;
    replica.pendingCount += 1;
  }

  get origin(): string {
    return this.#replica.origin;
  }

  /** It is asked to see whether it is back: what becomes of that decides for all. */
  get isTrial(): boolean {
    return this.#pass.trial > 0;
  }

  get pool(): Pool {
    return this.#lasting ? this.#replica.lastingPool : this.#replica.pool;
  }

  /** After a connection that failed, for what changes nothing: at another replica if there is one, else once more at the same. */
  moveOn(): Pool {
    const other = this.#bound ? undefined : this.upstream.another(this.#replica);
    if (other !== undefined) {
      this.#replica.breaker.failed(this.#pass);
      this.#replica.pendingCount -= 1;
      this.#replica = other;
      this.#pass = ordinary;
      other.pendingCount += 1;
    }
    return this.pool;
  }

  succeeded(): void {
    this.#told = true;
    this.#replica.breaker.succeeded(this.#pass);
  }

  failed(): void {
    this.#told = true;
    this.#replica.breaker.failed(this.#pass);
  }

  unknown(): void {
    this.#told = true;
    this.#replica.breaker.unknown(this.#pass);
  }

  [Symbol.dispose](): void {
    if (!this.#held) return;
    this.#held = false;
    if (!this.#told) this.unknown();
    this.#replica.pendingCount -= 1;
  }
}
