/**
 * One origin that an API is reached at: its connections, whether its probes find it well, whether it is spared because requests failed, and how many are under
 * way to it. What it is told decides; it asks nothing by itself.
 */
import type { Pool } from 'undici';

import { Breaker, type BreakerNews, type BreakerSettings } from '../limits/breaker.ts';

export interface HealthSettings {
  /** Asked with GET; any 2xx is well. */
  readonly path: string;
  readonly everyMs: number;
  readonly timeoutMs: number;
  /** So many in a row change its mind. */
  readonly healthyAfter: number;
  readonly unhealthyAfter: number;
}

export type ReplicaNews = BreakerNews | 'down' | 'up';

export class Replica {
  readonly origin: string;
  readonly pool: Pool;
  /** For what may last: hours of it must not keep the connections from requests. */
  readonly lastingPool: Pool;
  readonly breaker: Breaker;
  readonly #onNews: (news: ReplicaNews) => void;
  readonly #health: Pick<HealthSettings, 'healthyAfter' | 'unhealthyAfter'> | undefined;
  #well = true;
  /** Probes in a row that say the opposite. */
  #contrary = 0;
  /** Requests, and connections that last, under way to it. */
  pendingCount = 0;

  constructor(options: {
    readonly origin: string;
    readonly pool: Pool;
    readonly lastingPool: Pool;
    readonly breaker: BreakerSettings;
    readonly health?: Pick<HealthSettings, 'healthyAfter' | 'unhealthyAfter'> | undefined;
    readonly onNews: (news: ReplicaNews) => void;
    readonly now?: (() => number) | undefined;
  }) {
    this.origin = options.origin;
    this.pool = options.pool;
    this.lastingPool = options.lastingPool;
    this.#health = options.health;
    this.#onNews = options.onNews;
    this.breaker = new Breaker(options.breaker, {
      onNews: options.onNews,
      now: options.now,
    });
  }

  /** As the probes have it; well until they say otherwise. */
  get well(): boolean {
    return this.#well;
  }

  /** Nothing is known against it. */
  get usable(): boolean {
    return this.#well && !this.breaker.open;
  }

  probed(succeeded: boolean): void {
    if (this.#health === undefined) return;
    if (succeeded === this.#well) {
      this.#contrary = 0;
      return;
    }
    this.#contrary += 1;
    if (this.#contrary < (succeeded ? this.#health.healthyAfter : this.#health.unhealthyAfter)) return;
    this.#well = succeeded;
    this.#contrary = 0;
    this.#onNews(succeeded ? 'up' : 'down');
  }
}
