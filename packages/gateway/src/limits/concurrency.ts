/**
 * How many requests of one user and of one client may be under way at once. Whoever enters leaves again, whatever became of the request; only who is under way
 * is kept, so the memory is bounded by the requests there are.
 */

export interface ConcurrencySettings {
  readonly userMax?: number | undefined;
  readonly clientMax?: number | undefined;
}

export type ConcurrencyBy = 'user' | 'client';

/** What a request asks of it. */
export interface ConcurrencyLimits {
  /** By whom there are too many already; undefined when it may go on. `leave` is owed in any case. A promise where others count too; never rejects. */
  enter(request: object, who: UnderWay): ConcurrencyBy | undefined | Promise<ConcurrencyBy | undefined>;
  /** For one that never entered it does nothing. */
  leave(request: object): void;
}

export interface UnderWay {
  readonly user: string | undefined;
  readonly client: string | undefined;
}

export class Concurrency implements ConcurrencyLimits {
  readonly #settings: ConcurrencySettings;
  readonly #underWay = new Map<string, number>();
  readonly #held = new Map<object, readonly string[]>();

  constructor(settings: ConcurrencySettings) {
    this.#settings = settings;
  }

  get size(): number {
    return this.#underWay.size;
  }

  enter(request: object, { user, client }: UnderWay): ConcurrencyBy | undefined {
    const { userMax, clientMax } = this.#settings;
    const keys: string[] = [];
    if (userMax !== undefined && user !== undefined) {
      if ((this.#underWay.get(`u${user}`) ?? 0) >= userMax) return 'user';
      keys.push(`u${user}`);
    }
    if (clientMax !== undefined && client !== undefined) {
      if ((this.#underWay.get(`c${client}`) ?? 0) >= clientMax) return 'client';
      keys.push(`c${client}`);
    }
    if (keys.length === 0) return undefined;
    for (const key of keys) this.#underWay.set(key, (this.#underWay.get(key) ?? 0) + 1);
    this.#held.set(request, keys);
    return undefined;
  }

  leave(request: object): void {
    const keys = this.#held.get(request);
    if (keys === undefined) return;
    this.#held.delete(request);
    for (const key of keys) {
      const count = (this.#underWay.get(key) ?? 0) - 1;
      if (count > 0) this.#underWay.set(key, count);
      else this.#underWay.delete(key);
    }
  }
}
